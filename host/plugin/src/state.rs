//! What the host keeps beside each store: the guest's tensors, its log, and how much it
//! may still use.

use crate::limits::{Limit, LimitHit, Limiter, Limits};
use crate::link;
use crate::logs::Log;
use crate::metrics::PluginMetrics;
use crate::models::{Answer, Models, NoAnswer};
use crate::pending::PendingCalls;
use crate::tensors::TensorTable;
use crate::ways::Ways;
use consort_inference::{Call, FailureKind, InferenceArgs, Key, PluginName, StreamPart, TenantId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime::{CallHook, Engine, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// What all stores of one plugin share.
#[derive(Debug)]
pub(crate) struct PluginShare {
    pub(crate) name: PluginName,
    pub(crate) limits: Limits,
    pub(crate) assets: BTreeMap<String, Arc<[u8]>>,
    pub(crate) models: Models,
    /// The request headers that its models read.
    pub(crate) headers: Arc<[Arc<str>]>,
    /// How many plugins deep its calls go.
    pub(crate) nesting: usize,
    pub(crate) metrics: Arc<PluginMetrics>,
    pub(crate) epoch_tick: Duration,
}

/// The data of one store.
pub(crate) struct State {
    pub(crate) share: Arc<PluginShare>,
    pub(crate) tensors: TensorTable,
    pub(crate) limiter: Limiter,
    pub(crate) log: Log,
    pub(crate) resources: ResourceTable,
    /// What a guest of the standard `wasi:nn` holds.
    pub(crate) nn: ResourceTable,
    /// Calls to models that the guest has begun.
    pub(crate) pending: PendingCalls,
    /// The keys of the examples that came as columns.
    pub(crate) keys: Vec<Option<Key>>,
    /// Made when the guest first asks for something of WASI: most calls never do.
    wasi: Option<WasiCtx>,
    budget: Budget,
    /// The last limit that was refused to the guest as an error it could handle.
    refused: Option<Limit>,
    /// Whose examples this call works on; nobody's at load.
    tenant: Option<TenantId>,
    /// What the caller said about the call: the models that the guest calls hear it too.
    caller: Call,
    host_calls_left: u64,
    model_calls: usize,
    /// How the last call to a model in this call failed, if it did.
    model_failure: Option<FailureKind>,
    /// What the guest was told of models that failed, the newest last.
    told: VecDeque<(String, FailureKind)>,
    /// Which ways the models went that were called in this call.
    ways: Arc<Ways>,
}

/// How long the guest may go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Epoch ticks it may still see while computing.
    ticks_left: u64,
    /// When it is over in any case.
    pub(crate) ends_at: Instant,
    computing: Limit,
    waiting: Waiting,
    /// The next tick passed while the host kept the guest waiting.
    waited: bool,
}

/// Whose patience ends at [`Budget::ends_at`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// A limit of the plugin.
    Limited(Limit),
    /// The caller's deadline.
    Deadline,
}

/// Ends a guest whose caller no longer waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller's deadline passed")]
pub(crate) struct DeadlinePassed;

/// Handles that a store may hold beyond tensors and resources: borrows in flight.
const HANDLES_SPARE: usize = 1_024;

/// Failures of models that are remembered, to know them again when the guest passes them on.
const TOLD_MAX: usize = 64;

// === impl State ===

impl State {
    pub(crate) fn new(share: Arc<PluginShare>) -> Self {
        let limits = &share.limits;
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(limits.resources_max);
        let mut nn = ResourceTable::new();
        nn.set_max_capacity(limits.resources_max.saturating_add(limits.tensors_max));
        Self {
            tensors: TensorTable::new(limits),
            limiter: Limiter::new(limits),
            log: Log::new(share.name.clone(), share.metrics.clone()),
            resources,
            nn,
            pending: PendingCalls::new(limits),
            keys: Vec::new(),
            wasi: None,
            budget: Budget::new(Duration::ZERO, share.epoch_tick, Limit::CallTime),
            refused: None,
            tenant: None,
            caller: Call::default(),
            host_calls_left: limits.host_calls_max,
            model_calls: 0,
            model_failure: None,
            told: VecDeque::new(),
            ways: Arc::default(),
            share,
        }
    }

    /// Notes that the guest was told of a limit; if it traps then, that is why.
    pub(crate) fn limit_refused(&mut self, limit: Limit) {
        self.refused = Some(limit);
    }

    /// The limit that the guest was last told of in this call.
    pub(crate) fn refused(&self) -> Option<Limit> {
        self.limiter.refused().or(self.refused)
    }

    pub(crate) fn waiting(&self) -> Waiting {
        self.budget.waiting
    }

    /// When the call in progress is over in any case.
    pub(crate) fn ends_at(&self) -> Instant {
        self.budget.ends_at
    }

