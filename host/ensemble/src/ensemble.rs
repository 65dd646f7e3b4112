//! A compiled ensemble.

use crate::compile::{Compiled, CompiledStep, Slot, compile};
use crate::inflight::Inflight;
use crate::metrics::{EnsembleLabels, ExampleLabels, FailureLabels, Metrics, StepLabels};
use crate::running::{Results, Run};
use crate::stats::{StepStats, Totals};
use crate::streams::Streams;
use crate::traveller::{End, Traveller};
use crate::walk::Walk;
use crate::{CompileError, Graph, Plan};
use consort_inference::{
    BoxFuture, Call, Endpoint, Example, Failure, FailureKind, ModelId, Outcome, Prediction,
    Signature, Stage, StageKind, StreamStates, TenantId,
};
use prometheus_client::metrics::histogram::Histogram;
use std::sync::Arc;
use tokio::time::Instant;

/// A checked graph of steps that answers examples.
pub struct Ensemble {
    pub(crate) id: ModelId,
    platform: String,
    has_batch_axis: bool,
    pub(crate) signature: Signature,
    graph: Graph,
    headers: Vec<Arc<str>>,
    states: Vec<Arc<dyn StreamStates>>,
    pub(crate) steps: Vec<RunningStep>,
    pub(crate) slots: Vec<Slot>,
    /// The ensemble's outputs and their slots.
    pub(crate) outputs: Vec<(Arc<str>, usize)>,
    pub(crate) inflight: Inflight,
    duration: Histogram,
    metrics: Metrics,
}

/// A step with what it measures, looked up once.
pub(crate) struct RunningStep {
    pub(crate) compiled: CompiledStep,
    duration: Histogram,
    totals: Totals,
}

// === impl Ensemble ===

impl Ensemble {
    /// Checks that all tensors fit; reports everything that does not.
    pub fn compile(plan: Plan, metrics: &Metrics) -> Result<Self, CompileError> {
        let (id, platform) = (plan.id.clone(), plan.platform.clone());
        let (has_batch_axis, limits) = (plan.has_batch_axis, plan.limits);
        let compiled = compile(plan)?;
        let ensemble = id.name.to_string();
        let running = |compiled: CompiledStep| {
            let labels = StepLabels {
                ensemble: ensemble.clone(),
                step: compiled.name.to_string(),
                stage: compiled.step.stage().kind.as_str(),
            };
            RunningStep {
                compiled,
                duration: metrics.step_duration.get_or_create(&labels).clone(),
                totals: Totals::default(),
            }
        };
        let Compiled {
            steps,
            slots,
            outputs,
            signature,
            graph,
        } = compiled;
        let steps: Vec<RunningStep> = steps.into_iter().map(running).collect();
        let labels = EnsembleLabels {
            ensemble: ensemble.clone(),
        };
        Ok(Self {
            headers: headers(&steps),
            states: states(&steps),
            steps,
            slots,
            outputs,
            signature,
            graph,
            inflight: Inflight::new(limits),
            duration: metrics.duration.get_or_create(&labels).clone(),
            id,
            platform,
            has_batch_axis,
            metrics: metrics.clone(),
        })
    }

    /// Totals of each step so far, in order: its name, stage and numbers.
    pub fn step_stats(&self) -> Vec<(Arc<str>, StageKind, StepStats)> {
        let stats = |step: &RunningStep| {
            let name = step.compiled.name.clone();
            let kind = step.compiled.step.stage().kind;
            (name, kind, step.totals.snapshot())
        };
        self.steps.iter().map(stats).collect()
    }

    /// What it is made of, for drawing.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Examples, and bytes of tensors, that are under way now.
    pub fn inflight(&self) -> (usize, usize) {
        self.inflight.now()
    }

    /// A failure of the ensemble itself, as opposed to one of a step.
    pub(crate) fn failure(&self, kind: FailureKind, message: String) -> Failure {
        let stage = Stage::new(StageKind::Request, self.id.name.clone());
        Failure::new(stage, kind, message)
    }

