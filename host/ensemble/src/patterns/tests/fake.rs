//! Steps that do what a test tells them, and how tests talk to patterns.

use crate::Step;
use crate::patterns::{Member, PatternMetrics};
use consort_inference::{
    BoxFuture, Call, Datatype, Example, Failure, FailureKind, ModelId, Origin, Outcome, Signature,
    Stage, StageKind, TenantId, Tensor, TensorSpec, Tensors,
};
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Rule = dyn Fn(&Tensors) -> Result<Tensors, FailureKind> + Send + Sync;

/// A step that makes its outputs by a rule, after a time.
pub(super) struct Fake {
    stage: Stage,
    id: ModelId,
    signature: Signature,
    rule: Box<Rule>,
    pub(super) takes: Duration,
    /// The keys of each call.
    pub(super) calls: Mutex<Vec<String>>,
}

pub(super) fn spec(name: &str, datatype: Datatype, shape: &[i64]) -> TensorSpec {
    let dims = shape.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    TensorSpec::new(name, datatype, dims)
}

pub(super) fn fake_of(
    name: &str,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    rule: impl Fn(&Tensors) -> Result<Tensors, FailureKind> + Send + Sync + 'static,
) -> Fake {
    Fake {
        stage: Stage::new(StageKind::Inference, name),
        id: ModelId::new(name, "1"),
        signature: Signature { inputs, outputs },
        rule: Box::new(rule),
        takes: Duration::from_millis(1),
        calls: Mutex::default(),
    }
}

/// From the number `x` a number `y`.
pub(super) fn fake(
    name: &str,
    rule: impl Fn(i64) -> Result<i64, FailureKind> + Send + Sync + 'static,
) -> Arc<Fake> {
    let number = |name| vec![spec(name, Datatype::Int64, &[1])];
    Arc::new(fake_of(name, number("x"), number("y"), move |tensors| {
        rule(value(tensors, "x")).map(|y| tensors_of(&[("y", y)]))
    }))
}

pub(super) fn member(fake: &Arc<Fake>) -> Member {
    Member::new(fake.stage.name.clone(), fake.clone())
}

pub(super) fn plus(name: &str, more: i64) -> Member {
    member(&fake(name, move |x| Ok(x + more)))
}

pub(super) fn metrics() -> PatternMetrics {
    PatternMetrics::register(&mut Registry::default())
}

pub(super) fn tensors_of(values: &[(&str, i64)]) -> Tensors {
    let number = |x: &i64| Tensor::from_slice(vec![1], &[*x]).unwrap();
    let named = values.iter().map(|(name, x)| ((*name).into(), number(x)));
    Tensors::from_named(named).unwrap()
}

pub(super) fn value(tensors: &Tensors, name: &str) -> i64 {
    tensors.tensor(name).unwrap().to_vec::<i64>().unwrap()[0]
}

pub(super) fn example(key: Option<&str>, tensors: Tensors) -> Example {
    Example {
        tenant: TenantId::default(),
        key: key.map(Into::into),
        tensors,
    }
}

/// Examples with the key `0`, `1` and so on.
pub(super) fn numbered(values: &[i64]) -> Vec<Example> {
    let one =
        |(index, x): (usize, &i64)| example(Some(&index.to_string()), tensors_of(&[("x", *x)]));
    values.iter().enumerate().map(one).collect()
}

/// Each result as `y` with the arms taken, or as the kind of its failure.
pub(super) async fn told(step: &dyn Step, examples: Vec<Example>) -> Vec<String> {
    let results = step.run(examples, Call::default()).await;
    results.into_iter().map(tell).collect()
}

pub(super) fn tell(result: Result<Outcome, Failure>) -> String {
    match result {
        Ok(Outcome::Forward(tensors) | Outcome::Answer(tensors)) => {
            value(&tensors, "y").to_string()
        }
        Ok(Outcome::Predicted(tensors, origin)) => {
            let arms = origin.arms.iter().map(|arm| format!(" {}", arm.arm));
            format!("{}{}", value(&tensors, "y"), arms.collect::<String>())
        }
        Err(failure) => failure.kind.to_string(),
    }
}

impl Fake {
    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl Step for Fake {
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
            let keys: Vec<&str> = examples
                .iter()
                .map(|example| example.key.as_deref().unwrap_or("-"))
                .collect();
            self.calls.lock().unwrap().push(keys.join(" "));
            tokio::time::sleep(self.takes).await;
            let one = |example: &Example| {
                self.signature.check_inputs(&example.tensors).unwrap();
                match (self.rule)(&example.tensors) {
                    Ok(tensors) => Ok(Outcome::Predicted(tensors, Origin::from(self.id.clone()))),
                    Err(kind) => Err(Failure::new(self.stage.clone(), kind, "as told")),
                }
            };
            examples.iter().map(one).collect()
        })
    }
}
