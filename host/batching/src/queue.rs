//! What waits: segments of calls in lanes, and in each lane by turns of tenants.
//!
//! A lane holds what can share a batch (see `kind.rs`). Within one tenant higher priority
//! goes first, then the older; an example of low priority waits for as long as better ones
//! keep coming, up to its deadline.
//!
//! The queue keeps order and counts; it never decides what runs, never locks and never
//! looks at a clock.

mod lane;
mod segment;

pub(crate) use self::lane::Lane;
pub(crate) use self::segment::{Arrival, Row, Segment};

use crate::error::Refusal;
use crate::kind::LaneKey;
use crate::taken::{Part, Seat, Taken};
pub(crate) use crate::turns::TenantNumber;
use crate::turns::{Turn, Turns};
use consort_inference::{Priority, TenantId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use tokio::time::Instant;

/// Lanes that stay although they are empty, so that the usual ones are not set up again for
/// each example, and remember how fast examples come.
const EMPTY_LANES_MAX: usize = 128;

/// Where a segment waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    lane: LaneId,
    tenant: TenantNumber,
    order: Order,
}

/// Which of one tenant's segments goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    priority: Reverse<Priority>,
    arrival: u64,
}

/// Names a lane; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneId(u64);

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) examples: usize,
    pub(crate) bytes: usize,
    pub(crate) tenant_examples: Option<usize>,
}

/// How much of a lane to take: never more than any of these, but one example at least.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Helping {
    pub(crate) examples: usize,
    pub(crate) bytes: usize,
    pub(crate) weight: u64,
    /// What one example costs its tenant.
    pub(crate) cost: f64,
}

/// All examples that wait.
pub(crate) struct Queue {
    limits: Limits,
    lanes: BTreeMap<LaneId, Lane>,
    lane_ids: HashMap<LaneKey, LaneId>,
    next_lane: u64,
    lanes_in_use: usize,
    /// The lane of each flow, by its first segment.
    heads: BTreeMap<(TenantNumber, Order), LaneId>,
    turns: Turns,
    arrivals: u64,
    examples: usize,
    bytes: usize,
}

/// A tenant's part in a batch that is being formed. The one with the lowest turn gives
/// the next example; at equal turns, the one whose segment is older.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    turn: Turn,
    /// When its first segment came: priority means nothing between tenants.
    arrival: u64,
    tenant: TenantNumber,
    order: Order,
    step: Turn,
    /// Examples that have left.
    left: usize,
    /// The part of the batch that its first segment is, if it is one already.
    part: Option<u32>,
}

/// A batch while it is formed.
#[derive(Default)]
struct Plate {
    parts: Vec<Part>,
    seats: Vec<Seat>,
    rows: Vec<consort_inference::Tensors>,
    bytes: usize,
    weight: u64,
    full: bool,
}

// === impl Plate ===

impl Plate {
    fn fits(&self, helping: &Helping, row: &Row) -> bool {
        self.rows.is_empty()
            || (self.rows.len() < helping.examples
                && self.bytes.saturating_add(row.bytes) <= helping.bytes
                && self.weight.saturating_add(row.weight) <= helping.weight)
    }

    fn part(&mut self, segment: &Segment) -> u32 {
        self.parts.push(Part {
            reply: segment.reply.clone(),
            tenant: segment.tenant.clone(),
            arrived: segment.arrived,
            deadline: segment.deadline,
        });
        u32::try_from(self.parts.len() - 1).unwrap_or(u32::MAX)
    }

    fn put(&mut self, part: u32, row: Row) {
        self.bytes = self.bytes.saturating_add(row.bytes);
        self.weight = self.weight.saturating_add(row.weight);
        let index = row.index;
        self.seats.push(Seat { part, index });
        self.rows.push(row.tensors);
    }
}

// === impl Queue ===

impl Queue {
    pub(crate) fn new(limits: Limits, turns: Turns) -> Self {
        Self {
            limits,
            lanes: BTreeMap::new(),
            lane_ids: HashMap::new(),
            next_lane: 0,
            lanes_in_use: 0,
            heads: BTreeMap::new(),
            turns,
            arrivals: 0,
            examples: 0,
            bytes: 0,
        }
    }

    /// Whether all of these fit; a request is let in as a whole or not at all.
    pub(crate) fn admits(&self, arrivals: &[Arrival]) -> Result<(), Refusal> {
        let Limits {
            examples: max,
            bytes: bytes_max,
            tenant_examples,
        } = self.limits;
        let more = arrivals.iter().map(|arrival| arrival.segment.len()).sum();
        if more > max {
            return Err(Refusal::RequestSize {
                examples: more,
                max,
            });
        }
        let bytes = arrivals
            .iter()
            .map(|arrival| arrival.segment.bytes())
            .fold(0, usize::saturating_add);
        if bytes > bytes_max {
            return Err(Refusal::RequestBytes {
                bytes,
                max: bytes_max,
            });
        }
        if let Some(tenant_max) = tenant_examples {
            self.admits_tenants(arrivals, tenant_max)?;
        }
        if self.examples + more > max {
            return Err(Refusal::QueueSize {
                waiting: self.examples,
                more,
                max,
            });
        }
        if self.bytes.saturating_add(bytes) > bytes_max {
            return Err(Refusal::QueueBytes {
                waiting: self.bytes,
                more: bytes,
                max: bytes_max,
            });
        }
        Ok(())
    }

