//! Sorts the examples of a call into segments, and says which do not fit the model.

use crate::config::{BatchWeight, Config};
use crate::error::Refusal;
use crate::kind::LaneKey;
use crate::queue::{Arrival, Row, Segment};
use crate::reply::Reply;
use crate::serving::Serving;
use consort_inference::{Call, Example, TenantId, Tensors};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;

/// What examples are checked and measured by.
pub(crate) struct Intake {
    max_queue_bytes: usize,
    /// `None` when nothing is weighed.
    weight: Option<BatchWeight>,
}

/// The examples of one call, sorted.
pub(crate) struct Sorted {
    pub(crate) arrivals: Vec<Arrival>,
    /// Those that do not fit the model: whose, which of the call, and why.
    pub(crate) refused: Vec<(TenantId, u32, Refusal)>,
}

/// A call while it is sorted.
struct Sorting<'a> {
    serving: &'a Serving,
    call: &'a Call,
    reply: &'a Arc<Reply>,
    arrived: Instant,
    deadline: Option<Instant>,
    arrivals: Vec<Arrival>,
    /// The segment of the example before.
    last: usize,
    by_key: HashMap<(LaneKey, TenantId), usize>,
}

// === impl Intake ===

impl Intake {
    pub(crate) fn new(config: &Config) -> Self {
        let weighed = config.max_batch_weight.is_some();
        Self {
            max_queue_bytes: config.max_queue_bytes,
            weight: weighed.then(|| config.batch_weight.clone()),
        }
    }

    /// Sorts a call's examples: one segment for each lane and tenant among them.
    pub(crate) fn sort(
        &self,
        examples: Vec<Example>,
        call: &Call,
        serving: &Serving,
        reply: &Arc<Reply>,
        (arrived, deadline): (Instant, Option<Instant>),
    ) -> Sorted {
        let mut refused = Vec::new();
        let mut sorting = Sorting {
            serving,
            call,
            reply,
            arrived,
            deadline,
            arrivals: Vec::new(),
            last: 0,
            by_key: HashMap::new(),
        };
        let mut left = examples.len();
        for (index, example) in (0u32..).zip(examples) {
            let Example {
                tenant, tensors, ..
            } = example;
            let bytes = tensors.byte_len();
            let max = self.max_queue_bytes;
            let place = match bytes > max {
                true => Err(Refusal::ExampleBytes { bytes, max }),
                false => sorting.place(&tensors, &tenant, left),
            };
            left -= 1;
            match place {
                Ok(segment) => {
                    let weight = self.weight.as_ref();
                    segment.rows.push_back(Row {
                        weight: weight.map_or(0, |weight| weight.of(&tensors, bytes)),
                        tensors,
                        index,
                        bytes,
                    });
                }
                Err(refusal) => refused.push((tenant, index, refusal)),
            }
        }
        let mut arrivals = sorting.arrivals;
        if serving.sorter.is_ragged() {
            for Arrival { segment, .. } in &mut arrivals {
                // Nobody of one call comes before another. Neighbours share a batch: the more
                // alike they are, the less of it is padding.
                let rows = segment.rows.make_contiguous();
                rows.sort_by_key(|row| row.bytes);
            }
        }
        Sorted { arrivals, refused }
    }
}

// === impl Sorting ===

impl Sorting<'_> {
    /// The segment of an example that fits the model. One with the layout and tenant of the
    /// example before needs no second look: a signature is about layouts only.
    fn place(
        &mut self,
        tensors: &Tensors,
        tenant: &TenantId,
        left: usize,
    ) -> Result<&mut Segment, Refusal> {
        let before = self.arrivals.get(self.last).map(|arrival| &arrival.segment);
        let alike = before.is_some_and(|segment| {
            let row = segment.rows.back();
            segment.tenant == *tenant && row.is_some_and(|row| row.tensors.same_layout(tensors))
        });
        if !alike {
            let checked = self.serving.signature.check_inputs(tensors);
            checked.map_err(Refusal::Mismatch)?;
            let key = self.serving.sorter.key(tensors, tenant, &self.call.args);
            self.last = match self.by_key.get(&(key.clone(), tenant.clone())) {
                Some(number) => *number,
                None => self.open(key, tenant, left),
            };
        }
        match self.arrivals.get_mut(self.last) {
            Some(arrival) => Ok(&mut arrival.segment),
            // Never: it was there, or has just been opened.
            None => Err(Refusal::Closed),
        }
    }

    fn open(&mut self, key: LaneKey, tenant: &TenantId, left: usize) -> usize {
        let number = self.arrivals.len();
        // Most calls are of one kind: the first segment has room for all.
        let room = if number == 0 { left } else { 1 };
        self.by_key.insert((key.clone(), tenant.clone()), number);
        self.arrivals.push(Arrival {
            key,
            segment: Segment {
                rows: VecDeque::with_capacity(room),
                tenant: tenant.clone(),
                priority: self.call.priority,
                arrived: self.arrived,
                deadline: self.deadline,
                reply: self.reply.clone(),
            },
        });
        number
    }
}