    /// Whose examples the call in progress works on; `None` while the plugin is loaded.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// Notes for whom the call is made, beside the tenant.
    pub(crate) fn set_caller(&mut self, caller: Call) {
        self.caller = caller;
    }

    /// What a call to a model is to know: what the caller said, except for the arguments,
    /// which are the guest's; and that nobody waits for longer than for the guest.
    pub(crate) fn call_on(&self, args: InferenceArgs) -> Call {
        Call {
            deadline: Some(self.ends_at().into_std()),
            args,
            keep_example: false,
            // Where streams begin and end is seen to around the whole of a request.
            stream: StreamPart::default(),
            ..self.caller.clone()
        }
    }

    /// Counts a call to a model, or ends the guest.
    pub(crate) fn count_model_call(&mut self) -> wasmtime::Result<()> {
        if self.model_calls >= self.share.limits.model_calls_max {
            return Err(LimitHit(Limit::ModelCalls).into());
        }
        self.model_calls += 1;
        Ok(())
    }

    /// Notes how a call to a model ended, and how long the guest waited for it.
    pub(crate) fn model_answered(
        &mut self,
        waited: Duration,
        answer: &Answer,
    ) -> wasmtime::Result<()> {
        self.model_failure = match answer {
            Err(NoAnswer::Model(failure)) => Some(failure.kind),
            _ => None,
        };
        self.waited(waited)
    }

    /// Notes how long the guest waited for models: that time is not its own. A guest for
    /// which nobody waits any more ends here, and not as one that failed because its model
    /// was too late.
    pub(crate) fn waited(&mut self, waited: Duration) -> wasmtime::Result<()> {
        self.budget.waited |= waited >= self.share.epoch_tick;
        self.budget.check_end()
    }

    /// How the last call to a model in this call failed, if it did.
    pub(crate) fn model_failure(&self) -> Option<FailureKind> {
        self.model_failure
    }

    /// Which ways the models went that the guest called in this call.
    pub(crate) fn ways(&self) -> &Arc<Ways> {
        &self.ways
    }

    /// Notes what the guest was told of a model that failed.
    pub(crate) fn told(&mut self, message: &str, kind: FailureKind) {
        if self.told.len() >= TOLD_MAX {
            self.told.pop_front();
        }
        self.told.push_back((message.to_owned(), kind));
    }

    /// The kind of a failure that the guest passes on as it was told.
    pub(crate) fn passed_on(&self, message: &str) -> Option<FailureKind> {
        let mut told = self.told.iter().rev();
        told.find(|(told, _)| told == message)
            .map(|(_, kind)| *kind)
    }

    fn count_host_call(&mut self) -> wasmtime::Result<()> {
        match self.host_calls_left.checked_sub(1) {
            Some(left) => {
                self.host_calls_left = left;
                Ok(())
            }
            None => Err(LimitHit(Limit::HostCalls).into()),
        }
    }

    /// Puts a state into a store that is limited in every way.
    pub(crate) fn into_store(self, engine: &Engine) -> wasmtime::Result<Store<Self>> {
        let hostcall_bytes_max = self.share.limits.hostcall_bytes_max;
        let mut store = Store::try_new(engine, self)?;
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(hostcall_bytes_max);
        // One place for all that a guest can call, what is linked later included.
        store.call_hook(|mut context, hook| match hook {
            CallHook::CallingHost => context.data_mut().count_host_call(),
            _ => Ok(()),
        });
        store.epoch_deadline_callback(|mut context| {
            context.data_mut().budget.tick()?;
            // The runtime's own way to yield lets it look at timers and sockets too; a
            // task that only wakes itself keeps it from that for many turns.
            let others_first = Box::pin(tokio::task::yield_now());
            Ok(UpdateDeadline::YieldCustom(1, others_first))
        });
        Ok(store)
    }

    /// Whether the guest holds anything of the host: a handle cannot outlive a snapshot.
    pub(crate) fn holds_handles(&self) -> bool {
        self.tensors.len() > 0
            || !self.resources.is_empty()
            || !self.nn.is_empty()
            || self.pending.len() > 0
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let log = &self.log;
        let ctx = self.wasi.get_or_insert_with(|| link::wasi_context(log));
        WasiCtxView {
            ctx,
            table: &mut self.resources,
        }
    }
}

/// Readies a store for a call: limits that count per call start anew. `inputs` is the
/// number of tensors that the host will pass in.
pub(crate) fn begin_call(
    store: &mut Store<State>,
    tenant: Option<&TenantId>,
    budget: Budget,
    inputs: usize,
) {
    let state = store.data_mut();
    state.budget = budget;
    state.refused = None;
    state.tenant = tenant.cloned();
    state.caller = Call::default();
    state.host_calls_left = state.share.limits.host_calls_max;
    state.model_calls = 0;
    state.model_failure = None;
    state.told.clear();
    if !state.share.models.is_empty() {
        // Not emptied: a call that was left behind may still have it.
        state.ways = Arc::default();
    }
    state.keys.clear();
    state.limiter.begin_call();
    state.tensors.begin_call();
    let limits = &state.share.limits;
    state.log.begin_call(tenant, limits.log_bytes_max);
    // A borrowed handle counts twice while it is lent.
    let of_guest = limits.tensors_max + limits.resources_max + limits.model_calls_pending_max;
    let handles = 2 * (of_guest + inputs) + HANDLES_SPARE;
    store.set_max_component_handles(handles);
    store.set_epoch_deadline(1);
}

