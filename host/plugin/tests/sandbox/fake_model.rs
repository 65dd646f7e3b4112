//! A model as a test wants it, in the place where batching and the runtimes are.

use consort_inference::{
    Arm, BoxFuture, Call, Datatype, Endpoint, Example, Failure, FailureKind, ModelId, Origin,
    Prediction, Signature, Stage, StageKind, StreamStates, Tensor, TensorSpec, Tensors,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Answer = dyn Fn(&Example) -> Result<Tensors, (FailureKind, String)> + Send + Sync;

/// Answers as it is told, and remembers what it was asked.
pub(crate) struct FakeModel {
    name: String,
    version: String,
    signature: Signature,
    has_batch_axis: bool,
    answer: Box<Answer>,
    /// How long an answer takes.
    delay: Duration,
    /// Answers only when so many calls wait for one.
    together: Option<tokio::sync::Barrier>,
    headers: Vec<Arc<str>>,
    /// Which way it says that it went.
    arm: Option<&'static str>,
    states: Vec<Arc<dyn StreamStates>>,
    asked: Mutex<Vec<(Vec<Example>, Call)>>,
    abandoned: AtomicUsize,
}

impl FakeModel {
    pub(crate) fn new(
        name: &str,
        signature: Signature,
        answer: impl Fn(&Example) -> Result<Tensors, (FailureKind, String)> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            version: "1".to_owned(),
            signature,
            has_batch_axis: true,
            answer: Box::new(answer),
            delay: Duration::ZERO,
            together: None,
            headers: Vec::new(),
            arm: None,
            states: Vec::new(),
            asked: Mutex::default(),
            abandoned: AtomicUsize::new(0),
        }
    }

    pub(crate) fn rename(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    pub(crate) fn reading(mut self, headers: &[&str]) -> Self {
        self.headers = headers.iter().map(|name| (*name).into()).collect();
        self
    }

    /// Goes that way, as a split of its name would.
    pub(crate) fn going(mut self, arm: &'static str) -> Self {
        self.arm = Some(arm);
        self
    }

    /// Keeps states of streams there.
    pub(crate) fn keeping(mut self, states: Arc<dyn StreamStates>) -> Self {
        self.states.push(states);
        self
    }

    pub(crate) fn slow(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(crate) fn version_is(mut self, version: &str) -> Self {
        self.version = version.to_owned();
        self
    }

    pub(crate) fn together(mut self, calls: usize) -> Self {
        self.together = Some(tokio::sync::Barrier::new(calls));
        self
    }

    /// Takes its inputs as they are: the signature is of the whole.
    pub(crate) fn without_batch_axis(mut self) -> Self {
        self.has_batch_axis = false;
        self
    }

    /// The calls so far.
    pub(crate) fn asked(&self) -> Vec<(Vec<Example>, Call)> {
        self.asked.lock().unwrap().clone()
    }

    /// Calls for whose answers nobody waited.
    pub(crate) fn abandoned(&self) -> usize {
        self.abandoned.load(Ordering::SeqCst)
    }

    async fn answer(&self, examples: Vec<Example>) -> Vec<Result<Prediction, Failure>> {
        let waiting = Waiting(&self.abandoned);
        if self.delay > Duration::ZERO {
            tokio::time::sleep(self.delay).await;
        }
        if let Some(together) = &self.together {
            together.wait().await;
        }
        std::mem::forget(waiting);
        let one = |example: Example| match (self.answer)(&example) {
            Ok(outputs) => {
                let id = ModelId::new(self.name.as_str(), self.version.as_str());
                let mut origin = Origin::from(id);
                let arm = self.arm.map(|arm| Arm::new(self.name.as_str(), arm));
                origin.join(arm, None);
                Ok(Prediction::new(example.key, outputs, origin))
            }
            Err((kind, message)) => {
                let stage = Stage::new(StageKind::Inference, self.name.as_str());
                Err(Failure::new(stage, kind, message))
            }
        };
        examples.into_iter().map(one).collect()
    }
}

impl Endpoint for FakeModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn platform(&self) -> &str {
        "fake"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn has_batch_axis(&self) -> bool {
        self.has_batch_axis
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn headers(&self) -> &[Arc<str>] {
        &self.headers
    }

    fn states(&self) -> &[Arc<dyn StreamStates>] {
        &self.states
    }

    fn infer(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        self.asked.lock().unwrap().push((examples.clone(), call));
        Box::pin(self.answer(examples))
    }
}

/// Counts when it is dropped before the answer.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn signature(
    inputs: &[(&str, Datatype, &[Option<usize>])],
    outputs: &[(&str, Datatype, &[Option<usize>])],
) -> Signature {
    let specs = |specs: &[(&str, Datatype, &[Option<usize>])]| {
        let specs = specs.iter();
        let specs =
            specs.map(|(name, datatype, shape)| TensorSpec::new(*name, *datatype, shape.to_vec()));
        specs.collect()
    };
    Signature {
        inputs: specs(inputs),
        outputs: specs(outputs),
    }
}

/// Reads a number `x` and answers with the next.
pub(crate) fn add_one() -> FakeModel {
    let x: &[(&str, Datatype, &[Option<usize>])] = &[("x", Datatype::Int64, &[Some(1)])];
    FakeModel::new("add_one", signature(x, x), next)
}

pub(crate) fn next(example: &Example) -> Result<Tensors, (FailureKind, String)> {
    let x = example.tensors.tensor("x").unwrap();
    let next: Vec<i64> = x.to_vec::<i64>().unwrap().iter().map(|x| x + 1).collect();
    let next = Tensor::from_slice(x.shape().to_vec(), &next).unwrap();
    Ok(Tensors::from_named([("x".into(), next)]).unwrap())
}

/// Fails whatever it is asked.
pub(crate) fn failing(kind: FailureKind) -> FakeModel {
    let x: &[(&str, Datatype, &[Option<usize>])] = &[("x", Datatype::Int64, &[Some(1)])];
    FakeModel::new("failing", signature(x, x), move |_| {
        Err((kind, "so it is".to_owned()))
    })
}

/// Grants models under their own names.
pub(crate) fn grant<const N: usize>(
    config: consort_plugin::PluginConfig,
    models: [&Arc<FakeModel>; N],
) -> consort_plugin::PluginConfig {
    let granted = models.map(|model| (model.name.clone(), model.clone() as Arc<dyn Endpoint>));
    consort_plugin::PluginConfig {
        models: granted.into(),
        ..config
    }
}