    /// Counts what became of the examples: one look-up for each tenant and outcome.
    pub(crate) fn count(&self, travellers: &[Traveller]) {
        let mut counts: Vec<(&TenantId, &'static str, u64)> = Vec::new();
        for traveller in travellers {
            let (tenant, outcome) = (&traveller.tenant, traveller.outcome());
            let mut known = counts.iter_mut();
            match known.find(|(t, o, _)| *t == tenant && *o == outcome) {
                Some((_, _, count)) => *count += 1,
                None => counts.push((tenant, outcome, 1)),
            }
        }
        for (tenant, outcome, count) in counts {
            let labels = ExampleLabels {
                ensemble: self.id.name.to_string(),
                tenant: tenant.to_string(),
                outcome,
            };
            self.metrics.examples.get_or_create(&labels).inc_by(count);
        }
    }

    /// Tells what failed of an example.
    pub(crate) fn report(&self, traveller: &Traveller) {
        let key = traveller.key.as_deref().unwrap_or_default();
        let tenant = &traveller.tenant;
        if let Some(End::Failed(failure)) = &traveller.end {
            let labels = self.labels(tenant, failure);
            let FailureLabels {
                stage, kind, fault, ..
            } = &labels;
            tracing::info!(
                ensemble = %self.id.name, step = %failure.stage.name, stage, kind, fault, %tenant,
                key, message = %failure.message, "example failed"
            );
            self.metrics.failures.get_or_create(&labels).inc();
            return;
        }
        for failure in traveller.partial() {
            let labels = self.labels(tenant, failure);
            let FailureLabels {
                stage, kind, fault, ..
            } = &labels;
            tracing::debug!(
                ensemble = %self.id.name, step = %failure.stage.name, stage, kind, fault, %tenant,
                key, message = %failure.message, "example goes on without an optional step"
            );
            self.metrics.partial.get_or_create(&labels).inc();
        }
    }

    fn labels(&self, tenant: &TenantId, failure: &Failure) -> FailureLabels {
        FailureLabels {
            ensemble: self.id.name.to_string(),
            step: failure.stage.name.to_string(),
            tenant: tenant.to_string(),
            stage: failure.stage.kind.as_str(),
            kind: failure.kind.as_str(),
            fault: failure.kind.fault().as_str(),
        }
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
        let mut needed = self.steps.iter().filter(|step| !step.compiled.optional);
        needed.all(|step| step.compiled.step.is_ready())
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
        mut call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        Box::pin(async move {
            let begin = Instant::now();
            let streams = Streams::of(&examples, &mut call, &self.states);
            streams.begin();
            let results = Walk::new(self, examples, &call).run().await;
            streams.end(&results);
            self.duration.observe(begin.elapsed().as_secs_f64());
            results
        })
    }
}

/// The states that any of the steps keeps.
fn states(steps: &[RunningStep]) -> Vec<Arc<dyn StreamStates>> {
    let all = steps.iter().flat_map(|step| step.compiled.step.states());
    all.cloned().collect()
}

/// The request headers that any of the steps reads, each once.
fn headers(steps: &[RunningStep]) -> Vec<Arc<str>> {
    let all = steps.iter().flat_map(|step| step.compiled.step.headers());
    let mut headers: Vec<Arc<str>> = all.cloned().collect();
    headers.sort_unstable();
    headers.dedup();
    headers
}

// === impl RunningStep ===

impl RunningStep {
    /// A failure of this step.
    pub(crate) fn failure(&self, kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure::new(self.compiled.step.stage().clone(), kind, message)
    }

    /// Counts a run that is over, and ends its span.
    pub(crate) fn count(&self, run: &Run, results: &Results) {
        let end = Instant::now();
        let elapsed = end.duration_since(run.begin);
        self.duration.observe(elapsed.as_secs_f64());
        let mut stats = StepStats {
            examples: results.len() as u64,
            calls: 1,
            elapsed,
            ..StepStats::default()
        };
        for result in results {
            stats.failures += u64::from(result.is_err());
            stats.answers += u64::from(matches!(result, Ok(Outcome::Answer(_))));
        }
        self.totals.add(stats);
        if let Some(span) = &run.span {
            let mut detail = format!("{} examples", stats.examples);
            for (count, what) in [(stats.failures, "failed"), (stats.answers, "answered")] {
                if count > 0 {
                    detail.push_str(&format!(", {count} {what}"));
                }
            }
            span.leave(end.into_std(), detail);
        }
    }
}