// === impl Budget ===

impl Budget {
    /// So much computing, and as much in all.
    pub(crate) fn new(time: Duration, epoch_tick: Duration, limit: Limit) -> Self {
        Self {
            ticks_left: ticks(time, epoch_tick),
            ends_at: far_after(Instant::now(), time),
            computing: limit,
            waiting: Waiting::Limited(limit),
            waited: false,
        }
    }

    /// The budget of a call by the plugin's limits and the caller's deadline.
    pub(crate) fn of_call(share: &PluginShare, now: Instant, deadline: Option<Instant>) -> Self {
        let limits = &share.limits;
        let computing = (limits.call_time_max, Limit::CallTime);
        let waiting = (limits.wall_time_max, Limit::WallTime);
        Self::of(share, computing, waiting, now, deadline)
    }

    /// The budget of an `init` that runs as part of a call.
    pub(crate) fn of_init(share: &PluginShare, now: Instant, deadline: Option<Instant>) -> Self {
        let both = (share.limits.init_time_max, Limit::InitTime);
        Self::of(share, both, both, now, deadline)
    }

    fn of(
        share: &PluginShare,
        computing: (Duration, Limit),
        waiting: (Duration, Limit),
        now: Instant,
        deadline: Option<Instant>,
    ) -> Self {
        let limited = far_after(now, waiting.0);
        let (ends_at, waiting) = match deadline {
            Some(deadline) if deadline < limited => (deadline, Waiting::Deadline),
            _ => (limited, Waiting::Limited(waiting.1)),
        };
        Self {
            ticks_left: ticks(computing.0, share.epoch_tick),
            ends_at,
            computing: computing.1,
            waiting,
            waited: false,
        }
    }

    /// Whether somebody still waits.
    fn check_end(&self) -> wasmtime::Result<()> {
        if Instant::now() < self.ends_at {
            return Ok(());
        }
        Err(match self.waiting {
            Waiting::Limited(limit) => LimitHit(limit).into(),
            Waiting::Deadline => DeadlinePassed.into(),
        })
    }

    /// One tick passed while the guest was computing.
    fn tick(&mut self) -> wasmtime::Result<()> {
        self.check_end()?;
        if std::mem::take(&mut self.waited) {
            return Ok(());
        }
        match self.ticks_left.checked_sub(1) {
            Some(left) => {
                self.ticks_left = left;
                Ok(())
            }
            None => Err(LimitHit(self.computing).into()),
        }
    }
}

/// The first tick may come at once, so one more than the time holds.
fn ticks(time: Duration, tick: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(tick.as_nanos().max(1));
    u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1)
}

/// A time that is too far off to say is a year away.
fn far_after(now: Instant, time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    now.checked_add(time).unwrap_or(now + YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn computing_ends_after_its_ticks() {
        let tick = Duration::from_millis(5);
        let mut budget = Budget::new(Duration::from_millis(12), tick, Limit::CallTime);
        for _ in 0..4 {
            budget.tick().unwrap();
        }
        let error = budget.tick().unwrap_err();
        assert_eq!(error.downcast_ref::<LimitHit>().unwrap().0, Limit::CallTime);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_that_passed_while_waiting_is_free() {
        let tick = Duration::from_millis(5);
        let mut budget = Budget::new(Duration::from_millis(5), tick, Limit::CallTime);
        for _ in 0..9 {
            budget.waited = true;
            budget.tick().unwrap();
        }
        budget.tick().unwrap();
        budget.tick().unwrap();
        budget.tick().unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_a_guest_that_computes_little() {
        let tick = Duration::from_millis(5);
        let mut budget = Budget::new(Duration::from_secs(1), tick, Limit::InitTime);
        tokio::time::advance(Duration::from_millis(999)).await;
        budget.tick().unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        let error = budget.tick().unwrap_err();
        assert_eq!(error.downcast_ref::<LimitHit>().unwrap().0, Limit::InitTime);
    }

    #[test]
    fn endless_times_do_not_overflow() {
        assert_eq!(ticks(Duration::MAX, Duration::from_nanos(1)), u64::MAX);
        assert_eq!(ticks(Duration::ZERO, Duration::ZERO), 1);
        assert!(far_after(Instant::now(), Duration::MAX) > Instant::now());
    }
}
