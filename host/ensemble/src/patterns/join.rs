//! Running the members of a pattern, so that each example gets one result.

use super::Member;
use crate::Step;
use consort_inference::{
    Arm, Call, Example, Failure, FailureKind, Origin, Outcome, Stage, StageKind,
};
use futures_util::future::join_all;
use std::sync::Arc;
use tokio::time::Instant;

/// What becomes of one example.
pub(super) type StepResult = Result<Outcome, Failure>;

/// Runs a step. Where it does not give one result for one example, nobody knows whose they
/// are, and all fail.
pub(super) async fn run_counted(
    step: &dyn Step,
    examples: Vec<Example>,
    call: Call,
) -> Vec<StepResult> {
    let count = examples.len();
    if count == 0 {
        return Vec::new();
    }
    let results = run_traced(step, examples, call).await;
    if results.len() == count {
        return results;
    }
    let message = format!("it gave {} results for {count} examples", results.len());
    let failure = || Err(contract(step.stage(), message.clone()));
    (0..count).map(|_| failure()).collect()
}

/// Runs a step as a span of its own, where the call is traced.
async fn run_traced(step: &dyn Step, examples: Vec<Example>, mut call: Call) -> Vec<StepResult> {
    let Some(trace) = call.trace.take() else {
        return step.run(examples, call).await;
    };
    let detail = format!("{} examples", examples.len());
    let now = || Instant::now().into_std();
    let span = trace.enter(step.stage().name.clone(), step.drawing().kind, now());
    call.trace = Some(span.clone());
    let results = step.run(examples, call).await;
    span.leave(now(), detail);
    results
}

/// Runs each example on the member that `choose` picked for it (an index), every member
/// once with all its own and all at the same time; results in order. The member taken is
/// put down as an arm of `name`.
pub(super) async fn run_chosen(
    name: &Arc<str>,
    members: &[Member],
    chosen: &[usize],
    examples: Vec<Example>,
    call: Call,
) -> Vec<StepResult> {
    let mut shares: Vec<(Vec<usize>, Vec<Example>)> = Vec::new();
    shares.resize_with(members.len(), Default::default);
    let mut results: Vec<Option<StepResult>> = Vec::new();
    results.resize_with(examples.len(), || None);
    for (place, (example, member)) in examples.into_iter().zip(chosen).enumerate() {
        if let Some((places, share)) = shares.get_mut(*member) {
            places.push(place);
            share.push(example);
        }
    }
    let runs = members.iter().zip(shares).map(|(member, (places, share))| {
        let call = call.clone();
        async move {
            let outcomes = run_counted(&*member.step, share, call).await;
            let armed = outcomes
                .into_iter()
                .map(|outcome| outcome.map(|outcome| with_arm(outcome, name, member)));
            places.into_iter().zip(armed).collect::<Vec<_>>()
        }
    });
    for (place, result) in join_all(runs).await.into_iter().flatten() {
        if let Some(slot) = results.get_mut(place) {
            *slot = Some(result);
        }
    }
    let missing = || {
        let stage = Stage::new(StageKind::Request, name.clone());
        let message = "no way was chosen for this example, which is a defect of the host";
        Err(Failure::new(stage, FailureKind::Internal, message))
    };
    results
        .into_iter()
        .map(|result| result.unwrap_or_else(missing))
        .collect()
}

/// Puts down which way was taken, before what was taken inside of it.
pub(super) fn with_arm(outcome: Outcome, name: &Arc<str>, member: &Member) -> Outcome {
    let (tensors, mut origin) = match outcome {
        Outcome::Forward(tensors) => (tensors, Origin::from(member.step.model_id().clone())),
        Outcome::Predicted(tensors, origin) => (tensors, origin),
        // An answer carries no origin: it says whose it is by its own step.
        answer @ Outcome::Answer(_) => return answer,
    };
    let arm = Arm::new(name.clone(), member.name.clone());
    origin.arms.insert(0, arm);
    Outcome::Predicted(tensors, origin)
}

/// The failure of a step that did not keep its promise.
pub(super) fn contract(stage: &Stage, message: impl Into<String>) -> Failure {
    let kind = match stage.kind {
        StageKind::Inference => FailureKind::ModelContract,
        _ => FailureKind::PluginContract,
    };
    Failure::new(stage.clone(), kind, message)
}

/// Whether somebody else may well do what this failed to: neither the client's fault nor
/// out of time nor given up.
pub(super) fn worth_another_try(failure: &Failure) -> bool {
    use consort_inference::Fault;
    let over = matches!(
        failure.kind,
        FailureKind::DeadlineExceeded | FailureKind::Cancelled
    );
    failure.kind.fault() != Fault::Client && !over
}
