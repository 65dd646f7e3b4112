//! The queue against a slow and simple one.

use super::*;
use crate::reply::Reply;
use consort_inference::{Stage, StageKind, Tensor};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

const LIMITS: Limits = Limits {
    examples: 12,
    bytes: 200,
    tenant_examples: Some(6),
};

#[derive(Debug, Clone)]
enum Step {
    /// Examples of (tenant, elements, whether they expire) arrive as one request.
    Arrive(Vec<(usize, usize, bool)>),
    /// The example that arrived as this one, if there is one, is removed.
    Remove(usize),
    /// So many are taken from the lane whose turn it is.
    Take(usize),
}

/// What the simple queue keeps of an example.
#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    number: usize,
    tenant: usize,
    elements: usize,
    expires: bool,
}

/// A list, searched from end to end.
#[derive(Default)]
struct Simple {
    waiting: Vec<Waiting>,
    turns: [u64; 3],
    floor: u64,
}

impl Simple {
    fn tenant_waits(&self, tenant: usize) -> bool {
        self.waiting.iter().any(|one| one.tenant == tenant)
    }

    fn admits(&self, request: &[Waiting]) -> bool {
        let bytes = |all: &[Waiting]| all.iter().map(|one| one.elements * 8).sum::<usize>();
        let of =
            |all: &[Waiting], tenant: usize| all.iter().filter(|one| one.tenant == tenant).count();
        self.waiting.len() + request.len() <= LIMITS.examples
            && bytes(&self.waiting) + bytes(request) <= LIMITS.bytes
            && (0..3).all(|tenant| {
                of(request, tenant) == 0 || of(&self.waiting, tenant) + of(request, tenant) <= 6
            })
    }

    fn arrive(&mut self, one: Waiting) {
        if !self.tenant_waits(one.tenant) {
            let waiting = (0..3).filter(|tenant| self.tenant_waits(*tenant));
            let lowest = waiting.map(|tenant| self.turns[tenant]).min();
            let least = lowest.unwrap_or(self.floor).max(self.floor);
            self.turns[one.tenant] = self.turns[one.tenant].max(least);
        }
        self.waiting.push(one);
    }

    fn left(&mut self) {
        if self.waiting.is_empty() {
            self.floor = self.turns.into_iter().max().unwrap().max(self.floor);
        }
    }

    /// The first of them by turn, then by arrival.
    fn first(&self, elements: Option<usize>) -> Option<usize> {
        let mine = |one: &&Waiting| elements.is_none_or(|elements| one.elements == elements);
        let first = self.waiting.iter().filter(mine);
        let first = first.min_by_key(|one| (self.turns[one.tenant], one.number))?;
        self.waiting.iter().position(|one| one == first)
    }

    /// The numbers taken and those that had expired.
    fn take(&mut self, elements: usize, count: usize) -> (Vec<usize>, Vec<usize>) {
        let (mut taken, mut expired) = (Vec::new(), Vec::new());
        while taken.len() < count {
            let Some(index) = self.first(Some(elements)) else {
                break;
            };
            let one = self.waiting.remove(index);
            if one.expires {
                expired.push(one.number);
            } else {
                self.turns[one.tenant] += 1;
                taken.push(one.number);
            }
        }
        self.left();
        (taken, expired)
    }
}

fn arrival(one: &Waiting, now: Instant) -> Arrival {
    let elements = vec![i64::try_from(one.number).unwrap(); one.elements];
    let tensor = Tensor::from_slice(vec![one.elements], &elements).unwrap();
    let tensors = Tensors::from_named([("x".into(), tensor)]).unwrap();
    let stage = Stage::new(StageKind::Inference, "m");
    Arrival {
        layout: Arc::new(tensors.layout()),
        entry: Entry {
            bytes: tensors.byte_len(),
            tensors,
            tenant: ["a", "b", "c"][one.tenant].parse().unwrap(),
            arrived: now,
            deadline: one.expires.then_some(now),
            ticket: Reply::new(stage, 1).ticket(0),
        },
    }
}

fn numbers(entries: &[Entry]) -> Vec<usize> {
    let number = |entry: &Entry| {
        let elements = entry.tensors.tensor("x").unwrap().to_vec::<i64>().unwrap();
        usize::try_from(elements[0]).unwrap()
    };
    entries.iter().map(number).collect()
}

