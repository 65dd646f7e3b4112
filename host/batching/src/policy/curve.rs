//! What a batch of n costs, learned from runs: no formula, but what was seen at each size.
//!
//! Sizes fall into cells that are at most 1/16 wide. Each cell keeps the mean of its last
//! runs. Where runs scatter, a cell leans on its neighbours through a line fitted to them,
//! as far as that line explains them and does not contradict what the cell has seen: steps
//! and cliffs stay what they are. When runs take much longer, or much shorter, than expected
//! twice in a row, the whole curve is moved and everything else has to prove itself again.
//! What a kind has not run, or only rarely, leans on what its family expects (`family.rs`).

use super::cell::{Cell, Surprises};
use super::family::Runs;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// How far (as a logarithm) a run may be off beside noise before it is a surprise.
const SURPRISE: f64 = 0.35;
/// What is noise before anything is known, and below which none is assumed: parts of a run.
const NOISE_FIRST: f64 = 0.05;
/// Noise above which cells lean on their neighbours.
const NOISE_LEANS: f64 = 0.03;
/// Runs after which all cells are laid against their neighbours again.
const REFIT_EVERY: usize = 8;
/// How far neighbours count: doublings.
const REACH: f64 = 4.0;
/// The part of a difference that no number of runs makes certain.
const DOUBT: f64 = 0.01;

/// How far (as a logarithm) kinds of one family differ in what larger batches gain.
const FAMILY_DOUBT: f64 = 0.03;

/// What batches of a size take, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) size: f64,
    pub(super) secs: f64,
}

/// The learned cost of batches of one kind.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    /// The largest size of each cell, rising.
    tops: Vec<usize>,
    cells: Vec<Cell>,
    /// What is expected, rising: of the cells that have seen a run, and of those that only the
    /// family knows.
    seen: Vec<(usize, Point)>,
    /// What the kind's family expects, rising.
    family: Vec<Point>,
    /// The variance of the logarithm of runs around what is expected.
    variance: f64,
    surprises: Surprises,
    /// Where the curve was last moved; `None` when it was not by a run of its own.
    pivot: Option<usize>,
    /// Runs since all cells were last laid against their neighbours.
    since_fitted: usize,
}

/// A line through neighbours, at one size.
struct Fit {
    secs: f64,
    variance: f64,
}

// === impl Point ===

impl Point {
    /// The size, with examples a second.
    fn rate(&self) -> (usize, f64) {
        let rate = self.size / self.secs.max(1e-12);
        (self.size.round() as usize, rate)
    }
}

// === impl Curve ===

impl Curve {
    /// An empty curve up to a size, with cells that end at these sizes among others.
    pub(super) fn new(most: usize, ends: &[usize]) -> Self {
        let mut tops: Vec<usize> = (1..=32usize.min(most)).collect();
        let mut octave = 32;
        while octave < most {
            tops.extend((1..=16).map(|part| octave + octave * part / 16));
            octave *= 2;
        }
        tops.extend(ends);
        tops.push(most);
        tops.retain(|top| *top <= most);
        tops.sort_unstable();
        tops.dedup();
        let cells = vec![Cell::default(); tops.len()];
        Self {
            tops,
            cells,
            seen: Vec::new(),
            family: Vec::new(),
            variance: NOISE_FIRST * NOISE_FIRST,
            surprises: Surprises::default(),
            pivot: None,
            since_fitted: 0,
        }
    }

    /// The end of the cell of a size: the next size that is worth trying.
    pub(super) fn top(&self, size: usize) -> usize {
        let index = self.index(size);
        self.tops.get(index).copied().unwrap_or(size)
    }

    /// Sizes of which something is known, with examples a second, rising.
    pub(super) fn rates(&self) -> impl DoubleEndedIterator<Item = (usize, f64)> {
        self.seen.iter().map(|(_, point)| point.rate())
    }

