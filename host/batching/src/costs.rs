//! What an example of each kind costs, for sharing the replicas fairly: seconds of a run,
//! divided by its examples. Kept apart from policies, so that tenants share by cost whichever
//! policy decides.

use crate::kind::LaneKind;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Kinds that are remembered.
const KINDS_MAX: usize = 256;
/// How much a run changes what is known.
const LEARNS: f64 = 0.25;

/// The learned cost of one example, in nanoseconds.
#[derive(Default)]
pub(crate) struct Costs {
    kinds: HashMap<Arc<LaneKind>, f64>,
    typical: Option<f64>,
}

/// What examples were charged for when they were taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Charge {
    pub(crate) each: f64,
    /// Whether it was learned from runs of this kind; if not, all cost alike.
    pub(crate) learned: bool,
}

// === impl Costs ===

impl Costs {
    /// What an example of that kind costs.
    pub(crate) fn charge(&self, kind: &LaneKind) -> Charge {
        let known = self.kinds.get(kind).copied();
        Charge {
            each: known.or(self.typical).unwrap_or(1.0),
            learned: known.is_some(),
        }
    }

    /// Learns from a run; what each of its examples cost.
    pub(crate) fn learn(&mut self, kind: &Arc<LaneKind>, examples: usize, took: Duration) -> f64 {
        let each = took.as_secs_f64() * 1e9 / examples.max(1) as f64;
        let drawn = |old: f64| old + (each - old) * LEARNS;
        self.typical = Some(self.typical.map_or(each, drawn));
        if let Some(cost) = self.kinds.get_mut(kind) {
            *cost = drawn(*cost);
        } else {
            if self.kinds.len() >= KINDS_MAX {
                self.kinds.clear();
            }
            self.kinds.insert(kind.clone(), each);
        }
        each
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{Tensor, Tensors};

    fn kind(length: usize) -> Arc<LaneKind> {
        let tensor = Tensor::from_slice(vec![length], &vec![0f32; length]).unwrap();
        let tensors = Tensors::from_named([("x".into(), tensor)]).unwrap();
        Arc::new(LaneKind::of(&tensors))
    }

    #[test]
    fn a_kind_costs_what_its_runs_took_for_each_example() {
        let mut costs = Costs::default();
        let unknown = Charge {
            each: 1.0,
            learned: false,
        };
        assert_eq!(costs.charge(&kind(1)), unknown);
        costs.learn(&kind(1), 4, Duration::from_nanos(400));
        assert_eq!(costs.charge(&kind(1)).each, 100.0);
        costs.learn(&kind(1), 1, Duration::from_nanos(200));
        assert_eq!(costs.charge(&kind(1)).each, 125.0);
        // Another kind is taken to cost what others do, until it has run.
        let other = costs.charge(&kind(2));
        assert_eq!((other.each, other.learned), (125.0, false));
    }

    #[test]
    fn many_kinds_leave_little_behind() {
        let mut costs = Costs::default();
        for length in 1..2_000 {
            costs.learn(&kind(length), 1, Duration::from_nanos(1));
        }
        assert!(costs.kinds.len() <= KINDS_MAX);
    }
}
