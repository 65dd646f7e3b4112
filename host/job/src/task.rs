//! The way of one chunk, from what the source found to lines ready to be written.

use crate::answer::Caller;
use crate::load::{Loaded, Loader, Row};
use crate::render::{Lines, Rendered};
use crate::source::Chunk;
use consort_inference::{Example, TenantId};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinError;

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
    pub(crate) rendered: Rendered,
    /// Given back when the lines are written.
    pub(crate) examples: OwnedSemaphorePermit,
}

/// What every chunk needs on its way.
pub(crate) struct Stations {
    pub(crate) tenant: TenantId,
    pub(crate) loader: Arc<Loader>,
    pub(crate) caller: Caller,
    pub(crate) lines: Lines,
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
}

// === impl Stations ===

impl Stations {
    /// Takes a chunk all the way. Fails only by a panic while it is loaded.
    pub(crate) async fn pass(
        &self,
        sequence: u64,
        chunk: Chunk,
        admission: Admission,
    ) -> Result<Finished, JoinError> {
        let Loaded { rows, held } = self.loader.load(chunk).await?;
        let mut keys = Vec::with_capacity(rows.len());
        let mut failures = Vec::with_capacity(rows.len());
        let mut examples = Vec::with_capacity(rows.len());
        for Row { key, content } in rows {
            match content {
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
        let mut answers = self.caller.answer(examples).await.into_iter();
        drop((held, admission.text));
        let mut rendered = Rendered::default();
        for (key, failure) in keys.iter().zip(failures) {
            match failure {
                Some(failure) => self.lines.failure(&mut rendered, key, failure),
                // There is an answer for each example without a failure.
                None => {
                    if let Some(answer) = answers.next() {
                        self.lines.answer(&mut rendered, key, answer);
                    }
                }
            }
        }
        Ok(Finished {
            sequence,
            rendered,
            examples: admission.examples,
        })
    }
}
