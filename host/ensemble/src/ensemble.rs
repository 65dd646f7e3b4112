//! A compiled ensemble and how a call walks through it.

use crate::compile::{Compiled, CompiledStep, compile};
use crate::metrics::{EnsembleLabels, ExampleLabels, FailureLabels, Metrics, StepLabels};
use crate::stats::{StepStats, Totals};
use crate::{CompileError, Plan};
use consort_inference::{
    BoxFuture, Call, Endpoint, Example, Failure, FailureKind, Key, ModelId, Origin, Outcome,
    Prediction, Signature, Stage, StageKind, TenantId, Tensors,
};
use prometheus_client::metrics::histogram::Histogram;
use std::sync::Arc;
use tokio::time::Instant;

/// A checked sequence of steps that answers examples.
pub struct Ensemble {
    id: ModelId,
    platform: String,
    has_batch_axis: bool,
    signature: Signature,
    steps: Vec<RunningStep>,
    duration: Histogram,
    metrics: Metrics,
}

/// A step with what it measures, looked up once.
struct RunningStep {
    compiled: CompiledStep,
    duration: Histogram,
    totals: Totals,
}

/// One example on its way.
struct Traveller {
    key: Option<Key>,
    tenant: TenantId,
    /// The tensors it came with, where the caller wants them back.
    example: Option<Tensors>,
    state: State,
}

enum State {
    /// Between steps: the tensors that later steps may need, and who made the last.
    Live {
        tensors: Tensors,
        made_by: Option<Origin>,
    },
    /// Arrived, well or badly.
    Done(Result<Prediction, Failure>),
}

// === impl Ensemble ===

impl Ensemble {
    /// Checks that all tensors fit; reports everything that does not.
    pub fn compile(plan: Plan, metrics: &Metrics) -> Result<Self, CompileError> {
        let Compiled { steps, signature } = compile(plan.steps)?;
        let ensemble = plan.id.name.to_string();
        let running = |compiled: CompiledStep| {
            let labels = StepLabels {
                ensemble: ensemble.clone(),
                step: compiled.name.to_string(),
                stage: compiled.step.stage().kind.as_str(),
            };
            let duration = metrics.step_duration.get_or_create(&labels).clone();
            RunningStep {
                compiled,
                duration,
                totals: Totals::default(),
            }
        };
        let labels = EnsembleLabels {
            ensemble: ensemble.clone(),
        };
        Ok(Self {
            steps: steps.into_iter().map(running).collect(),
            duration: metrics.duration.get_or_create(&labels).clone(),
            id: plan.id,
            platform: plan.platform,
            has_batch_axis: plan.has_batch_axis,
            signature,
            metrics: metrics.clone(),
        })
    }

    /// Totals of each step so far, in order: its name, stage and numbers.
    pub fn step_stats(&self) -> Vec<(Arc<str>, StageKind, StepStats)> {
        let stats = |step: &RunningStep| {
            let name = step.compiled.name.clone();
            (
                name,
                step.compiled.step.stage().kind,
                step.totals.snapshot(),
            )
        };
        self.steps.iter().map(stats).collect()
    }

    async fn walk(&self, examples: Vec<Example>, call: Call) -> Vec<Result<Prediction, Failure>> {
        let begin = Instant::now();
        let mut travellers: Vec<Traveller> = examples
            .into_iter()
            .map(|example| self.admit(example, call.keep_example))
            .collect();
        for step in &self.steps {
            step.run(self, &mut travellers, &call).await;
        }
        self.count(&travellers);
        let results = travellers
            .into_iter()
            .map(|traveller| self.arrive(traveller))
            .collect();
        self.duration.observe(begin.elapsed().as_secs_f64());
        results
    }