    /// The same of sizes that this kind has run.
    pub(super) fn tried(&self) -> impl DoubleEndedIterator<Item = (usize, f64)> {
        let own = |index: &usize| self.cells.get(*index).is_some_and(|cell| cell.runs > 0.0);
        let tried = self.seen.iter().filter(move |(index, _)| own(index));
        tried.map(|(_, point)| point.rate())
    }

    /// The standard deviation of runs, as a part of their time.
    pub(super) fn noise(&self) -> f64 {
        self.variance.sqrt()
    }

    /// Whether a run of about that size has been seen, and not only once.
    pub(super) fn is_sure_of(&self, size: usize) -> bool {
        let cell = self.cells.get(self.index(size));
        cell.is_some_and(|cell| cell.runs >= 2.0 && !cell.stale)
    }

    /// How long a batch of that size takes, in seconds. Between sizes that were seen a
    /// straight line; beyond the largest as many times longer as it has more examples.
    pub(super) fn secs(&self, size: usize) -> Option<f64> {
        let index = self.index(size);
        let at = self.seen.partition_point(|(seen, _)| *seen < index);
        let point = |at: usize| {
            let (index, point) = self.seen.get(at)?;
            Some((*index, point.size, point.secs))
        };
        let size = size as f64;
        let above = point(at);
        let below = at.checked_sub(1).and_then(point);
        match (below, above) {
            (_, Some((seen, mean, secs))) if seen == index => Some(secs * (size / mean).sqrt()),
            (Some((_, a, from)), Some((_, b, to))) if b > a => {
                Some(from + (to - from) * (size - a) / (b - a))
            }
            (Some((_, mean, secs)), _) => Some(secs * size / mean),
            (None, Some((_, _, secs))) => Some(secs),
            (None, None) => None,
        }
    }

    /// How long a larger batch than any that was seen would take, if what was seen lies on a
    /// line.
    pub(super) fn extrapolated(&self, size: usize) -> Option<f64> {
        let fit = self.fit(size as f64, None)?;
        let clear = fit.variance.sqrt() <= 0.05_f64.max(self.noise() / 2.0);
        clear.then_some(fit.secs)
    }

    /// How far (as a logarithm) a run is off, and how much of that may be noise; `None` for a
    /// size that has not run, or about which nothing is certain.
    pub(super) fn off(&self, size: usize, secs: f64) -> Option<(f64, f64)> {
        let cell = self.cells.get(self.index(size))?;
        let off = (secs.max(1e-9) / cell.expected(size as f64)).ln();
        // What was moved because of others is put right as it was moved.
        let known = cell.runs > 0.0 && (!cell.stale || self.pivot.is_none());
        known.then(|| (off, self.bearable()))
    }

    /// How far a run may be off without being a surprise.
    fn bearable(&self) -> f64 {
        SURPRISE + 3.0 * self.variance.sqrt()
    }

    /// All runs take so many times as long as they did, as those of other kinds say.
    pub(super) fn slow_down(&mut self, times: f64) {
        self.move_all(None, times);
        self.surprises = Surprises::default();
        let seen = self.seen.iter_mut().map(|(_, point)| point);
        seen.chain(&mut self.family)
            .for_each(|point| point.secs *= times);
    }

