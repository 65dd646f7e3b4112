//! Where callers and replicas meet: the one lock, and who wakes whom.
//!
//! A replica that finds nothing to do leaves a waker; whoever brings work takes one waker,
//! the latest left, and wakes it after unlocking. At most one replica keeps an alarm for
//! the instant at which a batch comes due. Replicas on threads and replicas on tasks
//! differ only in what their waker does.

use crate::error::Refusal;
use crate::events::Events;
use crate::former::{Choice, Former, Next};
use crate::lock;
use crate::queue::{Arrival, Entry, Place};
use std::sync::Mutex;
use std::task::Waker;
use tokio::time::Instant;

/// The meeting place of one model's callers and replicas.
pub(crate) struct Exchange {
    floor: Mutex<Floor>,
    events: Events,
}

struct Floor {
    former: Former,
    /// Free replicas that sleep, the latest last.
    idle: Vec<Idle>,
    alarm: Option<Alarm>,
}

struct Idle {
    replica: usize,
    waker: Waker,
}

/// The replica that wakes by itself, and when.
struct Alarm {
    replica: usize,
    at: Instant,
}

// === impl Exchange ===

impl Exchange {
    pub(crate) fn new(former: Former, events: Events) -> Self {
        let floor = Floor {
            former,
            idle: Vec::new(),
            alarm: None,
        };
        Self {
            floor: Mutex::new(floor),
            events,
        }
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// How many examples wait.
    pub(crate) fn queue_depth(&self) -> usize {
        lock(&self.floor).former.queue().examples()
    }

    /// Lets a whole request into the queue, or gives it back.
    pub(crate) fn submit(
        &self,
        now: Instant,
        arrivals: Vec<Arrival>,
    ) -> Result<Vec<Place>, (Refusal, Vec<Arrival>)> {
        let (places, waker) = {
            let mut floor = lock(&self.floor);
            let places = floor.former.admit(arrivals)?;
            self.show(&floor);
            (places, floor.who_should_wake(now))
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(places)
    }

    /// Takes out those of the examples that no replica has taken yet.
    pub(crate) fn withdraw(&self, places: &[Place]) -> Vec<Entry> {
        let mut floor = lock(&self.floor);
        let removed = places
            .iter()
            .filter_map(|place| floor.former.remove(*place))
            .collect();
        self.show(&floor);
        removed
    }

    /// What the replica, which is free, does next; when it is to wait, it will be woken
    /// through `waker` and asks again, then or at the instant given.
    pub(crate) fn next(&self, replica: usize, waker: &Waker) -> Next<Vec<Entry>> {
        let now = Instant::now();
        let mut expired = Vec::new();
        let (next, other) = {
            let mut floor = lock(&self.floor);
            floor.awake(replica);
            let free = floor.idle.len() + 1;
            let (next, other) = match floor.former.next(now, free, &mut expired) {
                Next::Run(entries) => (Next::Run(entries), floor.who_should_wake(now)),
                Next::Wait(until) => (Next::Wait(floor.sleep(replica, until, waker)), None),
                Next::Stop => (Next::Stop, None),
            };
            self.show(&floor);
            (next, other)
        };
        if let Some(other) = other {
            other.wake();
        }
        if !expired.is_empty() {
            self.events.expired(expired, now);
        }
        if let Next::Run(entries) = &next {
            self.events.taken(entries, now);
        }
        next
    }

    /// Remembers that larger batches do not fit into memory.
    pub(crate) fn lower_batch_size_max(&self, to: usize) {
        let changed = lock(&self.floor).former.lower_batch_size_max(to);
        if let Some((old, new)) = changed {
            self.events.batch_size_max_lowered(old, new);
        }
    }

    /// Lets nothing more in; replicas finish what waits and then stop.
    pub(crate) fn close(&self) {
        let idle = {
            let mut floor = lock(&self.floor);
            floor.former.close();
            floor.alarm = None;
            std::mem::take(&mut floor.idle)
        };
        for replica in idle {
            replica.waker.wake();
        }
    }

    /// Closes when no replica is left to finish what waits: all of it fails.
    pub(crate) fn abort(&self) {
        self.close();
        let lost = {
            let mut floor = lock(&self.floor);
            let lost = floor.former.clear();
            self.show(&floor);
            lost
        };
        drop(lost);
    }

    fn show(&self, floor: &Floor) {
        let queue = floor.former.queue();
        self.events.queue(queue.examples(), queue.bytes());
    }
}

// === impl Floor ===

impl Floor {
    /// The replica is awake, for whatever reason.
    fn awake(&mut self, replica: usize) {
        self.idle.retain(|idle| idle.replica != replica);
        if self
            .alarm
            .as_ref()
            .is_some_and(|alarm| alarm.replica == replica)
        {
            self.alarm = None;
        }
    }

    /// The replica is about to sleep: until it is woken or, if it keeps the alarm, until
    /// the instant returned.
    fn sleep(&mut self, replica: usize, until: Option<Instant>, waker: &Waker) -> Option<Instant> {
        let waker = waker.clone();
        self.idle.push(Idle { replica, waker });
        let at = until.filter(|at| self.is_before_alarm(*at))?;
        self.alarm = Some(Alarm { replica, at });
        Some(at)
    }

    fn is_before_alarm(&self, at: Instant) -> bool {
        self.alarm.as_ref().is_none_or(|alarm| at < alarm.at)
    }

    /// A sleeping replica that has something to do now, or something to wait for earlier
    /// than any alarm. It no longer counts as sleeping.
    fn who_should_wake(&mut self, now: Instant) -> Option<Waker> {
        let free = self.idle.len();
        if free == 0 || self.former.queue().examples() == 0 {
            return None;
        }
        let wake = match self.former.choose(now, free) {
            Choice::Run(..) => true,
            Choice::Wait(until) => until.is_some_and(|at| self.is_before_alarm(at)),
        };
        if !wake {
            return None;
        }
        let idle = self.idle.pop()?;
        self.awake(idle.replica);
        Some(idle.waker)
    }
}
