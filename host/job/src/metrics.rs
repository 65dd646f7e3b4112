//! Numbers of a job under the names that Apache Beam's RunInference has for them, where a
//! job knows them.

use crate::Summary;
use consort_inference::StageKind;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How a number was distributed, as Beam reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Distribution {
    /// How many numbers there were.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
}

/// What the calls of a job were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CallMetrics {
    /// Examples in a call.
    pub(crate) examples: Distribution,
    /// How long a call took, waiting included, in microseconds.
    pub(crate) latency_micros: Distribution,
    /// How long an example took from the moment it was let in until its line was ready, in
    /// microseconds.
    pub(crate) end_to_end_micros: Distribution,
    /// Examples that were tried again after they had failed in passing.
    pub(crate) retries: u64,
}

// === impl Distribution ===

impl Distribution {
    /// Takes in one more number.
    pub fn add(&mut self, number: u64) {
        self.add_many(number, 1);
    }

    /// Takes in the same number several times.
    pub fn add_many(&mut self, number: u64, times: u64) {
        if times == 0 {
            return;
        }
        self.min = if self.count == 0 {
            number
        } else {
            self.min.min(number)
        };
        self.max = self.max.max(number);
        self.sum = self.sum.saturating_add(number.saturating_mul(times));
        self.count += times;
    }

    fn to_json(self) -> Value {
        let mean = self.sum as f64 / self.count.max(1) as f64;
        let Self {
            count,
            sum,
            min,
            max,
        } = self;
        json!({"count": count, "sum": sum, "min": min, "max": max, "mean": mean})
    }
}

// === impl CallMetrics ===

impl CallMetrics {
    /// Takes in a call.
    pub(crate) fn call(&mut self, examples: usize, latency: Duration) {
        self.examples.add(examples as u64);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_micros.add(micros);
    }

    /// Takes in examples whose lines are ready at the same time.
    pub(crate) fn end_to_end(&mut self, examples: usize, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.end_to_end_micros.add_many(micros, examples as u64);
    }
}

/// The summary as JSON; see [`Summary::to_json`].
pub(crate) fn to_json(summary: &Summary) -> Value {
    let of_stage = |stage| -> u64 {
        let failures = summary.failures.iter();
        let failures = failures.filter(|(found, _, _)| *found == stage);
        failures.map(|(_, _, count)| count).sum()
    };
    let failures = summary.failures.iter().map(|(stage, kind, count)| {
        json!({"stage": stage.as_str(), "kind": kind.as_str(), "count": count})
    });
    let mut counters: Map<String, Value> = Map::new();
    let mut count = |name: &str, number: u64| counters.insert(name.to_owned(), number.into());
    count("num_inferences", summary.predictions);
    count("failed_preprocessing", of_stage(StageKind::Preprocess));
    count("failed_inferences", of_stage(StageKind::Inference));
    count("failed_postprocessing", of_stage(StageKind::Postprocess));
    count("retries", summary.calls.retries);
    for (name, number) in &summary.counters {
        count(name, *number);
    }
    let mut distributions: Map<String, Value> = Map::new();
    let calls = &summary.calls;
    for (name, distribution) in [
        ("call_examples", &calls.examples),
        ("call_latency_micro_secs", &calls.latency_micros),
        ("end_to_end_latency_micro_secs", &calls.end_to_end_micros),
    ] {
        distributions.insert(name.to_owned(), distribution.to_json());
    }
    for (name, distribution) in &summary.distributions {
        distributions.insert(name.clone(), distribution.to_json());
    }
    json!({
        "ended": summary.ended.as_str(),
        "dry_run": summary.dry_run,
        "examples": summary.examples(),
        "predictions": summary.predictions,
        "failures": failures.collect::<Vec<_>>(),
        "resumed": summary.resumed,
        "unread": summary.unread,
        "unwritten": summary.unwritten,
        "links_skipped": summary.links_skipped,
        "elapsed_secs": summary.elapsed.as_secs_f64(),
        "examples_per_sec": summary.examples_per_second(),
        "counters": counters,
        "distributions": distributions,
        "families": summary.families,
    })
}
