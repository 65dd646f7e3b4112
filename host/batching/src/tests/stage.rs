//! The stage on which tests play: a fake model and short ways to talk to it.
//!
//! The fake model reads `x`, INT64 of any length, and gives it back as `y`. The first
//! element of `x` names the example; its length is the example's layout.

use crate::{BatchPolicy, Batcher, Config, FixedPolicy, Metrics, Replicas, Runner};
use consort_inference::{
    Batch, BatchHints, BoxFuture, Call, Datatype, Example, Failure, FailureKind, InferenceArgs,
    ModelId, PredictError, Signature, TenantId, Tensor, TensorSpec, Tensors,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// What a caller gets.
pub(crate) type Answer = Result<Tensors, Failure>;

pub(crate) const MS: Duration = Duration::from_millis(1);

type Predict = dyn Fn(&[i64], Vec<Tensors>) -> Result<Vec<Tensors>, PredictError> + Send + Sync;

/// A model without a model.
pub(crate) struct Fake {
    pub(crate) signature: Signature,
    hints: BatchHints,
    takes: Duration,
    predict: Box<Predict>,
    runs: Mutex<Vec<Run>>,
}

/// One run of the fake model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// Milliseconds since the stage was set.
    pub(crate) at_ms: u128,
    /// The examples in it.
    pub(crate) ids: Vec<i64>,
    pub(crate) args: InferenceArgs,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) deadline: Option<std::time::Instant>,
}

/// A batcher, its fake model and its metrics.
pub(crate) struct Stage {
    pub(crate) batcher: Batcher,
    pub(crate) fake: Arc<Fake>,
    registry: Registry,
}

// === impl Fake ===

impl Fake {
    /// Gives back what it gets, at once.
    pub(crate) fn new() -> Self {
        let dims = || vec![None];
        Self {
            signature: Signature {
                inputs: vec![TensorSpec::new("x", Datatype::Int64, dims())],
                outputs: vec![TensorSpec::new("y", Datatype::Int64, dims())],
            },
            hints: BatchHints::default(),
            takes: Duration::ZERO,
            predict: Box::new(|_, rows| Ok(rows)),
            runs: Mutex::default(),
        }
    }

    /// Each run takes so long.
    pub(crate) fn takes(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }

    /// Each run gives what this makes of the examples' names and the right outputs.
    pub(crate) fn predicts(
        mut self,
        predict: impl Fn(&[i64], Vec<Tensors>) -> Result<Vec<Tensors>, PredictError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.predict = Box::new(predict);
        self
    }

    /// A run with any of these examples fails.
    pub(crate) fn fails_on(self, poison: &'static [i64]) -> Self {
        self.predicts(
            move |ids, rows| match ids.iter().find(|id| poison.contains(id)) {
                Some(id) => Err(PredictError::Failed(format!("example {id} is poison"))),
                None => Ok(rows),
            },
        )
    }

    /// The model takes at most so many examples at a time.
    pub(crate) fn hints_at(mut self, max_batch_size: usize) -> Self {
        self.hints.max_batch_size = Some(max_batch_size);
        self
    }

    /// The model takes examples of different lengths at a time.
    pub(crate) fn ragged(mut self) -> Self {
        self.hints.ragged = true;
        self
    }

    /// The model takes examples of one tenant at a time.
    pub(crate) fn of_one_tenant(mut self) -> Self {
        self.hints.single_tenant = true;
        self
    }

    pub(crate) fn runs(&self) -> Vec<Run> {
        self.runs.lock().unwrap().clone()
    }

    /// The examples of each run.
    pub(crate) fn batches(&self) -> Vec<Vec<i64>> {
        self.runs().into_iter().map(|run| run.ids).collect()
    }
}

impl Runner for Fake {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn batch_hints(&self) -> BatchHints {
        self.hints.clone()
    }

    fn run<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Vec<Tensors>, PredictError>> {
        Box::pin(async move {
            let ids: Vec<i64> = batch.rows().iter().map(|row| id_of(row, "x")).collect();
            self.runs.lock().unwrap().push(Run {
                at_ms: since_start_ms(),
                ids: ids.clone(),
                args: batch.args().clone(),
                tenant: batch.tenant().cloned(),
                deadline: batch.deadline(),
            });
            if !self.takes.is_zero() {
                sleep(self.takes).await;
            }
            (self.predict)(&ids, batch.rows().iter().map(echo).collect())
        })
    }
}

