//! Ensembles as a few lines of text, on a paused clock.
//!
//! ```text
//! in text size               the request's tensors (else: the first step's inputs)
//! out label more=sum         the ensemble's outputs, `more` the tensor `sum` (else: the last
//!                            step's)
//! plugin pre: text -> x | +1
//! model m: x -> y | 5ms +10 when x > 3 optional
//! ```
//!
//! A step makes the sum of its inputs plus a number of each of its outputs, and takes the
//! time given. `fails 3`, `full 3`, `forgets 3` and `panics 3` say what happens where the
//! sum of its inputs is 3; `answers 3 -> label` ends the example with a label of -3.

use crate::{
    Condition, Ensemble, Limits, Literal, Metrics, Plan, PlannedOutput, PlannedStep, Reduction,
    Step, Test,
};
use consort_inference::{
    BoxFuture, Call, Datatype, Endpoint, Example, Failure, FailureKind, ModelId, Outcome,
    Prediction, Signature, Stage, StageKind, TenantId, Tensor, TensorSpec, Tensors,
};
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What the steps of a sketch did and when.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

/// A sketch at work.
pub(super) struct Play {
    pub(super) ensemble: Arc<Ensemble>,
    pub(super) log: Log,
    begin: Instant,
}

/// One step of a sketch.
struct Fake {
    stage: Stage,
    id: ModelId,
    signature: Signature,
    answers: Vec<TensorSpec>,
    duration: Duration,
    plus: i64,
    /// What happens on which sum of inputs.
    on: Vec<(i64, Happens)>,
    log: Log,
    begin: Instant,
}

#[derive(Clone, Copy)]
enum Happens {
    Fails(FailureKind),
    Forgets,
    Panics,
    Answers,
}

/// Tells when a run is dropped before its end.
struct Abandoned<'a>(Option<&'a Fake>);

// === impl Log ===

impl Log {
    fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    /// What was done so far, sorted by step.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.0.lock().unwrap().clone();
        lines.sort();
        lines
    }
}

// === impl Play ===

/// Compiles a sketch; the error is what a person would read.
pub(super) fn sketch(text: &str) -> Result<Play, String> {
    sketch_within(text, Limits::default())
}

pub(super) fn sketch_within(text: &str, limits: Limits) -> Result<Play, String> {
    let (log, begin) = (Log::default(), Instant::now());
    let plan = Plan {
        limits,
        ..plan(text, &log, begin)
    };
    let ensemble = Ensemble::compile(plan, &Metrics::register(&mut Registry::default()));
    Ok(Play {
        ensemble: Arc::new(ensemble.map_err(|error| error.to_string())?),
        log,
        begin,
    })
}

fn output(word: &str) -> PlannedOutput {
    let (name, tensor) = word.split_once('=').unwrap_or((word, word));
    PlannedOutput {
        name: name.into(),
        tensor: tensor.into(),
    }
}

pub(super) fn plan(text: &str, log: &Log, begin: Instant) -> Plan {
    let mut plan = Plan::new(ModelId::new("sketch", "1"), Vec::new());
    let names = |words: &str| Some(words.split_whitespace().map(Into::into).collect());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once(' ').unwrap() {
            ("in", words) => plan.inputs = names(words),
            ("out", words) => plan.outputs = Some(words.split_whitespace().map(output).collect()),
            ("plugin", rest) => plan
                .steps
                .push(step(StageKind::Preprocess, rest, log, begin)),
            ("model", rest) => plan
                .steps
                .push(step(StageKind::Inference, rest, log, begin)),
            (other, _) => panic!("{other}"),
        }
    }
    plan
}

impl Play {
    pub(super) async fn run(&self, values: &[i64]) -> Vec<String> {
        self.run_call(values, Call::default()).await
    }

    /// Gives every request tensor of an example the same value; each result as text.
    pub(super) async fn run_call(&self, values: &[i64], call: Call) -> Vec<String> {
        let examples = values.iter().enumerate().map(|(index, value)| {
            let inputs = self.ensemble.signature().inputs.iter();
            let named = inputs.map(|spec| (spec.name.clone(), number(*value)));
            Example {
                tenant: TenantId::default(),
                key: Some(index.to_string().into()),
                tensors: Tensors::from_named(named).unwrap(),
            }
        });
        let results = self.ensemble.infer(examples.collect(), call).await;
        let told = results.into_iter().enumerate().map(|(index, result)| {
            if let Ok(prediction) = &result {
                assert_eq!(prediction.key, Some(index.to_string().into()));
            }
            told(result)
        });
        told.collect()
    }

    /// A deadline so many milliseconds from the sketch's beginning.
    pub(super) fn deadline(&self, milliseconds: u64) -> Call {
        let deadline = self.begin + Duration::from_millis(milliseconds);
        Call {
            deadline: Some(deadline.into_std()),
            ..Call::default()
        }
    }

    pub(super) fn elapsed(&self) -> u128 {
        self.begin.elapsed().as_millis()
    }
}

