//! What an instance costs: its whole life around one call, empty or not, and one call into one
//! that is reused. Prints medians, over a sweep of the settings that matter, and fails
//! when the settings in use miss their goals by more than a busy machine explains.
//!
//! `cargo bench -p consort-plugin --profile dev --bench instance`, after `cargo xtask
//! test` or another build of the guests.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench is a program for people to watch"
)]

use consort_inference::{Call, Example, TenantId, Tensor, Tensors};
use consort_plugin::{Config, Instances, Plugin, PluginConfig, Sandbox};
use prometheus_client::registry::Registry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Settings take turns, so that a busy moment falls on all of them.
const ROUNDS: usize = 40;
const CALLS_PER_ROUND: usize = 150;
/// Goals for the settings in use, on a quiet machine.
const FRESH_GOAL: Duration = Duration::from_micros(30);
const REUSED_GOAL: Duration = Duration::from_micros(5);
/// How much worse a run may be before it counts as a failure rather than as noise.
const NOISE: u32 = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let misses = runtime.block_on(run());
    assert!(misses.is_empty(), "goals missed: {misses:?}");
}

async fn run() -> Vec<String> {
    let cache = tempfile::tempdir().expect("a folder");
    let base = Config {
        cache_dir: Some(cache.path().join("cache")),
        ..Config::default()
    };
    println!("one call, median of all calls (and of the quietest round)");
    println!(
        "{:<40} {:>20} {:>20} {:>20}",
        "settings", "fresh, no example", "fresh, one example", "reused, one example"
    );
    // By itself first: the clocks of the other sandboxes disturb it.
    let mut alone = [Subject::load("in use, alone".to_owned(), &base).await];
    measure(&mut alone).await;
    let mut subjects = Vec::new();
    for (name, config) in sweep(&base) {
        subjects.push(Subject::load(name, &config).await);
    }
    measure(&mut subjects).await;
    println!("goals of the settings in use: fresh {FRESH_GOAL:?}, reused {REUSED_GOAL:?}");
    let [in_use] = &mut alone;
    in_use.empty.report(
        "fresh instance: store, instantiate, empty call, drop",
        Some(FRESH_GOAL),
    );
    in_use
        .fresh
        .report("fresh instance: the same with an example", None);
    in_use
        .reused
        .report("call into a reused instance", Some(REUSED_GOAL));
    let missed = |what: &str, series: &Series, goal: Duration| {
        let quietest = series.quietest();
        (quietest > goal * NOISE).then(|| format!("{what} {quietest:?} over {goal:?}"))
    };
    let fresh = missed("fresh", &in_use.empty, FRESH_GOAL);
    let reused = missed("reused", &in_use.reused, REUSED_GOAL);
    fresh.into_iter().chain(reused).collect()
}

/// Measures and prints.
async fn measure(subjects: &mut [Subject]) {
    for _ in 0..ROUNDS {
        for subject in &mut *subjects {
            subject.empty.measure().await;
            subject.fresh.measure().await;
            subject.reused.measure().await;
        }
    }
    for subject in subjects {
        let empty = subject.empty.text();
        let (fresh, reused) = (subject.fresh.text(), subject.reused.text());
        println!("{:<40} {empty:>20} {fresh:>20} {reused:>20}", subject.name);
    }
}

/// One setting, and what was measured under it.
struct Subject {
    name: String,
    /// Fresh instances that are entered for no example.
    empty: Series,
    fresh: Series,
    reused: Series,
}

/// Times of calls into one plugin.
struct Series {
    plugin: Plugin,
    /// Of each call.
    examples: usize,
    times: Vec<Duration>,
    medians: Vec<Duration>,
}

// === impl Subject ===

