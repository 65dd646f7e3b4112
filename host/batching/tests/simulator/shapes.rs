//! What batches cost, in ways that are known to mislead those who learn it.

use consort_inference::BatchHints;
use std::time::Duration;

/// A cost.
#[derive(Clone)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// Milliseconds of a batch of so many examples, the longest of which is so long.
    pub(crate) cost_ms: fn(usize, usize) -> f64,
    /// Each run takes up to so much (a part) more or less, at random.
    pub(crate) noise: f64,
    /// Of the noise: another, and it is another play.
    pub(crate) seed: u64,
    /// From when to when runs take ten times as long.
    pub(crate) slow: Option<(Duration, Duration)>,
    /// Runs that take so many times as long, because the machine stands still meanwhile:
    /// from the first number to before the second, then the times.
    pub(crate) stall: Option<(usize, usize, f64)>,
    /// The lengths of examples, by turns.
    pub(crate) lengths: &'static [usize],
    /// More examples than that do not fit into memory.
    pub(crate) memory: usize,
}

const PLAIN: Shape = Shape {
    name: "",
    cost_ms: |_, _| 1.0,
    noise: 0.0,
    seed: 5,
    slow: None,
    stall: None,
    lengths: &[1],
    memory: usize::MAX,
};

/// All shapes of which the steady state is measured.
pub(crate) fn all() -> Vec<Shape> {
    vec![
        Shape {
            name: "flat, 5 ms",
            cost_ms: |_, _| 5.0,
            ..PLAIN
        },
        Shape {
            name: "linear, 1 ms each",
            cost_ms: |n, _| n as f64,
            ..PLAIN
        },
        Shape {
            name: "superlinear",
            cost_ms: |n, _| (n as f64).powf(1.3) * 4.0,
            ..PLAIN
        },
        Shape {
            name: "step every 64",
            cost_ms: |n, _| 10.0 * n.div_ceil(64) as f64,
            ..PLAIN
        },
        noisy(),
        cliff(),
        slow_down(),
        Shape {
            name: "50 ms + 0.1 ms each",
            cost_ms: |n, _| 50.0 + 0.1 * n as f64,
            ..PLAIN
        },
        Shape {
            name: "bimodal lengths",
            cost_ms: |n, longest| 4.0 + (n * longest) as f64 / 64.0,
            lengths: &[16, 16, 16, 512],
            ..PLAIN
        },
        bursts(),
    ]
}

/// 5 ms and 1 ms each, a third more or less.
pub(crate) fn noisy() -> Shape {
    Shape {
        name: "5 ms + 1 ms each, +-30 %",
        cost_ms: |n, _| 5.0 + n as f64,
        noise: 0.3,
        ..PLAIN
    }
}

/// Ten times as much above 64.
pub(crate) fn cliff() -> Shape {
    Shape {
        name: "10x cliff above 64",
        cost_ms: |n, _| (8.0 + 0.5 * n as f64) * if n > 64 { 10.0 } else { 1.0 },
        ..PLAIN
    }
}

/// Ten times as slow for a while.
pub(crate) fn slow_down() -> Shape {
    Shape {
        name: "tenfold slowdown and back",
        cost_ms: |n, _| 10.0 + 0.5 * n as f64,
        slow: Some((Duration::from_secs(60), Duration::from_secs(600))),
        ..PLAIN
    }
}

/// 50 ms, whatever is in it.
pub(crate) fn long() -> Shape {
    Shape {
        name: "flat, 50 ms",
        cost_ms: |_, _| 50.0,
        ..PLAIN
    }
}

/// Worth learning to the largest size, and some runs of it meet a machine that stands still.
pub(crate) fn stalled(from: usize, to: usize, times: f64) -> Shape {
    Shape {
        name: "5 ms + 0.1 ms each, stalled at first",
        cost_ms: |n, _| 5.0 + 0.1 * n as f64,
        stall: Some((from, to, times)),
        ..PLAIN
    }
}

/// Texts of many lengths, as a small model of sentences costs on a processor: an element is
/// cheapest in batches of 256 to 512 of them. Runs take a fifth more or less.
pub(crate) fn texts() -> Shape {
    Shape {
        name: "texts of many lengths",
        cost_ms: |n, longest| {
            let tokens = (n * longest) as f64;
            2.7 + 0.18 * tokens * (1.0 + (tokens / 512.0 - 1.0).clamp(0.0, 3.0) * 0.1)
        },
        noise: 0.2,
        lengths: &[
            8, 8, 12, 12, 16, 16, 20, 20, 24, 24, 28, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 72,
            72, 80, 80, 88, 96, 104, 112, 120, 128, 144, 160, 176, 192, 208, 240,
        ],
        ..PLAIN
    }
}

/// For bursts and a slow trickle.
pub(crate) fn bursts() -> Shape {
    Shape {
        name: "bursts and a trickle",
        cost_ms: |n, _| 10.0 + 0.5 * n as f64,
        ..PLAIN
    }
}

/// Memory for 300 examples.
pub(crate) fn little_memory() -> Shape {
    Shape {
        name: "memory for 300",
        cost_ms: |n, _| 20.0 + 0.1 * n as f64,
        memory: 300,
        ..PLAIN
    }
}

// === impl Shape ===

impl Shape {
    pub(crate) fn hints(&self) -> BatchHints {
        BatchHints {
            ragged: self.lengths.len() > 1,
            ..BatchHints::default()
        }
    }

    /// The time of a batch without noise, as the clock knows it.
    pub(crate) fn cost(&self, size: usize, longest: usize) -> Duration {
        let ms = (self.cost_ms)(size, longest).ceil();
        Duration::from_secs_f64(ms / 1e3)
    }

    /// The best rate that there is, in examples a second, and the smallest size for it.
    pub(crate) fn best(&self, longest: usize, most: usize) -> (f64, usize) {
        let rate = |size: usize| size as f64 / self.cost(size, longest).as_secs_f64();
        let most = most.min(self.memory).min(super::BATCH_SIZE_MAX);
        let best = (1..=most).map(rate).fold(0.0, f64::max);
        let size = (1..=most).find(|size| rate(*size) >= best * 0.999_999);
        (best, size.unwrap_or(1))
    }

    /// The best rate of the whole mix of lengths.
    pub(crate) fn best_rate(&self) -> f64 {
        let secs: f64 = self
            .lengths
            .iter()
            .map(|n| 1.0 / self.best(*n, usize::MAX).0)
            .sum();
        self.lengths.len() as f64 / secs
    }
}
