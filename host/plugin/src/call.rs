//! One crossing: examples of one tenant into one instance, and their results out.

use crate::columns::{self, RowError, single};
use crate::limits::Limit;
use crate::logs::excerpt;
use crate::plugin::Core;
use crate::pool::Live;
use crate::role::Role;
use crate::state::State;
use crate::trap::CallError;
use crate::wire::{WireError, WireExample, WireNamedTensor, WireOutcome, WireResults};
use consort_inference::{
    Call, Example, Failure, FailureKind, Outcome, Signature, Stage, TenantId, Tensors,
};
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower, Resource, TypedFunc};

/// A role as it is called: its function, and what becomes of its results.
pub(crate) trait RoleCall: Send + Sync + 'static {
    /// One result, as the contract passes it.
    type Wire: ComponentType + Lift + Send + Sync + 'static;
    /// One result, as the host uses it.
    type Output: Send + 'static;
    /// What the role's function takes.
    type Params: ComponentNamedList + Lower + Send + Sync + 'static;
    const ROLE: Role;
    /// In how many instances one tenant's examples of one call are worked on at a time.
    const SPREAD: usize = 1;

    /// What the role reads.
    fn signature(core: &Core) -> Option<&Signature>;

    /// The role's function in an instance, looked up when first used.
    fn func(
        core: &Core,
        live: &mut Live,
    ) -> wasmtime::Result<ProcessFunc<Self::Params, Self::Wire>>;

    /// Its arguments.
    fn params(examples: Vec<WireExample>, call: &Call) -> Self::Params;

    /// Takes the tensors of one result out of the store and checks them; the error says
    /// what breaks the contract.
    fn output(core: &Core, state: &mut State, wire: Self::Wire) -> Result<Self::Output, String>;

    /// What the role promises of the tensors that it sends on.
    fn promised(core: &Core) -> Option<&Signature> {
        Self::signature(core)
    }

    /// What kind of failure the role means when it says that it failed, if this can be told.
    fn said(_: &State, _message: &str) -> Option<FailureKind> {
        None
    }

    /// Completes the results of the examples that a guest has worked on.
    fn finish(_: &Core, _: &State, _: &[Example], _: &mut [Result<Self::Output, Failure>]) {}

    /// What it promises of its answers.
    fn answers(core: &Core) -> Option<&Signature>;

    /// Tensors that go on.
    fn forward(tensors: Tensors) -> Self::Output;

    /// Whether it may answer; the error says why not.
    fn may_answer(core: &Core) -> Result<(), String>;

    /// Tensors that answer.
    fn answer(tensors: Tensors) -> Self::Output;
}

pub(crate) type ProcessFunc<P, W> = TypedFunc<P, (Vec<Result<W, WireError>>,)>;

/// The role `preprocess`.
pub(crate) struct Preprocess;
/// The role `postprocess`.
pub(crate) struct Postprocess;

const NO_ANSWERS: &str = "the plugin answered, but its description lists no answers";

type Results<R> = Vec<Result<<R as RoleCall>::Output, Failure>>;

/// Calls a role with examples that fit its signature and belong to `tenant`. All fail
/// together, or each has its own result.
pub(crate) async fn call_role<R: RoleCall>(
    core: &Core,
    tenant: &TenantId,
    examples: &[Example],
    call: &Call,
) -> Result<Results<R>, CallError> {
    let begun = Instant::now();
    let result = cross::<R>(core, tenant, examples, call).await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) => error.kind().as_str(),
    };
    let metrics = &core.share().metrics;
    metrics.call_done(R::ROLE, tenant, outcome, begun.elapsed());
    if let Err(error) = &result {
        let limit = error.limit_reached();
        if let Some(limit) = limit {
            metrics.limit_hit(Some(tenant), limit);
        }
        tracing::warn!(
            target: "consort::plugin",
            plugin = %core.share().name,
            tenant = tenant.as_str(),
            role = R::ROLE.as_str(),
            kind = outcome,
            limit = limit.map(Limit::as_str),
            examples = examples.len(),
            message = error.message(),
            "a call into a plugin ended without results"
        );
    }
    result
}

