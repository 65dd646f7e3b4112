//! Steps of one call that run at the same time.

use crate::Step;
use consort_inference::{BoxFuture, Call, Example, Failure, Outcome, Trace};
use std::any::Any;
use std::sync::Arc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

/// What a step made of its examples.
pub(crate) type Results = Vec<Result<Outcome, Failure>>;

/// A step at work on some examples of the call.
pub(crate) struct Run {
    /// The index of the step.
    pub(crate) step: usize,
    /// The examples, in the order in which the step has them.
    pub(crate) members: Vec<usize>,
    pub(crate) begin: Instant,
    pub(crate) span: Option<Trace>,
}

/// A run with what the step gets.
pub(crate) struct Begun {
    pub(crate) run: Run,
    pub(crate) step: Arc<dyn Step>,
    pub(crate) examples: Vec<Example>,
    pub(crate) call: Call,
}

/// The runs under way, each in a task of its own. Dropping it abandons them.
#[derive(Default)]
pub(crate) struct Running {
    /// None until there are two steps at once: most ensembles never have.
    tasks: Option<JoinSet<Results>>,
    runs: Vec<(Id, AbortHandle, Run)>,
}

// === impl Begun ===

impl Begun {
    /// Runs in the caller's own task.
    pub(crate) fn here(&mut self) -> BoxFuture<'_, Results> {
        let examples = std::mem::take(&mut self.examples);
        self.step.run(examples, std::mem::take(&mut self.call))
    }
}

// === impl Running ===

impl Running {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Runs beside the others.
    pub(crate) fn spawn(&mut self, begun: Begun) {
        let Begun {
            run,
            step,
            examples,
            call,
        } = begun;
        let task = async move { step.run(examples, call).await };
        let handle = self.tasks.get_or_insert_default().spawn(task);
        self.runs.push((handle.id(), handle, run));
    }

    /// The next that ends, or why it ended without results; `None` when none is under way.
    pub(crate) async fn next(&mut self) -> Option<(Run, Result<Results, String>)> {
        while !self.runs.is_empty() {
            let joined = self.tasks.as_mut()?.join_next_with_id().await?;
            let (id, results) = match joined {
                Ok((id, results)) => (id, Ok(results)),
                Err(error) => (error.id(), Err(broken(error))),
            };
            // One that was abandoned is known no more.
            if let Some(run) = self.take(id) {
                return Some((run, results));
            }
        }
        None
    }

    /// Stops those that nobody waits for.
    pub(crate) fn abandon(&mut self, needed: impl Fn(&Run) -> bool) -> Vec<Run> {
        let mut abandoned = Vec::new();
        let mut index = 0;
        while let Some((_, handle, run)) = self.runs.get(index) {
            if needed(run) {
                index += 1;
            } else {
                handle.abort();
                abandoned.push(self.runs.swap_remove(index).2);
            }
        }
        abandoned
    }

    fn take(&mut self, id: Id) -> Option<Run> {
        let index = self.runs.iter().position(|(known, ..)| *known == id)?;
        Some(self.runs.swap_remove(index).2)
    }
}

/// Why a task ended without results.
fn broken(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("the step panicked: {}", panic_text(&*panic)),
        Err(_) => "the step was broken off, since the host stops".to_owned(),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}
