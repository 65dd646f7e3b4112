//! Whose turn it is: tenants share a model's replicas by the time that they cost.
//!
//! Every example that is served moves its tenant on by what it costs, divided by the
//! tenant's weight, and the tenant that is least far goes first. What an example costs is
//! learned (see `costs.rs`); until it is known, and where a policy learns nothing, all cost
//! alike. A tenant that comes back stands beside the least far of those that wait: it has
//! saved nothing up while it was away, and it keeps what it has had. With one tenant this
//! is first come, first served.

use consort_inference::TenantId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Tenants that are remembered while nothing waits.
const IDLE_TENANTS_MAX: usize = 1_024;
/// Parts of a unit of cost, so that dividing by a weight keeps most of it.
const PARTS: u128 = 1 << 16;

/// A tenant's number, for as long as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TenantNumber(usize);

/// How far a tenant is: the parts of cost that it has had, divided by its weight.
pub(crate) type Turn = u128;

/// The turns of all tenants of one queue.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    weights: BTreeMap<TenantId, u32>,
    numbers: HashMap<TenantId, TenantNumber>,
    tenants: Vec<Tenant>,
    /// Tenants that have something waiting, the lowest turn first.
    order: BTreeSet<(Turn, TenantNumber)>,
    /// No tenant comes back with a lower turn.
    floor: Turn,
    highest: Turn,
}

#[derive(Debug)]
struct Tenant {
    turn: Turn,
    weight: u32,
    waiting: usize,
}

// === impl Turns ===

impl Turns {
    /// Turns of tenants, some with a weight other than 1.
    pub(crate) fn new(weights: BTreeMap<TenantId, u32>) -> Self {
        Self {
            weights,
            ..Self::default()
        }
    }

    /// The same weights, and nobody known.
    pub(crate) fn anew(self) -> Self {
        Self::new(self.weights)
    }

    /// So many more examples of a tenant wait.
    pub(crate) fn arrive(&mut self, id: &TenantId, examples: usize) -> TenantNumber {
        let number = self.number(id);
        let lowest = self.order.first().map_or(self.floor, |(turn, _)| *turn);
        if let Some(tenant) = self.tenants.get_mut(number.0) {
            if tenant.waiting == 0 {
                tenant.turn = tenant.turn.max(lowest).max(self.floor);
                self.highest = self.highest.max(tenant.turn);
                self.order.insert((tenant.turn, number));
            }
            tenant.waiting += examples;
        }
        number
    }

    /// So many examples of a tenant left, and it is now as far as that.
    pub(crate) fn depart(&mut self, number: TenantNumber, examples: usize, turn: Turn) {
        let Some(tenant) = self.tenants.get_mut(number.0) else {
            return;
        };
        self.order.remove(&(tenant.turn, number));
        tenant.turn = turn;
        tenant.waiting -= examples;
        self.highest = self.highest.max(tenant.turn);
        if tenant.waiting > 0 {
            self.order.insert((tenant.turn, number));
        }
        if self.order.is_empty() {
            // Nobody has waited behind anybody: all begin anew.
            self.floor = self.highest;
            if self.tenants.len() > IDLE_TENANTS_MAX {
                self.numbers.clear();
                self.tenants.clear();
            }
        }
    }

    /// What was charged to a tenant was too little (or, negative, too much) by that cost.
    pub(crate) fn correct(&mut self, id: &TenantId, cost: f64) {
        let Some(number) = self.numbers.get(id).copied() else {
            return;
        };
        let Some(tenant) = self.tenants.get_mut(number.0) else {
            return;
        };
        let by = step(cost.abs(), tenant.weight);
        let turn = match cost < 0.0 {
            true => tenant.turn.saturating_sub(by),
            false => tenant.turn.saturating_add(by),
        };
        self.depart(number, 0, turn);
    }

    /// Tenants that have something waiting, whose turn it is first.
    pub(crate) fn order(&self) -> impl Iterator<Item = TenantNumber> {
        self.order.iter().map(|(_, number)| *number)
    }

    /// How far a tenant is, and how much further an example of that cost moves it.
    pub(crate) fn turn(&self, number: TenantNumber, cost: f64) -> (Turn, Turn) {
        let tenant = self.tenants.get(number.0);
        tenant.map_or((0, PARTS), |tenant| {
            (tenant.turn, step(cost, tenant.weight))
        })
    }

    /// How many examples of a tenant wait.
    pub(crate) fn waiting(&self, id: &TenantId) -> usize {
        let number = self.numbers.get(id);
        let tenant = number.and_then(|number| self.tenants.get(number.0));
        tenant.map_or(0, |tenant| tenant.waiting)
    }

