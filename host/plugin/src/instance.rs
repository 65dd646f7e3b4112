//! Making instances: what a component needs to become one, and the two steps to it.

use crate::engine::Sandbox;
use crate::limits::Limit;
use crate::logs::excerpt;
use crate::plugin::Core;
use crate::pool::{Live, Permit};
use crate::role::Role;
use crate::state::{Budget, PluginShare, State, begin_call};
use crate::trap::CallError;
use consort_inference::{Call, TenantId};
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::component::{ComponentExportIndex, InstancePre};

/// What makes instances of one component.
pub(crate) struct Recipe {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) share: Arc<PluginShare>,
    pub(crate) pre: InstancePre<State>,
    pub(crate) init: ComponentExportIndex,
    /// Set where no snapshot could be taken: what each instance's `init` gets.
    pub(crate) init_each: Option<String>,
}

// === impl Recipe ===

impl Recipe {
    /// A new instance, ready for a call with `inputs` tensors. It is initialised, unless
    /// it comes from a snapshot and is so already.
    pub(crate) async fn fresh(
        &self,
        permit: Permit,
        tenant: Option<&TenantId>,
        deadline: Option<Instant>,
        inputs: usize,
    ) -> Result<Live, CallError> {
        let begun = Instant::now();
        let call = Budget::of_call(&self.share, begun, deadline);
        let live = match &self.init_each {
            None => self.instantiate(permit, tenant, call, inputs).await?,
            Some(config) => {
                let budget = Budget::of_init(&self.share, begun, deadline);
                let mut live = self.instantiate(permit, tenant, budget, inputs).await?;
                let agreed = self.init(&mut live, config, budget).await?;
                agreed.map_err(|text| {
                    let bytes_max = self.share.limits.message_bytes_max;
                    let text = excerpt(&text, bytes_max);
                    CallError::Trapped(format!("init refused, having agreed at load: {text}"))
                })?;
                let call = Budget::of_call(&self.share, Instant::now(), deadline);
                begin_call(&mut live.store, tenant, call, inputs);
                live
            }
        };
        self.share.metrics.instantiated(begun.elapsed());
        Ok(live)
    }

    /// The first step: memories, tables and start functions.
    pub(crate) async fn instantiate(
        &self,
        permit: Permit,
        tenant: Option<&TenantId>,
        budget: Budget,
        inputs: usize,
    ) -> Result<Live, CallError> {
        let state = State::new(self.share.clone());
        let mut store = state
            .into_store(&self.sandbox.engine)
            .map_err(|error| CallError::Internal(error.to_string()))?;
        begin_call(&mut store, tenant, budget, inputs);
        let made = self.pre.instantiate_async(&mut store);
        let instance = match tokio::time::timeout_at(budget.ends_at, made).await {
            Ok(Ok(instance)) => instance,
            Ok(Err(error)) => return Err(CallError::of(&error, store.data())),
            Err(_) => return Err(CallError::timed_out(store.data())),
        };
        Ok(Live::new(store, instance, permit))
    }

    /// The second step: the component's own `init`, which may refuse.
    pub(crate) async fn init(
        &self,
        live: &mut Live,
        config: &str,
        budget: Budget,
    ) -> Result<Result<(), String>, CallError> {
        begin_call(&mut live.store, None, budget, 0);
        let Live {
            store, instance, ..
        } = live;
        let result = {
            let call = async {
                let init = instance
                    .get_typed_func::<(&str,), (Result<(), String>,)>(&mut *store, &self.init)?;
                init.call_async(&mut *store, (config,)).await
            };
            tokio::time::timeout_at(budget.ends_at, call).await
        };
        let state = store.data();
        state.log.end_call();
        match result {
            Ok(Ok((agreed,))) => Ok(agreed),
            Ok(Err(error)) => Err(CallError::of(&error, state)),
            Err(_) => Err(CallError::timed_out(state)),
        }
    }

    /// What `init` and `describe` may take at load.
    pub(crate) fn load_budget(&self) -> Budget {
        let limits = &self.share.limits;
        Budget::new(limits.init_time_max, self.share.epoch_tick, Limit::InitTime)
    }
}

// === impl Core ===

impl Core {
    /// An instance for a tenant, ready for a call of the given budget: an idle one of the
    /// same tenant, or a fresh one.
    pub(crate) async fn ready_instance(
        &self,
        tenant: &TenantId,
        call: &Call,
        inputs: usize,
    ) -> Result<Live, CallError> {
        let deadline = call.deadline.map(Instant::from_std);
        let mut live = self.some_instance(tenant, deadline, inputs).await?;
        live.store.data_mut().set_caller(call.clone());
        Ok(live)
    }

    async fn some_instance(
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
        let permit = pool.permit(self.share().nesting);
        let permit = match deadline {
            None => permit.await,
            Some(deadline) => tokio::time::timeout_at(deadline, permit)
                .await
                .map_err(|_| {
                    CallError::Deadline(
                        "the caller's deadline passed while waiting for a free plugin instance \
                         (instances_max)"
                            .to_owned(),
                    )
                })?,
        };
        let fresh = self.recipe.fresh(permit, Some(tenant), deadline, inputs);
        fresh.await
    }

    /// Gives an instance back after a call that went well. One that kept tensors would
    /// keep them for ever, so it ends here; so does one with calls to models under way,
    /// which belong to the call that is over.
    pub(crate) fn give_back(&self, tenant: &TenantId, live: Live) {
        let state = live.store.data();
        if self.reuses() && state.tensors.len() == 0 && state.pending.len() == 0 {
            let pool = &self.recipe.sandbox.pool;
            pool.keep(self.key, Some(tenant.clone()), live);
        }
    }

    /// Tells whoever runs the host that a call ended without results.
    pub(crate) fn tell(&self, role: Role, tenant: &TenantId, examples: usize, error: &CallError) {
        let limit = error.limit_reached();
        if let Some(limit) = limit {
            self.share().metrics.limit_hit(Some(tenant), limit);
        }
        tracing::warn!(
            target: "consort::plugin",
            plugin = %self.share().name,
            tenant = tenant.as_str(),
            role = role.as_str(),
            kind = error.kind().as_str(),
            limit = limit.map(Limit::as_str),
            examples,
            message = error.message(),
            "a call into a plugin ended without results"
        );
    }
}