    fn admits_tenants(&self, arrivals: &[Arrival], max: usize) -> Result<(), Refusal> {
        let mut counts: HashMap<&TenantId, usize> = HashMap::new();
        for arrival in arrivals {
            *counts.entry(&arrival.segment.tenant).or_default() += arrival.segment.len();
        }
        for (tenant, more) in counts {
            let waiting = self.turns.waiting(tenant);
            let tenant = || tenant.clone();
            if more > max {
                return Err(Refusal::RequestTenantSize {
                    tenant: tenant(),
                    examples: more,
                    max,
                });
            }
            if waiting + more > max {
                return Err(Refusal::TenantQueueSize {
                    tenant: tenant(),
                    waiting,
                    more,
                    max,
                });
            }
        }
        Ok(())
    }

    /// Lets a segment wait.
    pub(crate) fn push(&mut self, arrival: Arrival) -> Place {
        let Arrival { key, segment } = arrival;
        let id = match self.lane_ids.get(&key) {
            Some(id) => *id,
            None => self.open(key.clone()),
        };
        let tenant = self.turns.arrive(&segment.tenant, segment.len());
        let order = Order {
            priority: Reverse(segment.priority),
            arrival: self.arrivals,
        };
        self.arrivals += 1;
        self.examples += segment.len();
        self.bytes += segment.bytes();
        let lane = self.lanes.entry(id).or_insert_with(|| Lane::new(key));
        if lane.examples == 0 {
            self.lanes_in_use += 1;
        }
        lane.arrived(&segment);
        let flow = lane.flows.entry(tenant).or_default();
        let head = flow.first_key_value().map(|(head, _)| *head);
        if head.is_none_or(|head| order < head) {
            if let Some(head) = head {
                self.heads.remove(&(tenant, head));
            }
            self.heads.insert((tenant, order), id);
        }
        flow.insert(order, segment);
        Place {
            lane: id,
            tenant,
            order,
        }
    }

    fn open(&mut self, key: LaneKey) -> LaneId {
        let id = LaneId(self.next_lane);
        self.next_lane += 1;
        self.lane_ids.insert(key, id);
        id
    }

    /// Takes out what still waits of a segment that nobody waits for; `None` when all of it
    /// has gone to replicas.
    pub(crate) fn remove(&mut self, place: Place) -> Option<Segment> {
        let Place {
            lane: id,
            tenant,
            order,
        } = place;
        let lane = self.lanes.get_mut(&id)?;
        let flow = lane.flows.get_mut(&tenant)?;
        let segment = flow.remove(&order)?;
        if self.heads.remove(&(tenant, order)).is_some() {
            match flow.first_key_value() {
                Some((next, _)) => {
                    self.heads.insert((tenant, *next), id);
                }
                None => {
                    lane.flows.remove(&tenant);
                }
            }
        }
        lane.gone(segment.deadline);
        self.leave(id, segment.len(), segment.bytes(), segment.weight());
        let (turn, _) = self.turns.turn(tenant, 0.0);
        self.turns.depart(tenant, segment.len(), turn);
        self.settle(id);
        Some(segment)
    }

