//! What runs a batch: a handler that blocks a thread, or a future on a task.
//!
//! Both drive the same [`Replica`]; they differ in how they sleep and how they run. A
//! panic on either side of a run is caught and becomes an ordinary failure of the batch.

use crate::former::Next;
use crate::replica::{Replica, Work};
use crate::serving::Replicas;
use consort_inference::{Batch, BatchHints, BoxFuture, PredictError, Signature, Tensors};
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

    /// Bytes of a batch as they are counted.
    fn batch_byte_size(&self, batch: &Batch) -> u64 {
        batch.byte_len() as u64
    }

    /// What the names of this model's metrics begin with in Beam's form.
    fn metrics_namespace(&self) -> &str {
        "RunInference"
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

/// The outputs of a run, and the bytes of its inputs.
pub(crate) type Ran = Result<(Vec<Tensors>, u64), RunError>;

type Predicted = Result<(Vec<Tensors>, u64), PredictError>;

/// Runs batches on this thread until the queue is closed and empty.
pub(crate) fn run_on_thread(mut replica: Replica) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match replica.next(&waker) {
            Next::Run(work) => {
                let ran = match work.handler() {
                    Replicas::Threads(handler) => flatten(catch_unwind(AssertUnwindSafe(|| {
                        let bytes = handler.batch_byte_size(work.batch());
                        Ok((handler.predict(work.batch())?, bytes))
                    }))),
                    Replicas::Tasks(_) => Err(elsewhere()),
                };
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
pub(crate) async fn run_on_task(mut replica: Replica) {
    while let Some(work) = next_work(&mut replica).await {
        let ran = match work.handler() {
            Replicas::Tasks(runner) => run_on(&**runner, work.batch()).await,
            Replicas::Threads(_) => Err(elsewhere()),
        };
        replica.finish(work, ran);
    }
}

async fn run_on(runner: &dyn Runner, batch: &Batch) -> Ran {
    let mut run = pin!(async {
        let bytes = runner.batch_byte_size(batch);
        Ok((runner.run(batch).await?, bytes))
    });
    poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| run.as_mut().poll(cx));
        match catch_unwind(poll) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => Poll::Ready(flatten(Ok(result))),
            Err(panic) => Poll::Ready(flatten(Err(panic))),
        }
    })
    .await
}

/// A handler is never replaced by one of the other sort.
fn elsewhere() -> RunError {
    let message = "the host ran a model in the wrong place; please report this";
    RunError::Panicked(message.to_owned())
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

fn flatten(result: thread::Result<Predicted>) -> Ran {
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