async fn cross<R: RoleCall>(
    core: &Core,
    tenant: &TenantId,
    examples: &[Example],
    call: &Call,
) -> Result<Results<R>, CallError> {
    let inputs = R::signature(core).map_or(0, |signature| signature.inputs.len());
    let inputs = inputs * examples.len();
    let asked = Instant::now();
    let mut live = core.ready_instance(tenant, call, inputs).await?;
    let entered = Instant::now();
    let ends_at = live.store.data().ends_at();
    let columns = columns::size::<R>(core, examples);
    let crossing = async {
        if let Some(size) = columns {
            let func = columns::func::<R>(core, &mut live)?;
            let mut parts = Vec::with_capacity(examples.len().div_ceil(size));
            for part in examples.chunks(size) {
                let wire = columns::lend::<R>(core, &mut live, part)?;
                let (results,) = func.call_async(&mut live.store, wire).await?;
                parts.push(results);
            }
            return Ok(Returned::Columns(size, parts));
        }
        let func = R::func(core, &mut live)?;
        let wire = lend(&mut live, examples, R::signature(core));
        let params = R::params(wire, call);
        let (results,) = func.call_async(&mut live.store, params).await?;
        Ok(Returned::Each(results))
    };
    let crossed = tokio::time::timeout_at(ends_at, crossing).await;
    if let Some(trace) = &call.trace {
        let [asked, entered, left] = [asked, entered, Instant::now()].map(Instant::into_std);
        trace.span("an instance", "instance", asked, entered, "");
        let detail = format!("{} examples", examples.len());
        trace.span(R::ROLE.as_str(), "guest", entered, left, detail);
    }
    let returned = match crossed {
        Ok(Ok(returned)) => returned,
        failed => {
            let state = live.store.data();
            // Before the reason is read: what the guest wrote last may explain it.
            state.log.end_call();
            return Err(match failed {
                Ok(Err(error)) => CallError::of(&error, state),
                _ => CallError::timed_out(state),
            });
        }
    };
    let state = live.store.data_mut();
    state.log.end_call();
    if let Some(limit) = state.refused() {
        // The guest was told and went on; whoever runs the host wants to know too.
        core.share().metrics.limit_hit(Some(tenant), limit);
    }
    let mut results = match returned {
        Returned::Each(results) => take_results::<R>(core, state, examples, results),
        Returned::Columns(size, parts) => {
            take_columns::<R>(core, state, examples.chunks(size), parts)
        }
    }?;
    R::finish(core, state, examples, &mut results);
    core.give_back(tenant, live);
    Ok(results)
}

/// What came back, by the way the examples went in.
enum Returned<W> {
    Each(Vec<Result<W, WireError>>),
    /// So many examples each, the last of what is left.
    Columns(usize, Vec<WireResults>),
}

/// Puts the examples' tensors into the store and makes the guest's list of handles.
fn lend(live: &mut Live, examples: &[Example], signature: Option<&Signature>) -> Vec<WireExample> {
    let state = live.store.data_mut();
    let specs = signature.map_or(&[][..], |signature| &signature.inputs);
    let lend_one = |example: &Example| WireExample {
        key: example.key.clone(),
        tensors: specs
            .iter()
            .filter_map(|spec| {
                let tensor = example.tensors.tensor(&spec.name)?.clone();
                Some(WireNamedTensor {
                    name: spec.name.clone(),
                    tensor: Resource::new_own(state.tensors.lend(tensor)),
                })
            })
            .collect(),
    };
    examples.iter().map(lend_one).collect()
}

/// Counts the results and checks each. Only the count concerns all of them.
fn take_results<R: RoleCall>(
    core: &Core,
    state: &mut State,
    examples: &[Example],
    returned: Vec<Result<R::Wire, WireError>>,
) -> Result<Results<R>, CallError> {
    if returned.len() != examples.len() {
        return Err(CallError::Contract(format!(
            "{} results were returned for {} examples; exactly one for each is expected",
            returned.len(),
            examples.len()
        )));
    }
    let mut each = |wire| {
        let taken = match wire {
            Ok(wire) => R::output(core, state, wire).map_err(RowError::Contract),
            Err(error) => Err(RowError::Guest(error)),
        };
        taken.map_err(|error| failure::<R>(core, state, error))
    };
    Ok(returned.into_iter().map(&mut each).collect())
}

/// The same for what came back as columns, part by part.
fn take_columns<'a, R: RoleCall>(
    core: &Core,
    state: &mut State,
    examples: impl Iterator<Item = &'a [Example]>,
    returned: Vec<WireResults>,
) -> Result<Results<R>, CallError> {
    let mut results = Vec::new();
    for (examples, returned) in examples.zip(returned) {
        let rows = columns::take::<R>(core, state, examples.len(), returned);
        let rows = rows.map_err(CallError::Contract)?.into_iter();
        results.extend(rows.map(|row| row.map_err(|error| failure::<R>(core, state, error))));
    }
    Ok(results)
}

