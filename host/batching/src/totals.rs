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
    /// Bytes of the inputs of one batch.
    pub batch_bytes: Spread,
    /// The time that a batch took, in microseconds.
    pub batch_micros: Spread,
    /// Examples in one run of the model, whatever became of it.
    pub run_examples: Spread,
    /// The time of one run, whatever became of it, in whole milliseconds.
    pub run_millis: Spread,
    /// Runs that failed, wholly or for one of their rows.
    pub failed_batches: u64,
    /// The time that examples waited from their arrival to the start of their batch, all
    /// together, whatever became of the batch.
    pub queue_wait: Duration,
}

/// How a number was spread: what Beam calls a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spread {
    /// How many numbers there were.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
    /// The smallest; zero before the first.
    pub min: u64,
    /// The largest.
    pub max: u64,
}

/// A spread while it grows.
#[derive(Debug)]
struct Growing {
    count: AtomicU64,
    sum: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
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
    batch_bytes: Growing,
    batch_micros: Growing,
    run_examples: Growing,
    run_millis: Growing,
    failed_batches: AtomicU64,
}

// === impl Totals ===

impl Totals {
    /// These batches and those.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let smallest = match (self.smallest, other.smallest) {
            (0, only) | (only, 0) => only,
            (one, two) => one.min(two),
        };
        Self {
            batches: self.batches + other.batches,
            examples: self.examples + other.examples,
            largest: self.largest.max(other.largest),
            smallest,
            bytes: self.bytes + other.bytes,
            run_time: self.run_time + other.run_time,
            batch_bytes: self.batch_bytes.and(other.batch_bytes),
            batch_micros: self.batch_micros.and(other.batch_micros),
            run_examples: self.run_examples.and(other.run_examples),
            run_millis: self.run_millis.and(other.run_millis),
            failed_batches: self.failed_batches + other.failed_batches,
            queue_wait: self.queue_wait + other.queue_wait,
        }
    }
}

// === impl Spread ===

impl Spread {
    /// These numbers and those.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.count, other.count) {
            (0, _) => other,
            (_, 0) => self,
            _ => Self {
                count: self.count + other.count,
                sum: self.sum.saturating_add(other.sum),
                min: self.min.min(other.min),
                max: self.max.max(other.max),
            },
        }
    }
}

// === impl Growing ===

impl Default for Growing {
    fn default() -> Self {
        Self {
            count: AtomicU64::default(),
            sum: AtomicU64::default(),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::default(),
        }
    }
}

impl Growing {
    fn add(&self, number: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(number, Ordering::Relaxed);
        self.min.fetch_min(number, Ordering::Relaxed);
        self.max.fetch_max(number, Ordering::Relaxed);
    }

    fn spread(&self) -> Spread {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        match read(&self.count) {
            0 => Spread::default(),
            count => Spread {
                count,
                sum: read(&self.sum),
                min: read(&self.min),
                max: read(&self.max),
            },
        }
    }
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
            batch_bytes: Growing::default(),
            batch_micros: Growing::default(),
            run_examples: Growing::default(),
            run_millis: Growing::default(),
            failed_batches: zero(),
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
        self.batch_bytes.add(bytes);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.batch_micros.add(micros);
    }

    /// The model ran, whatever became of it.
    pub(crate) fn ended(&self, examples: usize, took: Duration) {
        self.run_examples.add(examples as u64);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.run_millis.add(millis);
    }

    /// A run failed, wholly or for a row.
    pub(crate) fn failed(&self) {
        self.failed_batches.fetch_add(1, Ordering::Relaxed);
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
            batch_bytes: self.batch_bytes.spread(),
            batch_micros: self.batch_micros.spread(),
            run_examples: self.run_examples.spread(),
            run_millis: self.run_millis.spread(),
            failed_batches: read(&self.failed_batches),
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
            running.ran(size, 10 * size as u64, second);
            running.ended(size, second);
            running.waited(second * 2);
        }
        running.ended(4, second * 2);
        running.failed();
        let spread = |count, sum, min, max| Spread {
            count,
            sum,
            min,
            max,
        };
        let expected = Totals {
            batches: 3,
            examples: 16,
            largest: 8,
            smallest: 3,
            bytes: 160,
            run_time: second * 3,
            batch_bytes: spread(3, 160, 30, 80),
            batch_micros: spread(3, 3_000_000, 1_000_000, 1_000_000),
            run_examples: spread(4, 20, 3, 8),
            run_millis: spread(4, 5_000, 1_000, 2_000),
            failed_batches: 1,
            queue_wait: second * 6,
        };
        assert_eq!(running.totals(), expected);
        assert_eq!(expected.and(Totals::default()), expected);
        assert_eq!(Totals::default().and(expected), expected);
        let twice = expected.and(expected);
        assert_eq!((twice.smallest, twice.failed_batches), (3, 2));
        assert_eq!(twice.batch_bytes, spread(6, 320, 30, 80));
    }
}
