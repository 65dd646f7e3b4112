//! The accounts of models that are loaded on demand: who holds how many bytes, who is in
//! use, who goes to make room. No clock, no tasks, no models.

use crate::NoRoom;
use consort_inference::ModelName;
use std::collections::BTreeMap;

/// The accounts, by name.
#[derive(Debug)]
pub(crate) struct Ledger {
    budget: Option<u64>,
    accounts: BTreeMap<ModelName, Account>,
    /// Counts uses, so that the least recent one is known.
    uses: u64,
}

#[derive(Debug)]
struct Account {
    bytes: u64,
    pinned: bool,
    stage: Stage,
    users: usize,
    last_use: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its bytes are an estimate.
    Loading,
    Ready,
    /// Nobody new may use it; it goes when the last user has.
    Leaving,
}

/// Who may be sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anybody,
    Idle,
}

/// Whether there is room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is, and it is taken.
    Taken,
    /// There will be when these, and those before them, are gone. They are not to be used
    /// any more.
    Later(Vec<ModelName>),
    /// Not with what is in use; only for a model that is loaded already.
    NotNow,
    /// Never.
    Never(NoRoom),
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(budget: Option<u64>) -> Self {
        Self {
            budget,
            accounts: BTreeMap::new(),
            uses: 0,
        }
    }

    /// All bytes that are taken.
    pub(crate) fn bytes(&self) -> u64 {
        let all = self.accounts.values();
        all.fold(0, |sum, account| sum.saturating_add(account.bytes))
    }

    /// Takes room for a model that is to be loaded. Those who make room are the least
    /// recently used; those in use come last, and end what they do.
    pub(crate) fn reserve(&mut self, name: &ModelName, bytes: u64, pinned: bool) -> Room {
        if let Err(never) = self.could_ever_hold(name, bytes) {
            return Room::Never(never);
        }
        let lacking = self.lacking(bytes);
        if lacking > 0 {
            return Room::Later(
                self.dismiss(lacking, name, Who::Anybody)
                    .unwrap_or_default(),
            );
        }
        let account = Account {
            bytes,
            pinned,
            stage: Stage::Loading,
            users: 0,
            last_use: self.uses,
        };
        self.accounts.insert(name.clone(), account);
        Room::Taken
    }

    /// Sets what a model that has an account really holds. Only those that nobody uses make
    /// room for it: who waits here holds bytes already.
    pub(crate) fn resize(&mut self, name: &ModelName, bytes: u64) -> Room {
        if let Err(never) = self.could_ever_hold(name, bytes) {
            return Room::Never(never);
        }
        let before = match self.accounts.get_mut(name) {
            Some(account) => std::mem::replace(&mut account.bytes, bytes),
            None => return Room::NotNow,
        };
        let lacking = self.lacking(0);
        if lacking == 0 {
            return Room::Taken;
        }
        match self.dismiss(lacking, name, Who::Idle) {
            Some(leaving) => Room::Later(leaving),
            None => {
                self.set(name, before);
                Room::NotNow
            }
        }
    }

    /// Sets what a model holds, whether there is room or not.
    pub(crate) fn set(&mut self, name: &ModelName, bytes: u64) {
        if let Some(account) = self.accounts.get_mut(name) {
            account.bytes = bytes;
        }
    }

    /// The model is loaded and may be used.
    pub(crate) fn ready(&mut self, name: &ModelName) {
        self.uses += 1;
        if let Some(account) = self.accounts.get_mut(name) {
            account.stage = Stage::Ready;
            account.last_use = self.uses;
        }
    }

    /// One user more.
    pub(crate) fn begin_use(&mut self, name: &ModelName) {
        self.uses += 1;
        if let Some(account) = self.accounts.get_mut(name) {
            account.users += 1;
            account.last_use = self.uses;
        }
    }

    /// One user less. Returns whether it was the last.
    pub(crate) fn end_use(&mut self, name: &ModelName) -> bool {
        self.uses += 1;
        match self.accounts.get_mut(name) {
            None => false,
            Some(account) => {
                account.users = account.users.saturating_sub(1);
                account.last_use = self.uses;
                account.users == 0
            }
        }
    }

    /// How many use it.
    pub(crate) fn users(&self, name: &ModelName) -> usize {
        self.accounts.get(name).map_or(0, |account| account.users)
    }

    /// The model goes, because it was asked to.
    pub(crate) fn leave(&mut self, name: &ModelName) {
        if let Some(account) = self.accounts.get_mut(name) {
            account.stage = Stage::Leaving;
        }
    }

    /// The model's bytes are free.
    pub(crate) fn remove(&mut self, name: &ModelName) {
        self.accounts.remove(name);
    }

    /// Bytes that are too many, if `more` come.
    fn lacking(&self, more: u64) -> u64 {
        let wanted = self.bytes().saturating_add(more);
        self.budget
            .map_or(0, |budget| wanted.saturating_sub(budget))
    }

    fn could_ever_hold(&self, name: &ModelName, needed: u64) -> Result<(), NoRoom> {
        let Some(budget) = self.budget else {
            return Ok(());
        };
        let others = self.accounts.iter().filter(|(other, _)| *other != name);
        let pinned: Vec<_> = others
            .filter(|(_, account)| account.pinned)
            .map(|(other, account)| (other.clone(), account.bytes))
            .collect();
        let stays: u64 = pinned.iter().map(|(_, bytes)| bytes).sum();
        if needed.saturating_add(stays) <= budget {
            return Ok(());
        }
        Err(NoRoom {
            model: name.clone(),
            needed,
            budget,
            pinned,
        })
    }

    /// Chooses who goes so that `lacking` bytes come free, beside those who go already: the
    /// idle ones before those in use, the least recently used first. `None`, and nobody
    /// goes, if only the idle ones may and they are too few.
    fn dismiss(&mut self, lacking: u64, but: &ModelName, who: Who) -> Option<Vec<ModelName>> {
        let leaving = |account: &&Account| account.stage == Stage::Leaving;
        let going: u64 = self
            .accounts
            .values()
            .filter(leaving)
            .map(|account| account.bytes)
            .sum();
        let mut lacking = lacking.saturating_sub(going);
        let mut able: Vec<(bool, u64, &ModelName, u64)> = self
            .accounts
            .iter()
            .filter(|(name, account)| {
                let may_go = who == Who::Anybody || account.users == 0;
                account.stage == Stage::Ready && !account.pinned && *name != but && may_go
            })
            .map(|(name, account)| (account.users > 0, account.last_use, name, account.bytes))
            .collect();
        able.sort();
        let mut chosen = Vec::new();
        for (_, _, name, bytes) in able {
            if lacking == 0 {
                break;
            }
            lacking = lacking.saturating_sub(bytes);
            chosen.push(name.clone());
        }
        if lacking > 0 && who == Who::Idle {
            return None;
        }
        for name in &chosen {
            if let Some(account) = self.accounts.get_mut(name) {
                account.stage = Stage::Leaving;
            }
        }
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(number: usize) -> ModelName {
        format!("m{number}").parse().unwrap()
    }

    /// A ledger with models that are ready, of these bytes, used in this order.
    fn ledger(budget: u64, bytes: &[u64]) -> Ledger {
        let mut ledger = Ledger::new(Some(budget));
        for (number, bytes) in bytes.iter().enumerate() {
            assert_eq!(ledger.reserve(&name(number), *bytes, false), Room::Taken);
            ledger.ready(&name(number));
        }
        ledger
    }

    #[test]
    fn the_least_recently_used_makes_room() {
        let mut ledger = ledger(100, &[30, 30, 30]);
        ledger.begin_use(&name(0));
        ledger.end_use(&name(0));
        assert_eq!(
            ledger.reserve(&name(3), 30, false),
            Room::Later(vec![name(1)])
        );
        // It is on its way already: nobody else has to go.
        assert_eq!(ledger.reserve(&name(3), 30, false), Room::Later(vec![]));
        ledger.remove(&name(1));
        assert_eq!(ledger.reserve(&name(3), 30, false), Room::Taken);
        assert_eq!(ledger.bytes(), 90);
    }

    #[test]
    fn those_in_use_go_last() {
        let mut ledger = ledger(90, &[30, 30, 30]);
        ledger.begin_use(&name(0));
        ledger.begin_use(&name(1));
        ledger.begin_use(&name(1));
        assert_eq!(
            ledger.reserve(&name(3), 60, false),
            Room::Later(vec![name(2), name(0)])
        );
        assert!(ledger.end_use(&name(0)));
        assert!(!ledger.end_use(&name(1)));
    }

    #[test]
    fn what_can_never_fit_says_why() {
        let mut ledger = Ledger::new(Some(100));
        assert_eq!(ledger.reserve(&name(0), 60, true), Room::Taken);
        ledger.ready(&name(0));
        let Room::Never(never) = ledger.reserve(&name(1), 41, false) else {
            panic!("41 do not fit beside 60")
        };
        assert_eq!(
            never.to_string(),
            "model \"m1\" needs 41 bytes, and model_bytes_max = 100 can never hold it beside \
             what is pinned: \"m0\" (60 bytes); raise model_bytes_max in [registry]"
        );
        assert_eq!(ledger.reserve(&name(1), 40, false), Room::Taken);
    }

    #[test]
    fn a_model_that_grew_sends_only_idle_ones_away() {
        let mut ledger = ledger(100, &[40, 40]);
        assert_eq!(ledger.reserve(&name(2), 20, false), Room::Taken);
        ledger.begin_use(&name(0));
        ledger.begin_use(&name(1));
        assert_eq!(ledger.resize(&name(2), 30), Room::NotNow);
        assert_eq!(ledger.bytes(), 100);
        ledger.end_use(&name(1));
        assert_eq!(ledger.resize(&name(2), 30), Room::Later(vec![name(1)]));
        assert_eq!(ledger.bytes(), 110);
        ledger.remove(&name(1));
        assert_eq!(ledger.resize(&name(2), 30), Room::Taken);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Reserve(usize, u64, bool),
        Load(usize, u64),
        BeginUse(usize),
        EndUse(usize),
        Leave(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let model = || 0..8usize;
        let step = prop_oneof![
            (model(), 1..60u64, any::<bool>()).prop_map(|(m, b, p)| Step::Reserve(
                m,
                b,
                p && m < 2
            )),
            (model(), 1..60u64).prop_map(|(m, b)| Step::Load(m, b)),
            model().prop_map(Step::BeginUse),
            model().prop_map(Step::EndUse),
            model().prop_map(Step::Leave),
        ];
        proptest::collection::vec(step, 1..200)
    }

    proptest! {
        /// Whatever the order of loads, uses and departures: the budget holds but for
        /// models that grew while they were loaded and wait for others to go; no pinned
        /// model goes, and none goes before its users.
        #[test]
        fn the_budget_holds(steps in steps()) {
            const BUDGET: u64 = 100;
            let mut ledger = Ledger::new(Some(BUDGET));
            for step in steps {
                let stage = |ledger: &Ledger, m| ledger.accounts.get(&name(m)).map(|a| a.stage);
                match step {
                    Step::Reserve(m, bytes, pinned) if stage(&ledger, m).is_none() => {
                        let before = ledger.bytes();
                        let room = ledger.reserve(&name(m), bytes, pinned);
                        match room {
                            Room::Taken => prop_assert!(before + bytes <= BUDGET),
                            Room::Never(_) => prop_assert!(bytes <= BUDGET || before <= BUDGET),
                            Room::Later(_) => prop_assert!(before + bytes > BUDGET),
                            Room::NotNow => prop_assert!(false, "only for those loaded"),
                        }
                    }
                    Step::Load(m, bytes) if stage(&ledger, m) == Some(Stage::Loading) => {
                        match ledger.resize(&name(m), bytes) {
                            Room::Taken => ledger.ready(&name(m)),
                            Room::Later(_) => {
                                let going: u64 = ledger.accounts.values()
                                    .filter(|a| a.stage == Stage::Leaving)
                                    .map(|a| a.bytes).sum();
                                prop_assert!(ledger.bytes() - going <= BUDGET);
                            }
                            Room::NotNow | Room::Never(_) => ledger.remove(&name(m)),
                        }
                    }
                    Step::BeginUse(m) if stage(&ledger, m) == Some(Stage::Ready) => {
                        ledger.begin_use(&name(m));
                    }
                    Step::EndUse(m) if ledger.users(&name(m)) > 0 => drop(ledger.end_use(&name(m))),
                    Step::Leave(m)
                        if stage(&ledger, m) == Some(Stage::Leaving)
                            && ledger.users(&name(m)) == 0 =>
                    {
                        ledger.remove(&name(m));
                    }
                    _ => {}
                }
                let going: u64 = ledger.accounts.values()
                    .filter(|a| a.stage == Stage::Leaving)
                    .map(|a| a.bytes).sum();
                prop_assert!(ledger.bytes() <= BUDGET + going);
                let pinned_go = ledger.accounts.values().any(|a| a.pinned && a.stage == Stage::Leaving);
                prop_assert!(!pinned_go);
            }
        }
    }
}
