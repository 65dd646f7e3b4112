//! What waits: examples in lanes, one lane a layout, and in each lane by turns of tenants.
//!
//! The queue keeps order and counts; it never decides what runs, never locks and never
//! looks at a clock.

use crate::error::Refusal;
use crate::reply::Ticket;
use crate::turns::{TenantNumber, Turns};
use consort_inference::{Layout, TenantId, Tensors};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use tokio::time::Instant;

/// Lanes that stay although they are empty, so that the usual layouts are not set up
/// again for each example.
const EMPTY_LANES_MAX: usize = 64;

/// One example that waits.
pub(crate) struct Entry {
    pub(crate) tensors: Tensors,
    /// Bytes of `tensors`; stays when they have moved into a batch.
    pub(crate) bytes: usize,
    pub(crate) tenant: TenantId,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) ticket: Ticket,
}

/// An example that would like to wait.
pub(crate) struct Arrival {
    pub(crate) layout: Arc<Layout>,
    pub(crate) entry: Entry,
}

/// Where an example waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    lane: LaneId,
    tenant: TenantNumber,
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

/// The examples of one layout that wait, each tenant's in order of arrival.
pub(crate) struct Lane {
    layout: Arc<Layout>,
    /// None of them is empty.
    flows: BTreeMap<TenantNumber, Flow>,
    examples: usize,
}

/// One tenant's examples of one layout, by arrival.
type Flow = BTreeMap<u64, Entry>;

/// All examples that wait.
pub(crate) struct Queue {
    limits: Limits,
    lanes: BTreeMap<LaneId, Lane>,
    lane_ids: HashMap<Arc<Layout>, LaneId>,
    next_lane: u64,
    lanes_in_use: usize,
    /// The lane of each flow, by the arrival of its first example.
    heads: BTreeMap<(TenantNumber, u64), LaneId>,
    turns: Turns,
    arrivals: u64,
    examples: usize,
    bytes: usize,
}

/// A tenant's part in a batch that is being formed. The one with the lowest turn gives
/// the next example; at equal turns, the one whose example is older.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    turn: u64,
    arrival: u64,
    tenant: TenantNumber,
    served: usize,
    expired: usize,
}

// === impl Lane ===

impl Lane {
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn len(&self) -> usize {
        self.examples
    }

    /// When the oldest of them arrived.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let heads = self.flows.values().filter_map(BTreeMap::first_key_value);
        heads.map(|(_, entry)| entry.arrived).min()
    }

    /// The earliest deadline of them all.
    pub(crate) fn earliest_deadline(&self) -> Option<Instant> {
        let entries = self.flows.values().flat_map(BTreeMap::values);
        entries.filter_map(|entry| entry.deadline).min()
    }
}