    fn number(&mut self, id: &TenantId) -> TenantNumber {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = TenantNumber(self.tenants.len());
        self.tenants.push(Tenant {
            turn: 0,
            weight: self.weights.get(id).copied().unwrap_or(1).max(1),
            waiting: 0,
        });
        self.numbers.insert(id.clone(), number);
        number
    }
}

/// Parts of a cost for a weight. Casts of floats saturate; a cost is at most weeks.
fn step(cost: f64, weight: u32) -> Turn {
    let parts = (cost * PARTS as f64) as u128;
    (parts / u128::from(weight.max(1))).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    /// Serves so many examples of a cost.
    fn serve(turns: &mut Turns, number: TenantNumber, examples: usize, cost: f64) {
        let (turn, step) = turns.turn(number, cost);
        turns.depart(number, examples, turn + step * examples as u128);
    }

    fn far(turns: &Turns, number: TenantNumber) -> f64 {
        turns.turn(number, 1.0).0 as f64 / PARTS as f64
    }

    #[test]
    fn who_was_served_goes_behind() {
        let mut turns = Turns::default();
        let a = turns.arrive(&tenant("a"), 10);
        let b = turns.arrive(&tenant("b"), 10);
        assert_eq!(turns.order().collect::<Vec<_>>(), [a, b]);
        serve(&mut turns, a, 2, 1.0);
        assert_eq!(turns.order().collect::<Vec<_>>(), [b, a]);
        serve(&mut turns, b, 3, 1.0);
        assert_eq!(turns.order().collect::<Vec<_>>(), [a, b]);
        assert_eq!((far(&turns, a), far(&turns, b)), (2.0, 3.0));
        assert_eq!(turns.waiting(&tenant("b")), 7);
    }

    #[test]
    fn what_counts_is_the_cost_for_the_weight() {
        let mut turns = Turns::new([(tenant("b"), 4)].into());
        let a = turns.arrive(&tenant("a"), 10);
        let b = turns.arrive(&tenant("b"), 10);
        serve(&mut turns, a, 2, 100.0);
        serve(&mut turns, b, 8, 100.0);
        assert_eq!((far(&turns, a), far(&turns, b)), (200.0, 200.0));
    }

    #[test]
    fn a_wrong_guess_is_put_right() {
        let mut turns = Turns::default();
        let a = turns.arrive(&tenant("a"), 10);
        serve(&mut turns, a, 2, 100.0);
        turns.correct(&tenant("a"), 50.0);
        assert_eq!(far(&turns, a), 250.0);
        turns.correct(&tenant("a"), -240.0);
        assert_eq!(far(&turns, a), 10.0);
        assert_eq!(turns.order().collect::<Vec<_>>(), [a]);
        turns.correct(&tenant("nobody"), 1.0);
    }

    #[test]
    fn a_newcomer_stands_beside_the_lowest() {
        let mut turns = Turns::default();
        let a = turns.arrive(&tenant("a"), 100);
        serve(&mut turns, a, 40, 1.0);
        let b = turns.arrive(&tenant("b"), 1);
        assert_eq!(far(&turns, b), 40.0);
    }

    #[test]
    fn coming_and_going_gains_nothing() {
        let mut turns = Turns::default();
        let a = turns.arrive(&tenant("a"), 100);
        let b = turns.arrive(&tenant("b"), 4);
        serve(&mut turns, b, 4, 1.0);
        turns.arrive(&tenant("b"), 4);
        assert_eq!((far(&turns, a), far(&turns, b)), (0.0, 4.0));
    }

    #[test]
    fn nothing_is_held_against_anyone_once_the_queue_is_empty() {
        let mut turns = Turns::default();
        let a = turns.arrive(&tenant("a"), 100);
        serve(&mut turns, a, 100, 1.0);
        let b = turns.arrive(&tenant("b"), 1);
        turns.arrive(&tenant("a"), 1);
        assert_eq!((far(&turns, a), far(&turns, b)), (100.0, 100.0));
    }

    #[test]
    fn tenants_long_gone_are_forgotten() {
        let mut turns = Turns::default();
        for name in 0..5_000 {
            let number = turns.arrive(&tenant(&name.to_string()), 1);
            serve(&mut turns, number, 1, 1.0);
        }
        assert!(turns.tenants.len() <= IDLE_TENANTS_MAX);
        assert_eq!(turns.tenants.len(), turns.numbers.len());
    }
}
