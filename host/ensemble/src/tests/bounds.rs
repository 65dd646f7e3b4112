//! What is under way is bounded, and gone as soon as nobody needs it.

use super::sketch::{number, sketch_within, told};
use crate::{Ensemble, Limits, Metrics, Plan, PlannedStep, Step};
use bytes::Bytes;
use consort_inference::{
    BoxFuture, Call, Datatype, Endpoint, Example, Failure, ModelId, Outcome, Signature, Stage,
    StageKind, TenantId, Tensor, TensorSpec, Tensors,
};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn examples_max(inflight_max: usize) -> Limits {
    Limits {
        inflight_max,
        ..Limits::default()
    }
}

fn bytes_max(inflight_bytes_max: usize) -> Limits {
    Limits {
        inflight_bytes_max,
        ..Limits::default()
    }
}

#[tokio::test(start_paused = true)]
async fn examples_over_the_limit_are_refused_at_once() {
    let play = sketch_within("model m: x -> y | 5ms", examples_max(3)).unwrap();
    let (first, second) = tokio::join!(play.run(&[1, 2]), play.run(&[3, 4]));
    assert_eq!(first, ["y=1 by m:1", "y=2 by m:1"]);
    assert_eq!(second, ["y=3 by m:1", "sketch: queue_full"]);
    assert_eq!(play.ensemble.inflight(), (0, 0));
    // There is room again.
    assert_eq!(play.run(&[5, 6, 7]).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn bytes_over_the_limit_are_refused_and_given_back_as_tensors_go() {
    // Eight bytes a tensor: an example has two of them at most at any time, since the
    // input of each step is gone when its output is there for the next.
    let text = "plugin a: x -> y | 1ms
                plugin b: y -> z | 1ms
                plugin c: z -> w | 1ms";
    let play = sketch_within(text, bytes_max(16)).unwrap();
    assert_eq!(play.run(&[1]).await, ["w=1 by c:1"]);
    assert_eq!(
        play.run(&[1, 2, 3]).await,
        [
            // Two fit in, but what the first step makes of them does not; the third is refused
            // at once.
            "sketch: queue_full",
            "sketch: queue_full",
            "sketch: queue_full",
        ]
    );
    assert_eq!(play.ensemble.inflight(), (0, 0));
    let play = sketch_within(text, bytes_max(7)).unwrap();
    assert_eq!(play.run(&[1]).await, ["sketch: too_large"]);
}

/// Makes a tensor whose bytes somebody else holds on to, and looks how many do.
struct Watching {
    stage: Stage,
    id: ModelId,
    signature: Signature,
    makes: Bytes,
    looks_at: Bytes,
    /// Whether the bytes looked at were held by nobody but the test.
    was_free: Arc<AtomicUsize>,
}

impl Step for Watching {
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
        Box::pin(async move {
            let count = examples.len();
            // The step is the last reader: with its examples, their tensors are gone.
            drop(examples);
            let free = usize::from(self.looks_at.is_unique());
            self.was_free.fetch_add(free, Ordering::SeqCst);
            let tensor = Tensor::new(Datatype::Uint8, vec![1], self.makes.clone()).unwrap();
            let name = self.signature.outputs[0].name.clone();
            let outputs = Tensors::from_named([(name, tensor)]).unwrap();
            vec![Ok(Outcome::Forward(outputs)); count]
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_reader_has_a_tensor_for_itself() {
    let was_free = Arc::new(AtomicUsize::new(0));
    let spec = |name: &str| TensorSpec::new(name, Datatype::Uint8, vec![Some(1)]);
    let watching = |name: &str, from: &str, to: &str, makes: &Bytes, looks_at: &Bytes| {
        let step = Watching {
            stage: Stage::new(StageKind::Preprocess, name),
            id: ModelId::new(name, "1"),
            signature: Signature {
                inputs: vec![spec(from)],
                outputs: vec![spec(to)],
            },
            makes: makes.clone(),
            looks_at: looks_at.clone(),
            was_free: was_free.clone(),
        };
        PlannedStep::new(name, Arc::new(step))
    };
    // The request's bytes are unique once the caller, the ensemble and the step let go:
    // only the watching step's own handle is left.
    let request = Bytes::from(vec![7u8]);
    let other = Bytes::from(vec![8u8]);
    let steps = vec![
        watching("a", "x", "y", &other, &Bytes::new()),
        watching("b", "y", "z", &Bytes::from(vec![9u8]), &request),
    ];
    let metrics = Metrics::register(&mut Registry::default());
    let ensemble = Ensemble::compile(Plan::new(ModelId::new("w", "1"), steps), &metrics).unwrap();
    let tensor = Tensor::new(Datatype::Uint8, vec![1], request).unwrap();
    let example = Example {
        tenant: TenantId::default(),
        key: None,
        tensors: Tensors::from_named([("x".into(), tensor)]).unwrap(),
    };
    let results = ensemble.infer(vec![example], Call::default()).await;
    assert!(results[0].is_ok());
    assert_eq!(was_free.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn refused_examples_keep_their_place() {
    let play = sketch_within("model m: x -> y", examples_max(1)).unwrap();
    let example = |value| Example {
        tenant: TenantId::default(),
        key: None,
        tensors: Tensors::from_named([("x".into(), number(value))]).unwrap(),
    };
    let call = Call::default();
    let results = play
        .ensemble
        .infer(vec![example(1), example(2)], call)
        .await;
    let told: Vec<_> = results.into_iter().map(told).collect();
    assert_eq!(told, ["y=1 by m:1", "sketch: queue_full"]);
}
