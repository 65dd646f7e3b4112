//! The way of one chunk, from what the source found to lines ready to be written.

use crate::answer::Caller;
use crate::feed::Done;
use crate::load::{Loaded, Loader, Row};
use crate::render::{Lines, Rendered, Whence};
use crate::source::Chunk;
use crate::turns::Turn;
use consort_inference::{Example, Failure, FailureKind, Key, Stage, StageKind, TenantId};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinError;
use tokio::time::Instant;

/// Tells all tasks of a job to give up what they wait for.
#[derive(Debug, Clone)]
pub(crate) struct Abandon(watch::Receiver<bool>);

/// The leave of a chunk to be in flight: its examples until they are written, its text
/// until the endpoint has answered.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) examples: OwnedSemaphorePermit,
    pub(crate) text: OwnedSemaphorePermit,
}

/// A chunk whose lines are ready.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its place in the input.
    pub(crate) sequence: u64,
    /// How far in the source it goes.
    pub(crate) done: Done,
    pub(crate) rendered: Rendered,
    /// Whether it is not what it would have been, because the job was stopped.
    pub(crate) given_up: bool,
    /// Given back when the lines are written.
    pub(crate) examples: OwnedSemaphorePermit,
}

/// An example that ends a job which is to fail fast.
#[derive(Debug)]
pub(crate) struct Fatal {
    pub(crate) key: Key,
    pub(crate) failure: Failure,
}

/// What every chunk needs on its way.
pub(crate) struct Stations {
    pub(crate) tenant: TenantId,
    pub(crate) loader: Arc<Loader>,
    /// Nobody is asked in a dry run.
    pub(crate) caller: Option<Caller>,
    pub(crate) lines: Lines,
    pub(crate) abandon: Abandon,
    pub(crate) fail_fast: bool,
    /// Whether answers depend on earlier ones of the same key.
    pub(crate) keeps_state: bool,
}

// === impl Abandon ===

impl Abandon {
    /// A switch and what it switches.
    pub(crate) fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns when the tasks are to give up; never otherwise.
    pub(crate) async fn wait(&self) {
        if self.0.clone().wait_for(|abandon| *abandon).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the tasks are to give up.
    pub(crate) fn is_set(&self) -> bool {
        *self.0.borrow()
    }
}

// === impl Stations ===

impl Stations {
    /// Takes a chunk all the way. Fails only by a panic while it is loaded.
    pub(crate) async fn pass(
        &self,
        sequence: u64,
        chunk: Chunk,
        admission: Admission,
        turn: Option<Turn>,
    ) -> Result<(Finished, Option<Fatal>), JoinError> {
        let done = Done {
            rows: chunk.rows_end,
            listing: chunk.listing,
        };
        let begin = Instant::now();
        let body = Arc::new(chunk.body);
        let Loaded { rows, held } = self.loader.load(&body).await?;
        let mut keys = Vec::with_capacity(rows.len());
        let mut failures = Vec::with_capacity(rows.len());
        let mut examples = Vec::with_capacity(rows.len());
        for Row { key, content } in rows {
            let nameless = self.keeps_state && !key.given;
            match content.and_then(|tensors| match nameless {
                true => Err(no_key()),
                false => Ok(tensors),
            }) {
                Ok(tensors) => {
                    examples.push(Example {
                        tenant: self.tenant.clone(),
                        key: Some(key.text.clone()),
                        tensors,
                    });
                    failures.push(None);
                }
                Err(failure) => failures.push(Some(failure)),
            }
            keys.push(key);
        }
        let mut rendered = Rendered::default();
        let mut fatal = None;
        let mut fail = |rendered: &mut Rendered, whence: Whence<'_>, parsed, failure: Failure| {
            if self.fail_fast && fatal.is_none() && failure.kind != FailureKind::Cancelled {
                fatal = Some(Fatal {
                    key: whence.key.text.clone(),
                    failure: failure.clone(),
                });
            }
            self.lines.failure(rendered, whence, parsed, failure);
        };
        let whence = |index, key| Whence {
            key,
            body: &body,
            index,
        };
        match &self.caller {
            None => {
                for (index, (key, failure)) in keys.iter().zip(failures).enumerate() {
                    match failure {
                        Some(failure) => fail(&mut rendered, whence(index, key), false, failure),
                        None => rendered.predicted += 1,
                    }
                }
            }
            Some(caller) => {
                let leave = match turn {
                    Some(turn) => Some(turn.come(&examples).await),
                    None => None,
                };
                let mut answers = caller.answer(examples).await.into_iter();
                drop((held, admission.text, leave));
                for (index, (key, failure)) in keys.iter().zip(failures).enumerate() {
                    match failure {
                        Some(failure) => fail(&mut rendered, whence(index, key), false, failure),
                        // There is an answer for each example without a failure.
                        None => match answers.next() {
                            Some(Ok(answer)) => {
                                let whence = whence(index, key);
                                if let Err(failure) =
                                    self.lines.answer(&mut rendered, whence, &answer)
                                {
                                    fail(&mut rendered, whence, true, failure);
                                }
                            }
                            Some(Err(failure)) => {
                                fail(&mut rendered, whence(index, key), true, failure);
                            }
                            None => {}
                        },
                    }
                }
            }
        }
        if let Some(caller) = &self.caller {
            caller.ready(keys.len(), begin.elapsed());
        }
        let finished = Finished {
            sequence,
            done,
            given_up: fatal.is_some() || self.abandon.is_set(),
            rendered,
            examples: admission.examples,
        };
        Ok((finished, fatal))
    }
}

/// What becomes of an example that is of no stream.
fn no_key() -> Failure {
    let what = "it has no key, which says whose state to go on from; give each a \"key\", \
                or name the column of keys (key_column)";
    let stage = Stage::new(StageKind::Read, "line");
    Failure::new(stage, FailureKind::InvalidArgument, what)
}