impl Subject {
    async fn load(name: String, config: &Config) -> Self {
        let sandbox = Sandbox::new(config.clone(), &mut Registry::default()).expect("a sandbox");
        let mut empty = Series::load(&sandbox, Instances::Fresh, 0).await;
        let mut fresh = Series::load(&sandbox, Instances::Fresh, 1).await;
        let mut reused = Series::load(&sandbox, Instances::Reuse, 1).await;
        // To warm up.
        for series in [&mut empty, &mut fresh, &mut reused] {
            series.measure().await;
            series.times.clear();
            series.medians.clear();
        }
        Self {
            name,
            empty,
            fresh,
            reused,
        }
    }
}

// === impl Series ===

impl Series {
    async fn load(sandbox: &Arc<Sandbox>, instances: Instances, examples: usize) -> Self {
        let name = "loaded_table";
        let folder = std::env::var_os("CONSORT_GUESTS").map_or_else(
            || {
                let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
                root.join("target/wasm32-wasip2/guest/examples")
            },
            PathBuf::from,
        );
        let path = folder.join(format!("{name}.wasm"));
        let mut config = PluginConfig::new(name.parse().expect("a name"), path);
        config.instances = instances;
        match sandbox.load(config).await {
            Ok(plugin) => Self {
                plugin,
                examples,
                times: Vec::new(),
                medians: Vec::new(),
            },
            Err(error) => panic!("{error}; `cargo xtask test` builds the guests"),
        }
    }

    async fn measure(&mut self) {
        let mut round = Vec::with_capacity(CALLS_PER_ROUND);
        for call in 0..CALLS_PER_ROUND {
            let examples: Vec<_> = (0..self.examples).map(|_| example(call as i64)).collect();
            let begun = Instant::now();
            if examples.is_empty() {
                let entered = self.plugin.call_for_nothing().await;
                round.push(begun.elapsed());
                assert!(entered.is_ok(), "{entered:?}");
                continue;
            }
            let results = self.plugin.run_postprocess(examples, Call::default()).await;
            round.push(begun.elapsed());
            assert!(results.iter().all(Result::is_ok), "{results:?}");
        }
        self.medians.push(median(&mut round));
        self.times.append(&mut round);
    }

    fn quietest(&self) -> Duration {
        self.medians.iter().min().copied().unwrap_or_default()
    }

    /// A line for `cargo xtask bench`.
    fn report(&mut self, name: &str, goal: Option<Duration>) {
        let all = median(&mut self.times);
        let is_met = goal.is_none_or(|goal| all <= goal);
        let goal = goal.map_or("-".to_owned(), |goal| format!("at most {goal:?}"));
        println!(
            "bench: {name} | {:.1} us | goal {goal} | {}",
            all.as_secs_f64() * 1e6,
            if is_met { "ok" } else { "short" }
        );
    }

    fn text(&mut self) -> String {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let all = micros(median(&mut self.times));
        format!("{all:.1} us ({:.1} us)", micros(self.quietest()))
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn sweep(base: &Config) -> Vec<(String, Config)> {
    let mut sweep = vec![("in use".to_owned(), base.clone())];
    for bytes in [64 << 10, 1 << 20] {
        sweep.push((
            format!("memory_keep_resident_bytes = {bytes}"),
            Config {
                memory_keep_resident_bytes: bytes,
                ..base.clone()
            },
        ));
    }
    sweep.push((
        "table_keep_resident_bytes = 0".to_owned(),
        Config {
            table_keep_resident_bytes: 0,
            ..base.clone()
        },
    ));
    for size in [1, 8, 16, 64] {
        sweep.push((
            format!("decommit_batch_size = {size}"),
            Config {
                decommit_batch_size: size,
                ..base.clone()
            },
        ));
    }
    for bytes in [128 << 10, 2 << 20] {
        sweep.push((
            format!("stack_bytes_max = {bytes}"),
            Config {
                stack_bytes_max: bytes,
                ..base.clone()
            },
        ));
    }
    sweep
}

fn example(x: i64) -> Example {
    let tensor = Tensor::from_slice(vec![1], &[x]).expect("a tensor");
    Example {
        tenant: TenantId::default(),
        key: None,
        tensors: Tensors::from_named([("x".into(), tensor)]).expect("one tensor"),
    }
}
