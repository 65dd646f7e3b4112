//! Examples of one call that wait together: one entry of the queue, however many they are.

use crate::kind::LaneKey;
use crate::reply::Reply;
use consort_inference::{Priority, TenantId, Tensors};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// One example that waits.
pub(crate) struct Row {
    pub(crate) tensors: Tensors,
    /// Which example of its call.
    pub(crate) index: u32,
    pub(crate) bytes: usize,
    pub(crate) weight: u64,
}

/// Examples of one call, lane and tenant: in the order of the call, or by length where
/// lengths differ. A segment that is
/// dropped tells its caller that they are lost.
pub(crate) struct Segment {
    pub(crate) rows: VecDeque<Row>,
    pub(crate) tenant: TenantId,
    pub(crate) priority: Priority,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) reply: Arc<Reply>,
}

/// A segment that would like to wait.
pub(crate) struct Arrival {
    pub(crate) key: LaneKey,
    pub(crate) segment: Segment,
}

// === impl Segment ===

impl Segment {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        let bytes = self.rows.iter().map(|row| row.bytes);
        bytes.fold(0, usize::saturating_add)
    }

    pub(crate) fn weight(&self) -> u64 {
        let weights = self.rows.iter().map(|row| row.weight);
        weights.fold(0, u64::saturating_add)
    }

    pub(crate) fn has_expired(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Tells the caller why its examples never ran.
    pub(crate) fn fail(mut self, failure: &consort_inference::Failure) {
        let rows = std::mem::take(&mut self.rows);
        self.reply.fail(rows.iter().map(|row| row.index), failure);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.rows.is_empty() {
            self.reply.lost(self.rows.iter().map(|row| row.index));
        }
    }
}
