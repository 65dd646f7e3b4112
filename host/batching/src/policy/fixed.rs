//! Triton's way: a size and a delay, as they are written.

use super::{BatchPolicy, Decision, QueueView};
use crate::config::{Config, FIXED_BATCH_SIZE};
use std::time::Duration;

/// Triton's `max_batch_size`, `max_queue_delay` and `preferred_batch_sizes`: runs a batch
/// when it is full, when its oldest example has waited for `max_queue_delay`, or when an
/// example in it could not wait for so long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FixedPolicy {
    /// The most examples in one batch.
    pub max_batch_size: usize,
    /// The longest wait for more.
    pub max_queue_delay: Duration,
    /// In rising order: the largest is full too, and what waited for long enough runs in
    /// the largest of these that it fills, if it fills any.
    pub preferred_batch_sizes: Vec<usize>,
}

// === impl FixedPolicy ===

impl FixedPolicy {
    /// What a model's settings ask for.
    pub fn of(config: &Config) -> Self {
        Self {
            max_batch_size: config.max_batch_size.unwrap_or(FIXED_BATCH_SIZE),
            max_queue_delay: config.max_queue_delay.unwrap_or_default(),
            preferred_batch_sizes: config.preferred_batch_sizes.clone(),
        }
    }
}

impl BatchPolicy for FixedPolicy {
    fn decide(&mut self, view: &QueueView<'_>) -> Decision {
        let most = self.max_batch_size.min(view.batch_size_max());
        let mut preferred = self.preferred_batch_sizes.iter().copied();
        let full = preferred.rfind(|size| *size <= most).unwrap_or(most);
        let waiting = view.waiting();
        let mut preferred = self.preferred_batch_sizes.iter().copied();
        let filled = preferred.rfind(|size| *size <= waiting.min(full));
        let all = Decision::Run(filled.unwrap_or(waiting.min(full)));
        if waiting >= full || self.max_queue_delay.is_zero() {
            return all;
        }
        let due = view.oldest() + self.max_queue_delay;
        let cannot_wait = view
            .earliest_deadline()
            .is_some_and(|deadline| deadline <= due);
        if due <= view.now() || cannot_wait {
            return all;
        }
        Decision::WaitUntil(due)
    }
}
