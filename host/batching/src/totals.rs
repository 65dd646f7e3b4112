//! Running totals of one model's batches, for a summary at the end of a job.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The batches that ran and gave outputs so far, whichever version of the model ran them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// How many batches.
    pub batches: u64,
    /// How many examples were in them.
    pub examples: u64,
    /// The size of the largest.
    pub largest: u64,
    /// The size of the smallest; zero before the first.
    pub smallest: u64,
    /// Bytes of their inputs.
    pub bytes: u64,
    /// The time they took, all together.
    pub run_time: Duration,
    /// The time that examples waited from their arrival to the start of their batch, all
    /// together, whatever became of the batch.
    pub queue_wait: Duration,
}

/// The totals while they grow.
#[derive(Debug)]
pub(crate) struct Running {
    batches: AtomicU64,
    examples: AtomicU64,
    largest: AtomicU64,
    smallest: AtomicU64,
    bytes: AtomicU64,
    run_time_ns: AtomicU64,
    queue_wait_ns: AtomicU64,
}

// === impl Running ===

impl Default for Running {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            batches: zero(),
            examples: zero(),
            largest: zero(),
            smallest: AtomicU64::new(u64::MAX),
            bytes: zero(),
            run_time_ns: zero(),
            queue_wait_ns: zero(),
        }
    }
}

impl Running {
    /// A batch gave outputs.
    pub(crate) fn ran(&self, batch_size: usize, bytes: u64, took: Duration) {
        let size = batch_size as u64;
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.examples.fetch_add(size, Ordering::Relaxed);
        self.largest.fetch_max(size, Ordering::Relaxed);
        self.smallest.fetch_min(size, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.run_time_ns.fetch_add(nanos(took), Ordering::Relaxed);
    }

    /// Examples waited for so long, all together.
    pub(crate) fn waited(&self, waited: Duration) {
        self.queue_wait_ns
            .fetch_add(nanos(waited), Ordering::Relaxed);
    }

    pub(crate) fn totals(&self) -> Totals {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let batches = read(&self.batches);
        Totals {
            batches,
            examples: read(&self.examples),
            largest: read(&self.largest),
            smallest: match batches {
                0 => 0,
                _ => read(&self.smallest),
            },
            bytes: read(&self.bytes),
            run_time: Duration::from_nanos(read(&self.run_time_ns)),
            queue_wait: Duration::from_nanos(read(&self.queue_wait_ns)),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_add_up() {
        let running = Running::default();
        assert_eq!(running.totals(), Totals::default());
        let second = Duration::from_secs(1);
        for size in [3, 8, 5] {
            running.ran(size, 10, second);
            running.waited(second * 2);
        }
        let expected = Totals {
            batches: 3,
            examples: 16,
            largest: 8,
            smallest: 3,
            bytes: 30,
            run_time: second * 3,
            queue_wait: second * 6,
        };
        assert_eq!(running.totals(), expected);
    }
}
