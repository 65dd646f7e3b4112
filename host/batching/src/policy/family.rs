//! What kinds that differ in lengths alone have in common.
//!
//! A model of texts has a kind for each step of length, and each kind sees few runs. But how
//! much cheaper an element gets in a larger batch is about the same for all of them, if
//! batches are measured by elements:
//!
//! ```text
//! seconds = elements * exp(level + shape(elements))
//! ```
//!
//! The shape is the family's, learned from the runs of all its kinds; the level, what an
//! element costs, is each kind's own. A kind leans on its family as far as its own runs prove
//! nothing yet (see `curve.rs`), and begins with it.

use super::cell::{SURPRISES, Surprises};
use super::curve::Point;
use std::collections::BTreeMap;
use std::f64::consts::LN_2;

/// Parts of an octave of elements that have a mean of their own.
const PARTS: f64 = 4.0;
/// How many parts away a mean still counts, and at which distance it counts half.
const REACH: f64 = 4.0;
const HALF: f64 = 2.0;
/// Runs that count where parts are weighed: what runs most must not drown what runs rarely.
const RUNS_COUNT: f64 = 8.0;
/// Runs that a mean of the shape remembers, and the level.
const RUNS_KEPT: f64 = 64.0;
const LEVEL_RUNS_KEPT: f64 = 32.0;
/// How far (as a logarithm) a run may be off to be learned from in full: the machine may have
/// stood still meanwhile.
const OFF_MAX: f64 = 0.35;
/// How much slower (as a logarithm) all can become at once.
const SLOWER_MAX: f64 = 5.0;
/// How many runs of its own take a kind half way from the level of the family to its own,
/// when it says something about the shape.
const LEVEL_WORTH: f64 = 6.0;
/// Kinds that must have run before others lean on them: two may be alike by chance.
const MEMBERS_MIN: usize = 3;
/// Runs of batches so large after which no kind need find out for itself whether they gain.
const TRIED_RUNS: f64 = 4.0;

/// The learned costs that kinds of one family share.
#[derive(Default)]
pub(super) struct Family {
    /// The shape, by parts of octaves.
    parts: BTreeMap<i32, Mean>,
    level: Mean,
    members: usize,
    surprises: Surprises,
}

/// Runs of one kind at one size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runs {
    pub(super) elements: f64,
    /// The mean.
    pub(super) secs: f64,
    pub(super) count: f64,
}

/// A mean of logarithms.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    value: f64,
    runs: f64,
}

// === impl Family ===

impl Family {
    /// Another kind has run.
    pub(super) fn join(&mut self) {
        self.members = self.members.saturating_add(1);
    }

    /// Whether enough kinds have run for others to lean on them.
    pub(super) fn is_known(&self) -> bool {
        self.members >= MEMBERS_MIN
    }

    /// Whether batches of at least so many elements have run often enough.
    pub(super) fn has_tried(&self, elements: f64) -> bool {
        let parts = self.parts.range(part(elements)..);
        parts.map(|(_, mean)| mean.runs).sum::<f64>() >= TRIED_RUNS
    }

    /// How many times as long all runs take from now on, if it seems so: when more runs in a
    /// row than there are replicas were off by more than is bearable, whichever kinds they were
    /// of. A machine that stands still once delays what runs on all of them.
    pub(super) fn slow_down(&mut self, off: f64, bearable: f64, replicas: usize) -> Option<f64> {
        self.surprises.note(off, bearable);
        let surprises = self.surprises.count();
        if surprises < SURPRISES || surprises as usize <= replicas {
            return None;
        }
        let by = std::mem::take(&mut self.surprises).mean();
        let by = by.clamp(-SLOWER_MAX, SLOWER_MAX);
        self.level.value += by;
        self.is_known().then(|| by.exp())
    }

    /// Learns from a run of a kind that has had these runs before.
    pub(super) fn learn(&mut self, elements: f64, secs: f64, before: impl Iterator<Item = Runs>) {
        let cost = (secs / elements).ln();
        let mut before = before.peekable();
        let is_first = before.peek().is_none();
        let level = match self.level_of(before, LEVEL_WORTH) {
            Some(level) => level,
            None if self.parts.is_empty() => cost,
            None => return,
        };
        let part = part(elements);
        let (known, bound) = match self.nearest(part) {
            // No batch costs less than half of one with half as many elements.
            Some((far, known)) => (known, OFF_MAX + far / PARTS * LN_2),
            None => (0.0, f64::INFINITY),
        };
        let off = cost - level - known;
        if is_first && off.abs() > bound {
            // Of its first run nobody can tell whether the kind costs more, or the size.
            return;
        }
        let value = known + off.clamp(-bound, bound);
        let mean = self.parts.entry(part).or_default();
        mean.add(value - mean.value, RUNS_KEPT);
    }

