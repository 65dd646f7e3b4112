//! Policies to compare with: one that knows what it should not, and one that others use.

use super::shapes::Shape;
use consort_batching::{BatchPolicy, Decision, LaneKind, QueueView, RunOutcome};
use std::time::Duration;

/// Knows the costs: runs at once, of what waits, the size that serves most examples a second.
pub(crate) struct Oracle {
    shape: Shape,
}

/// Beam's way to a batch size, from its description: it keeps the last 100 pairs of size and
/// time, lays a line `a + b n` through them without the fifth that is furthest off, and
/// takes the size at which a batch takes 10 s or at which `a` is 5 % of it, whichever is
/// smaller, at most double of the largest so far, at most 10,000, and 25 % more or less at
/// random once it has 10 pairs; the least is 1 and 2 by turns, so that it never sees one size
/// only. It runs full batches only, and the rest when a bundle ends: here, after 100 ms.
pub(crate) struct Beam {
    points: Vec<(f64, f64)>,
    target: f64,
    least: f64,
    size: usize,
    chance: super::model::Chance,
}

// === impl Oracle ===

impl Oracle {
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape }
    }
}

impl BatchPolicy for Oracle {
    fn decide(&mut self, view: &QueueView<'_>) -> Decision {
        let longest = view
            .kind()
            .iter()
            .next()
            .and_then(|(_, _, shape)| shape.first().copied());
        let waiting = view.waiting().min(view.batch_size_max());
        let (_, size) = self.shape.best(longest.unwrap_or(1), waiting);
        Decision::Run(size)
    }
}

// === impl Beam ===

impl Default for Beam {
    fn default() -> Self {
        Self {
            points: Vec::new(),
            target: 1.0,
            least: 1.0,
            size: 1,
            chance: super::model::Chance::new(11),
        }
    }
}

impl Beam {
    const POINTS: usize = 100;
    const SIZE_MAX: f64 = 10_000.0;
    const BUNDLE: Duration = Duration::from_millis(100);

    fn line(points: &[(f64, f64)]) -> (f64, f64) {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (n, t) = (mean(|p| p.0), mean(|p| p.1));
        let spread: f64 = points.iter().map(|p| (p.0 - n).powi(2)).sum();
        let along: f64 = points.iter().map(|p| (p.0 - n) * (p.1 - t)).sum();
        if spread == 0.0 {
            return (0.0, t / n);
        }
        let b = along / spread;
        (t - b * n, b)
    }

    fn aim(&mut self) {
        if self.points.len() < 2 {
            self.target = 2.0;
            return;
        }
        let (a, b) = Self::line(&self.points);
        let mut kept = self.points.clone();
        kept.sort_by(|p, q| {
            let off = |p: &(f64, f64)| (p.1 - a - b * p.0).abs();
            off(p).total_cmp(&off(q))
        });
        kept.truncate((kept.len() * 4).div_ceil(5));
        let (a, b) = Self::line(&kept);
        let (a, b) = (a.max(1e-9), b.max(1e-9));
        let largest = self.points.iter().map(|p| p.0).fold(1.0, f64::max);
        let target = (10.0 / b).min(19.0 * a / b);
        self.target = target.min(largest * 2.0).clamp(1.0, Self::SIZE_MAX);
    }
}

impl BatchPolicy for Beam {
    fn decide(&mut self, view: &QueueView<'_>) -> Decision {
        let size = self.size.min(view.batch_size_max());
        let due = view.oldest() + Self::BUNDLE;
        if view.waiting() >= size || due <= view.now() {
            return Decision::Run(size);
        }
        Decision::WaitUntil(due)
    }

    fn observe(&mut self, _: &LaneKind, size: usize, elapsed: Duration, _: RunOutcome) {
        self.points.push((size as f64, elapsed.as_secs_f64()));
        if self.points.len() > Self::POINTS {
            self.points.remove(0);
        }
        self.aim();
        let mut size = self.target;
        if self.points.len() >= 10 {
            size *= 1.0 + 0.25 * (2.0 * self.chance.part() - 1.0);
        }
        self.least = 3.0 - self.least;
        self.size = size.max(self.least).round() as usize;
    }
}
