//! One crossing: examples of one tenant into one instance, and their results out.

use crate::limits::Limit;
use crate::logs::excerpt;
use crate::plugin::Core;
use crate::pool::Live;
use crate::role::Role;
use crate::state::{Budget, State, begin_call};
use crate::trap::CallError;
use crate::wire::{WireError, WireExample, WireNamedTensor, WireOutcome};
use consort_inference::{
    Example, Failure, FailureKind, Outcome, Signature, Stage, TenantId, Tensors,
};
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::component::{ComponentType, Lift, Resource, TypedFunc};

/// A role as it is called: its function, and what becomes of its results.
pub(crate) trait RoleCall: Send + Sync + 'static {
    /// One result, as the contract passes it.
    type Wire: ComponentType + Lift + Send + Sync + 'static;
    /// One result, as the host uses it.
    type Output: Send + 'static;
    const ROLE: Role;

    /// What the role reads.
    fn signature(core: &Core) -> Option<&Signature>;

    /// The role's function in an instance, looked up when first used.
    fn func(core: &Core, live: &mut Live) -> wasmtime::Result<ProcessFunc<Self::Wire>>;

    /// Takes the tensors of one result out of the store and checks them; the error says
    /// what breaks the contract.
    fn output(core: &Core, state: &mut State, wire: Self::Wire) -> Result<Self::Output, String>;
}

pub(crate) type ProcessFunc<W> = TypedFunc<(Vec<WireExample>,), (Vec<Result<W, WireError>>,)>;

/// The role `preprocess`.
pub(crate) struct Preprocess;
/// The role `postprocess`.
pub(crate) struct Postprocess;

type Results<R> = Vec<Result<<R as RoleCall>::Output, Failure>>;

/// Calls a role with examples that fit its signature and belong to `tenant`. All fail
/// together, or each has its own result.
pub(crate) async fn call_role<R: RoleCall>(
    core: &Core,
    tenant: &TenantId,
    examples: &[Example],
    deadline: Option<Instant>,
) -> Result<Results<R>, CallError> {
    let begun = Instant::now();
    let result = cross::<R>(core, tenant, examples, deadline).await;
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
    deadline: Option<Instant>,
) -> Result<Results<R>, CallError> {
    let inputs = R::signature(core).map_or(0, |signature| signature.inputs.len());
    let inputs = inputs * examples.len();
    let mut live = core.instance(tenant, deadline, inputs).await?;
    let ends_at = live.store.data().ends_at();
    let crossing = async {
        let func = R::func(core, &mut live)?;
        let wire = lend(&mut live, examples, R::signature(core));
        func.call_async(&mut live.store, (wire,)).await
    };
    let returned = match tokio::time::timeout_at(ends_at, crossing).await {
        Ok(Ok((returned,))) => returned,
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
    let results = take_results::<R>(core, state, examples, returned)?;
    core.keep(tenant, live);
    Ok(results)
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
    let bytes_max = core.share().limits.message_bytes_max;
    let fail =
        |kind, message: &str| Failure::new(core.stage(R::ROLE), kind, excerpt(message, bytes_max));
    let each = |wire| match wire {
        Ok(wire) => R::output(core, state, wire)
            .map_err(|message| fail(FailureKind::PluginContract, &message)),
        Err(WireError::InvalidInput(text)) => Err(fail(FailureKind::InvalidArgument, &text)),
        Err(WireError::Failed(text)) => Err(fail(FailureKind::PluginFailed, &text)),
    };
    Ok(returned.into_iter().map(each).collect())
}

/// Takes named tensors out of the store and checks them against what the role promises.
fn take_tensors(
    state: &mut State,
    promised: &Signature,
    named: Vec<WireNamedTensor>,
) -> Result<Tensors, String> {
    let mut taken = Vec::with_capacity(named.len());
    for entry in named {
        let tensor = state.tensors.take(entry.tensor.rep());
        let tensor = tensor.ok_or_else(|| "a returned handle belongs to no tensor".to_owned())?;
        // The promised name is shared by all results; the guest's own is dropped.
        let specs = &promised.outputs;
        let known = specs.iter().find(|spec| spec.name == entry.name);
        taken.push((known.map_or(entry.name, |spec| spec.name.clone()), tensor));
    }
    let tensors = Tensors::from_named(taken).map_err(|error| error.to_string())?;
    promised
        .check_outputs(&tensors)
        .map_err(|mismatch| mismatch.to_string())?;
    Ok(tensors)
}

// === impl Preprocess ===

impl RoleCall for Preprocess {
    type Wire = WireOutcome;
    type Output = Outcome;
    const ROLE: Role = Role::Preprocess;

    fn signature(core: &Core) -> Option<&Signature> {
        core.preprocess().map(|description| &description.signature)
    }

    fn func(core: &Core, live: &mut Live) -> wasmtime::Result<ProcessFunc<WireOutcome>> {
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
                take_tensors(state, &description.signature, named).map(Outcome::Forward)
            }
            WireOutcome::Answer(_) if description.answers.is_empty() => {
                Err("the plugin answered, but its description lists no answers".to_owned())
            }
            WireOutcome::Answer(named) => take_tensors(state, core.answers(), named)
                .map(Outcome::Answer)
                .map_err(|message| format!("in an answer: {message}")),
        }
    }
}