    /// Sizes of batches that the family knows, of examples of so many elements, up to a size.
    pub(super) fn sizes(&self, each: f64, most: usize) -> Vec<usize> {
        let middle = |part: &i32| ((f64::from(*part) + 0.5) / PARTS).exp2();
        let sizes = self.parts.keys().map(|part| (middle(part) / each).round());
        // Casts of floats saturate.
        let mut sizes: Vec<usize> = sizes.map(|size| size as usize).collect();
        sizes.dedup();
        sizes.retain(|size| (1..=most).contains(size));
        sizes
    }

    /// A kind has had these runs: what batches of these rising sizes should take, where the
    /// family knows that, of examples of so many elements.
    pub(super) fn points(
        &self,
        each: f64,
        sizes: &[usize],
        runs: impl Iterator<Item = Runs>,
    ) -> Vec<Point> {
        let Some(level) = self.level_of(runs, LEVEL_WORTH) else {
            return Vec::new();
        };
        let point = |size: &usize| {
            let size = *size as f64;
            let secs = size * each * (level + self.shape(size * each)?).exp();
            Some(Point { size, secs })
        };
        sizes.iter().filter_map(point).collect()
    }

    /// A kind has had these runs by now.
    pub(super) fn note_level(&mut self, runs: impl Iterator<Item = Runs>) {
        if let Some(level) = self.level_of(runs, 0.0) {
            self.level.add(level - self.level.value, LEVEL_RUNS_KEPT);
        }
    }

    /// Nothing is certain any more.
    pub(super) fn doubt(&mut self) {
        for mean in self.parts.values_mut() {
            mean.runs = mean.runs.min(1.0);
        }
        self.level = Mean::default();
    }

    /// What an element costs beyond its kind's level in a batch of so many, by what was seen
    /// nearby; `None` where nothing was.
    fn shape(&self, elements: f64) -> Option<f64> {
        let place = elements.log2() * PARTS - 0.5;
        let near = (place - REACH).ceil() as i32..=(place + REACH).floor() as i32;
        let (mut sum, mut weight, mut close) = (0.0, 0.0, false);
        for (part, mean) in self.parts.range(near) {
            let far = f64::from(*part) - place;
            let counts = mean.runs.min(RUNS_COUNT) / (1.0 + far * far / (HALF * HALF));
            sum += mean.value * counts;
            weight += counts;
            close |= far.abs() < 1.0;
        }
        close.then(|| sum / weight)
    }

    /// How far away the nearest part is of which something is known, and what.
    fn nearest(&self, part: i32) -> Option<(f64, f64)> {
        let below = self.parts.range(..=part).next_back();
        let above = self.parts.range(part..).next();
        let near = below.into_iter().chain(above);
        let far = near.map(|(other, mean)| (f64::from((part - other).abs()), mean.value));
        far.min_by(|(a, _), (b, _)| a.total_cmp(b))
    }

    /// What an element costs in these runs beyond what the shape explains. The level of the
    /// family counts as so many runs, unless these say clearly something else.
    fn level_of(&self, runs: impl Iterator<Item = Runs>, worth: f64) -> Option<f64> {
        let (mut sum, mut weight) = (0.0, 0.0);
        for run in runs {
            if let Some(shape) = self.shape(run.elements) {
                sum += run.count * ((run.secs / run.elements).ln() - shape);
                weight += run.count;
            }
        }
        let own = (weight > 0.0).then(|| sum / weight);
        let family = (self.level.runs > 0.0 && worth > 0.0).then_some(self.level.value);
        match (own, family) {
            (Some(own), Some(family)) if (own - family).abs() <= OFF_MAX => {
                Some((sum + family * worth) / (weight + worth))
            }
            (own, family) => own.or(family),
        }
    }
}

/// The part of an octave into which a batch falls. Casts of floats saturate.
fn part(elements: f64) -> i32 {
    (elements.log2() * PARTS).floor() as i32
}