fn steps() -> impl Strategy<Value = Step> {
    let example = (0..3usize, 1..4usize, prop::bool::weighted(0.2));
    prop_oneof![
        4 => vec(example, 1..8).prop_map(Step::Arrive),
        2 => (0..60usize).prop_map(Step::Remove),
        3 => (1..6usize).prop_map(Step::Take),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn it_serves_as_the_simple_queue_does(steps in vec(steps(), 1..40)) {
        let now = Instant::now();
        let (mut queue, mut simple) = (Queue::new(LIMITS), Simple::default());
        let mut places = Vec::new();
        for step in steps {
            match step {
                Step::Arrive(request) => {
                    let request: Vec<_> = (places.len()..)
                        .zip(request)
                        .map(|(number, (tenant, elements, expires))| Waiting {
                            number, tenant, elements, expires,
                        })
                        .collect();
                    let arrivals: Vec<_> = request.iter().map(|one| arrival(one, now)).collect();
                    let admitted = queue.admits(&arrivals).is_ok();
                    prop_assert_eq!(admitted, simple.admits(&request));
                    if admitted {
                        places.extend(arrivals.into_iter().map(|one| queue.push(one)));
                        request.into_iter().for_each(|one| simple.arrive(one));
                    }
                }
                Step::Remove(number) => {
                    let index = simple.waiting.iter().position(|one| one.number == number);
                    let removed = places.get(number).and_then(|place| queue.remove(*place));
                    prop_assert_eq!(removed.is_some(), index.is_some());
                    if let Some(index) = index {
                        simple.waiting.remove(index);
                        simple.left();
                    }
                }
                Step::Take(count) => {
                    let lanes: Vec<_> = queue.lanes().map(|(id, _)| id).collect();
                    let Some(id) = lanes.first() else {
                        prop_assert!(simple.waiting.is_empty());
                        continue;
                    };
                    let lane = queue.lanes().next().unwrap().1;
                    let elements = lane.earliest_elements();
                    // The lane is one of a tenant whose turn it is, the oldest of that tenant.
                    let lowest = simple.first(None).map(|index| &simple.waiting[index]).unwrap();
                    let lowest = simple.turns[lowest.tenant];
                    let candidates = (0..3).filter(|tenant| {
                        simple.tenant_waits(*tenant) && simple.turns[*tenant] == lowest
                    });
                    let oldest: Vec<_> = candidates
                        .filter_map(|tenant| simple.waiting.iter().find(|one| one.tenant == tenant))
                        .map(|one| one.elements)
                        .collect();
                    prop_assert!(oldest.contains(&elements), "{} of {:?}", elements, oldest);
                    let mut expired = Vec::new();
                    let taken = queue.take(*id, count, now, &mut expired);
                    let expected = simple.take(elements, count);
                    prop_assert_eq!((numbers(&taken), numbers(&expired)), expected);
                }
            }
            let bytes: usize = simple.waiting.iter().map(|one| one.elements * 8).sum();
            prop_assert_eq!((queue.examples(), queue.bytes()), (simple.waiting.len(), bytes));
            let layouts: BTreeSet<_> = simple.waiting.iter().map(|one| one.elements).collect();
            prop_assert_eq!(queue.lane_count(), layouts.len());
            prop_assert_eq!(queue.lanes().count(), layouts.len());
            prop_assert_eq!(queue.lanes().map(|(_, lane)| lane.len()).sum::<usize>(), queue.examples());
        }
        let mut left = numbers(&queue.clear());
        left.sort_unstable();
        let mut expected: Vec<_> = simple.waiting.iter().map(|one| one.number).collect();
        expected.sort_unstable();
        prop_assert_eq!(left, expected);
        prop_assert_eq!((queue.examples(), queue.bytes()), (0, 0));
    }
}

impl Lane {
    /// The length of this lane's tensors.
    fn earliest_elements(&self) -> usize {
        let entry = self.flows.values().flat_map(BTreeMap::values).next();
        entry.unwrap().tensors.tensor("x").unwrap().element_count()
    }
}

#[test]
fn a_lane_knows_its_oldest_example_and_its_earliest_deadline() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let mut queue = Queue::new(LIMITS);
    for (number, tenant, arrived, deadline) in
        [(0, 0, 2, None), (1, 1, 1, Some(9)), (2, 0, 3, Some(5))]
    {
        let waiting = Waiting {
            number,
            tenant,
            elements: 1,
            expires: false,
        };
        let mut arrival = arrival(&waiting, now + second * arrived);
        arrival.entry.deadline = deadline.map(|deadline| now + second * deadline);
        queue.push(arrival);
    }
    let (_, lane) = queue.lanes().next().unwrap();
    assert_eq!(lane.oldest(), Some(now + second));
    assert_eq!(lane.earliest_deadline(), Some(now + second * 5));
}

#[test]
fn layouts_that_come_and_go_leave_little_behind() {
    let now = Instant::now();
    let mut queue = Queue::new(Limits {
        bytes: usize::MAX,
        ..LIMITS
    });
    for elements in 1..1_000 {
        let waiting = Waiting {
            number: 0,
            tenant: 0,
            elements,
            expires: false,
        };
        queue.push(arrival(&waiting, now));
        let (id, _) = queue.lanes().next().unwrap();
        assert_eq!(queue.take(id, 1, now, &mut Vec::new()).len(), 1);
    }
    assert!(queue.lanes.len() <= EMPTY_LANES_MAX);
    assert_eq!(queue.lanes.len(), queue.lane_ids.len());
    assert!(queue.heads.is_empty());
}
