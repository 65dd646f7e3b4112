//! Stopping places of a job: whoever runs it may have it wait until something else is done,
//! such as a model's update that belongs between two examples.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// The job's side: where it is to stop, and how far it is. A job without one never waits.
#[derive(Debug, Clone)]
pub struct Pace {
    stop_at: watch::Receiver<u64>,
    done: Arc<Done>,
}

/// The side of whoever runs the job. Dropped, it lets the job go on to its end.
#[derive(Debug)]
pub struct PaceKeeper {
    stop_at: watch::Sender<u64>,
    done: watch::Receiver<u64>,
}

#[derive(Debug)]
struct Done {
    /// Examples let in so far, those of earlier runs of the job included.
    let_in: AtomicU64,
    /// Of these, the ones that have a line.
    lines: watch::Sender<u64>,
}

// === impl Pace ===

impl Pace {
    /// A pace whose job waits before its first example until it is let on.
    pub fn new() -> (PaceKeeper, Self) {
        let (stop_at, stops) = watch::channel(0);
        let (lines, done) = watch::channel(0);
        let done_here = Done {
            let_in: AtomicU64::new(0),
            lines,
        };
        let pace = Self {
            stop_at: stops,
            done: Arc::new(done_here),
        };
        (PaceKeeper { stop_at, done }, pace)
    }

    /// An earlier run had done so many.
    pub(crate) fn resume(&self, examples: u64) {
        self.done.let_in.store(examples, Ordering::Release);
        self.done.lines.send_replace(examples);
    }

    /// Returns when more examples may be let in.
    pub(crate) async fn wait(&self) {
        let let_in = || self.done.let_in.load(Ordering::Acquire);
        let mut stop_at = self.stop_at.clone();
        // Nobody keeps the pace any more: then there is no stop.
        let _ = stop_at.wait_for(|stop_at| let_in() < *stop_at).await;
    }

    /// So many more were let in.
    pub(crate) fn let_in(&self, examples: usize) {
        self.done
            .let_in
            .fetch_add(examples as u64, Ordering::AcqRel);
    }

    /// So many more have a line.
    pub(crate) fn answered(&self, examples: usize) {
        self.done
            .lines
            .send_modify(|lines| *lines += examples as u64);
    }
}

// === impl PaceKeeper ===

impl PaceKeeper {
    /// Has the job let nothing more in once so many examples were let in; it may be some
    /// more, since they are let in by chunks.
    pub fn stop_at(&self, examples: u64) {
        self.stop_at.send_replace(examples);
    }

    /// Lets the job go on to its end.
    pub fn let_on(&self) {
        self.stop_at(u64::MAX);
    }

    /// Waits until so many examples were answered, those of earlier runs included; false if
    /// the job ends before.
    pub async fn reached(&mut self, examples: u64) -> bool {
        self.done.wait_for(|done| *done >= examples).await.is_ok()
    }

    /// How many were answered so far.
    pub fn answered(&self) -> u64 {
        *self.done.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_job_stops_where_it_is_told_to() {
        let (mut keeper, pace) = Pace::new();
        assert!(
            pace.wait().now_or_never().is_none(),
            "before the first example"
        );
        keeper.stop_at(10);
        pace.wait().await;
        pace.let_in(8);
        pace.wait().await;
        pace.let_in(8);
        assert!(pace.wait().now_or_never().is_none());
        pace.answered(9);
        assert!(keeper.reached(10).now_or_never().is_none());
        pace.answered(7);
        assert!(keeper.reached(10).await);
        assert_eq!(keeper.answered(), 16);
        keeper.let_on();
        pace.wait().await;
        assert!(keeper.reached(17).now_or_never().is_none());
        drop(pace);
        assert!(!keeper.reached(17).await, "the job has ended");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_keeper_who_left() {
        let (keeper, pace) = Pace::new();
        drop(keeper);
        pace.wait().await;
    }

    #[tokio::test]
    async fn earlier_runs_count() {
        let (mut keeper, pace) = Pace::new();
        pace.resume(100);
        keeper.stop_at(100);
        assert!(pace.wait().now_or_never().is_none());
        assert!(keeper.reached(100).await);
        keeper.let_on();
        pace.wait().await;
    }
}
