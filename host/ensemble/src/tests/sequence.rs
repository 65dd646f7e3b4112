//! Ensembles of fake steps: what compiles, what does not, and how a call walks.

use crate::{Ensemble, Metrics, Plan, PlannedStep, Step};
use consort_inference::{
    BoxFuture, Call, Datatype, Dim, Endpoint, Example, Failure, FailureKind, ModelId, Outcome,
    Signature, Stage, StageKind, TenantId, Tensor, TensorSpec, Tensors,
};
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// Runs `f` on the number in tensor `from` and calls the result `to`.
struct Fake {
    stage: Stage,
    id: ModelId,
    signature: Signature,
    answers: Vec<TensorSpec>,
    f: fn(i64) -> Result<Behave, FailureKind>,
}

enum Behave {
    Forward(i64),
    Answer(i64),
    ForgetOutput,
    LoseExample,
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
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut results = Vec::new();
            for example in examples {
                self.signature.check_inputs(&example.tensors).unwrap();
                let input = &self.signature.inputs[0].name;
                let x = example
                    .tensors
                    .tensor(input)
                    .unwrap()
                    .to_vec::<i64>()
                    .unwrap()[0];
                let output = |specs: &[TensorSpec], y| {
                    Tensors::from_named([(specs[0].name.clone(), number(y))]).unwrap()
                };
                results.push(match (self.f)(x) {
                    Ok(Behave::Forward(y)) => {
                        Ok(Outcome::Forward(output(&self.signature.outputs, y)))
                    }
                    Ok(Behave::Answer(y)) => Ok(Outcome::Answer(output(&self.answers, y))),
                    Ok(Behave::ForgetOutput) => Ok(Outcome::Forward(Tensors::new())),
                    Ok(Behave::LoseExample) => continue,
                    Err(kind) => Err(Failure::new(self.stage.clone(), kind, "said no")),
                });
            }
            results
        })
    }
}

fn number(x: i64) -> Tensor {
    Tensor::from_slice(vec![1], &[x]).unwrap()
}

fn spec(name: &str) -> TensorSpec {
    TensorSpec::new(name, Datatype::Int64, vec![Some(1)])
}

fn fake(
    kind: StageKind,
    name: &str,
    from: &str,
    to: &str,
    f: fn(i64) -> Result<Behave, FailureKind>,
) -> Fake {
    Fake {
        stage: Stage::new(kind, name),
        id: ModelId::new(name, "1"),
        signature: Signature {
            inputs: vec![spec(from)],
            outputs: vec![spec(to)],
        },
        answers: vec![],
        f,
    }
}

fn planned(fake: Fake) -> PlannedStep {
    PlannedStep::new(fake.stage.name.clone(), Arc::new(fake))
}

fn compile(steps: Vec<PlannedStep>) -> Result<Ensemble, String> {
    let plan = Plan::new(ModelId::new("sum", "7"), steps);
    let metrics = Metrics::register(&mut Registry::default());
    Ensemble::compile(plan, &metrics).map_err(|error| error.to_string())
}

fn pre(f: fn(i64) -> Result<Behave, FailureKind>) -> Fake {
    fake(StageKind::Preprocess, "pre", "text", "x", f)
}

fn model() -> Fake {
    fake(StageKind::Inference, "model", "x", "y", |x| {
        Ok(Behave::Forward(x + 1))
    })
}

fn post() -> Fake {
    fake(StageKind::Postprocess, "post", "y", "label", |y| {
        Ok(Behave::Forward(y * 10))
    })
}

fn examples(values: &[i64]) -> Vec<Example> {
    let example = |(i, x): (usize, &i64)| Example {
        tenant: TenantId::default(),
        key: Some(i.to_string().into()),
        tensors: Tensors::from_named([("text".into(), number(*x))]).unwrap(),
    };
    values.iter().enumerate().map(example).collect()
}

