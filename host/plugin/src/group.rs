//! Examples of one tenant that go through a plugin together.

use crate::call::{RoleCall, call_role};
use crate::plugin::Core;
use crate::split::{Splitter, Verdict};
use consort_inference::{Call, Example, Failure, FailureKind, Key, TenantId};
use std::collections::HashMap;

/// In how many instances the streams of one tenant are worked on at a time.
const LANES: usize = 16;

/// The examples of one tenant, and where they stood among all.
pub(crate) struct Group {
    tenant: TenantId,
    places: Vec<usize>,
    examples: Vec<Example>,
    /// Whether they belong to streams, and go one after the other.
    in_order: bool,
}

/// What became of a group.
pub(crate) struct Done<T> {
    places: Vec<usize>,
    results: Vec<Result<T, Failure>>,
}

// === impl Group ===

impl Group {
    pub(crate) fn add(groups: &mut Vec<Self>, place: usize, example: Example) {
        match groups
            .iter_mut()
            .find(|group| group.tenant == example.tenant)
        {
            Some(group) => {
                group.places.push(place);
                group.examples.push(example);
            }
            None => groups.push(Self {
                tenant: example.tenant.clone(),
                places: vec![place],
                examples: vec![example],
                in_order: false,
            }),
        }
    }

    /// The same in at most so many parts.
    pub(crate) fn spread(mut self, parts: usize) -> Vec<Self> {
        let size = self.examples.len().div_ceil(parts.max(1)).max(1);
        let mut spread = Vec::new();
        while self.examples.len() > size {
            let rest = Self {
                tenant: self.tenant.clone(),
                places: self.places.split_off(size),
                examples: self.examples.split_off(size),
                in_order: self.in_order,
            };
            spread.push(std::mem::replace(&mut self, rest));
        }
        spread.push(self);
        spread
    }

    /// The same in as many parts as there are streams, up to a bound: all examples of a key are
    /// in one, in order.
    pub(crate) fn lanes(self) -> Vec<Self> {
        let mut lanes: Vec<Self> = Vec::new();
        let mut known: HashMap<Option<Key>, usize> = HashMap::new();
        for (place, example) in self.places.into_iter().zip(self.examples) {
            let streams = known.len();
            let lane = *known.entry(example.key.clone()).or_insert(streams % LANES);
            if lane == lanes.len() {
                lanes.push(Self {
                    tenant: self.tenant.clone(),
                    places: Vec::new(),
                    examples: Vec::new(),
                    in_order: true,
                });
            }
            if let Some(lane) = lanes.get_mut(lane) {
                lane.places.push(place);
                lane.examples.push(example);
            }
        }
        lanes
    }

    /// Calls with one example after the other. A stream goes no further in this call where an
    /// example failed that may be asked again: its order could not be kept.
    async fn run_in_order<R: RoleCall>(self, core: &Core, call: &Call) -> Done<R::Output> {
        let mut settled = Vec::with_capacity(self.examples.len());
        let mut broken: HashMap<&Key, Failure> = HashMap::new();
        for example in &self.examples {
            let earlier = example.key.as_ref().and_then(|key| broken.get(key));
            if let Some(failure) = earlier {
                settled.push(Err(failure.clone()));
                continue;
            }
            let stage = || core.stage(R::ROLE);
            let called = call_role::<R>(core, &self.tenant, std::slice::from_ref(example), call);
            let result = match called.await {
                Ok(results) => results.into_iter().next().unwrap_or_else(|| {
                    let message = "the call gave no result; this is a defect of the host";
                    Err(Failure::new(stage(), FailureKind::Internal, message))
                }),
                Err(error) => Err(Failure::new(stage(), error.kind(), error.message())),
            };
            if let (Err(failure), Some(key)) = (&result, &example.key)
                && failure.kind.is_transient()
            {
                let message = format!("an earlier example of its stream failed: {failure}");
                broken.insert(key, Failure::new(stage(), failure.kind, message));
            }
            settled.push(result);
        }
        Done {
            places: self.places,
            results: settled,
        }
    }

    /// Calls until every example has its result: a call that fails as a whole is halved
    /// until the bad example is alone.
    pub(crate) async fn run<R: RoleCall>(self, core: &Core, call: &Call) -> Done<R::Output> {
        if self.in_order {
            return self.run_in_order::<R>(core, call).await;
        }
        let mut settled = Vec::with_capacity(self.examples.len());
        let mut splitter = Splitter::new(self.examples.len());
        // Runs come in order, so that results can be appended.
        while let Some(run) = splitter.next() {
            let examples = self.examples.get(run.clone()).unwrap_or_default();
            match call_role::<R>(core, &self.tenant, examples, call).await {
                Ok(results) => settled.extend(results),
                Err(error) => {
                    if splitter.failed(run, &error) == Verdict::Final {
                        let failure =
                            || Failure::new(core.stage(R::ROLE), error.kind(), error.message());
                        settled.extend(examples.iter().map(|_| Err(failure())));
                    }
                }
            }
        }
        Done {
            places: self.places,
            results: settled,
        }
    }
}

// === impl Done ===

impl<T> Done<T> {
    pub(crate) fn put(self, results: &mut [Option<Result<T, Failure>>]) {
        for (place, result) in self.places.into_iter().zip(self.results) {
            if let Some(slot) = results.get_mut(place) {
                *slot = Some(result);
            }
        }
    }
}
