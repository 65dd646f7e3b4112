//! What was seen of batches of about one size, and of runs that nobody expected.

/// Runs that a cell remembers.
const RUNS_KEPT: f64 = 32.0;
/// Surprises of one kind in a row that move the curve.
pub(super) const SURPRISES: u32 = 2;

/// The runs of about one size.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cell {
    /// The mean size of its runs.
    pub(super) size: f64,
    /// Their mean time, in seconds.
    pub(super) secs: f64,
    /// How many runs that is worth; zero when it has seen none.
    pub(super) runs: f64,
    /// Moved along with the curve, and not seen since.
    pub(super) stale: bool,
    /// Runs of its own in a row that it did not expect.
    pub(super) surprises: Surprises,
}

/// Runs in a row that were off by more than is bearable.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Surprises {
    count: u32,
    sum: f64,
}

// === impl Cell ===

impl Cell {
    pub(super) fn first(size: f64, secs: f64) -> Self {
        Self {
            size,
            secs,
            runs: 1.0,
            stale: false,
            surprises: Surprises::default(),
        }
    }

    /// What a size of the cell should take.
    pub(super) fn expected(&self, size: f64) -> f64 {
        self.secs * (size / self.size).sqrt()
    }

    pub(super) fn add(&mut self, size: f64, secs: f64) {
        self.runs = (self.runs + 1.0).min(RUNS_KEPT);
        self.secs += (secs - self.secs) / self.runs;
        self.size += (size - self.size) / self.runs;
    }
}

// === impl Surprises ===

impl Surprises {
    /// Whether enough runs in a row were off by more than is bearable, to the same side.
    pub(super) fn note(&mut self, off: f64, bearable: f64) -> bool {
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

    /// How many there have been.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }
}
