//! When a free replica runs what waits, and when it waits for more.
//!
//! A policy sees one lane of the queue at a time, the one whose turn it is first, and says
//! whether to run it. It hears how long each run took. It never sees an example.

mod cell;
mod curve;
mod family;
mod fixed;
mod known;
mod learned;
mod view;

pub use self::fixed::FixedPolicy;
pub use self::learned::LearnedPolicy;
pub use self::view::QueueView;

use crate::kind::LaneKind;
use std::time::Duration;
use tokio::time::Instant;

/// Decides when a batch is worth running. Called with the queue locked, so it must be
/// quick and must not block; each lane has a decision of its own.
pub trait BatchPolicy: Send {
    /// What a free replica should do about the examples of one lane.
    ///
    /// Asked when a replica comes free, when an example arrives while one is free, and at
    /// the instant of an earlier [`Decision::WaitUntil`]; possibly twice for one batch. Not
    /// asked while the batcher drains: then nothing more can arrive, and everything runs at
    /// once.
    fn decide(&mut self, view: &QueueView<'_>) -> Decision;

    /// A batch of that size goes to a replica now.
    fn started(&mut self, kind: &LaneKind, size: usize) {
        let _ = (kind, size);
    }

    /// A batch of that size kept a replica busy for so long, from the moment at which it was
    /// free to giving back the last result: forming the batch counts, waiting does not. Pieces of failed batches are told too.
    fn observe(&mut self, kind: &LaneKind, size: usize, elapsed: Duration, outcome: RunOutcome) {
        let _ = (kind, size, elapsed, outcome);
    }

    /// How long a batch of that size would take, if that is known.
    fn predict(&self, kind: &LaneKind, size: usize) -> Option<Duration> {
        let _ = (kind, size);
        None
    }

    /// The size that batches have when enough waits, if the policy has one.
    fn target(&self, kind: &LaneKind) -> Option<usize> {
        let _ = kind;
        None
    }

    /// Another handler runs from now on: what was learned may be wrong.
    fn replaced(&mut self) {}
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

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// With outputs.
    Succeeded,
    /// Without memory enough. The batcher itself keeps the sizes below what failed.
    OutOfMemory,
    /// In any other way.
    Failed,
}

#[cfg(test)]
mod tests;
