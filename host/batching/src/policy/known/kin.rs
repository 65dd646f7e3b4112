//! What a kind takes from others of its family, and what it gives them.

use super::super::family::Family;
use super::Known;
use crate::kind::LaneKind;
use std::sync::Arc;

/// How many doublings larger or smaller examples may be of a kind to begin like: memory and
/// time may grow with the square of a length, as attention does.
const ALIKE: f64 = 2.0;
/// Runs of a kind after each of which it looks at what its family expects, and between two
/// looks later.
const LEANS_ALWAYS: u32 = 16;
const LEANS_EVERY: u32 = 8;

/// Where a kind is.
#[derive(Debug, Clone, Copy)]
pub(in crate::policy) struct Start {
    each: f64,
    largest: usize,
    target: usize,
    climb: Option<u32>,
    origin: f64,
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
            origin: self.origin,
        }
    }

    /// Begins where another kind is.
    pub(in crate::policy) fn begin(&mut self, other: Start) {
        let times = self.each / other.each;
        // Sizes are far below 2^53; a cast of a float saturates.
        let scaled = |size: usize| ((size as f64 / times) as usize).clamp(1, self.most);
        let target = scaled(other.target);
        let preferred = self.preferred.iter().copied();
        let below = preferred.clone().rfind(|size| *size <= target);
        self.target = below.or(preferred.min()).unwrap_or(target);
        self.largest = scaled(other.largest).max(self.target);
        (self.climb, self.origin) = (other.climb, other.origin);
    }

    /// How many doublings lie between the elements of two kinds' examples; `None` when this
    /// one has not run, or it or what it began like is too far to begin like it.
    pub(in crate::policy) fn far(&self, each: f64) -> Option<f64> {
        let far = |from: f64| (from / each).log2().abs();
        let near = far(self.each).max(far(self.origin)) <= ALIKE;
        (!self.is_assumed() && near).then(|| far(self.each))
    }

    /// All runs of the family take so many times as long as they did.
    pub(in crate::policy) fn slow_down(&mut self, times: f64) {
        self.curve.slow_down(times);
        self.look_around();
    }

    /// Takes over what its family expects.
    pub(in crate::policy) fn lean_on(&mut self, family: &Family) {
        if !family.is_known() {
            return;
        }
        let mut sizes = match self.preferred.is_empty() {
            true => family.sizes(self.each, self.most),
            false => self.preferred.clone(),
        };
        self.own_climb &= self.climb.is_some();
        if self.own_climb {
            sizes.retain(|size| *size <= self.largest);
        }
        let points = family.points(self.each, &sizes, self.curve.runs(self.each));
        self.curve.lean_on(points);
        // Where others have been there is nothing to climb.
        let double = self.largest.saturating_mul(2) as f64 * self.each;
        if !self.own_climb && family.has_tried(double) {
            self.climb = None;
        }
        if self.is_assumed() {
            self.aim();
        }
    }

    /// The kind without its lengths.
    pub(in crate::policy) fn family(&self) -> &Arc<LaneKind> {
        &self.family
    }

    /// The curve and the family learn from a run. Whether the curve was moved as a whole.
    pub(super) fn learn_with(&mut self, size: usize, secs: f64, family: &mut Family) -> bool {
        if !std::mem::replace(&mut self.joined, true) {
            family.join();
        }
        let elements = size as f64 * self.each;
        family.learn(elements, secs, self.curve.runs(self.each));
        let moved = self.curve.observe(size, secs);
        family.note_level(self.curve.runs(self.each));
        if moved || self.runs <= LEANS_ALWAYS || self.runs.is_multiple_of(LEANS_EVERY) {
            self.lean_on(family);
        }
        moved
    }
}
