//! Instances that exist: at most so many, each counted by a permit, and those that wait
//! to be used again. An idle instance belongs to one tenant for ever.

use crate::role::Role;
use crate::state::State;
use crate::wire::{WireAnswers, WireColumns, WireExample, WireOutcomes, WireResults};
use consort_inference::TenantId;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::{Instance, TypedFunc};

/// Distinguishes the plugins of one sandbox, and two loads of the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PluginKey(pub(crate) u64);

/// The right to one live instance; given back when dropped.
pub(crate) struct Permit {
    _permit: Option<OwnedSemaphorePermit>,
    gauge: Gauge,
}

/// An instance in its store. It ends with the store, whatever state it is in.
pub(crate) struct Live {
    pub(crate) store: Store<State>,
    pub(crate) instance: Instance,
    pub(crate) preprocess: Option<TypedFunc<(Vec<WireExample>,), (WireOutcomes,)>>,
    pub(crate) postprocess: Option<TypedFunc<(Vec<WireExample>,), (WireAnswers,)>>,
    /// The companion of each role, by [`Role::ALL`]'s order.
    pub(crate) columns: [Option<TypedFunc<WireColumns, (WireResults,)>>; Role::ALL.len()],
    /// Last, so that the store's slots are free before the permit is.
    _permit: Permit,
}

/// Counts live instances and keeps idle ones.
pub(crate) struct Pool {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    idle: Mutex<VecDeque<Idle>>,
    idle_max: usize,
    idle_time_max: Duration,
    gauge: Gauge,
}

struct Idle {
    plugin: PluginKey,
    /// `None` for an instance that has seen no example yet.
    tenant: Option<TenantId>,
    since: Instant,
    live: Live,
}

// === impl Permit ===

impl Drop for Permit {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

// === impl Live ===

impl Live {
    pub(crate) fn new(store: Store<State>, instance: Instance, permit: Permit) -> Self {
        Self {
            store,
            instance,
            preprocess: None,
            postprocess: None,
            columns: [None; Role::ALL.len()],
            _permit: permit,
        }
    }
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(
        instances_max: u32,
        idle_max: u32,
        idle_time_max: Duration,
        gauge: Gauge,
    ) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(instances_max as usize)),
            waiting: AtomicUsize::new(0),
            idle: Mutex::new(VecDeque::new()),
            idle_max: idle_max as usize,
            idle_time_max,
            gauge,
        }
    }

    /// Waits for the right to make one more instance. Idle instances give way.
    pub(crate) async fn permit(&self) -> Permit {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(_) => {
                let _waiting = Waiting::new(&self.waiting);
                let oldest = self.lock().pop_front();
                drop(oldest);
                self.permits.clone().acquire_owned().await
            }
        };
        self.gauge.inc();
        Permit {
            // The semaphore is never closed.
            _permit: permit.ok(),
            gauge: self.gauge.clone(),
        }
    }

    /// An idle instance of the plugin that has seen this tenant's examples only, or none.
    pub(crate) fn take(&self, plugin: PluginKey, tenant: &TenantId) -> Option<Live> {
        let mut idle = self.lock();
        let find = |idle: &VecDeque<Idle>, wanted: Option<&TenantId>| {
            idle.iter()
                .rposition(|entry| entry.plugin == plugin && entry.tenant.as_ref() == wanted)
        };
        let index = find(&idle, Some(tenant)).or_else(|| find(&idle, None))?;
        idle.remove(index).map(|entry| entry.live)
    }

    /// Keeps an instance for the next call of the same tenant, if there is room.
    pub(crate) fn keep(&self, plugin: PluginKey, tenant: Option<TenantId>, live: Live) {
        let entry = Idle {
            plugin,
            tenant,
            since: Instant::now(),
            live,
        };
        let mut idle = self.lock();
        // Checked under the lock: whoever waits has either been seen here or takes the
        // oldest idle instance after this one was added.
        let surplus = if self.waiting.load(Ordering::SeqCst) > 0 || self.idle_max == 0 {
            Some(entry)
        } else {
            idle.push_back(entry);
            match idle.len() > self.idle_max {
                true => idle.pop_front(),
                false => None,
            }
        };
        drop(idle);
        drop(surplus);
    }

    /// Ends all idle instances of a plugin.
    pub(crate) fn forget(&self, plugin: PluginKey) {
        self.evict(|entry| entry.plugin == plugin);
    }

    /// Ends instances that have been idle for long.
    pub(crate) fn evict_old(&self, now: Instant) {
        self.evict(|entry| now.duration_since(entry.since) >= self.idle_time_max);
    }

    fn evict(&self, unwanted: impl Fn(&Idle) -> bool) {
        let mut evicted = Vec::new();
        let mut idle = self.lock();
        let kept = std::mem::take(&mut *idle);
        for entry in kept {
            match unwanted(&entry) {
                true => evicted.push(entry),
                false => idle.push_back(entry),
            }
        }
        drop(idle);
        drop(evicted);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one who waits, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
