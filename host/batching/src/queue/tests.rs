//! The queue against a slow and simple one.

use super::*;
use crate::kind::LaneKind;
use crate::reply::Reply;
use consort_inference::{InferenceArgs, Stage, StageKind, Tensor, Tensors};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const LIMITS: Limits = Limits {
    examples: 12,
    bytes: 200,
    tenant_examples: Some(6),
};

#[derive(Debug, Clone)]
enum Step {
    /// Examples of (tenant, elements, priority, whether they expire) arrive as one request.
    Arrive(Vec<(usize, usize, i8, bool)>),
    /// The segment that arrived as this one, if there is one, is removed.
    Remove(usize),
    /// So many are taken from the lane whose turn it is.
    Take(usize),
}

/// What the simple queue keeps of an example.
#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    number: usize,
    segment: usize,
    tenant: usize,
    elements: usize,
    priority: i8,
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

    /// A tenant's next example, in all lanes or in one.
    fn head(&self, tenant: usize, elements: Option<usize>) -> Option<&Waiting> {
        let mine = |one: &&Waiting| {
            one.tenant == tenant && elements.is_none_or(|elements| one.elements == elements)
        };
        let order = |one: &&Waiting| (Reverse(one.priority), one.segment, one.number);
        self.waiting.iter().filter(mine).min_by_key(order)
    }

    /// The first of them by turn, then by arrival.
    fn first(&self, elements: Option<usize>) -> Option<Waiting> {
        let heads = (0..3).filter_map(|tenant| self.head(tenant, elements));
        heads
            .min_by_key(|one| (self.turns[one.tenant], one.segment))
            .cloned()
    }

    /// The numbers taken and those that had expired.
    fn take(&mut self, elements: usize, count: usize) -> (Vec<usize>, Vec<usize>) {
        let (mut taken, mut expired) = (Vec::new(), Vec::new());
        while taken.len() < count {
            let Some(first) = self.first(Some(elements)) else {
                break;
            };
            if first.expires {
                let gone = |one: &mut Waiting| one.segment == first.segment;
                expired.extend(self.waiting.extract_if(.., gone).map(|one| one.number));
            } else {
                self.waiting.retain(|one| *one != first);
                self.turns[first.tenant] += 1;
                taken.push(first.number);
            }
        }
        self.left();
        (taken, expired)
    }
}

/// The examples of one request as it comes in: a segment for each kind and tenant.
fn arrivals(request: &[Waiting], now: Instant) -> Vec<Arrival> {
    let mut arrivals: BTreeMap<usize, Arrival> = BTreeMap::new();
    for one in request {
        match arrivals.get_mut(&one.segment) {
            Some(arrival) => arrival.segment.rows.push_back(row(one)),
            None => drop(arrivals.insert(one.segment, arrival(one, now))),
        }
    }
    arrivals.into_values().collect()
}

fn row(one: &Waiting) -> Row {
    let elements = vec![i64::try_from(one.number).unwrap(); one.elements];
    let tensor = Tensor::from_slice(vec![one.elements], &elements).unwrap();
    let tensors = Tensors::from_named([("x".into(), tensor)]).unwrap();
    Row {
        bytes: tensors.byte_len(),
        weight: 0,
        index: u32::try_from(one.number).unwrap(),
        tensors,
    }
}

fn arrival(one: &Waiting, now: Instant) -> Arrival {
    let stage = Stage::new(StageKind::Inference, "m");
    let row = row(one);
    Arrival {
        key: LaneKey {
            kind: Arc::new(LaneKind::of(&row.tensors)),
            args: InferenceArgs::new(),
            tenant: None,
        },
        segment: Segment {
            rows: [row].into(),
            tenant: ["a", "b", "c"][one.tenant].parse().unwrap(),
            priority: Priority(one.priority),
            arrived: now,
            deadline: one.expires.then_some(now),
            reply: Reply::new(stage, 0, None),
        },
    }
}

fn numbers(taken: &Taken) -> Vec<usize> {
    let number = |row: &Tensors| {
        let elements = row.tensor("x").unwrap().to_vec::<i64>().unwrap();
        usize::try_from(elements[0]).unwrap()
    };
    taken.rows.iter().map(number).collect()
}

