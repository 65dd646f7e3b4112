//! Forms the next batch: asks the policy about each lane, by turns, and takes examples.
//!
//! Everything here happens under the exchange's lock and takes the time as an argument.

use crate::error::Refusal;
use crate::policy::{BatchPolicy, Decision, QueueView};
use crate::queue::{Arrival, Entry, LaneId, Place, Queue};
use tokio::time::Instant;

/// Forms batches from a queue.
pub(crate) struct Former {
    queue: Queue,
    policy: Box<dyn BatchPolicy>,
    batch_size_max: usize,
    replicas: usize,
    closed: bool,
}

/// What a free replica does next.
pub(crate) enum Next<T> {
    /// Runs this.
    Run(T),
    /// Waits until something arrives, or until that instant.
    Wait(Option<Instant>),
    /// Ends: the queue is closed and empty.
    Stop,
}

/// What could be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    Run(LaneId, usize),
    Wait(Option<Instant>),
}

// === impl Former ===

impl Former {
    pub(crate) fn new(
        queue: Queue,
        policy: Box<dyn BatchPolicy>,
        batch_size_max: usize,
        replicas: usize,
    ) -> Self {
        Self {
            queue,
            policy,
            batch_size_max,
            replicas,
            closed: false,
        }
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Lets a whole request into the queue, or gives it back.
    pub(crate) fn admit(
        &mut self,
        arrivals: Vec<Arrival>,
    ) -> Result<Vec<Place>, (Refusal, Vec<Arrival>)> {
        if self.closed {
            return Err((Refusal::Closed, arrivals));
        }
        match self.queue.admits(&arrivals) {
            Ok(()) => Ok(arrivals
                .into_iter()
                .map(|arrival| self.queue.push(arrival))
                .collect()),
            Err(refusal) => Err((refusal, arrivals)),
        }
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<Entry> {
        self.queue.remove(place)
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn clear(&mut self) -> Vec<Entry> {
        self.queue.clear()
    }

    /// Lowers the largest batch; the old and the new one if that changed it.
    pub(crate) fn lower_batch_size_max(&mut self, to: usize) -> Option<(usize, usize)> {
        let old = self.batch_size_max;
        self.batch_size_max = old.min(to.max(1));
        (self.batch_size_max < old).then_some((old, self.batch_size_max))
    }

    /// What a free replica could do; `free` counts the free replicas.
    pub(crate) fn choose(&mut self, now: Instant, free: usize) -> Choice {
        let (depth, layouts) = (self.queue.examples(), self.queue.lane_count());
        let mut until: Option<Instant> = None;
        for (id, lane) in self.queue.lanes() {
            let most = lane.len().min(self.batch_size_max);
            if self.closed {
                return Choice::Run(id, most);
            }
            let view = QueueView {
                now,
                lane,
                batch_size_max: self.batch_size_max,
                depth,
                layouts,
                replicas: self.replicas,
                replicas_free: free,
            };
            match self.policy.decide(&view) {
                Decision::Run(count) => return Choice::Run(id, count.clamp(1, most)),
                Decision::WaitUntil(instant) if instant <= now => return Choice::Run(id, most),
                Decision::WaitUntil(instant) => {
                    until = Some(until.map_or(instant, |until| until.min(instant)));
                }
            }
        }
        Choice::Wait(until)
    }

    /// The next batch for a free replica. Examples whose deadline has passed are put into
    /// `expired` instead.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        free: usize,
        expired: &mut Vec<Entry>,
    ) -> Next<Vec<Entry>> {
        loop {
            match self.choose(now, free) {
                Choice::Run(lane, count) => {
                    let taken = self.queue.take(lane, count, now, expired);
                    if !taken.is_empty() {
                        return Next::Run(taken);
                    }
                }
                Choice::Wait(None) if self.closed => return Next::Stop,
                Choice::Wait(until) => return Next::Wait(until),
            }
        }
    }
}