    /// Learns from a run. Whether the curve was moved as a whole.
    pub(super) fn observe(&mut self, size: usize, secs: f64) -> bool {
        let index = self.index(size);
        let (size, secs) = (size as f64, secs.max(1e-9));
        let bearable = self.bearable();
        let Some(cell) = self.cells.get_mut(index) else {
            return false;
        };
        let (mut moved, before) = (false, *cell);
        let mut news = true;
        if cell.runs == 0.0 {
            *cell = Cell::first(size, secs);
        } else if cell.stale {
            let off = secs / cell.expected(size);
            *cell = Cell::first(size, secs);
            if off.ln().abs() > SURPRISE {
                self.follow(index, off);
            }
        } else {
            let off = (secs / cell.expected(size)).ln();
            let anew = cell.surprises.note(off, bearable);
            if cell.runs < 2.0 && off < -bearable {
                // The machine may stand still in a run, but it never hurries: of two runs
                // that differ so much the shorter one is true.
                *cell = Cell::first(size, secs);
            } else if self.surprises.note(off, bearable) {
                moved = true;
                let by = self.surprises.mean();
                self.surprises = Surprises::default();
                self.move_all(Some(index), by.exp());
            } else {
                let clamped = off.clamp(-bearable, bearable);
                self.variance += (clamped * clamped - self.variance) / 16.0;
                if anew {
                    // Runs of other sizes in between were as expected: it is this one alone.
                    *cell = Cell::first(size, secs);
                }
                // A surprise is not learned from before it is confirmed; but where they are
                // frequent they are noise, and soon no surprises.
                news = anew;
                if off.abs() <= bearable {
                    cell.add(size, secs * (cell.size / size).sqrt());
                }
            }
        }
        self.since_fitted += 1;
        if news || self.since_fitted >= REFIT_EVERY {
            self.since_fitted = 0;
            self.expect();
        } else {
            self.shift(index, before);
        }
        moved
    }

    /// Moves what is expected of a cell along with what it has seen, until the next fit.
    fn shift(&mut self, index: usize, before: Cell) {
        let now = self.cells.get(index).map_or(0.0, |cell| cell.secs);
        let seen = self.seen.binary_search_by_key(&index, |(seen, _)| *seen);
        let seen = seen.ok().and_then(|at| self.seen.get_mut(at));
        if let Some((_, point)) = seen {
            point.secs *= now / before.secs.max(1e-12);
        }
    }

    /// What the kind's family expects; the less the kind's own runs say, the more it counts.
    pub(super) fn lean_on(&mut self, family: Vec<Point>) {
        self.family = family;
        self.expect();
    }

    /// The runs that are certain, of examples of so many elements.
    pub(super) fn runs(&self, each: f64) -> impl Iterator<Item = Runs> {
        let certain = self.own().filter(|(_, cell)| !cell.stale);
        certain.map(move |(_, cell)| Runs {
            elements: cell.size * each,
            secs: cell.secs,
            count: cell.runs,
        })
    }

    /// Whether the family knows a size.
    pub(super) fn is_of_family(&self, size: usize) -> bool {
        self.of_family(size as f64).is_some()
    }

    /// Nothing is known of larger sizes any more.
    pub(super) fn forget_above(&mut self, size: usize) {
        let index = self.index(size);
        self.family.retain(|point| point.size <= size as f64);
        self.seen.retain(|(seen, _)| *seen <= index);
        for cell in self.cells.iter_mut().skip(index + 1) {
            *cell = Cell::default();
        }
    }

    /// Nothing is certain any more.
    pub(super) fn doubt(&mut self) {
        for cell in &mut self.cells {
            cell.stale = true;
        }
    }

    fn index(&self, size: usize) -> usize {
        let index = self.tops.partition_point(|top| *top < size);
        index.min(self.tops.len().saturating_sub(1))
    }

    /// All runs take as many times longer as this one does.
    fn move_all(&mut self, pivot: Option<usize>, times: f64) {
        self.pivot = pivot;
        for (index, cell) in self.cells.iter_mut().enumerate() {
            cell.secs *= times;
            cell.runs = cell.runs.min(2.0);
            cell.stale = Some(index) != pivot;
        }
    }

    /// A size that was moved with the others has turned out different: those beyond it, seen
    /// from where the curve was moved, are likely to be so too.
    fn follow(&mut self, index: usize, times: f64) {
        let side = self.pivot.map(|pivot| index.cmp(&pivot));
        for (other, cell) in self.cells.iter_mut().enumerate() {
            let beyond = match side {
                None => other != index,
                Some(Ordering::Less) => other < index,
                Some(Ordering::Greater) => other > index,
                Some(Ordering::Equal) => false,
            };
            if beyond && cell.stale {
                cell.secs *= times;
            }
        }
    }