    /// Counts what became of the examples: one look-up for each tenant and outcome.
    fn count(&self, travellers: &[Traveller]) {
        let mut counts: Vec<(&TenantId, &'static str, u64)> = Vec::new();
        for traveller in travellers {
            let (tenant, outcome) = (&traveller.tenant, traveller.state.outcome());
            match counts
                .iter_mut()
                .find(|(t, o, _)| *t == tenant && *o == outcome)
            {
                Some((_, _, count)) => *count += 1,
                None => counts.push((tenant, outcome, 1)),
            }
        }
        for (tenant, outcome, count) in counts {
            let (ensemble, tenant) = (self.id.name.to_string(), tenant.to_string());
            let labels = ExampleLabels {
                ensemble,
                tenant,
                outcome,
            };
            self.metrics.examples.get_or_create(&labels).inc_by(count);
        }
    }

    fn admit(&self, example: Example, keep: bool) -> Traveller {
        let kept = keep.then(|| example.tensors.clone());
        let state = match self.signature.check_inputs(&example.tensors) {
            Ok(()) => State::Live {
                tensors: example.tensors,
                made_by: None,
            },
            Err(mismatch) => State::Done(Err(Failure::new(
                Stage::new(StageKind::Request, self.id.name.clone()),
                FailureKind::InvalidArgument,
                mismatch.to_string(),
            ))),
        };
        Traveller {
            key: example.key,
            tenant: example.tenant,
            example: kept,
            state,
        }
    }

    /// The last step's tensors are the prediction.
    fn arrive(&self, traveller: Traveller) -> Result<Prediction, Failure> {
        match traveller.state {
            State::Live { tensors, made_by } => {
                let origin = made_by.unwrap_or_else(|| self.id.clone().into());
                Ok(Prediction {
                    example: traveller.example,
                    ..Prediction::new(traveller.key, tensors, origin)
                })
            }
            State::Done(Ok(prediction)) => Ok(Prediction {
                example: traveller.example,
                ..prediction
            }),
            State::Done(Err(failure)) => {
                self.report(&traveller.tenant, traveller.key.as_deref(), &failure);
                Err(failure)
            }
        }
    }

    fn report(&self, tenant: &TenantId, key: Option<&str>, failure: &Failure) {
        let (stage, kind) = (failure.stage.kind.as_str(), failure.kind.as_str());
        let fault = failure.kind.fault().as_str();
        tracing::info!(
            ensemble = %self.id.name, step = %failure.stage.name, stage, kind, fault, %tenant,
            key = key.unwrap_or_default(), message = %failure.message, "example failed"
        );
        let labels = FailureLabels {
            ensemble: self.id.name.to_string(),
            step: failure.stage.name.to_string(),
            tenant: tenant.to_string(),
            stage,
            kind,
            fault,
        };
        self.metrics.failures.get_or_create(&labels).inc();
    }
}

impl Endpoint for Ensemble {
    fn name(&self) -> &str {
        &self.id.name
    }

    fn version(&self) -> &str {
        &self.id.version
    }

    fn platform(&self) -> &str {
        &self.platform
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn has_batch_axis(&self) -> bool {
        self.has_batch_axis
    }

    fn is_ready(&self) -> bool {
        self.steps.iter().all(|step| step.compiled.step.is_ready())
    }

    fn infer(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        Box::pin(self.walk(examples, call))
    }
}

// === impl State ===

impl State {
    /// What is counted when the walk ends here.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Live { .. } => "predicted",
            Self::Done(Ok(_)) => "answered",
            Self::Done(Err(_)) => "failed",
        }
    }
}

// === impl RunningStep ===

impl RunningStep {
    /// Runs the step on every example that is still on its way.
    async fn run(&self, ensemble: &Ensemble, travellers: &mut [Traveller], call: &Call) {
        let (live, examples): (Vec<usize>, Vec<Example>) = travellers
            .iter()
            .enumerate()
            .filter_map(|(index, traveller)| Some((index, self.example(traveller)?)))
            .unzip();
        if live.is_empty() {
            return;
        }
        let begin = Instant::now();
        let count = live.len();
        let expired = call
            .deadline
            .is_some_and(|deadline| begin.into_std() >= deadline);
        let mut results = if expired {
            vec![
                Err(self.failure(
                    FailureKind::DeadlineExceeded,
                    "the deadline passed before this step"
                ));
                count
            ]
        } else {
            self.compiled.step.run(examples, self.call(call)).await
        };
        if results.len() != count {
            let message = format!("{} results came back for {count} examples", results.len());
            results = vec![Err(self.failure(FailureKind::Internal, &message)); count];
        }
        let elapsed = begin.elapsed();
        self.duration.observe(elapsed.as_secs_f64());
        let mut run = StepStats {
            examples: count as u64,
            calls: 1,
            elapsed,
            ..StepStats::default()
        };
        for (index, result) in live.into_iter().zip(results) {
            run.failures += u64::from(result.is_err());
            run.answers += u64::from(matches!(result, Ok(Outcome::Answer(_))));
            if let Some(traveller) = travellers.get_mut(index) {
                self.apply(ensemble, traveller, result);
            }
        }
        self.totals.add(run);
    }

