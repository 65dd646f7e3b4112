//! Where callers and replicas meet: the one lock, and who wakes whom.
//!
//! A replica that finds nothing to do leaves a waker; whoever brings work takes one waker,
//! the latest left, and wakes it after unlocking. At most one replica keeps an alarm for
//! the instant at which a batch comes due. Replicas on threads and replicas on tasks
//! differ only in what their waker does.

use crate::ceilings::Moved;
use crate::error::{Refusal, ReplaceError};
use crate::former::{Choice, Feedback, Formed, Former, Next};
use crate::kind::LaneKind;
use crate::lock;
use crate::queue::{Arrival, Place, Segment};
use crate::serving::Serving;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use tokio::time::Instant;

/// The meeting place of one model's callers and replicas.
pub(crate) struct Exchange {
    floor: Mutex<Floor>,
}

struct Floor {
    former: Former,
    /// What runs the batches that are formed now.
    serving: Arc<Serving>,
    /// The numbers of the replicas that live.
    replicas: BTreeSet<usize>,
    /// Replicas with this number or a higher one end.
    wanted: usize,
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

/// A batch and what is to run it.
pub(crate) struct Job {
    pub(crate) formed: Formed,
    pub(crate) serving: Arc<Serving>,
}

// === impl Exchange ===

impl Exchange {
    pub(crate) fn new(former: Former, serving: Arc<Serving>) -> Self {
        let floor = Floor {
            former,
            serving,
            replicas: BTreeSet::new(),
            wanted: 0,
            idle: Vec::new(),
            alarm: None,
        };
        Self {
            floor: Mutex::new(floor),
        }
    }

    /// What runs the batches that are formed now.
    pub(crate) fn serving(&self) -> Arc<Serving> {
        lock(&self.floor).serving.clone()
    }

    /// How many examples wait.
    pub(crate) fn queue_depth(&self) -> usize {
        lock(&self.floor).former.queue().examples()
    }

    /// How many replicas are wanted; those above it end with the batch they run.
    pub(crate) fn replicas(&self) -> usize {
        lock(&self.floor).wanted
    }

    /// From now on so many replicas are wanted; the numbers of those to start.
    pub(crate) fn want(&self, replicas: usize) -> Vec<usize> {
        let (missing, superfluous) = {
            let mut floor = lock(&self.floor);
            if floor.former.is_closed() {
                return Vec::new();
            }
            floor.wanted = replicas;
            floor.former.set_replicas(replicas);
            let missing: Vec<usize> = (0..replicas)
                .filter(|number| !floor.replicas.contains(number))
                .collect();
            floor.replicas.extend(&missing);
            let superfluous: Vec<Idle> = floor
                .idle
                .extract_if(.., |idle| idle.replica >= replicas)
                .collect();
            for idle in &superfluous {
                floor.awake(idle.replica);
            }
            floor.show();
            (missing, superfluous)
        };
        for idle in superfluous {
            idle.waker.wake();
        }
        missing
    }

    /// A replica has ended, or was never begun.
    pub(crate) fn gone(&self, replica: usize) {
        let mut floor = lock(&self.floor);
        floor.replicas.remove(&replica);
        floor.awake(replica);
        floor.show();
    }

    /// Batches that are formed from now on run on another handler.
    pub(crate) fn replace(&self, new: Arc<Serving>) -> Result<(), ReplaceError> {
        let mut floor = lock(&self.floor);
        if floor.former.is_closed() {
            return Err(ReplaceError::Closed);
        }
        // All that have been here agree with one another: see `Serving::check`.
        let batch_size_max = new.batch_size_max;
        let old = std::mem::replace(&mut floor.serving, new);
        floor.former.replaced(batch_size_max);
        old.events.left_off();
        floor.serving.events.started(batch_size_max);
        floor.show();
        Ok(())
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
            let waker = floor.who_should_wake(now);
            floor.show();
            (places, waker)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(places)
    }

    /// Takes out those of the examples that no replica has taken yet.
    pub(crate) fn withdraw(&self, places: &[Place]) -> Vec<Segment> {
        let mut floor = lock(&self.floor);
        let removed = places
            .iter()
            .filter_map(|place| floor.former.remove(*place))
            .collect();
        floor.show();
        removed
    }

    /// What the replica, which is free, does next; when it is to wait, it will be woken
    /// through `waker` and asks again, then or at the instant given.
    pub(crate) fn next(&self, replica: usize, waker: &Waker) -> Next<Job> {
        let now = Instant::now();
        let mut expired = Vec::new();
        let (next, other, serving) = {
            let mut floor = lock(&self.floor);
            floor.awake(replica);
            let serving = floor.serving.clone();
            let free = floor.idle.len() + 1;
            let superfluous = replica >= floor.wanted && !floor.former.is_closed();
            let next = match superfluous {
                true => Next::Stop,
                false => floor.former.next(now, free, &mut expired),
            };
            let (next, other) = match next {
                Next::Run(formed) => {
                    let serving = serving.clone();
                    (
                        Next::Run(Job { formed, serving }),
                        floor.who_should_wake(now),
                    )
                }
                Next::Wait(until) => (Next::Wait(floor.sleep(replica, until, waker)), None),
                // Somebody may have woken this one for work that it leaves undone.
                Next::Stop => {
                    floor.replicas.remove(&replica);
                    (Next::Stop, floor.who_should_wake(now))
                }
            };
            floor.show();
            (next, other, serving)
        };
        if let Some(other) = other {
            other.wake();
        }
        if !expired.is_empty() {
            serving.events.expired(expired, now);
        }
        if let Next::Run(job) = &next {
            serving.events.taken(&job.formed, now);
        }
        next
    }

    /// Learns how a run went.
    pub(crate) fn learn(&self, serving: &Arc<Serving>, feedback: Feedback) {
        let moved = {
            let mut floor = lock(&self.floor);
            let late = !Arc::ptr_eq(serving, &floor.serving);
            floor.former.learn(feedback, late)
        };
        match moved {
            Some(Moved { from, to }) if to < from => {
                serving.events.batch_size_max_lowered(from, to)
            }
            Some(Moved { from, to }) => serving.events.batch_size_max_raised(from, to),
            None => (),
        }
    }

    /// The largest batch of a kind that is known to fit into memory.
    pub(crate) fn known_to_fit(&self, kind: &LaneKind) -> usize {
        lock(&self.floor).former.known_to_fit(kind)
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
            floor.show();
            lost
        };
        drop(lost);
    }
}

// === impl Floor ===

impl Floor {
    fn show(&self) {
        let queue = self.former.queue();
        let events = &self.serving.events;
        events.queue(queue.examples(), queue.bytes(), self.replicas.len());
    }

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