    /// Works out what is expected of each cell.
    fn expect(&mut self) {
        let leans = self.noise() > NOISE_LEANS;
        let family = self.family.iter();
        let mut seen: BTreeMap<usize, Point> = family
            .map(|point| (self.index(point.size as usize), *point))
            .collect();
        for (index, cell) in self.own() {
            let fit = leans.then(|| self.fit(cell.size, Some(index))).flatten();
            let mut secs = self.lean(cell, cell.secs, fit);
            secs = self.lean(cell, secs, self.of_family(cell.size));
            let size = cell.size;
            seen.insert(index, Point { size, secs });
        }
        self.seen = seen.into_iter().collect();
    }

    /// The cells that have seen a run.
    fn own(&self) -> impl Iterator<Item = (usize, &Cell)> {
        let cells = self.cells.iter().enumerate();
        cells.filter(|(_, cell)| cell.runs > 0.0)
    }

    /// What the family expects of a size between those that it knows.
    fn of_family(&self, size: f64) -> Option<Fit> {
        let above = self.family.partition_point(|point| point.size < size);
        let last = self.family.get(above)?;
        let first = self.family.get(above.saturating_sub(1)).unwrap_or(last);
        let part = (size - first.size) / (last.size - first.size).max(1e-12);
        (part >= 0.0).then(|| Fit {
            secs: first.secs + (last.secs - first.secs) * part.min(1.0),
            variance: FAMILY_DOUBT * FAMILY_DOUBT,
        })
    }

    /// What is expected of a cell, drawn towards what others make of it by as much as the
    /// cell is unsure.
    fn lean(&self, cell: &Cell, secs: f64, fit: Option<Fit>) -> f64 {
        let Some(fit) = fit else {
            return secs;
        };
        let own = self.variance / cell.runs.max(1.0) + DOUBT * DOUBT;
        let off = (fit.secs / secs).ln();
        if off.abs() > 3.0 * (own + fit.variance).sqrt() {
            return secs;
        }
        secs * (off * own / (own + fit.variance)).exp()
    }