// === impl Mean ===

impl Mean {
    /// Moves by its part of what a run is off.
    fn add(&mut self, off: f64, runs_kept: f64) {
        self.runs = (self.runs + 1.0).min(runs_kept);
        self.value += off / self.runs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds of some lengths and what an element of them costs: for each, runs of some sizes.
    fn family(
        kinds: &[(f64, f64)],
        cost: fn(f64) -> f64,
        mut noise: impl FnMut() -> f64,
    ) -> Family {
        let mut family = Family::default();
        for (each, level) in kinds {
            let mut had: Vec<Runs> = Vec::new();
            family.join();
            for size in [1.0, 2.0, 4.0, 8.0, 16.0] {
                let elements = size * each;
                let secs = level * cost(elements) * noise();
                family.learn(elements, secs, had.iter().copied());
                had.push(Runs {
                    elements,
                    secs,
                    count: 1.0,
                });
                family.note_level(had.iter().copied());
            }
        }
        family
    }

    const LENGTHS: [f64; 12] = [
        8.0, 11.0, 16.0, 20.0, 24.0, 32.0, 40.0, 48.0, 64.0, 80.0, 96.0, 128.0,
    ];

    fn cost(elements: f64) -> f64 {
        4.0 + elements / 8.0
    }

    fn off(points: &[Point], each: f64, level: f64) -> f64 {
        let off = |point: &Point| (point.secs / (level * cost(point.size * each))).ln().abs();
        points.iter().map(off).fold(0.0, f64::max)
    }

    #[test]
    fn a_new_kind_costs_what_others_do_element_by_element() {
        let kinds = LENGTHS.map(|each| (each, 1.0));
        let family = family(&kinds, cost, || 1.0);
        let points = family.points(50.0, &family.sizes(50.0, 100), std::iter::empty());
        let sizes: Vec<f64> = points.iter().map(|point| point.size).collect();
        assert!(sizes.is_sorted() && sizes.len() > 10, "{sizes:?}");
        assert!(off(&points, 50.0, 1.0) < 0.06, "{points:?}");
    }

    #[test]
    fn a_kind_that_costs_more_keeps_its_own_level() {
        let kinds = LENGTHS.map(|each| (each, 1.0));
        let family = family(&kinds, cost, || 1.0);
        let own = Runs {
            elements: 200.0,
            secs: 3.0 * cost(200.0),
            count: 1.0,
        };
        let points = family.points(50.0, &family.sizes(50.0, 100), [own].into_iter());
        assert!(off(&points, 50.0, 3.0) < 0.06, "{points:?}");
    }

    #[test]
    fn the_runs_of_many_kinds_tell_the_shape_from_noise() {
        let mut state = 7u64;
        let noise = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            0.8 + 0.4 * ((state >> 33) as f64 / f64::from(1u32 << 31))
        };
        let kinds = LENGTHS.map(|each| (each, 1.0));
        let family = family(&kinds, cost, noise);
        let points = family.points(16.0, &family.sizes(16.0, 100), std::iter::empty());
        let points: Vec<Point> = points
            .into_iter()
            .filter(|point| point.size > 3.0)
            .collect();
        assert!(off(&points, 16.0, 1.0) < 0.15, "{points:?}");
    }

    #[test]
    fn a_family_of_two_is_none() {
        let two = [(8.0, 1.0), (16.0, 1.0)];
        assert!(!family(&two, cost, || 1.0).is_known());
        let three = [(8.0, 1.0), (16.0, 1.0), (32.0, 1.0)];
        let family = family(&three, cost, || 1.0);
        assert!(family.is_known());
        assert!(family.has_tried(128.0) && !family.has_tried(512.0));
    }

    #[test]
    fn one_stall_moves_little() {
        let kinds = LENGTHS.map(|each| (each, 1.0));
        let mut runs = 0;
        let family = family(&kinds, cost, move || {
            runs += 1;
            if runs == 40 { 1_000.0 } else { 1.0 }
        });
        let points = family.points(50.0, &family.sizes(50.0, 100), std::iter::empty());
        assert!(off(&points, 50.0, 1.0) < 0.3, "{points:?}");
    }

    #[test]
    fn nothing_is_known_of_nothing() {
        let family = Family::default();
        assert!(family.sizes(8.0, 100).is_empty());
        assert_eq!(family.shape(8.0), None);
    }
}
