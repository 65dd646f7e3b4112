//! Running totals of each step, for the summary at the end of a job.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a step ran and how long it took, all calls together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepStats {
    /// Examples that entered the step.
    pub examples: u64,
    /// Examples that failed in it.
    pub failures: u64,
    /// Examples it answered by itself.
    pub answers: u64,
    /// Calls of the step.
    pub calls: u64,
    /// Time from call to result, summed over calls; calls overlap.
    pub elapsed: Duration,
}

/// The totals while they grow.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    examples: AtomicU64,
    failures: AtomicU64,
    answers: AtomicU64,
    calls: AtomicU64,
    elapsed_ns: AtomicU64,
}

// === impl Totals ===

impl Totals {
    pub(crate) fn add(&self, run: StepStats) {
        self.examples.fetch_add(run.examples, Ordering::Relaxed);
        self.failures.fetch_add(run.failures, Ordering::Relaxed);
        self.answers.fetch_add(run.answers, Ordering::Relaxed);
        self.calls.fetch_add(run.calls, Ordering::Relaxed);
        let elapsed_ns = u64::try_from(run.elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_ns.fetch_add(elapsed_ns, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> StepStats {
        StepStats {
            examples: self.examples.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            answers: self.answers.load(Ordering::Relaxed),
            calls: self.calls.load(Ordering::Relaxed),
            elapsed: Duration::from_nanos(self.elapsed_ns.load(Ordering::Relaxed)),
        }
    }
}
