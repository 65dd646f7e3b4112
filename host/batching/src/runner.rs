//! What runs a batch: a handler that blocks a thread, or a future on a task.
//!
//! Both drive the same [`Replica`]; they differ in how they sleep and how they run. A
//! panic on either side of a run is caught and becomes an ordinary failure of the batch.

use crate::former::Next;
use crate::replica::{Replica, Work};
use consort_inference::{
    Batch, BatchHints, BoxFuture, ModelHandler, PredictError, Signature, Tensors,
};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};
use tokio::time::{Instant, sleep_until};

/// A model that is asynchronous by itself, such as one on another host; and the seam by
/// which everything but the threads is tested on a paused clock.
///
/// Its replicas are tasks; each awaits one batch at a time.
pub trait Runner: Send + Sync {
    /// The tensors of one example: no batch axis.
    fn signature(&self) -> &Signature;

    /// What the model knows about good batches.
    fn batch_hints(&self) -> BatchHints {
        BatchHints::default()
    }

    /// Predicts on a batch; returns the outputs of each row, in order.
    fn run<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Vec<Tensors>, PredictError>>;
}

/// Why a run gave no outputs.
pub(crate) enum RunError {
    /// The model said so.
    Predict(PredictError),
    /// The handler panicked with this message.
    Panicked(String),
}

pub(crate) type Ran = Result<Vec<Tensors>, RunError>;

/// Runs batches on this thread until the queue is closed and empty.
pub(crate) fn run_on_thread(mut replica: Replica, handler: &dyn ModelHandler) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match replica.next(&waker) {
            Next::Run(work) => {
                let predict = AssertUnwindSafe(|| handler.predict(work.batch()));
                let ran = flatten(catch_unwind(predict));
                replica.finish(work, ran);
            }
            Next::Wait(None) => thread::park(),
            Next::Wait(Some(at)) => {
                thread::park_timeout(at.saturating_duration_since(Instant::now()));
            }
            Next::Stop => return,
        }
    }
}

/// Runs batches on this task until the queue is closed and empty.
pub(crate) async fn run_on_task(mut replica: Replica, runner: Arc<dyn Runner>) {
    while let Some(work) = next_work(&mut replica).await {
        let ran = {
            let mut run = pin!(async { runner.run(work.batch()).await });
            poll_fn(|cx| {
                let poll = AssertUnwindSafe(|| run.as_mut().poll(cx));
                match catch_unwind(poll) {
                    Ok(Poll::Pending) => Poll::Pending,
                    Ok(Poll::Ready(result)) => Poll::Ready(flatten(Ok(result))),
                    Err(panic) => Poll::Ready(flatten(Err(panic))),
                }
            })
            .await
        };
        replica.finish(work, ran);
    }
}

async fn next_work(replica: &mut Replica) -> Option<Work> {
    let mut alarm = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        loop {
            match replica.next(cx.waker()) {
                Next::Run(work) => return Poll::Ready(Some(work)),
                Next::Stop => return Poll::Ready(None),
                Next::Wait(None) => return Poll::Pending,
                Next::Wait(Some(at)) => {
                    alarm.as_mut().reset(at);
                    if alarm.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await
}

fn flatten(result: thread::Result<Result<Vec<Tensors>, PredictError>>) -> Ran {
    match result {
        Ok(predicted) => predicted.map_err(RunError::Predict),
        Err(panic) => Err(RunError::Panicked(panic_text(panic.as_ref()))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Wakes a replica's thread.
struct Unpark(Thread);

// === impl Unpark ===

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