/// Each result as `label by model` or `stage: kind`.
async fn run(ensemble: &Ensemble, values: &[i64]) -> Vec<String> {
    let results = ensemble.infer(examples(values), Call::default()).await;
    let text = |(i, result): (usize, Result<consort_inference::Prediction, Failure>)| match result {
        Ok(prediction) => {
            assert_eq!(prediction.key.as_deref(), Some(i.to_string().as_str()));
            let label = prediction
                .outputs
                .tensor("label")
                .unwrap()
                .to_vec::<i64>()
                .unwrap()[0];
            format!("{label} by {}", prediction.model_id)
        }
        Err(failure) => format!("{}: {}", failure.stage.kind, failure.kind),
    };
    results.into_iter().enumerate().map(text).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sequence_carries_the_model_that_made_it() {
    let ensemble = compile(vec![
        planned(pre(|x| Ok(Behave::Forward(x)))),
        planned(model()),
        planned(post()),
    ])
    .unwrap();
    assert_eq!(
        run(&ensemble, &[1, 2]).await,
        ["20 by model:1", "30 by model:1"]
    );
    assert_eq!(ensemble.signature().inputs, [spec("text")]);
    assert_eq!(ensemble.signature().outputs, [spec("label")]);
    let stats = ensemble.step_stats();
    assert_eq!(stats[1].2.examples, 2);
    assert_eq!(stats[1].2.elapsed, Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_skips_the_rest_and_a_failure_harms_no_other() {
    let mut first = pre(|x| match x {
        0 => Ok(Behave::Answer(-1)),
        1 => Err(FailureKind::InvalidArgument),
        _ => Ok(Behave::Forward(x)),
    });
    first.answers = vec![spec("label")];
    let ensemble = compile(vec![planned(first), planned(model()), planned(post())]).unwrap();
    assert_eq!(
        run(&ensemble, &[0, 1, 2]).await,
        [
            "-1 by pre:1",
            "preprocess: invalid_argument",
            "30 by model:1"
        ]
    );
    let (_, _, stats) = &ensemble.step_stats()[0];
    assert_eq!((stats.examples, stats.answers, stats.failures), (3, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_the_plugins_fault() {
    let mut first = pre(|_| Ok(Behave::Answer(0)));
    first.answers = vec![spec("other")];
    let steps = vec![planned(first), planned(model()), planned(post())];
    let error = compile(steps).err().unwrap();
    assert_eq!(
        error,
        "step \"pre\": it answers by itself, but without the ensemble's output \"label\" (INT64 [1])\n\
         step \"pre\": it answers with \"other\", which is no output of the ensemble"
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_that_breaks_its_promise_fails_alone() {
    let forgetful = pre(|x| {
        if x == 0 {
            Ok(Behave::ForgetOutput)
        } else {
            Ok(Behave::Forward(x))
        }
    });
    let ensemble = compile(vec![planned(forgetful), planned(model()), planned(post())]).unwrap();
    assert_eq!(
        run(&ensemble, &[0, 1]).await,
        ["preprocess: plugin_contract", "20 by model:1"]
    );
    let losing = pre(|x| {
        if x == 0 {
            Ok(Behave::LoseExample)
        } else {
            Ok(Behave::Forward(x))
        }
    });
    let ensemble = compile(vec![planned(losing), planned(model()), planned(post())]).unwrap();
    assert_eq!(
        run(&ensemble, &[0, 1]).await,
        ["preprocess: internal", "preprocess: internal"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_fit_is_refused_before_any_step() {
    let ensemble = compile(vec![planned(model()), planned(post())]).unwrap();
    let results = ensemble.infer(examples(&[1]), Call::default()).await;
    let failure = results[0].as_ref().unwrap_err();
    assert_eq!(
        failure.to_string(),
        "request \"sum\": tensor \"x\" is missing; INT64 [1] is expected"
    );
    assert_eq!(ensemble.step_stats()[0].2.calls, 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_after_the_deadline() {
    let ensemble = compile(vec![
        planned(pre(|x| Ok(Behave::Forward(x)))),
        planned(model()),
        planned(post()),
    ])
    .unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_micros(1500);
    let call = Call {
        deadline: Some(deadline.into_std()),
        ..Call::default()
    };
    let results = ensemble.infer(examples(&[1]), call).await;
    let failure = results[0].as_ref().unwrap_err();
    assert_eq!(
        (failure.stage.kind, failure.kind),
        (StageKind::Postprocess, FailureKind::DeadlineExceeded)
    );
}

#[test]
fn every_mismatch_is_reported_with_its_step() {
    let mut wrong_type = fake(StageKind::Postprocess, "post", "y", "label", |y| {
        Ok(Behave::Forward(y))
    });
    wrong_type.signature.inputs = vec![
        TensorSpec::new("y", Datatype::Fp32, vec![Some(1)]),
        TensorSpec::new("text", Datatype::Int64, vec![None, None] as Vec<Dim>),
    ];
    let mut renamed = planned(fake(StageKind::Inference, "model", "bytes", "y", |x| {
        Ok(Behave::Forward(x))
    }));
    renamed.inputs = vec![("byts".into(), "x".into())];
    let error = compile(vec![
        planned(pre(|x| Ok(Behave::Forward(x)))),
        renamed,
        planned(wrong_type),
    ]);
    assert_eq!(
        error.err().unwrap(),
        "step \"model\": it has no input \"byts\"\n\
         step \"model\": it needs a tensor \"bytes\" (INT64 [1]), which neither the request nor another step gives\n\
         step \"post\": tensor \"y\" is INT64, FP32 is expected; it comes from step \"model\"\n\
         step \"post\": tensor \"text\" has shape [1], [-1, -1] is expected; it comes from the request"
    );
}

#[tokio::test(start_paused = true)]
async fn renames_connect_steps() {
    let mut step = planned(fake(StageKind::Inference, "model", "in", "out", |x| {
        Ok(Behave::Forward(x + 1))
    }));
    step.inputs = vec![("in".into(), "x".into())];
    step.outputs = vec![("out".into(), "y".into())];
    let ensemble = compile(vec![
        planned(pre(|x| Ok(Behave::Forward(x)))),
        step,
        planned(post()),
    ])
    .unwrap();
    assert_eq!(run(&ensemble, &[4]).await, ["50 by model:1"]);
}

#[test]
fn a_missing_tensor_names_the_rename_that_would_do() {
    let step = planned(fake(StageKind::Inference, "model", "in", "y", |x| {
        Ok(Behave::Forward(x))
    }));
    let mut other = pre(|x| Ok(Behave::Forward(x)));
    other.signature.inputs[0].datatype = Datatype::Bytes;
    let plan = Plan::new(ModelId::new("sum", "1"), vec![planned(other), step]);
    let error = Ensemble::compile(plan, &Metrics::register(&mut Registry::default()))
        .err()
        .unwrap();
    assert_eq!(
        error.problems[0].help.as_deref(),
        Some("write inputs = { in = \"x\" } in this step")
    );
}

proptest! {
    #[test]
    fn one_result_per_example_in_order(values in proptest::collection::vec(0i64..6, 0..20)) {
        let mut first = pre(|x| match x {
            0 => Ok(Behave::Answer(0)),
            1 => Err(FailureKind::PluginTrapped),
            2 => Ok(Behave::ForgetOutput),
            _ => Ok(Behave::Forward(x)),
        });
        first.answers = vec![spec("label")];
        let ensemble = compile(vec![planned(first), planned(model()), planned(post())]).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let expected: Vec<String> = values.iter().map(|x| match x {
            0 => "0 by pre:1".to_owned(),
            1 => "preprocess: plugin_trapped".to_owned(),
            2 => "preprocess: plugin_contract".to_owned(),
            x => format!("{} by model:1", (x + 1) * 10),
        }).collect();
        prop_assert_eq!(runtime.block_on(run(&ensemble, &values)), expected);
    }
}