    /// Takes the next examples of a lane that can still be answered in time, and puts those
    /// that expired before them into `expired`.
    pub(crate) fn take(
        &mut self,
        id: LaneId,
        helping: &Helping,
        now: Instant,
        expired: &mut Vec<Segment>,
    ) -> Taken {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return Taken::default();
        };
        let mut shares = BinaryHeap::with_capacity(lane.flows.len());
        for (tenant, flow) in &lane.flows {
            if let Some((head, _)) = flow.first_key_value() {
                self.heads.remove(&(*tenant, *head));
                let (turn, step) = self.turns.turn(*tenant, helping.cost);
                shares.push(Reverse(Share {
                    turn,
                    arrival: head.arrival,
                    tenant: *tenant,
                    order: *head,
                    step,
                    left: 0,
                    part: None,
                }));
            }
        }
        let expired_before = expired.len();
        let mut plate = Plate::default();
        let rows = helping.examples.min(lane.examples);
        plate.seats.reserve_exact(rows);
        plate.rows.reserve_exact(rows);
        let (mut bytes, mut weight) = (0, 0u64);
        while !plate.full && plate.rows.len() < helping.examples.max(1) {
            let Some(Reverse(mut share)) = shares.pop() else {
                break;
            };
            let rival = shares.peek().map(|Reverse(next)| (next.turn, next.arrival));
            let gone = serve(lane, &mut share, rival, helping, now, &mut plate);
            if let Some(segment) = gone {
                bytes += segment.bytes();
                weight = weight.saturating_add(segment.weight());
                share.left += segment.len();
                lane.gone(segment.deadline);
                share.part = None;
                if !segment.rows.is_empty() {
                    expired.push(segment);
                }
            }
            let head = lane.flows.get(&share.tenant);
            match head.and_then(|flow| flow.first_key_value()) {
                Some((head, _)) => {
                    (share.order, share.arrival) = (*head, head.arrival);
                    shares.push(Reverse(share));
                }
                None => {
                    lane.flows.remove(&share.tenant);
                    self.turns.depart(share.tenant, share.left, share.turn);
                }
            }
        }
        let late = expired
            .iter()
            .skip(expired_before)
            .map(Segment::len)
            .sum::<usize>();
        if !plate.rows.is_empty() {
            lane.taken(now);
        }
        for Reverse(share) in shares {
            self.heads.insert((share.tenant, share.order), id);
            self.turns.depart(share.tenant, share.left, share.turn);
        }
        let Plate {
            parts, seats, rows, ..
        } = plate;
        let examples = rows.len() + late;
        self.leave(
            id,
            examples,
            plate.bytes + bytes,
            plate.weight.saturating_add(weight),
        );
        self.settle(id);
        Taken::new(parts, seats, rows)
    }

    fn leave(&mut self, id: LaneId, examples: usize, bytes: usize, weight: u64) {
        self.examples -= examples;
        self.bytes -= bytes;
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.examples -= examples;
            lane.bytes -= bytes;
            lane.weight = lane.weight.saturating_sub(weight);
        }
    }

    /// What was charged to a tenant was too little, or too much, by that cost.
    pub(crate) fn correct(&mut self, tenant: &TenantId, cost: f64) {
        self.turns.correct(tenant, cost);
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) -> Vec<Segment> {
        let limits = self.limits;
        let turns = std::mem::take(&mut self.turns);
        let lanes = std::mem::replace(self, Self::new(limits, turns.anew())).lanes;
        lanes
            .into_values()
            .flat_map(|lane| lane.flows.into_values())
            .flat_map(BTreeMap::into_values)
            .collect()
    }

    /// Lanes with something in them: by the turns of the tenants that wait there, and for
    /// one tenant the lane with its oldest example first.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (LaneId, &Lane)> {
        let mut seen = BTreeSet::new();
        let all = move |seen: &BTreeSet<LaneId>| seen.len() == self.lanes_in_use;
        let ids = self.turns.order().flat_map(|tenant| {
            let flows = self
                .heads
                .range((tenant, Order::FIRST)..=(tenant, Order::LAST));
            flows.map(|(_, id)| *id)
        });
        ids.map_while(move |id| (!all(&seen)).then(|| seen.insert(id).then_some(id)))
            .flatten()
            .filter_map(|id| self.lanes.get(&id).map(|lane| (id, lane)))
    }

    /// What the examples of a lane have in common.
    pub(crate) fn key(&self, id: LaneId) -> Option<&LaneKey> {
        self.lanes.get(&id).map(|lane| &lane.key)
    }

    /// How many lanes have something in them.
    pub(crate) fn lane_count(&self) -> usize {
        self.lanes_in_use
    }

    pub(crate) fn examples(&self) -> usize {
        self.examples
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Closes a lane that has become empty, if there are many such.
    fn settle(&mut self, id: LaneId) {
        let empty = self.lanes.get(&id).filter(|lane| lane.examples == 0);
        let Some(lane) = empty else {
            return;
        };
        self.lanes_in_use -= 1;
        if self.lanes.len() - self.lanes_in_use > EMPTY_LANES_MAX {
            self.lane_ids.remove(&lane.key);
            self.lanes.remove(&id);
        }
    }
}

// === impl Order ===

impl Order {
    const FIRST: Self = Self {
        priority: Reverse(Priority(i8::MAX)),
        arrival: 0,
    };
    const LAST: Self = Self {
        priority: Reverse(Priority(i8::MIN)),
        arrival: u64::MAX,
    };
}

/// Puts the examples of a tenant's first segment on the plate for as long as it is the
/// tenant's turn. The segment, if it has left the flow: with rows when it expired.
fn serve(
    lane: &mut Lane,
    share: &mut Share,
    rival: Option<(Turn, u64)>,
    helping: &Helping,
    now: Instant,
    plate: &mut Plate,
) -> Option<Segment> {
    let flow = lane.flows.get_mut(&share.tenant)?;
    let mut head = flow.first_entry()?;
    let segment = head.get_mut();
    if segment.has_expired(now) {
        return Some(head.remove());
    }
    while let Some(row) = segment.rows.front() {
        if !plate.fits(helping, row) {
            plate.full = true;
            return None;
        }
        if rival.is_some_and(|rival| (share.turn, share.arrival) > rival) {
            return None;
        }
        let part = match share.part {
            Some(part) => part,
            None => *share.part.insert(plate.part(segment)),
        };
        if let Some(row) = segment.rows.pop_front() {
            plate.put(part, row);
            share.left += 1;
            share.turn += share.step;
        }
    }
    Some(head.remove())
}

#[cfg(test)]
mod tests;
