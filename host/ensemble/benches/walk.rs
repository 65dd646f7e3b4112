//! What an ensemble adds to each example: three steps that answer at once, in a row and
//! with two of them beside each other, and the same three called by hand.
//!
//! `cargo bench -p consort-ensemble --profile dev --bench walk`
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench may break off"
)]

use consort_ensemble::{Ensemble, Metrics, Plan, PlannedStep, Step};
use consort_inference::{
    BoxFuture, Call, Datatype, Endpoint, Example, Failure, ModelId, Outcome, Signature, Stage,
    StageKind, TenantId, Tensor, TensorSpec, Tensors,
};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::runtime::Builder;
use tokio::time::Instant;

/// How often each number is taken; the median is printed.
const ROUNDS: usize = 7;
/// Examples of one round, in calls of different sizes.
const EXAMPLES: usize = 50_000;

/// Gives its first input on under another name.
struct Pass {
    stage: Stage,
    id: ModelId,
    signature: Signature,
}

impl Step for Pass {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn model_id(&self) -> &ModelId {
        &self.id
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, examples: Vec<Example>, _: Call) -> BoxFuture<'_, Vec<Result<Outcome, Failure>>> {
        let name = &self.signature.outputs[0].name;
        let pass = |example: Example| {
            let first = example.tensors.into_iter().next();
            let (_, tensor) = first.expect("one input");
            let mut outputs = Tensors::with_capacity(1);
            outputs.insert(name.clone(), tensor);
            Ok(Outcome::Forward(outputs))
        };
        let results = examples.into_iter().map(pass).collect();
        Box::pin(std::future::ready(results))
    }
}

fn pass(name: &str, inputs: &[&str], output: &str) -> Arc<dyn Step> {
    let spec = |name: &str| TensorSpec::new(name, Datatype::Fp32, vec![Some(16)]);
    Arc::new(Pass {
        stage: Stage::new(StageKind::Preprocess, name),
        id: ModelId::new(name, "1"),
        signature: Signature {
            inputs: inputs.iter().map(|name| spec(name)).collect(),
            outputs: vec![spec(output)],
        },
    })
}

fn ensemble(steps: &[Arc<dyn Step>]) -> Ensemble {
    let planned = steps
        .iter()
        .map(|step| PlannedStep::new(step.stage().name.clone(), step.clone()));
    let plan = Plan::new(ModelId::new("bench", "1"), planned.collect());
    let metrics = Metrics::register(&mut Registry::default());
    Ensemble::compile(plan, &metrics).expect("fits")
}

fn examples(rows: usize) -> Vec<Example> {
    let tensor = Tensor::from_slice(vec![16], &[1f32; 16]).expect("16 elements");
    let example = || Example {
        tenant: TenantId::default(),
        key: None,
        tensors: Tensors::from_named([("x".into(), tensor.clone())]).expect("one name"),
    };
    std::iter::repeat_with(example).take(rows).collect()
}

/// The three steps without an ensemble.
async fn by_hand(steps: &[Arc<dyn Step>], mut examples: Vec<Example>) -> usize {
    for step in steps {
        let results = step.run(examples, Call::default()).await;
        let next = |result: Result<Outcome, Failure>| {
            let Ok(Outcome::Forward(tensors)) = result else {
                return None;
            };
            Some(Example {
                tenant: TenantId::default(),
                key: None,
                tensors,
            })
        };
        examples = results.into_iter().filter_map(next).collect();
    }
    examples.len()
}

/// The median of nanoseconds for each example.
async fn median(rows: usize, mut call: impl AsyncFnMut(Vec<Example>) -> usize) -> f64 {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..EXAMPLES / rows {
            assert_eq!(call(examples(rows)).await, rows);
        }
        rounds.push(begin.elapsed().as_nanos() as f64 / EXAMPLES as f64);
    }
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() {
    let sequence = [
        pass("a", &["x"], "y"),
        pass("b", &["y"], "z"),
        pass("c", &["z"], "w"),
    ];
    let branches = [
        pass("a", &["x"], "y"),
        pass("b", &["x"], "z"),
        pass("c", &["y", "z"], "w"),
    ];
    let (in_a_row, beside) = (ensemble(&sequence), ensemble(&branches));
    let runtime = Builder::new_multi_thread()
        .enable_time()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    println!("nanoseconds an example | by hand | three in a row | two beside each other");
    runtime.block_on(async {
        for rows in [1, 8, 64, 1000] {
            let infer = async |ensemble: &Ensemble, examples: Vec<Example>| {
                let results = ensemble.infer(examples, Call::default()).await;
                results.iter().filter(|result| result.is_ok()).count()
            };
            let hand = median(rows, async |examples| by_hand(&sequence, examples).await).await;
            let row = median(rows, async |examples| infer(&in_a_row, examples).await).await;
            let two = median(rows, async |examples| infer(&beside, examples).await).await;
            println!("calls of {rows:>4}          | {hand:>7.0} | {row:>14.0} | {two:>22.0}");
        }
    });
}