fn indices<'a>(segments: impl IntoIterator<Item = &'a Segment>) -> Vec<usize> {
    let rows = segments.into_iter().flat_map(|segment| &segment.rows);
    rows.map(|row| row.index as usize).collect()
}

fn helping(examples: usize) -> Helping {
    Helping {
        examples,
        bytes: usize::MAX,
        weight: u64::MAX,
        cost: 1.0,
    }
}

/// Numbers the examples of a request and their segments.
fn request(
    examples: Vec<(usize, usize, i8, bool)>,
    numbers: &mut usize,
    segments: usize,
) -> Vec<Waiting> {
    let mut kinds = Vec::new();
    let waiting = examples.into_iter().map(|example| {
        let (tenant, elements, priority, expires) = example;
        let known = kinds.iter().position(|kind| *kind == example);
        let segment = known.unwrap_or_else(|| {
            kinds.push(example);
            kinds.len() - 1
        });
        *numbers += 1;
        Waiting {
            number: *numbers - 1,
            segment: segments + segment,
            tenant,
            elements,
            priority,
            expires,
        }
    });
    waiting.collect()
}

fn steps() -> impl Strategy<Value = Step> {
    let example = (0..3usize, 1..4usize, -1..1i8, prop::bool::weighted(0.2));
    prop_oneof![
        4 => vec(example, 1..8).prop_map(Step::Arrive),
        2 => (0..40usize).prop_map(Step::Remove),
        3 => (1..6usize).prop_map(Step::Take),
    ]
}

fn queue(limits: Limits) -> Queue {
    Queue::new(limits, Turns::default())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn it_serves_as_the_simple_queue_does(steps in vec(steps(), 1..40)) {
        let now = Instant::now();
        let (mut queue, mut simple) = (queue(LIMITS), Simple::default());
        let mut places = Vec::new();
        let mut numbered = 0;
        for step in steps {
            match step {
                Step::Arrive(examples) => {
                    let request = request(examples, &mut numbered, places.len());
                    let arrivals = arrivals(&request, now);
                    let admitted = queue.admits(&arrivals).is_ok();
                    prop_assert_eq!(admitted, simple.admits(&request));
                    if admitted {
                        places.extend(arrivals.into_iter().map(|one| queue.push(one)));
                        request.into_iter().for_each(|one| simple.arrive(one));
                    }
                }
                Step::Remove(segment) => {
                    let removed = places.get(segment).and_then(|place| queue.remove(*place));
                    let gone = |one: &mut Waiting| one.segment == segment;
                    let gone: Vec<_> = simple.waiting.extract_if(.., gone).collect();
                    let gone: Vec<_> = gone.iter().map(|one| one.number).collect();
                    prop_assert_eq!(indices(&removed), gone);
                    if removed.is_some() {
                        simple.left();
                    }
                }
                Step::Take(count) => {
                    let lanes: Vec<_> = queue.lanes().map(|(id, _)| id).collect();
                    let Some(id) = lanes.first() else {
                        prop_assert!(simple.waiting.is_empty());
                        continue;
                    };
                    let elements = elements(queue.lanes().next().unwrap().1);
                    // The lane is one of a tenant whose turn it is, the first of that tenant.
                    let lowest = simple.turns[simple.first(None).unwrap().tenant];
                    let candidates = (0..3).filter(|tenant| simple.turns[*tenant] == lowest);
                    let first: Vec<_> = candidates
                        .filter_map(|tenant| simple.head(tenant, None))
                        .map(|one| one.elements)
                        .collect();
                    prop_assert!(first.contains(&elements), "{} of {:?}", elements, first);
                    let mut expired = Vec::new();
                    let taken = queue.take(*id, &helping(count), now, &mut expired);
                    let expected = simple.take(elements, count);
                    prop_assert_eq!((numbers(&taken), indices(&expired)), expected);
                }
            }
            let bytes: usize = simple.waiting.iter().map(|one| one.elements * 8).sum();
            prop_assert_eq!((queue.examples(), queue.bytes()), (simple.waiting.len(), bytes));
            let kinds: BTreeSet<_> = simple.waiting.iter().map(|one| one.elements).collect();
            prop_assert_eq!(queue.lane_count(), kinds.len());
            prop_assert_eq!(queue.lanes().count(), kinds.len());
            prop_assert_eq!(queue.lanes().map(|(_, lane)| lane.len()).sum::<usize>(), queue.examples());
            for (_, lane) in queue.lanes() {
                let expire = simple.waiting.iter().any(|one| one.expires && one.elements == elements(lane));
                prop_assert_eq!(lane.earliest_deadline().is_some(), expire);
            }
        }
        let mut left = indices(&queue.clear());
        left.sort_unstable();
        let mut expected: Vec<_> = simple.waiting.iter().map(|one| one.number).collect();
        expected.sort_unstable();
        prop_assert_eq!(left, expected);
        prop_assert_eq!((queue.examples(), queue.bytes()), (0, 0));
    }
}

