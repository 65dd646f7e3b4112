//! Whose turn it is: tenants share a model's replicas by turns.
//!
//! Every example that is served moves its tenant one turn on, and the tenant with the
//! lowest turn goes first. A tenant that comes back stands beside the lowest of those that
//! wait: it has saved nothing up while it was away, and it keeps what it has had. With one
//! tenant this is first come, first served. An example that costs more can one day take
//! more than one turn; nothing else would change.

use consort_inference::TenantId;
use std::collections::{BTreeSet, HashMap};

/// Tenants that are remembered while nothing waits.
const IDLE_TENANTS_MAX: usize = 1_024;

/// A tenant's number, for as long as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TenantNumber(usize);

/// The turns of all tenants of one queue.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    numbers: HashMap<TenantId, TenantNumber>,
    tenants: Vec<Tenant>,
    /// Tenants that have something waiting, the lowest turn first.
    order: BTreeSet<(u64, TenantNumber)>,
    /// No tenant comes back with a lower turn.
    floor: u64,
    highest: u64,
}

#[derive(Debug, Default)]
struct Tenant {
    turn: u64,
    waiting: usize,
}

// === impl Turns ===

impl Turns {
    /// One more example of a tenant waits.
    pub(crate) fn arrive(&mut self, id: &TenantId) -> TenantNumber {
        let number = self.number(id);
        let lowest = self.order.first().map_or(self.floor, |(turn, _)| *turn);
        if let Some(tenant) = self.tenants.get_mut(number.0) {
            if tenant.waiting == 0 {
                tenant.turn = tenant.turn.max(lowest).max(self.floor);
                self.highest = self.highest.max(tenant.turn);
                self.order.insert((tenant.turn, number));
            }
            tenant.waiting += 1;
        }
        number
    }

    /// So many examples of a tenant were served, and so many more left without.
    pub(crate) fn depart(&mut self, number: TenantNumber, served: usize, dropped: usize) {
        let Some(tenant) = self.tenants.get_mut(number.0) else {
            return;
        };
        self.order.remove(&(tenant.turn, number));
        tenant.turn += served as u64;
        tenant.waiting -= served + dropped;
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

    /// Tenants that have something waiting, whose turn it is first.
    pub(crate) fn order(&self) -> impl Iterator<Item = TenantNumber> {
        self.order.iter().map(|(_, number)| *number)
    }

    /// A tenant's turn.
    pub(crate) fn turn(&self, number: TenantNumber) -> u64 {
        self.tenants.get(number.0).map_or(0, |tenant| tenant.turn)
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
        self.tenants.push(Tenant::default());
        self.numbers.insert(id.clone(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    fn flood(turns: &mut Turns, name: &str, examples: usize) -> TenantNumber {
        let numbers: Vec<_> = (0..examples).map(|_| turns.arrive(&tenant(name))).collect();
        numbers[0]
    }

    #[test]
    fn who_was_served_goes_behind() {
        let mut turns = Turns::default();
        let a = flood(&mut turns, "a", 10);
        let b = flood(&mut turns, "b", 10);
        assert_eq!(turns.order().collect::<Vec<_>>(), [a, b]);
        turns.depart(a, 2, 0);
        assert_eq!(turns.order().collect::<Vec<_>>(), [b, a]);
        turns.depart(b, 3, 0);
        assert_eq!(turns.order().collect::<Vec<_>>(), [a, b]);
        assert_eq!((turns.turn(a), turns.turn(b)), (2, 3));
        assert_eq!(turns.waiting(&tenant("b")), 7);
    }

    #[test]
    fn a_newcomer_stands_beside_the_lowest() {
        let mut turns = Turns::default();
        let a = flood(&mut turns, "a", 100);
        turns.depart(a, 40, 0);
        let b = flood(&mut turns, "b", 1);
        assert_eq!(turns.turn(b), 40);
    }

    #[test]
    fn coming_and_going_gains_nothing() {
        let mut turns = Turns::default();
        let a = flood(&mut turns, "a", 100);
        let b = flood(&mut turns, "b", 4);
        turns.depart(b, 4, 0);
        flood(&mut turns, "b", 4);
        assert_eq!((turns.turn(a), turns.turn(b)), (0, 4));
    }

    #[test]
    fn what_leaves_unserved_costs_no_turn() {
        let mut turns = Turns::default();
        let a = flood(&mut turns, "a", 100);
        let b = flood(&mut turns, "b", 1);
        turns.depart(a, 0, 99);
        assert_eq!((turns.turn(a), turns.turn(b)), (0, 0));
    }

    #[test]
    fn nothing_is_held_against_anyone_once_the_queue_is_empty() {
        let mut turns = Turns::default();
        let a = flood(&mut turns, "a", 100);
        turns.depart(a, 100, 0);
        let b = flood(&mut turns, "b", 1);
        flood(&mut turns, "a", 1);
        assert_eq!((turns.turn(a), turns.turn(b)), (100, 100));
    }

    #[test]
    fn tenants_long_gone_are_forgotten() {
        let mut turns = Turns::default();
        for name in 0..5_000 {
            let number = turns.arrive(&tenant(&name.to_string()));
            turns.depart(number, 1, 0);
        }
        assert!(turns.tenants.len() <= IDLE_TENANTS_MAX);
        assert_eq!(turns.tenants.len(), turns.numbers.len());
    }
}
