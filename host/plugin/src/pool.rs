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
    _permits: Permits,
    nesting: usize,
    gauge: Gauge,
}

/// One of all instances, and one of each part that only so many may have.
type Permits = (Option<OwnedSemaphorePermit>, Vec<OwnedSemaphorePermit>);

/// An instance in its store. It ends with the store, whatever state it is in.
pub(crate) struct Live {
    pub(crate) store: Store<State>,
    pub(crate) instance: Instance,
    pub(crate) preprocess: Option<TypedFunc<(Vec<WireExample>,), (WireOutcomes,)>>,
    pub(crate) postprocess: Option<TypedFunc<(Vec<WireExample>,), (WireAnswers,)>>,
    /// The companion of each role, by [`Role::ALL`]'s order.
    pub(crate) columns: [Option<TypedFunc<WireColumns, (WireResults,)>>; Role::ALL.len()],
    /// Last, so that the store's slots are free before the permit is.
    permit: Permit,
}

/// Counts live instances and keeps idle ones.
///
/// A guest that waits for another plugin (by way of an ensemble that it calls) holds its
/// instance meanwhile. If such guests could have all instances, they would wait for ever. So
/// there are instances that only plugins which wait for no other may have, more that only
/// those which wait for these may have, and so on.
pub(crate) struct Pool {
    /// By nesting: the instances that plugins so deep or deeper may have together.
    permits: Vec<Arc<Semaphore>>,
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
            permit,
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
            permits: shares(instances_max as usize)
                .map(|share| Arc::new(Semaphore::new(share)))
                .collect(),
            waiting: AtomicUsize::new(0),
            idle: Mutex::new(VecDeque::new()),
            idle_max: idle_max as usize,
            idle_time_max,
            gauge,
        }
    }

    /// How deep plugins may be nested: one less than there are levels.
    pub(crate) fn nesting_max(&self) -> usize {
        self.permits.len().saturating_sub(1)
    }

    /// Waits for the right to make one more instance of a plugin that is nested so deep.
    /// Idle instances give way.
    pub(crate) async fn permit(&self, nesting: usize) -> Permit {
        // The narrowest first: who waits there holds nothing that others wait for.
        let mut parts = Vec::new();
        for level in (1..=nesting.min(self.nesting_max())).rev() {
            parts.extend(self.share(level).await);
        }
        let permit = self.share(0).await;
        self.gauge.inc();
        Permit {
            _permits: (permit, parts),
            nesting,
            gauge: self.gauge.clone(),
        }
    }

    async fn share(&self, level: usize) -> Option<OwnedSemaphorePermit> {
        let permits = self.permits.get(level)?;
        // The semaphore is never closed.
        match permits.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let _waiting = Waiting::new(&self.waiting);
                let oldest = self.oldest(level);
                drop(oldest);
                permits.clone().acquire_owned().await.ok()
            }
        }
    }

    /// The instance that has been idle for longest of those that hold a share of a level.
    fn oldest(&self, level: usize) -> Option<Idle> {
        let mut idle = self.lock();
        let holds = |entry: &Idle| entry.live.permit.nesting >= level;
        let place = idle.iter().position(holds)?;
        idle.remove(place)
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

/// An eighth of all instances is kept from each level above.
const KEPT_PART: usize = 8;

/// How many instances each level may have, all levels above it included.
fn shares(instances_max: usize) -> impl Iterator<Item = usize> {
    let kept = (instances_max / KEPT_PART).max(1);
    let share = move |level: usize| instances_max.checked_sub(level * kept);
    // At least the first: nothing could run otherwise.
    let further = (1..KEPT_PART).map_while(move |level| share(level).filter(|share| *share > 0));
    std::iter::once(instances_max.max(1)).chain(further)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_leaves_some_to_the_one_below() {
        let of = |max| shares(max).collect::<Vec<_>>();
        assert_eq!(of(128), [128, 112, 96, 80, 64, 48, 32, 16]);
        assert_eq!(of(8), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(of(3), [3, 2, 1]);
        assert_eq!(of(1), [1]);
        assert_eq!(of(0), [1]);
    }
}
