//! The examples that can share a batch, and what is known of how they come.

use super::segment::Segment;
use super::{Order, TenantNumber};
use crate::kind::{LaneKey, LaneKind};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How much of an older time between two batches still counts in the arrival rate.
const KEPT: f64 = 0.7;
/// The part of the difference by which the tightest time budget grows back.
const BUDGET_RELAXES: u32 = 64;

/// One tenant's segments, those with the highest priority first, then by arrival.
pub(crate) type Flow = BTreeMap<Order, Segment>;

/// The examples of one lane that wait.
pub(crate) struct Lane {
    pub(crate) key: LaneKey,
    /// None of them is empty.
    pub(super) flows: BTreeMap<TenantNumber, Flow>,
    pub(super) examples: usize,
    pub(super) bytes: usize,
    pub(super) weight: u64,
    /// How many segments have each deadline.
    deadlines: BTreeMap<Instant, usize>,
    pace: Pace,
    budget: Option<Duration>,
}

/// How fast examples come, measured from batch to batch.
#[derive(Default)]
struct Pace {
    /// When the last batch was taken.
    since: Option<Instant>,
    /// What has come since.
    examples: f64,
    /// Earlier examples, and the seconds in which they came, older ones counting less.
    examples_kept: f64,
    secs_kept: f64,
}

// === impl Lane ===

impl Lane {
    pub(super) fn new(key: LaneKey) -> Self {
        Self {
            key,
            flows: BTreeMap::new(),
            examples: 0,
            bytes: 0,
            weight: 0,
            deadlines: BTreeMap::new(),
            pace: Pace::default(),
            budget: None,
        }
    }

    pub(crate) fn kind(&self) -> &LaneKind {
        &self.key.kind
    }

    pub(crate) fn len(&self) -> usize {
        self.examples
    }

    /// Bytes of one example, on average.
    pub(crate) fn mean_bytes(&self) -> usize {
        self.bytes / self.examples.max(1)
    }

    /// Weight of one example, on average.
    pub(crate) fn mean_weight(&self) -> u64 {
        self.weight / (self.examples.max(1) as u64)
    }

    /// When the oldest of those that are next came.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let heads = self.flows.values().filter_map(BTreeMap::first_key_value);
        heads.map(|(_, segment)| segment.arrived).min()
    }

    /// The earliest deadline of them all.
    pub(crate) fn earliest_deadline(&self) -> Option<Instant> {
        self.deadlines.first_key_value().map(|(at, _)| *at)
    }

    /// The least time that callers gave lately, from arrival to deadline.
    pub(crate) fn tightest_budget(&self) -> Option<Duration> {
        self.budget
    }

    /// How many examples come in a second.
    pub(crate) fn arrivals_per_second(&self, now: Instant) -> f64 {
        self.pace.per_second(now)
    }

    pub(super) fn arrived(&mut self, segment: &Segment) {
        self.examples += segment.len();
        self.bytes += segment.bytes();
        self.weight = self.weight.saturating_add(segment.weight());
        self.pace.arrived(segment.arrived, segment.len());
        let Some(deadline) = segment.deadline else {
            return;
        };
        *self.deadlines.entry(deadline).or_default() += 1;
        let budget = deadline.saturating_duration_since(segment.arrived);
        self.budget = Some(match self.budget {
            Some(tightest) if tightest < budget => tightest + (budget - tightest) / BUDGET_RELAXES,
            _ => budget,
        });
    }

    /// A segment has gone as a whole, or its last example has.
    pub(super) fn gone(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return;
        };
        if let Some(count) = self.deadlines.get_mut(&deadline) {
            *count -= 1;
            if *count == 0 {
                self.deadlines.remove(&deadline);
            }
        }
    }

    /// A batch was taken.
    pub(super) fn taken(&mut self, now: Instant) {
        self.pace.taken(now);
    }
}

// === impl Pace ===

impl Pace {
    fn arrived(&mut self, now: Instant, examples: usize) {
        self.since.get_or_insert(now);
        self.examples += examples as f64;
    }

    fn taken(&mut self, now: Instant) {
        let secs = self.secs(now);
        if secs <= 0.0 {
            // Several batches at one instant are parts of one.
            return;
        }
        self.examples_kept = self.examples_kept * KEPT + self.examples;
        self.secs_kept = self.secs_kept * KEPT + secs;
        self.examples = 0.0;
        self.since = Some(now);
    }

    /// Zero until a batch was taken.
    fn per_second(&self, now: Instant) -> f64 {
        let secs = self.secs(now);
        if self.secs_kept <= 0.0 {
            return 0.0;
        }
        let steady = self.examples_kept / self.secs_kept;
        // What has come since the last batch counts only against an earlier rush: a burst
        // that begins is no promise of more.
        let lately = (self.examples_kept + self.examples) / (self.secs_kept + secs);
        steady.min(lately)
    }

    fn secs(&self, now: Instant) -> f64 {
        let elapsed = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
        self.since.map_or(0.0, elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_what_comes_and_fades() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let mut pace = Pace::default();
        assert_eq!(pace.per_second(begin), 0.0);
        for cycle in 0..20 {
            pace.arrived(at(cycle * 10), 50);
            pace.taken(at(cycle * 10 + 10));
        }
        assert!((pace.per_second(at(200)) - 5_000.0).abs() < 1.0);
        // A second of silence is told before the next batch is taken.
        assert!(pace.per_second(at(1_200)) < 200.0);
        // A rush that has only begun is not believed.
        pace.arrived(at(1_201), 10_000);
        assert!(pace.per_second(at(1_201)) < 5_001.0);
    }
}