fn failure<R: RoleCall>(core: &Core, state: &State, error: RowError) -> Failure {
    let (kind, message) = match error {
        RowError::Contract(message) => (FailureKind::PluginContract, message),
        RowError::Guest(WireError::InvalidInput(text)) => (FailureKind::InvalidArgument, text),
        RowError::Guest(WireError::Failed(text)) => {
            let kind = R::said(state, &text).unwrap_or(FailureKind::PluginFailed);
            (kind, text)
        }
    };
    let bytes_max = core.share().limits.message_bytes_max;
    Failure::new(core.stage(R::ROLE), kind, excerpt(&message, bytes_max))
}

// === impl Preprocess ===

impl RoleCall for Preprocess {
    type Wire = WireOutcome;
    type Output = Outcome;
    type Params = (Vec<WireExample>,);
    const ROLE: Role = Role::Preprocess;

    fn signature(core: &Core) -> Option<&Signature> {
        core.preprocess().map(|description| &description.signature)
    }

    fn params(examples: Vec<WireExample>, _: &Call) -> Self::Params {
        (examples,)
    }

    fn func(
        core: &Core,
        live: &mut Live,
    ) -> wasmtime::Result<ProcessFunc<Self::Params, Self::Wire>> {
        if let Some(func) = &live.preprocess {
            return Ok(*func);
        }
        let index = core.process_index(Role::Preprocess)?;
        let func = live.instance.get_typed_func(&mut live.store, index)?;
        live.preprocess = Some(func);
        Ok(func)
    }

    fn output(core: &Core, state: &mut State, wire: WireOutcome) -> Result<Outcome, String> {
        let description = core.preprocess().ok_or("the role is not described")?;
        match wire {
            WireOutcome::Forward(named) => {
                single(state, Some(&description.signature), named).map(Outcome::Forward)
            }
            WireOutcome::Answer(_) if description.answers.is_empty() => Err(NO_ANSWERS.to_owned()),
            WireOutcome::Answer(named) => single(state, Some(core.answers()), named)
                .map(Outcome::Answer)
                .map_err(|message| format!("in an answer: {message}")),
        }
    }

    fn answers(core: &Core) -> Option<&Signature> {
        Some(core.answers())
    }

    fn forward(tensors: Tensors) -> Outcome {
        Outcome::Forward(tensors)
    }

    fn may_answer(core: &Core) -> Result<(), String> {
        match core.answers().outputs.is_empty() {
            true => Err(NO_ANSWERS.to_owned()),
            false => Ok(()),
        }
    }

    fn answer(tensors: Tensors) -> Outcome {
        Outcome::Answer(tensors)
    }
}

// === impl Postprocess ===

impl RoleCall for Postprocess {
    type Wire = Vec<WireNamedTensor>;
    type Output = Tensors;
    type Params = (Vec<WireExample>,);
    const ROLE: Role = Role::Postprocess;

    fn signature(core: &Core) -> Option<&Signature> {
        core.postprocess()
    }

    fn params(examples: Vec<WireExample>, _: &Call) -> Self::Params {
        (examples,)
    }

    fn func(
        core: &Core,
        live: &mut Live,
    ) -> wasmtime::Result<ProcessFunc<Self::Params, Self::Wire>> {
        if let Some(func) = &live.postprocess {
            return Ok(*func);
        }
        let index = core.process_index(Role::Postprocess)?;
        let func = live.instance.get_typed_func(&mut live.store, index)?;
        live.postprocess = Some(func);
        Ok(func)
    }

    fn output(core: &Core, state: &mut State, wire: Self::Wire) -> Result<Tensors, String> {
        single(state, core.postprocess(), wire)
    }

    fn answers(_: &Core) -> Option<&Signature> {
        None
    }

    fn forward(tensors: Tensors) -> Tensors {
        tensors
    }

    fn may_answer(_: &Core) -> Result<(), String> {
        Err("only a pre-processor may answer".to_owned())
    }

    fn answer(tensors: Tensors) -> Tensors {
        tensors
    }
}

impl Core {
    /// The stage that failures of a role belong to.
    pub(crate) fn stage(&self, role: Role) -> Stage {
        let name: Arc<str> = self.share().name.as_str().into();
        Stage::new(role.stage(), name)
    }
}