    /// The call with this step's own arguments, where the caller gave none.
    fn call(&self, call: &Call) -> Call {
        let mut call = call.clone();
        if call.args.is_empty() {
            call.args = self.compiled.args.clone();
        }
        call
    }

    /// What the step gets to see of an example: its own inputs, under its own names.
    fn example(&self, traveller: &Traveller) -> Option<Example> {
        let State::Live { tensors, .. } = &traveller.state else {
            return None;
        };
        let mut inputs = Tensors::new();
        for (own, name) in &self.compiled.inputs {
            inputs.insert(own.clone(), tensors.tensor(name)?.clone());
        }
        Some(Example {
            tenant: traveller.tenant.clone(),
            key: traveller.key.clone(),
            tensors: inputs,
        })
    }

    fn apply(
        &self,
        ensemble: &Ensemble,
        traveller: &mut Traveller,
        result: Result<Outcome, Failure>,
    ) {
        let previous = std::mem::replace(
            &mut traveller.state,
            State::Live {
                tensors: Tensors::new(),
                made_by: None,
            },
        );
        let State::Live { tensors, made_by } = previous else {
            traveller.state = previous;
            return;
        };
        traveller.state = match result {
            Ok(Outcome::Forward(outputs)) => match self.forward(tensors, &outputs) {
                Ok(tensors) => State::Live {
                    tensors,
                    made_by: self.maker(made_by),
                },
                Err(failure) => State::Done(Err(failure)),
            },
            Ok(Outcome::Predicted(outputs, origin)) => match self.forward(tensors, &outputs) {
                Ok(tensors) => State::Live {
                    tensors,
                    made_by: Some(origin),
                },
                Err(failure) => State::Done(Err(failure)),
            },
            Ok(Outcome::Answer(answer)) => {
                State::Done(self.answer(ensemble, traveller.key.clone(), answer))
            }
            Err(failure) => State::Done(Err(failure)),
        };
    }

    /// Keeps what is still needed of the old tensors and adds the step's own.
    fn forward(&self, old: Tensors, outputs: &Tensors) -> Result<Tensors, Failure> {
        let needed = &self.compiled.needed_after;
        let mut kept = Tensors::new();
        for (name, tensor) in old.into_iter().filter(|(name, _)| needed.contains(name)) {
            kept.insert(name, tensor);
        }
        for (own, name) in self
            .compiled
            .outputs
            .iter()
            .filter(|(_, name)| needed.contains(name))
        {
            let tensor = outputs.tensor(own).ok_or_else(|| {
                let kind = match self.compiled.step.stage().kind {
                    StageKind::Inference => FailureKind::ModelContract,
                    _ => FailureKind::PluginContract,
                };
                self.failure(kind, &format!("the promised output \"{own}\" is missing"))
            })?;
            kept.insert(name.clone(), tensor.clone());
        }
        Ok(kept)
    }

    /// A prediction carries the id of the model that made it, not of the plugin that
    /// dressed it; with no model among the steps, the last plugin's.
    fn maker(&self, made_by: Option<Origin>) -> Option<Origin> {
        let step = &self.compiled.step;
        match (made_by, step.stage().kind) {
            (Some(earlier), StageKind::Preprocess | StageKind::Postprocess) => Some(earlier),
            _ => Some(step.model_id().clone().into()),
        }
    }

    fn answer(
        &self,
        ensemble: &Ensemble,
        key: Option<Key>,
        outputs: Tensors,
    ) -> Result<Prediction, Failure> {
        match ensemble.signature.check_outputs(&outputs) {
            Ok(()) => {
                let made_by = self.compiled.step.model_id().clone();
                Ok(Prediction::new(key, outputs, made_by))
            }
            Err(mismatch) => Err(self.failure(
                FailureKind::PluginContract,
                &format!("the answer does not fit the ensemble's outputs: {mismatch}"),
            )),
        }
    }

    fn failure(&self, kind: FailureKind, message: &str) -> Failure {
        Failure::new(self.compiled.step.stage().clone(), kind, message)
    }
}
