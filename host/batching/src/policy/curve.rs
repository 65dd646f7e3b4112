//! What a batch of n costs, learned from runs: no formula, but what was seen at each size.
//!
//! Sizes fall into cells that are at most 1/16 wide. Each cell keeps the mean of its last
//! runs. Where runs scatter, a cell leans on its neighbours through a line fitted to them,
//! as far as that line explains them and does not contradict what the cell has seen: steps
//! and cliffs stay what they are. When runs take much longer, or much shorter, than expected
//! twice in a row, the whole curve is moved and everything else has to prove itself again.

use std::cmp::Ordering;

/// Runs that a cell remembers.
const RUNS_KEPT: f64 = 32.0;
/// How far (as a logarithm) a run may be off beside noise before it is a surprise.
const SURPRISE: f64 = 0.35;
/// Surprises of one kind in a row that move the curve.
const SURPRISES: u32 = 2;
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

/// The learned cost of batches of one kind.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    /// The largest size of each cell, rising.
    tops: Vec<usize>,
    cells: Vec<Cell>,
    /// The cells that have seen a run, rising, and what is expected of each, in seconds.
    seen: Vec<(usize, f64)>,
    /// The variance of the logarithm of runs around what is expected.
    variance: f64,
    surprises: Surprises,
    /// Where the curve was last moved.
    pivot: usize,
    /// Runs since all cells were last laid against their neighbours.
    since_fitted: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// The mean size of its runs.
    size: f64,
    /// Their mean time, in seconds.
    secs: f64,
    /// How many runs that is worth; zero when it has seen none.
    runs: f64,
    /// Moved along with the curve, and not seen since.
    stale: bool,
    /// Runs of its own in a row that it did not expect.
    surprises: Surprises,
}

#[derive(Debug, Clone, Copy, Default)]
struct Surprises {
    count: u32,
    sum: f64,
}

/// A line through neighbours, at one size.
struct Fit {
    secs: f64,
    variance: f64,
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
            variance: NOISE_FIRST * NOISE_FIRST,
            surprises: Surprises::default(),
            pivot: 0,
            since_fitted: 0,
        }
    }

    /// The end of the cell of a size: the next size that is worth trying.
    pub(super) fn top(&self, size: usize) -> usize {
        let index = self.index(size);
        self.tops.get(index).copied().unwrap_or(size)
    }

    /// Sizes that were seen, with examples a second, rising.
    pub(super) fn rates(&self) -> impl DoubleEndedIterator<Item = (usize, f64)> {
        self.seen.iter().filter_map(|(index, secs)| {
            let cell = self.cells.get(*index)?;
            Some((cell.size.round() as usize, cell.size / secs.max(1e-12)))
        })
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
            let (index, secs) = self.seen.get(at)?;
            let cell = self.cells.get(*index)?;
            Some((*index, cell.size, *secs))
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

    /// Learns from a run. Whether the curve was moved as a whole.
    pub(super) fn observe(&mut self, size: usize, secs: f64) -> bool {
        let index = self.index(size);
        let (size, secs) = (size as f64, secs.max(1e-9));
        let Some(cell) = self.cells.get_mut(index) else {
            return false;
        };
        let (mut moved, before) = (false, *cell);
        let mut news = true;
        if cell.runs == 0.0 {
            *cell = Cell::first(size, secs);
            let at = self.seen.partition_point(|(seen, _)| *seen < index);
            self.seen.insert(at, (index, secs));
        } else if cell.stale {
            let off = secs / (cell.secs * (size / cell.size).sqrt());
            *cell = Cell::first(size, secs);
            if off.ln().abs() > SURPRISE {
                self.follow(index, off);
            }
        } else {
            let expected = cell.secs * (size / cell.size).sqrt();
            let off = (secs / expected).ln();
            let bearable = SURPRISE + 3.0 * self.variance.sqrt();
            let anew = cell.surprises.note(off, bearable);
            if cell.runs < 2.0 && off < -bearable {
                // The machine may stand still in a run, but it never hurries: of two runs
                // that differ so much the shorter one is true.
                *cell = Cell::first(size, secs);
            } else if self.surprises.note(off, bearable) {
                moved = true;
                let by = self.surprises.mean();
                self.surprises = Surprises::default();
                self.move_all(index, by.exp());
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
        if let Some((_, secs)) = seen {
            *secs *= now / before.secs.max(1e-12);
        }
    }

    /// Nothing is known of larger sizes any more.
    pub(super) fn forget_above(&mut self, size: usize) {
        let index = self.index(size);
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
    fn move_all(&mut self, pivot: usize, times: f64) {
        self.pivot = pivot;
        for (index, cell) in self.cells.iter_mut().enumerate() {
            cell.secs *= times;
            cell.runs = cell.runs.min(2.0);
            cell.stale = index != pivot;
        }
    }

    /// A size that was moved with the others has turned out different: those beyond it, seen
    /// from where the curve was moved, are likely to be so too.
    fn follow(&mut self, index: usize, times: f64) {
        let side = index.cmp(&self.pivot);
        for (other, cell) in self.cells.iter_mut().enumerate() {
            let beyond = match side {
                Ordering::Less => other < index,
                Ordering::Greater => other > index,
                Ordering::Equal => false,
            };
            if beyond && cell.stale {
                cell.secs *= times;
            }
        }
    }

    /// Works out what is expected of each cell.
    fn expect(&mut self) {
        let leans = self.noise() > NOISE_LEANS;
        let expected = self.seen.iter().map(|(index, _)| {
            let cell = self.cells.get(*index).copied().unwrap_or_default();
            let fit = leans.then(|| self.fit(cell.size, Some(*index))).flatten();
            (*index, self.lean(&cell, fit))
        });
        self.seen = expected.collect();
    }

    /// What a cell has seen, drawn towards its neighbours' line by as much as it is unsure.
    fn lean(&self, cell: &Cell, fit: Option<Fit>) -> f64 {
        let Some(fit) = fit else {
            return cell.secs;
        };
        let own = self.variance / cell.runs.max(1.0) + DOUBT * DOUBT;
        let off = (fit.secs / cell.secs).ln();
        if off.abs() > 3.0 * (own + fit.variance).sqrt() {
            return cell.secs;
        }
        cell.secs * (off * own / (own + fit.variance)).exp()
    }

    /// A line through the cells around a size, but one of them.
    fn fit(&self, size: f64, but: Option<usize>) -> Option<Fit> {
        let near = self.seen.iter().filter(|(index, _)| Some(*index) != but);
        let points: Vec<(f64, f64, f64)> = near
            .filter_map(|(index, _)| {
                let cell = self.cells.get(*index)?;
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

// === impl Cell ===

impl Cell {
    fn first(size: f64, secs: f64) -> Self {
        Self {
            size,
            secs,
            runs: 1.0,
            stale: false,
            surprises: Surprises::default(),
        }
    }

    fn add(&mut self, size: f64, secs: f64) {
        self.runs = (self.runs + 1.0).min(RUNS_KEPT);
        self.secs += (secs - self.secs) / self.runs;
        self.size += (size - self.size) / self.runs;
    }
}

// === impl Surprises ===

impl Surprises {
    /// Whether enough runs in a row were off by more than is bearable, to the same side.
    fn note(&mut self, off: f64, bearable: f64) -> bool {
        if off.abs() <= bearable {
            *self = Self::default();
            return false;
        }
        if self.sum * off < 0.0 {
            *self = Self::default();
        }
        self.count += 1;
        self.sum += off;
        self.count >= SURPRISES
    }

    fn mean(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
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
