//! Where the streams begin and end that a call belongs to: a guest may call the models that
//! keep their states often, or not at all, so that this is seen to around its call.

use crate::group::Group;
use consort_inference::{Key, StreamStates, TenantId};
use std::sync::Arc;

/// The streams of a call, and who keeps their states.
pub(crate) struct Streams<'a> {
    states: &'a [Arc<dyn StreamStates>],
    keys: Vec<(TenantId, Key)>,
}

// === impl Streams ===

impl<'a> Streams<'a> {
    pub(crate) fn of(groups: &[Group], states: &'a [Arc<dyn StreamStates>]) -> Self {
        let owned = |(tenant, key): (&TenantId, &Key)| (tenant.clone(), key.clone());
        let keys = match states {
            [] => Vec::new(),
            _ => groups.iter().flat_map(Group::streams).map(owned).collect(),
        };
        Self { states, keys }
    }

    /// Each begins anew with its next example.
    pub(crate) fn forget(&self) {
        for states in self.states {
            for (tenant, key) in &self.keys {
                states.forget(tenant, key);
            }
        }
    }
}
