//! The keys of a model that are about batches, and what they mean together.

use super::COUNT_MAX;
use super::model::Model;
use super::quiet::{Given, refuse_idle};
use crate::place::Located;
use crate::report::Report;
use crate::rule::number::Whole;
use crate::rule::text::TENSOR;
use crate::rule::words::words;
use crate::section::{Default, Required, independent, section};

words! {
    /// Whether a model takes several examples in one run.
    pub enum Batching {
        /// The first axis of every input and output counts examples, and those with equal
        /// datatypes and shapes run together, whoever sent them.
        On = "on",
        /// The model has no such axis: an example is the whole input and runs alone.
        Off = "off",
    }
}

words! {
    /// Who decides how large a batch is, and how long it waits to fill.
    pub enum BatchPolicy {
        /// The host learns what a batch of each size costs, and chooses.
        Learned = "learned",
        /// Always up to `max_batch_size` (32 if it is left out), and always after
        /// `max_queue_delay_us` (0 if it is left out).
        Fixed = "fixed",
    }
}

section! {
    /// How much an example weighs in a batch, by the length of one of its inputs, and how much
    /// a batch may weigh: the longest example counts as often as there are examples.
    pub struct BatchWeight {
        /// The input.
        pub input: Located<String> = Required(TENSOR);
        /// Which of its axes, the first is 0; the batch axis is none of them.
        pub axis: Located<usize> = Default(Whole::new(0, 31, 0), "0");
        /// The most that a batch may weigh.
        pub max: Located<u64> = Required(Whole::new(1, 1 << 40, 8192));
    }
}

independent!(BatchWeight);

/// Checks the keys of a model that are about batches.
pub(crate) fn check(model: &Model, report: &mut Report) {
    if *model.batching == Batching::Off {
        let keys = [
            ("batch_policy", model.batch_policy.given()),
            ("max_batch_size", model.max_batch_size.given()),
            ("max_queue_delay_us", model.max_queue_delay_us.given()),
            ("max_batch_bytes", model.max_batch_bytes.given()),
            ("batch_weight", model.batch_weight.given()),
            ("preferred_batch_sizes", model.preferred_batch_sizes.given()),
            ("shape_buckets", model.shape_buckets.given()),
        ];
        let line = report.line(model.batching.place);
        let help = format!("remove it, or batching = \"off\" on line {line}");
        refuse_idle(&keys, "while batching is off", &help, report);
        return;
    }
    let Some(size) = &model.max_batch_size else {
        return;
    };
    let queue = &model.max_queue_size;
    if **queue < **size {
        let blamed = if queue.given { queue } else { size };
        let message = format!(
            "a batch of max_batch_size = {} can never fill from a queue of \
             max_queue_size = {}",
            **size, **queue
        );
        let help = format!("write max_queue_size = {} or more", **size);
        report.wrong(blamed.place, message, help);
    }
    if let Some(largest) = model.preferred_batch_sizes.last()
        && **largest > **size
    {
        let message = format!(
            "a batch of {} is preferred, but max_batch_size = {}",
            **largest, **size
        );
        let help = format!("remove it, or write max_batch_size = {}", **largest);
        report.wrong(largest.place, message, help);
    }
}

/// The most that a preferred size or a bucket can be.
pub(crate) const SIZE_MAX: u64 = COUNT_MAX;