// === impl Stage ===

impl Stage {
    pub(crate) fn new(fake: Fake, config: Config) -> Self {
        let policy = FixedPolicy::of(&config);
        Self::with_policy(fake, config, Box::new(policy))
    }

    pub(crate) fn with_policy(fake: Fake, config: Config, policy: Box<dyn BatchPolicy>) -> Self {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let fake = Arc::new(fake);
        let model = ModelId::new("echo", "7");
        let replicas = Replicas::Tasks(fake.clone());
        let batcher = Batcher::start_with(model, replicas, policy, config, &metrics).unwrap();
        since_start_ms();
        Self {
            batcher,
            fake,
            registry,
        }
    }

    /// Sends examples as one call, from a task of its own, and lets it get going.
    pub(crate) async fn send(&self, examples: Vec<Example>) -> JoinHandle<Vec<Answer>> {
        self.send_by(examples, None).await
    }

    /// Sends examples with a deadline so far from now.
    pub(crate) async fn send_by(
        &self,
        examples: Vec<Example>,
        deadline: Option<Duration>,
    ) -> JoinHandle<Vec<Answer>> {
        let deadline = deadline.map(|deadline| (Instant::now() + deadline).into_std());
        let call = Call {
            deadline,
            ..Call::default()
        };
        self.call(examples, call).await
    }

    /// Sends examples with whatever else a call says.
    pub(crate) async fn call(&self, examples: Vec<Example>, call: Call) -> JoinHandle<Vec<Answer>> {
        let batcher = self.batcher.clone();
        let sent = tokio::spawn(async move { batcher.infer(examples, call).await });
        settle().await;
        sent
    }

    /// Sends examples and waits.
    pub(crate) async fn infer(&self, examples: Vec<Example>) -> Vec<Answer> {
        self.batcher.infer(examples, Call::default()).await
    }

    /// The value of a metric, by the start of its line in the text form.
    pub(crate) fn metric(&self, start: &str) -> Option<f64> {
        let text = self.metrics_text();
        let line = text.lines().find(|line| line.starts_with(start))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    pub(crate) fn metrics_text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// Lets all other tasks run until they wait for something; no time passes.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Milliseconds on this thread's paused clock since this was first called on it.
pub(crate) fn since_start_ms() -> u128 {
    thread_local! {
        static START: std::cell::OnceCell<Instant> = const { std::cell::OnceCell::new() };
    }
    let start = START.with(|start| *start.get_or_init(Instant::now));
    start.elapsed().as_millis()
}

/// An example of the default tenant and layout.
pub(crate) fn example(id: i64) -> Example {
    example_of("default", id, 1)
}

/// An example of a tenant; examples of one length share a layout.
pub(crate) fn example_of(tenant: &str, id: i64, length: usize) -> Example {
    let mut elements = vec![id; 1];
    elements.resize(length.max(1), 0);
    let tensor = Tensor::from_slice(vec![elements.len()], &elements).unwrap();
    Example {
        tenant: tenant.parse().unwrap(),
        key: None,
        tensors: Tensors::from_named([("x".into(), tensor)]).unwrap(),
    }
}

pub(crate) fn examples(ids: impl IntoIterator<Item = i64>) -> Vec<Example> {
    ids.into_iter().map(example).collect()
}

fn echo(row: &Tensors) -> Tensors {
    let x = row.tensor("x").unwrap().clone();
    Tensors::from_named([("y".into(), x)]).unwrap()
}

pub(crate) fn id_of(tensors: &Tensors, name: &str) -> i64 {
    tensors.tensor(name).unwrap().to_vec::<i64>().unwrap()[0]
}

/// The name of the example that each answer is about, or the kind of its failure.
pub(crate) fn told(answers: &[Answer]) -> Vec<Result<i64, FailureKind>> {
    let told = |answer: &Answer| match answer {
        Ok(outputs) => Ok(id_of(outputs, "y")),
        Err(failure) => Err(failure.kind),
    };
    answers.iter().map(told).collect()
}

/// What `told` says when all went well.
pub(crate) fn all_ok(ids: impl IntoIterator<Item = i64>) -> Vec<Result<i64, FailureKind>> {
    ids.into_iter().map(Ok).collect()
}
