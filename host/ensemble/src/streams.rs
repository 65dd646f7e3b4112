//! Where the streams begin and end that a call belongs to. This is seen to around the whole
//! call and not in any step: several may hear the same states, each of them often or never.

use consort_inference::{
    Call, Example, Failure, Key, Prediction, StreamPart, StreamStates, TenantId,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The streams of a call that begin or end with it, and who keeps their states.
pub(crate) struct Streams<'a> {
    states: &'a [Arc<dyn StreamStates>],
    part: StreamPart,
    /// Each stream, and which example is its last.
    last: BTreeMap<(TenantId, Key), usize>,
}

// === impl Streams ===

impl<'a> Streams<'a> {
    /// Takes what the call says of its streams out of it: no step is to hear it again.
    pub(crate) fn of(
        examples: &[Example],
        call: &mut Call,
        states: &'a [Arc<dyn StreamStates>],
    ) -> Self {
        let part = std::mem::take(&mut call.stream);
        let mut last = BTreeMap::new();
        if part != StreamPart::default() && !states.is_empty() {
            for (index, example) in examples.iter().enumerate() {
                if let Some(key) = &example.key {
                    last.insert((example.tenant.clone(), key.clone()), index);
                }
            }
        }
        Self { states, part, last }
    }

    /// Before the call: what begins, begins anew.
    pub(crate) fn begin(&self) {
        if self.part.begins {
            self.last.keys().for_each(|stream| self.forget(stream));
        }
    }

    /// After the call: what ends is forgotten, unless its last example may be asked again.
    pub(crate) fn end(&self, results: &[Result<Prediction, Failure>]) {
        if !self.part.ends {
            return;
        }
        let may_come_again = |index: &usize| match results.get(*index) {
            Some(Err(failure)) => failure.kind.is_transient(),
            _ => false,
        };
        for (stream, last) in &self.last {
            if !may_come_again(last) {
                self.forget(stream);
            }
        }
    }

    fn forget(&self, (tenant, key): &(TenantId, Key)) {
        for states in self.states {
            states.forget(tenant, key);
        }
    }
}
