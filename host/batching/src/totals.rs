//! Running totals of one model's batches, for a summary at the end of a job.

use std::sync::atomic::{AtomicU64, Ordering};

/// The batches that ran and gave outputs so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// How many batches.
    pub batches: u64,
    /// How many examples were in them.
    pub examples: u64,
    /// The size of the largest.
    pub largest: u64,
}

/// The totals while they grow.
#[derive(Debug, Default)]
pub(crate) struct Running {
    batches: AtomicU64,
    examples: AtomicU64,
    largest: AtomicU64,
}

// === impl Running ===

impl Running {
    pub(crate) fn add(&self, batch_size: usize) {
        let size = batch_size as u64;
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.examples.fetch_add(size, Ordering::Relaxed);
        self.largest.fetch_max(size, Ordering::Relaxed);
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            batches: self.batches.load(Ordering::Relaxed),
            examples: self.examples.load(Ordering::Relaxed),
            largest: self.largest.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_add_up() {
        let running = Running::default();
        [3, 8, 5].into_iter().for_each(|size| running.add(size));
        let expected = Totals {
            batches: 3,
            examples: 16,
            largest: 8,
        };
        assert_eq!(running.totals(), expected);
    }
}