// === impl Queue ===

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            lanes: BTreeMap::new(),
            lane_ids: HashMap::new(),
            next_lane: 0,
            lanes_in_use: 0,
            heads: BTreeMap::new(),
            turns: Turns::default(),
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
        let more = arrivals.len();
        if more > max {
            return Err(Refusal::RequestSize {
                examples: more,
                max,
            });
        }
        let bytes = arrivals
            .iter()
            .map(|arrival| arrival.entry.bytes)
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
            *counts.entry(&arrival.entry.tenant).or_default() += 1;
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

    /// Lets an example wait.
    pub(crate) fn push(&mut self, arrival: Arrival) -> Place {
        let Arrival { layout, entry } = arrival;
        let id = match self.lane_ids.get(&layout) {
            Some(id) => *id,
            None => self.open(layout.clone()),
        };
        let tenant = self.turns.arrive(&entry.tenant);
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.examples += 1;
        self.bytes += entry.bytes;
        let lane = self.lanes.entry(id).or_insert_with(|| Lane {
            layout,
            flows: BTreeMap::new(),
            examples: 0,
        });
        if lane.examples == 0 {
            self.lanes_in_use += 1;
        }
        lane.examples += 1;
        let flow = lane.flows.entry(tenant).or_default();
        if flow.is_empty() {
            self.heads.insert((tenant, arrival), id);
        }
        flow.insert(arrival, entry);
        Place {
            lane: id,
            tenant,
            arrival,
        }
    }

    fn open(&mut self, layout: Arc<Layout>) -> LaneId {
        let id = LaneId(self.next_lane);
        self.next_lane += 1;
        self.lane_ids.insert(layout, id);
        id
    }

    /// Takes out an example that nobody waits for; `None` when it has gone to a replica.
    pub(crate) fn remove(&mut self, place: Place) -> Option<Entry> {
        let Place {
            lane: id,
            tenant,
            arrival,
        } = place;
        let lane = self.lanes.get_mut(&id)?;
        let flow = lane.flows.get_mut(&tenant)?;
        let entry = flow.remove(&arrival)?;
        if self.heads.remove(&(tenant, arrival)).is_some() {
            match flow.first_key_value() {
                Some((next, _)) => {
                    self.heads.insert((tenant, *next), id);
                }
                None => {
                    lane.flows.remove(&tenant);
                }
            }
        }
        lane.examples -= 1;
        self.examples -= 1;
        self.bytes -= entry.bytes;
        self.turns.depart(tenant, 0, 1);
        self.settle(id);
        Some(entry)
    }

    /// Takes the next `count` examples of a lane that can still be answered in time, and
    /// puts those that expired before them into `expired`.
    pub(crate) fn take(
        &mut self,
        id: LaneId,
        count: usize,
        now: Instant,
        expired: &mut Vec<Entry>,
    ) -> Vec<Entry> {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return Vec::new();
        };
        let mut taken = Vec::with_capacity(count.min(lane.examples));
        let mut shares = BinaryHeap::with_capacity(lane.flows.len());
        for (tenant, flow) in &lane.flows {
            if let Some((head, _)) = flow.first_key_value() {
                self.heads.remove(&(*tenant, *head));
                shares.push(Reverse(Share {
                    turn: self.turns.turn(*tenant),
                    arrival: *head,
                    tenant: *tenant,
                    served: 0,
                    expired: 0,
                }));
            }
        }
        while taken.len() < count {
            let Some(Reverse(mut share)) = shares.pop() else {
                break;
            };
            let Some(flow) = lane.flows.get_mut(&share.tenant) else {
                continue;
            };
            if let Some((_, entry)) = flow.pop_first() {
                lane.examples -= 1;
                self.examples -= 1;
                self.bytes -= entry.bytes;
                if entry.deadline.is_some_and(|deadline| deadline <= now) {
                    share.expired += 1;
                    expired.push(entry);
                } else {
                    share.served += 1;
                    share.turn += 1;
                    taken.push(entry);
                }
            }
            match flow.first_key_value() {
                Some((next, _)) => {
                    share.arrival = *next;
                    shares.push(Reverse(share));
                }
                None => {
                    lane.flows.remove(&share.tenant);
                    self.turns.depart(share.tenant, share.served, share.expired);
                }
            }
        }
        for Reverse(share) in shares {
            self.heads.insert((share.tenant, share.arrival), id);
            self.turns.depart(share.tenant, share.served, share.expired);
        }
        self.settle(id);
        taken
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) -> Vec<Entry> {
        let limits = self.limits;
        let lanes = std::mem::replace(self, Self::new(limits)).lanes;
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
            let flows = self.heads.range((tenant, 0)..=(tenant, u64::MAX));
            flows.map(|(_, id)| *id)
        });
        ids.map_while(move |id| (!all(&seen)).then(|| seen.insert(id).then_some(id)))
            .flatten()
            .filter_map(|id| self.lanes.get(&id).map(|lane| (id, lane)))
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
            self.lane_ids.remove(&lane.layout);
            self.lanes.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