// === impl Postprocess ===

impl RoleCall for Postprocess {
    type Wire = Vec<WireNamedTensor>;
    type Output = Tensors;
    const ROLE: Role = Role::Postprocess;

    fn signature(core: &Core) -> Option<&Signature> {
        core.postprocess()
    }

    fn func(core: &Core, live: &mut Live) -> wasmtime::Result<ProcessFunc<Self::Wire>> {
        if let Some(func) = &live.postprocess {
            return Ok(*func);
        }
        let index = core.process_index(Role::Postprocess)?;
        let func = live.instance.get_typed_func(&mut live.store, index)?;
        live.postprocess = Some(func);
        Ok(func)
    }

    fn output(core: &Core, state: &mut State, wire: Self::Wire) -> Result<Tensors, String> {
        let signature = core.postprocess().ok_or("the role is not described")?;
        take_tensors(state, signature, wire)
    }
}

impl Core {
    /// The stage that failures of a role belong to.
    pub(crate) fn stage(&self, role: Role) -> Stage {
        let name: Arc<str> = self.share().name.as_str().into();
        Stage::new(role.stage(), name)
    }

    /// An instance for a tenant, ready for a call of the given budget: an idle one of
    /// the same tenant, or a fresh one.
    async fn instance(
        &self,
        tenant: &TenantId,
        deadline: Option<Instant>,
        inputs: usize,
    ) -> Result<Live, CallError> {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(CallError::Deadline(
                "the caller's deadline passed before the call began".to_owned(),
            ));
        }
        let pool = &self.recipe.sandbox.pool;
        if self.reuses()
            && let Some(mut live) = pool.take(self.key, tenant)
        {
            let budget = Budget::of_call(self.share(), Instant::now(), deadline);
            begin_call(&mut live.store, Some(tenant), budget, inputs);
            return Ok(live);
        }
        let permit = match deadline {
            None => pool.permit().await,
            Some(deadline) => tokio::time::timeout_at(deadline, pool.permit())
                .await
                .map_err(|_| {
                    CallError::Deadline(
                        "the caller's deadline passed while waiting for a free plugin instance \
                         (instances_max)"
                            .to_owned(),
                    )
                })?,
        };
        self.recipe
            .fresh(permit, Some(tenant), deadline, inputs)
            .await
    }

    /// Gives an instance back after a call that went well. One that kept tensors would
    /// keep them for ever, so it ends here.
    fn keep(&self, tenant: &TenantId, live: Live) {
        if self.reuses() && live.store.data().tensors.len() == 0 {
            self.recipe
                .sandbox
                .pool
                .keep(self.key, Some(tenant.clone()), live);
        }
    }
}