/// `y=3 by m:1, without s (model_failed)`, or `m: model_failed`.
pub(super) fn told(result: Result<Prediction, Failure>) -> String {
    let prediction = match result {
        Ok(prediction) => prediction,
        Err(failure) => return format!("{}: {}", failure.stage.name, failure.kind),
    };
    let outputs = prediction.outputs.iter();
    let outputs = outputs.map(|(name, tensor)| format!("{name}={} ", value(tensor)));
    let mut text = outputs.collect::<String>();
    text.push_str(&format!("by {}", prediction.model_id));
    for arm in &prediction.arms {
        text.push_str(&format!(", {} took {}", arm.step, arm.arm));
    }
    for failure in &prediction.partial {
        text.push_str(&format!(
            ", without {} ({})",
            failure.stage.name, failure.kind
        ));
    }
    text
}

pub(super) fn number(value: i64) -> Tensor {
    Tensor::from_slice(vec![1], &[value]).unwrap()
}

pub(super) fn value(tensor: &Tensor) -> i64 {
    tensor.to_vec::<i64>().unwrap()[0]
}

fn spec(name: &str) -> TensorSpec {
    TensorSpec::new(name, Datatype::Int64, vec![Some(1)])
}

fn specs(words: &str) -> Vec<TensorSpec> {
    words.split_whitespace().map(spec).collect()
}

fn step(kind: StageKind, line: &str, log: &Log, begin: Instant) -> PlannedStep {
    let (name, rest) = line.split_once(':').unwrap();
    let (tensors, rest) = rest.split_once('|').unwrap_or((rest, ""));
    let (inputs, outputs) = tensors.split_once("->").unwrap();
    let mut fake = Fake {
        stage: Stage::new(kind, name),
        id: ModelId::new(name, "1"),
        signature: Signature {
            inputs: specs(inputs),
            outputs: specs(outputs),
        },
        answers: Vec::new(),
        duration: Duration::ZERO,
        plus: 0,
        on: Vec::new(),
        log: log.clone(),
        begin,
    };
    let (mut when, mut optional) = (None, false);
    let mut words = rest.split_whitespace();
    while let Some(word) = words.next() {
        let mut on = |happens| {
            let sum = words.next().unwrap().parse().unwrap();
            fake.on.push((sum, happens));
        };
        match word {
            "fails" => on(Happens::Fails(FailureKind::ModelFailed)),
            "full" => on(Happens::Fails(FailureKind::QueueFull)),
            "forgets" => on(Happens::Forgets),
            "panics" => on(Happens::Panics),
            "answers" => {
                on(Happens::Answers);
                assert_eq!(words.next(), Some("->"));
                fake.answers = specs(words.next().unwrap());
            }
            "optional" => optional = true,
            "when" => {
                let (tensor, comparison) = (words.next().unwrap(), words.next().unwrap());
                let value: i64 = words.next().unwrap().parse().unwrap();
                let test = match comparison {
                    ">" => Test::Above(value as f64),
                    "<" => Test::Below(value as f64),
                    "=" => Test::Equals(Literal::Int(value)),
                    other => panic!("{other}"),
                };
                when = Some(Condition {
                    tensor: tensor.into(),
                    of: Reduction::Only,
                    test,
                });
            }
            word if word.ends_with("ms") => {
                let milliseconds = word.trim_end_matches("ms").parse().unwrap();
                fake.duration = Duration::from_millis(milliseconds);
            }
            word => fake.plus = word.parse().unwrap(),
        }
    }
    PlannedStep {
        when,
        optional,
        ..PlannedStep::new(name, Arc::new(fake))
    }
}

// === impl Fake ===

impl Fake {
    fn result(&self, example: &Example) -> Result<Outcome, Failure> {
        let sum: i64 = example
            .tensors
            .iter()
            .map(|(_, tensor)| value(tensor))
            .sum();
        let named = |specs: &[TensorSpec], value: i64| {
            let named = specs.iter().map(|spec| (spec.name.clone(), number(value)));
            Tensors::from_named(named).unwrap()
        };
        match self.on.iter().find(|(on, _)| *on == sum) {
            None => Ok(Outcome::Forward(named(
                &self.signature.outputs,
                sum + self.plus,
            ))),
            Some((_, Happens::Fails(kind))) => {
                Err(Failure::new(self.stage.clone(), *kind, "as it was told"))
            }
            Some((_, Happens::Forgets)) => Ok(Outcome::Forward(Tensors::new())),
            Some((_, Happens::Answers)) => Ok(Outcome::Answer(named(&self.answers, -sum))),
            Some((_, Happens::Panics)) => panic!("as it was told"),
        }
    }

    fn log(&self, what: &str) {
        let (name, now) = (&self.stage.name, self.begin.elapsed().as_millis());
        self.log.add(format!("{name} {what}{now}"));
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

    fn answers(&self) -> &[TensorSpec] {
        &self.answers
    }

    fn run(&self, examples: Vec<Example>, _: Call) -> BoxFuture<'_, Vec<Result<Outcome, Failure>>> {
        Box::pin(async move {
            let keys = examples
                .iter()
                .map(|example| example.key.as_deref().unwrap_or("?"));
            let keys = keys.collect::<Vec<_>>().join(" ");
            let from = self.begin.elapsed().as_millis();
            let mut abandoned = Abandoned(Some(self));
            tokio::time::sleep(self.duration).await;
            for example in &examples {
                self.signature.check_inputs(&example.tensors).unwrap();
            }
            let results = examples
                .iter()
                .map(|example| self.result(example))
                .collect();
            abandoned.0 = None;
            self.log(&format!("[{keys}] {from}-"));
            results
        })
    }
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if let Some(fake) = self.0 {
            fake.log("abandoned at ");
        }
    }
}
