//! Streams that begin and end with a call, however many steps hear their states.

use crate::{Ensemble, Metrics, Plan, PlannedStep, Step};
use consort_inference::{
    BoxFuture, Call, Datatype, Endpoint, Example, Failure, FailureKind, Key, ModelId, Outcome,
    Signature, Stage, StageKind, StreamPart, StreamStates, TenantId, Tensor, TensorSpec, Tensors,
};
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Sums by stream.
#[derive(Default)]
struct Sums(Mutex<HashMap<(TenantId, Key), i64>>);

/// Adds `x` to the sum of its stream; it is busy on 13.
struct Adds {
    stage: Stage,
    id: ModelId,
    signature: Signature,
    sums: Arc<Sums>,
    states: [Arc<dyn StreamStates>; 1],
}

impl StreamStates for Sums {
    fn forget(&self, tenant: &TenantId, key: &Key) {
        let key = (tenant.clone(), key.clone());
        self.0.lock().unwrap().remove(&key);
    }
}

impl Adds {
    fn new(sums: &Arc<Sums>) -> Arc<Self> {
        let x = || vec![TensorSpec::new("x", Datatype::Int64, vec![Some(1)])];
        Arc::new(Self {
            stage: Stage::new(StageKind::Inference, "adds"),
            id: ModelId::new("adds", "1"),
            signature: Signature {
                inputs: x(),
                outputs: x(),
            },
            sums: sums.clone(),
            states: [sums.clone()],
        })
    }

    fn add(&self, example: &Example) -> Result<Outcome, Failure> {
        let x = x_of(&example.tensors);
        if x == 13 {
            let busy = FailureKind::QueueFull;
            return Err(Failure::new(self.stage.clone(), busy, "busy"));
        }
        let stream = (example.tenant.clone(), example.key.clone().unwrap());
        let mut sums = self.sums.0.lock().unwrap();
        let sum = sums.entry(stream).or_default();
        *sum += x;
        Ok(Outcome::Forward(tensors(*sum)))
    }
}

impl Step for Adds {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn model_id(&self) -> &ModelId {
        &self.id
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn states(&self) -> &[Arc<dyn StreamStates>] {
        &self.states
    }

    fn run(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Outcome, Failure>>> {
        assert_eq!(call.stream, StreamPart::default(), "no step hears of it");
        Box::pin(async move { examples.iter().map(|example| self.add(example)).collect() })
    }
}

fn tensors(x: i64) -> Tensors {
    let x = Tensor::from_slice(vec![1], &[x]).unwrap();
    Tensors::from_named([("x".into(), x)]).unwrap()
}

fn x_of(tensors: &Tensors) -> i64 {
    tensors.tensor("x").unwrap().to_vec::<i64>().unwrap()[0]
}

/// Two steps that hear the same sums, one after the other.
fn twice(sums: &Arc<Sums>) -> Ensemble {
    let step = |name: &str| PlannedStep::new(name, Adds::new(sums));
    let plan = Plan::new(ModelId::new("twice", "1"), vec![step("one"), step("two")]);
    Ensemble::compile(plan, &Metrics::register(&mut Registry::default())).unwrap()
}

async fn sent(ensemble: &Ensemble, begins: bool, ends: bool, sent: &[(&str, i64)]) -> Vec<String> {
    let example = |(key, x): &(&str, i64)| Example {
        tenant: TenantId::default(),
        key: Some((*key).into()),
        tensors: tensors(*x),
    };
    let call = Call {
        stream: StreamPart { begins, ends },
        ..Call::default()
    };
    let results = ensemble
        .infer(sent.iter().map(example).collect(), call)
        .await;
    let tell = |result: &Result<consort_inference::Prediction, Failure>| match result {
        Ok(prediction) => x_of(&prediction.outputs).to_string(),
        Err(failure) => failure.kind.as_str().to_owned(),
    };
    results.iter().map(tell).collect()
}

#[tokio::test]
async fn a_stream_begins_once_however_many_steps_hear_it() {
    let ensemble = twice(&Arc::default());
    assert_eq!(ensemble.states().len(), 2);
    // 1, and 1 more.
    assert_eq!(sent(&ensemble, true, false, &[("a", 1)]).await, ["2"]);
    // 2 + 1, and 3 more.
    assert_eq!(sent(&ensemble, false, false, &[("a", 1)]).await, ["6"]);
    assert_eq!(sent(&ensemble, true, false, &[("a", 1)]).await, ["2"]);
}

#[tokio::test]
async fn a_stream_ends_after_all_steps_unless_its_last_example_may_come_again() {
    let sums = Arc::default();
    let ensemble = twice(&sums);
    let left = || sums.0.lock().unwrap().len();
    assert_eq!(
        sent(&ensemble, false, true, &[("a", 1), ("b", 2)]).await,
        ["2", "4"]
    );
    assert_eq!(left(), 0);
    let results = sent(&ensemble, false, true, &[("a", 1), ("b", 2), ("a", 13)]).await;
    assert_eq!(results, ["2", "4", "queue_full"]);
    assert_eq!(left(), 1, "a goes on");
    assert_eq!(sent(&ensemble, false, true, &[("a", 1)]).await, ["6"]);
    assert_eq!(left(), 0);
}
