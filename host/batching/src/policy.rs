//! When a free replica runs what waits, and when it waits for more.
//!
//! The seam for policies that learn: a policy sees one lane of the queue at a time, the
//! one whose turn it is first, and says whether to run it. It never sees an example.

use crate::config::Config;
use crate::queue::Lane;
use consort_inference::Layout;
use std::time::Duration;
use tokio::time::Instant;

/// Decides when a batch is worth running. Called with the queue locked, so it must be
/// quick and must not block; each lane has a decision of its own.
pub trait BatchPolicy: Send {
    /// What a free replica should do about the examples of one layout.
    ///
    /// Asked when a replica comes free, when an example arrives while one is free, and at
    /// the instant of an earlier [`Decision::WaitUntil`]. Not asked while the batcher
    /// drains: then nothing more can arrive, and everything runs at once.
    fn decide(&mut self, view: &QueueView<'_>) -> Decision;
}

/// What a free replica should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Run so many examples now. Less than 1 counts as 1, and more than
    /// [`QueueView::batch_size_max`] or than wait as those.
    Run(usize),
    /// Wait for more, and ask again at that instant at the latest. An instant that is not
    /// in the future counts as running all that wait.
    WaitUntil(Instant),
}

/// What a policy sees.
pub struct QueueView<'a> {
    pub(crate) now: Instant,
    pub(crate) lane: &'a Lane,
    pub(crate) batch_size_max: usize,
    pub(crate) depth: usize,
    pub(crate) layouts: usize,
    pub(crate) replicas: usize,
    pub(crate) replicas_free: usize,
}

/// Triton's `max_batch_size` and `max_queue_delay`: runs a batch when it is full, when its
/// oldest example has waited for `max_queue_delay`, or when an example in it could not
/// wait for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedPolicy {
    /// The most examples in one batch.
    pub max_batch_size: usize,
    /// The longest wait for more.
    pub max_queue_delay: Duration,
}

// === impl QueueView ===

impl QueueView<'_> {
    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The layout of the examples in question.
    pub fn layout(&self) -> &Layout {
        self.lane.layout()
    }

    /// How many examples of this layout wait, at least 1.
    pub fn waiting(&self) -> usize {
        self.lane.len()
    }

    /// The largest batch that may run now: the least of `max_batch_size`, of what the
    /// model can take and of what has fitted into memory so far.
    pub fn batch_size_max(&self) -> usize {
        self.batch_size_max
    }

    /// When the oldest of these examples arrived.
    pub fn oldest(&self) -> Instant {
        self.lane.oldest().unwrap_or(self.now)
    }

    /// The earliest deadline among these examples. Looks at each of them: ask only when
    /// few wait.
    pub fn earliest_deadline(&self) -> Option<Instant> {
        self.lane.earliest_deadline()
    }

    /// How many examples of all layouts wait.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// How many layouts have something waiting.
    pub fn layouts(&self) -> usize {
        self.layouts
    }

    /// How many replicas the model has.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// How many of them are free, the one that asks included.
    pub fn replicas_free(&self) -> usize {
        self.replicas_free
    }
}

// === impl FixedPolicy ===

impl FixedPolicy {
    /// What a model's settings ask for.
    pub fn of(config: &Config) -> Self {
        Self {
            max_batch_size: config.max_batch_size,
            max_queue_delay: config.max_queue_delay,
        }
    }
}

impl BatchPolicy for FixedPolicy {
    fn decide(&mut self, view: &QueueView<'_>) -> Decision {
        let full = self.max_batch_size.min(view.batch_size_max());
        let all = Decision::Run(view.waiting().min(full));
        if view.waiting() >= full || self.max_queue_delay.is_zero() {
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
