//! Forms the next batch: asks the policy about each lane, by turns, and takes examples.
//!
//! Everything here happens under the exchange's lock and takes the time as an argument.

use crate::ceilings::{Ceilings, Moved};
use crate::config::Config;
use crate::costs::{Charge, Costs};
use crate::error::Refusal;
use crate::kind::{LaneKey, LaneKind};
use crate::policy::{BatchPolicy, Decision, QueueView, RunOutcome};
use crate::queue::{Arrival, Helping, Lane, LaneId, Limits, Place, Queue, Segment};
use crate::taken::Taken;
use crate::turns::Turns;
use consort_inference::TenantId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Forms batches from a queue.
pub(crate) struct Former {
    queue: Queue,
    policy: Box<dyn BatchPolicy>,
    ceilings: Ceilings,
    costs: Costs,
    batch_size_max: usize,
    batch_bytes_max: usize,
    batch_weight_max: u64,
    replicas: usize,
    closed: bool,
}

/// A batch that has been formed.
pub(crate) struct Formed {
    pub(crate) taken: Taken,
    pub(crate) key: LaneKey,
    /// How long it should take, if that is known.
    pub(crate) predicted: Option<Duration>,
    /// The size of batches of which enough waits.
    pub(crate) target: usize,
    pub(crate) charge: Charge,
}

/// How a run went.
pub(crate) struct Feedback {
    pub(crate) kind: Arc<LaneKind>,
    pub(crate) size: usize,
    /// From when the replica was free to giving back the last result.
    pub(crate) elapsed: Duration,
    pub(crate) outcome: RunOutcome,
    /// Who was charged what; nobody for pieces of a batch that failed.
    pub(crate) charged: Option<(Charge, Vec<(TenantId, usize)>)>,
}

/// What a free replica does next.
pub(crate) enum Next<T> {
    /// Runs this.
    Run(T),
    /// Waits until something arrives, or until that instant.
    Wait(Option<Instant>),
    /// Ends: the queue is closed and empty, or it is one replica too many.
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
        config: &Config,
        policy: Box<dyn BatchPolicy>,
        batch_size_max: usize,
    ) -> Self {
        let limits = Limits {
            examples: config.max_queue_size,
            bytes: config.max_queue_bytes,
            tenant_examples: config.max_tenant_queue_size,
        };
        Self {
            queue: Queue::new(limits, Turns::new(config.tenant_weights.clone())),
            policy,
            ceilings: Ceilings::default(),
            costs: Costs::default(),
            batch_size_max,
            batch_bytes_max: config.max_batch_bytes,
            batch_weight_max: config.max_batch_weight.unwrap_or(u64::MAX),
            replicas: config.replicas,
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

    pub(crate) fn remove(&mut self, place: Place) -> Option<Segment> {
        self.queue.remove(place)
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn clear(&mut self) -> Vec<Segment> {
        self.queue.clear()
    }

    pub(crate) fn set_replicas(&mut self, replicas: usize) {
        self.replicas = replicas;
    }

    /// Another handler runs from now on.
    pub(crate) fn replaced(&mut self, batch_size_max: usize) {
        self.batch_size_max = batch_size_max;
        self.ceilings.clear();
        self.policy.replaced();
    }

    /// The largest batch of a kind that is known to fit into memory.
    pub(crate) fn known_to_fit(&self, kind: &LaneKind) -> usize {
        self.ceilings.known_to_fit(kind, self.batch_size_max)
    }

    /// Learns from a run; a limit that it has changed. What a handler that was replaced since
    /// did (`late`) changes only what its tenants are charged.
    pub(crate) fn learn(&mut self, feedback: Feedback, late: bool) -> Option<Moved> {
        let Feedback {
            kind,
            size,
            elapsed,
            outcome,
            charged,
        } = feedback;
        let each = match late {
            true => elapsed.as_secs_f64() * 1e9 / size.max(1) as f64,
            false => self.costs.learn(&kind, size, elapsed),
        };
        if let Some((charge, tenants)) = charged.filter(|(charge, _)| charge.learned) {
            for (tenant, examples) in tenants {
                let missing = (each - charge.each) * examples as f64;
                self.queue.correct(&tenant, missing);
            }
        }
        if late {
            return None;
        }
        self.policy.observe(&kind, size, elapsed, outcome);
        match outcome {
            RunOutcome::Succeeded => self.ceilings.fitted(&kind, size, self.batch_size_max),
            RunOutcome::OutOfMemory => self.ceilings.failed(&kind, size, self.batch_size_max),
            RunOutcome::Failed => {
                self.ceilings.broken_off(&kind, size);
                None
            }
        }
    }

    /// What a free replica could do; `free` counts the free replicas.
    pub(crate) fn choose(&mut self, now: Instant, free: usize) -> Choice {
        let (depth, lanes) = (self.queue.examples(), self.queue.lane_count());
        let mut until: Option<Instant> = None;
        for (id, lane) in self.queue.lanes() {
            let fits = self.ceilings.limit(lane.kind(), self.batch_size_max);
            let batch_size_max = fits.min(self.weighed(lane));
            let most = lane.len().min(batch_size_max);
            if self.closed {
                return Choice::Run(id, most);
            }
            let view = QueueView {
                now,
                lane,
                batch_size_max,
                depth,
                lanes,
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

    /// How many examples of a lane the limits on bytes and weight allow, going by the mean of
    /// those that wait.
    fn weighed(&self, lane: &Lane) -> usize {
        let by_bytes = self.batch_bytes_max / lane.mean_bytes().max(1);
        let by_weight = self.batch_weight_max / lane.mean_weight().max(1);
        let by_weight = usize::try_from(by_weight).unwrap_or(usize::MAX);
        by_bytes.min(by_weight).max(1)
    }

    /// The next batch for a free replica. Examples whose deadline has passed are put into
    /// `expired` instead.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        free: usize,
        expired: &mut Vec<Segment>,
    ) -> Next<Formed> {
        loop {
            match self.choose(now, free) {
                Choice::Run(lane, count) => {
                    if let Some(formed) = self.form(lane, count, now, expired) {
                        return Next::Run(formed);
                    }
                }
                Choice::Wait(None) if self.closed => return Next::Stop,
                Choice::Wait(until) => return Next::Wait(until),
            }
        }
    }

    fn form(
        &mut self,
        lane: LaneId,
        count: usize,
        now: Instant,
        expired: &mut Vec<Segment>,
    ) -> Option<Formed> {
        let key = self.queue.key(lane)?.clone();
        let charge = self.costs.charge(&key.kind);
        let helping = Helping {
            examples: count,
            bytes: self.batch_bytes_max,
            weight: self.batch_weight_max,
            cost: charge.each,
        };
        let taken = self.queue.take(lane, &helping, now, expired);
        if taken.is_empty() {
            return None;
        }
        let size = taken.len();
        let most = self.ceilings.limit(&key.kind, self.batch_size_max);
        self.ceilings.started(&key.kind, size);
        self.policy.started(&key.kind, size);
        Some(Formed {
            predicted: self.policy.predict(&key.kind, size),
            target: self
                .policy
                .target(&key.kind)
                .map_or(most, |size| size.min(most)),
            taken,
            key,
            charge,
        })
    }
}
