//! What a kind takes from others of its family, and what it gives them.

use super::super::family::Family;
use super::Known;
use crate::kind::LaneKind;
use std::sync::Arc;

/// How many doublings larger or smaller examples may be of a kind to begin like: memory and
/// time may grow with the square of a length, as attention does.
const ALIKE: f64 = 2.0;

/// Where a kind is.
#[derive(Debug, Clone, Copy)]
pub(in crate::policy) struct Start {
    each: f64,
    largest: usize,
    target: usize,
    climb: Option<u32>,
}

// === impl Known ===

impl Known {
    /// Where others like it begin: with batches of as many elements.
    pub(in crate::policy) fn start(&self) -> Start {
        Start {
            each: self.each,
            largest: self.largest,
            target: self.target,
            climb: self.climb,
        }
    }

    /// Begins where another kind is.
    pub(in crate::policy) fn begin(&mut self, other: Start) {
        let times = self.each / other.each;
        // Sizes are far below 2^53; a cast of a float saturates.
        let scaled = |size: usize| ((size as f64 / times) as usize).clamp(1, self.most);
        let target = scaled(other.target);
        let mut preferred = self.preferred.iter().copied();
        self.largest = scaled(other.largest);
        self.target = preferred.rfind(|size| *size <= target).unwrap_or(target);
        self.climb = other.climb;
    }

    /// How many doublings lie between the elements of two kinds' examples; `None` when this
    /// one has not run, or is too far to begin like it.
    pub(in crate::policy) fn far(&self, each: f64) -> Option<f64> {
        let far = (self.each / each).log2().abs();
        (!self.assumed && far <= ALIKE).then_some(far)
    }

    /// Takes over what its family expects.
    pub(in crate::policy) fn lean_on(&mut self, family: &Family) {
        if !family.is_known() {
            return;
        }
        let points = family.points(self.each, self.most, self.curve.runs(self.each));
        self.curve.lean_on(points);
        // Where others have been there is nothing to climb.
        let double = self.largest.saturating_mul(2) as f64 * self.each;
        if family.has_tried(double) {
            self.climb = None;
        }
        if self.assumed {
            self.aim();
        }
    }

    /// The kind without its lengths.
    pub(in crate::policy) fn family(&self) -> &Arc<LaneKind> {
        &self.family
    }

    /// The curve and the family learn from a run. Whether the curve was moved as a whole.
    pub(super) fn shared(&mut self, size: usize, secs: f64, family: &mut Family) -> bool {
        if !std::mem::replace(&mut self.joined, true) {
            family.join();
        }
        let elements = size as f64 * self.each;
        family.learn(elements, secs, self.curve.runs(self.each));
        let moved = self.curve.observe(size, secs);
        family.note_level(self.curve.runs(self.each));
        self.lean_on(family);
        moved
    }
}
