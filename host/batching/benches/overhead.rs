//! What batching adds to each example: the whole way from `infer` through a replica's
//! thread and back, with a model that answers at once.
//!
//! `cargo bench -p consort-batching --profile dev --bench overhead`
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench may break off"
)]

use consort_batching::{Batcher, Config, Metrics, PolicyKind};
use consort_inference::{
    Batch, Call, Datatype, Example, ModelHandler, ModelId, PredictError, Signature, TenantId,
    Tensor, TensorSpec, Tensors,
};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// Gives the same row for every example.
struct Instantly {
    signature: Signature,
    row: Tensors,
}

impl ModelHandler for Instantly {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        Ok(vec![self.row.clone(); batch.len()])
    }

    fn model_byte_size(&self) -> u64 {
        0
    }

    fn platform(&self) -> &str {
        "bench"
    }
}

fn tensors(name: &str) -> Tensors {
    let tensor = Tensor::from_slice(vec![16], &[1f32; 16]).expect("16 elements");
    Tensors::from_named([(name.into(), tensor)]).expect("one name")
}

fn handler() -> Arc<Instantly> {
    let spec = |name: &str| TensorSpec::new(name, Datatype::Fp32, vec![Some(16)]);
    Arc::new(Instantly {
        signature: Signature {
            inputs: vec![spec("x")],
            outputs: vec![spec("y")],
        },
        row: tensors("y"),
    })
}

fn batcher(max_batch_size: usize, default_timeout: Option<Duration>) -> Batcher {
    let config = Config {
        policy: PolicyKind::Fixed,
        max_batch_size: Some(max_batch_size),
        default_timeout,
        ..Config::default()
    };
    start(config)
}

fn start(config: Config) -> Batcher {
    let metrics = Metrics::register(&mut Registry::default());
    Batcher::start(ModelId::new("bench", "1"), handler(), config, &metrics).expect("starts")
}

async fn call(batcher: &Batcher, row: &Tensors, rows: usize) {
    let example = || Example {
        tenant: TenantId::default(),
        key: None,
        tensors: row.clone(),
    };
    let examples = std::iter::repeat_with(example).take(rows).collect();
    let answers = batcher.infer(examples, Call::default()).await;
    assert!(answers.len() == rows && answers.iter().all(Result::is_ok));
}

/// How often each number is taken; the median is printed.
const ROUNDS: usize = 5;

/// So many callers, each with one call of so many rows in flight, for so many calls in
/// all and in each round; the median of nanoseconds for each example.
fn measure(runtime: &Runtime, batcher: &Batcher, callers: usize, rows: usize, calls: usize) -> f64 {
    let round = |calls: usize| async move {
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let batcher = batcher.clone();
                tokio::spawn(async move {
                    let row = tensors("x");
                    for _ in 0..calls / callers {
                        call(&batcher, &row, rows).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    };
    let examples = (calls * rows) as f64;
    runtime.block_on(async {
        round(calls / 10).await;
        let mut taken = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            round(calls).await;
            taken.push(begin.elapsed().as_nanos() as f64 / examples);
        }
        taken.sort_by(f64::total_cmp);
        taken.get(ROUNDS / 2).copied().unwrap()
    })
}

/// The same examples given to the handler directly, nanoseconds for each.
fn measure_handler(rows: usize, calls: usize) -> f64 {
    let (handler, row) = (handler(), tensors("x"));
    let begin = Instant::now();
    for _ in 0..calls {
        let batch = Batch::new(vec![row.clone(); rows]).unwrap();
        assert_eq!(
            std::hint::black_box(handler.predict(&batch)).unwrap().len(),
            rows
        );
    }
    begin.elapsed().as_nanos() as f64 / (calls * rows) as f64
}

/// Rows of one call have to cost well below a microsecond.
fn bulk_goal(runtime: &str, callers: &str, ns: f64) {
    let word = if ns < 1_000.0 { "ok" } else { "short" };
    println!(
        "bench: batcher, {callers}, 256 rows a call, {runtime} | {ns:.0} ns a row | goal 1000 ns | {word}"
    );
}

fn main() {
    let minute = Some(Duration::from_secs(60));
    let workers = |workers| {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(workers)
            .enable_time()
            .build()
            .expect("a runtime")
    };
    println!("ns per example, model that answers at once, one replica\n");
    println!("{:<52}{:>10}", "way", "ns");
    let print = |way: &str, ns: f64| println!("{way:<52}{ns:>10.0}");
    print("handler alone, batch 1", measure_handler(1, 100_000));
    print("handler alone, batch 64", measure_handler(64, 10_000));
    for (name, runtime) in [("1 worker", workers(1)), ("2 workers", workers(2))] {
        let row = |way: &str, ns: f64| print(&format!("{name}: {way}"), ns);
        let one = batcher(1, minute);
        row(
            "one caller, 1 row a call (latency)",
            measure(&runtime, &one, 1, 1, 10_000),
        );
        let full = batcher(64, minute);
        row(
            "256 callers, 1 row a call, batch 64",
            measure(&runtime, &full, 256, 1, 100_000),
        );
        row(
            "one caller, 64 rows a call, batch 64",
            measure(&runtime, &full, 1, 64, 10_000),
        );
        let bulk = batcher(256, minute);
        let one_caller = measure(&runtime, &bulk, 1, 256, 4_000);
        row("one caller, 256 rows a call, batch 256", one_caller);
        bulk_goal(name, "one caller", one_caller);
        let many = measure(&runtime, &bulk, 8, 256, 4_000);
        row("8 callers, 256 rows a call, batch 256", many);
        bulk_goal(name, "8 callers", many);
        row(
            "8 callers, 64 rows a call, batch 64",
            measure(&runtime, &full, 8, 64, 10_000),
        );
        let learned = Config {
            default_timeout: minute,
            max_queue_size: 65_536,
            ..Config::default()
        };
        let learned = start(learned);
        row(
            "8 callers, 256 rows a call, learned",
            measure(&runtime, &learned, 8, 256, 4_000),
        );
        let patient = batcher(1, None);
        row(
            "one caller, 1 row, no deadline",
            measure(&runtime, &patient, 1, 1, 10_000),
        );
    }
}
