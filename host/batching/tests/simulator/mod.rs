//! Plays load against the real batcher with a model whose costs are known, on a paused clock:
//! hours pass in moments, and every run of it is the same.
//!
//! Used by the tests of the learned policy's floors and by `benches/batching.rs`. The clock
//! has a resolution of 1 ms: costs are rounded up to it, for the oracle too.

#![expect(dead_code, reason = "the tests and the bench each use a part")]

pub(crate) mod load;
pub(crate) mod model;
pub(crate) mod rivals;
pub(crate) mod shapes;

use consort_batching::{BatchPolicy, Batcher, Config, LearnedPolicy, Metrics, Replicas};
use consort_inference::ModelId;
use model::{Model, Run};
use prometheus_client::registry::Registry;
use rivals::{Beam, Oracle};
use shapes::Shape;
use std::sync::Arc;
use std::time::Duration;

/// The largest batch of all policies, and what the learned one finds its own below.
pub(crate) const BATCH_SIZE_MAX: usize = 4_096;

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Player {
    /// Knows the costs.
    Oracle,
    /// Learns them.
    Learned,
    /// Beam's algorithm.
    Beam,
    /// Triton's: 32 examples, 5 ms.
    Fixed,
}

/// What came of a play.
pub(crate) struct Played {
    /// All runs of the model, in order.
    pub(crate) runs: Vec<Run>,
    /// How long each call took that was answered, in milliseconds, rising.
    pub(crate) latencies_ms: Vec<f64>,
}

// === impl Player ===

impl Player {
    fn policy(self, shape: &Shape, config: &Config) -> Box<dyn BatchPolicy> {
        match self {
            Self::Oracle => Box::new(Oracle::new(shape.clone())),
            Self::Learned => Box::new(LearnedPolicy::of(config, &shape.hints())),
            Self::Beam => Box::new(Beam::default()),
            Self::Fixed => Box::new(consort_batching::FixedPolicy {
                max_batch_size: 32,
                max_queue_delay: Duration::from_millis(5),
                preferred_batch_sizes: Vec::new(),
            }),
        }
    }
}

// === impl Played ===

impl Played {
    /// Examples a second, from the first run after `from` (a part of all runs) on.
    pub(crate) fn throughput(&self, from: f64) -> f64 {
        let first = (self.runs.len() as f64 * from) as usize;
        self.throughput_of(first..self.runs.len())
    }

    /// Examples a second in some of the runs.
    pub(crate) fn throughput_of(&self, runs: std::ops::Range<usize>) -> f64 {
        let runs = self.runs.get(runs).unwrap_or_default();
        let examples: usize = runs.iter().map(|run| run.size).sum();
        match (runs.first(), runs.last()) {
            (Some(first), Some(last)) => {
                examples as f64 / (last.at + last.took - first.at).as_secs_f64()
            }
            _ => 0.0,
        }
    }

    /// The runs from a part of all on.
    pub(crate) fn latter(&self, from: f64) -> Self {
        let first = (self.runs.len() as f64 * from) as usize;
        Self {
            runs: self.runs.get(first..).unwrap_or_default().to_vec(),
            latencies_ms: Vec::new(),
        }
    }

    /// The time of an oracle for the same examples in the same lanes, as a part of the time of
    /// these runs, noise left out.
    pub(crate) fn efficiency(&self, shape: &Shape) -> f64 {
        let (mut best, mut own) = (0.0, 0.0);
        for run in &self.runs {
            best += run.size as f64 / shape.best(run.longest, usize::MAX).0;
            own += shape.cost(run.size, run.longest).as_secs_f64();
        }
        best / own
    }

    /// The latency that so many (a part) of the calls do not exceed, in milliseconds.
    pub(crate) fn latency_ms(&self, part: f64) -> f64 {
        let last = self.latencies_ms.len().saturating_sub(1);
        let index = (last as f64 * part).round() as usize;
        self.latencies_ms.get(index).copied().unwrap_or(f64::NAN)
    }

    /// The part of the runs, from `from` on, that have the commonest size.
    pub(crate) fn steadiness(&self, from: f64) -> f64 {
        let first = (self.runs.len() as f64 * from) as usize;
        let runs = self.runs.get(first..).unwrap_or_default();
        let mut counts = std::collections::BTreeMap::<usize, usize>::new();
        for run in runs {
            *counts.entry(run.size).or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap_or(0);
        most as f64 / runs.len().max(1) as f64
    }
}

/// Lets a scene play with a batcher, on a clock of its own.
pub(crate) fn play<F, S>(shape: &Shape, player: Player, config: Config, scene: S) -> Played
where
    S: FnOnce(Batcher, Arc<Model>) -> F,
    F: Future<Output = Vec<Duration>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let metrics = Metrics::register(&mut Registry::default());
        let model = Arc::new(Model::new(shape.clone()));
        let policy = player.policy(shape, &config);
        let id = ModelId::new(shape.name, "1");
        let replicas = Replicas::Tasks(model.clone());
        let batcher = Batcher::start_with(id, replicas, policy, config, &metrics).unwrap();
        let latencies = scene(batcher, model.clone()).await;
        let mut latencies_ms: Vec<f64> = latencies
            .iter()
            .map(|latency| latency.as_secs_f64() * 1e3)
            .collect();
        latencies_ms.sort_by(f64::total_cmp);
        Played {
            runs: model.runs(),
            latencies_ms,
        }
    })
}

/// The settings of all plays.
pub(crate) fn config() -> Config {
    Config {
        max_queue_size: 1 << 20,
        default_timeout: None,
        ..Config::default()
    }
}