/// The length of a lane's tensors.
fn elements(lane: &Lane) -> usize {
    lane.kind().iter().next().unwrap().2[0]
}

fn waiting(number: usize, tenant: usize, elements: usize) -> Waiting {
    Waiting {
        number,
        segment: number,
        tenant,
        elements,
        priority: 0,
        expires: false,
    }
}

#[test]
fn a_lane_knows_its_oldest_example_and_its_earliest_deadline() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let mut queue = queue(LIMITS);
    for (number, tenant, arrived, deadline) in
        [(0, 0, 2, None), (1, 1, 1, Some(9)), (2, 0, 3, Some(5))]
    {
        let waiting = waiting(number, tenant, 1);
        let mut arrival = arrival(&waiting, now + second * arrived);
        arrival.segment.deadline = deadline.map(|deadline| now + second * deadline);
        queue.push(arrival);
    }
    let (_, lane) = queue.lanes().next().unwrap();
    assert_eq!(lane.oldest(), Some(now + second));
    assert_eq!(lane.earliest_deadline(), Some(now + second * 5));
    assert_eq!(lane.tightest_budget(), Some(second * 2));
}

#[test]
fn bytes_and_weight_bound_what_is_taken_but_one_always_fits() {
    let now = Instant::now();
    let mut queue = queue(LIMITS);
    let first = waiting(0, 0, 2);
    let mut request: Vec<_> = (0..4).map(|number| waiting(number, 0, 2)).collect();
    request.iter_mut().for_each(|one| one.segment = 0);
    let mut arrivals = arrivals(&request, now);
    for (row, weight) in arrivals[0].segment.rows.iter_mut().zip([7, 2, 2, 2]) {
        row.weight = weight;
    }
    queue.push(arrivals.remove(0));
    let mut take = |helping: Helping| {
        let (id, _) = queue.lanes().next().unwrap();
        numbers(&queue.take(id, &helping, now, &mut Vec::new()))
    };
    let weight = |weight| Helping {
        weight,
        ..helping(9)
    };
    assert_eq!(take(weight(4)), [first.number]);
    assert_eq!(take(weight(4)), [1, 2]);
    let bytes = Helping {
        bytes: 1,
        ..helping(9)
    };
    assert_eq!(take(bytes), [3]);
    assert_eq!((queue.examples(), queue.bytes()), (0, 0));
}

#[test]
fn lanes_that_come_and_go_leave_little_behind() {
    let now = Instant::now();
    let mut queue = queue(Limits {
        bytes: usize::MAX,
        ..LIMITS
    });
    for elements in 1..1_000 {
        queue.push(arrival(&waiting(0, 0, elements), now));
        let (id, _) = queue.lanes().next().unwrap();
        assert_eq!(queue.take(id, &helping(1), now, &mut Vec::new()).len(), 1);
    }
    assert!(queue.lanes.len() <= EMPTY_LANES_MAX);
    assert_eq!(queue.lanes.len(), queue.lane_ids.len());
    assert!(queue.heads.is_empty());
}
