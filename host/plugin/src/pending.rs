//! Calls to models that a guest has begun and does not wait for yet. Each runs as a task of
//! its own, so that it goes on while the guest computes; none outlives the call into the
//! guest that it belongs to.

use crate::limits::{Limit, Limits};
use crate::model_call::ModelCall;
use crate::models::{Answer, NoAnswer};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::{JoinError, JoinHandle};
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

/// The calls under way of one store's guest.
pub(crate) struct PendingCalls {
    table: ResourceTable,
    count: usize,
    /// Rows of all of them together.
    rows: usize,
    rows_max: usize,
    calls_max: usize,
}

/// One of them. Dropping it abandons the call.
pub(crate) struct Pending {
    pub(crate) model: Arc<str>,
    rows: usize,
    task: JoinHandle<Answer>,
    /// Taken from the task, and not yet by the guest.
    answer: Option<Answer>,
}

// === impl PendingCalls ===

impl PendingCalls {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.model_calls_pending_max);
        Self {
            table,
            count: 0,
            rows: 0,
            rows_max: limits.tensors_max,
            calls_max: limits.model_calls_pending_max,
        }
    }

    /// How many there are, those that have ended and were not asked for included.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Begins a call, if there may be one more.
    pub(crate) fn begin(
        &mut self,
        call: ModelCall,
        model: Arc<str>,
    ) -> Result<Resource<Pending>, NoAnswer> {
        if self.count >= self.calls_max {
            let limit = Limit::ModelCallsPending;
            return Err(call.refuse(NoAnswer::Limit(
                limit,
                format!(
                    "{limit}: no more calls than {} may be under way at a time; wait for one or \
                     drop one",
                    self.calls_max
                ),
            )));
        }
        let rows = call.rows();
        if self.rows.saturating_add(rows) > self.rows_max {
            let limit = Limit::Tensors;
            return Err(call.refuse(NoAnswer::Limit(
                limit,
                format!(
                    "{limit}: {rows} rows beside the {} of calls under way are more than {}; wait \
                     for one or drop one",
                    self.rows, self.rows_max
                ),
            )));
        }
        let pending = self.table.push(Pending {
            model,
            rows,
            task: tokio::spawn(call.run()),
            answer: None,
        });
        let pending = pending.map_err(|error| NoAnswer::Outputs(error.to_string()))?;
        self.count += 1;
        self.rows += rows;
        Ok(pending)
    }

    /// Takes a call out of the guest's hands.
    pub(crate) fn take(
        &mut self,
        pending: Resource<Pending>,
    ) -> Result<Pending, ResourceTableError> {
        let pending = self.table.delete(pending)?;
        self.count -= 1;
        self.rows -= pending.rows;
        Ok(pending)
    }

    pub(crate) fn is_done(&self, pending: &Resource<Pending>) -> Result<bool, ResourceTableError> {
        let pending = self.table.get(pending)?;
        Ok(pending.answer.is_some() || pending.task.is_finished())
    }

    /// The first of these calls that has ended; whoever polls is woken when one does.
    pub(crate) fn poll_any(
        &mut self,
        context: &mut Context<'_>,
        calls: &[Resource<Pending>],
    ) -> Poll<Result<usize, ResourceTableError>> {
        for (place, call) in calls.iter().enumerate() {
            match self.table.get_mut(call) {
                Ok(pending) => {
                    if pending.poll(context) {
                        return Poll::Ready(Ok(place));
                    }
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Pending
    }
}

// === impl Pending ===

impl Pending {
    /// Whether it has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> bool {
        if self.answer.is_none()
            && let Poll::Ready(ended) = std::pin::Pin::new(&mut self.task).poll(context)
        {
            self.answer = Some(answer(ended));
        }
        self.answer.is_some()
    }

    /// Waits for the end.
    pub(crate) async fn wait(mut self) -> Answer {
        match self.answer.take() {
            Some(answer) => answer,
            None => answer((&mut self.task).await),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A task that did not end by itself has panicked, or the host is shutting down.
fn answer(ended: Result<Answer, JoinError>) -> Answer {
    ended.unwrap_or_else(|error| {
        Err(NoAnswer::Outputs(format!(
            "the call was broken off by the host: {error}"
        )))
    })
}
