//! What a policy sees of a lane.

use crate::kind::LaneKind;
use crate::queue::Lane;
use std::time::Duration;
use tokio::time::Instant;

/// What a policy sees.
pub struct QueueView<'a> {
    pub(crate) now: Instant,
    pub(crate) lane: &'a Lane,
    pub(crate) batch_size_max: usize,
    pub(crate) depth: usize,
    pub(crate) lanes: usize,
    pub(crate) replicas: usize,
    pub(crate) replicas_free: usize,
}

// === impl QueueView ===

impl QueueView<'_> {
    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The tensors of the examples in question.
    pub fn kind(&self) -> &LaneKind {
        self.lane.kind()
    }

    /// How many examples of this lane wait, at least 1.
    pub fn waiting(&self) -> usize {
        self.lane.len()
    }

    /// The largest batch that may run now: the least of `max_batch_size`, of what the
    /// model can take, of what has fitted into memory so far, and of what the limits on
    /// bytes and weight allow of examples like these.
    pub fn batch_size_max(&self) -> usize {
        self.batch_size_max
    }

    /// When the oldest of these examples arrived; of one tenant's examples, the oldest of
    /// the highest priority.
    pub fn oldest(&self) -> Instant {
        self.lane.oldest().unwrap_or(self.now)
    }

    /// The earliest deadline among these examples.
    pub fn earliest_deadline(&self) -> Option<Instant> {
        self.lane.earliest_deadline()
    }

    /// The least time that callers gave lately, from arrival to deadline.
    pub fn tightest_budget(&self) -> Option<Duration> {
        self.lane.tightest_budget()
    }

    /// How many examples of this lane come in a second, as seen over the last batches;
    /// zero before the second one.
    pub fn arrivals_per_second(&self) -> f64 {
        self.lane.arrivals_per_second(self.now)
    }

    /// How many examples of all lanes wait.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// How many lanes have something waiting.
    pub fn lanes(&self) -> usize {
        self.lanes
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