    /// A line through the cells around a size, but one of them.
    fn fit(&self, size: f64, but: Option<usize>) -> Option<Fit> {
        let near = self.own().filter(|(index, _)| Some(*index) != but);
        let points: Vec<(f64, f64, f64)> = near
            .filter_map(|(_, cell)| {
                let far = (cell.size / size).log2().abs();
                let near = 1.0 / (1.0 + far * far);
                let weight = cell.runs * near / (cell.secs * cell.secs);
                (far <= REACH).then_some((cell.size, cell.secs, weight))
            })
            .collect();
        if points.len() < 3 {
            return None;
        }
        let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            points
                .iter()
                .map(|(n, secs, weight)| weight * of(*n, *secs))
                .sum()
        };
        let (w, n, t) = (sum(&|_, _| 1.0), sum(&|n, _| n), sum(&|_, t| t));
        let (nn, nt) = (sum(&|n, _| n * n), sum(&|n, t| n * t));
        let spread = w * nn - n * n;
        if spread <= 1e-9 * w * nn {
            return None;
        }
        let each = ((w * nt - n * t) / spread).max(0.0);
        let start = ((t - each * n) / w).max(0.0);
        let secs = start + each * size;
        let off = |n: f64, secs: f64| (start + each * n).max(1e-12) / secs - 1.0;
        let trust: f64 = points
            .iter()
            .map(|(_, secs, weight)| weight * secs * secs)
            .sum();
        let misfit = points
            .iter()
            .map(|(n, secs, weight)| weight * secs * secs * off(*n, *secs).powi(2))
            .sum::<f64>();
        let variance = misfit / trust.max(1e-12) / (points.len() as f64 - 1.0) * 2.0
            + self.variance / trust.max(1.0)
            + DOUBT * DOUBT;
        (secs > 0.0).then_some(Fit { secs, variance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(sizes: &[usize], cost: impl Fn(usize) -> f64) -> Curve {
        let mut curve = Curve::new(4_096, &[]);
        for _ in 0..4 {
            for size in sizes {
                curve.observe(*size, cost(*size));
            }
        }
        curve
    }

    fn close(actual: Option<f64>, expected: f64) {
        let actual = actual.unwrap();
        assert!(
            (actual / expected - 1.0).abs() < 0.02,
            "{actual} is not {expected}"
        );
    }

    #[test]
    fn cells_are_narrow_and_end_where_asked() {
        let curve = Curve::new(1_000, &[50, 100]);
        assert_eq!(curve.tops.last(), Some(&1_000));
        for pair in curve.tops.windows(2) {
            assert!(pair[1] - pair[0] <= 1 + pair[0] / 16, "{pair:?}");
        }
        assert_eq!(
            [49, 50, 51, 100].map(|size| curve.top(size)),
            [50, 50, 52, 100]
        );
        assert_eq!([1, 33, 2_000].map(|size| curve.top(size)), [1, 34, 1_000]);
    }

    #[test]
    fn nothing_is_known_at_first() {
        assert_eq!(Curve::new(16, &[]).secs(4), None);
    }

    #[test]
    fn steps_and_cliffs_stay_what_they_are() {
        let step = |size: usize| 0.01 * size.div_ceil(64) as f64;
        let curve = learned(&[1, 2, 4, 8, 16, 32, 64, 65, 128, 192], step);
        for size in [1, 8, 64, 65, 128, 192] {
            close(curve.secs(size), step(size));
        }
        let cliff = |size: usize| 0.01 * size as f64 * if size > 64 { 10.0 } else { 1.0 };
        let curve = learned(&[16, 32, 48, 64, 68, 128], cliff);
        close(curve.secs(64), cliff(64));
        close(curve.secs(68), cliff(68));
    }

    #[test]
    fn sizes_between_are_on_a_line_and_larger_ones_in_proportion() {
        let curve = learned(&[10, 20], |size| size as f64 * 2.0 - 10.0);
        close(curve.secs(15), 20.0);
        close(curve.secs(40), 60.0);
        close(curve.secs(5), 10.0);
    }

    #[test]
    fn a_slow_down_is_believed_at_the_second_run_and_moves_all() {
        let mut curve = learned(&[8, 16, 32], |size| size as f64);
        assert!(!curve.observe(16, 160.0));
        assert!(curve.observe(16, 160.0));
        close(curve.secs(16), 160.0);
        close(curve.secs(32), 320.0);
        // The other sizes have to prove it; those beyond follow.
        assert!(!curve.observe(16, 160.0));
        curve.observe(32, 32.0);
        close(curve.secs(32), 32.0);
        close(curve.secs(8), 80.0);
    }

    #[test]
    fn one_outlier_moves_little() {
        let mut curve = learned(&[8, 16, 32], |size| size as f64);
        curve.observe(16, 1_600.0);
        let secs = curve.secs(16).unwrap();
        assert!((16.0..19.0).contains(&secs), "{secs}");
    }

    #[test]
    fn noise_is_smoothed_by_the_neighbours() {
        let mut state = 7u64;
        let mut noise = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            0.7 + 0.6 * ((state >> 33) as f64 / f64::from(1u32 << 31))
        };
        let cost = |size: usize| 5.0 + size as f64;
        let mut curve = Curve::new(4_096, &[]);
        for _ in 0..12 {
            for size in [1, 2, 4, 8, 16, 32, 64, 128] {
                curve.observe(size, cost(size) * noise());
            }
        }
        for size in [16, 32, 64, 128] {
            let off = curve.secs(size).unwrap() / cost(size) - 1.0;
            assert!(off.abs() < 0.10, "{size}: {off}");
        }
        assert!((0.1..0.3).contains(&curve.noise()), "{}", curve.noise());
        close(
            curve
                .extrapolated(256)
                .map(|secs| (secs / cost(256)).clamp(0.9, 1.1).round()),
            1.0,
        );
    }
}
