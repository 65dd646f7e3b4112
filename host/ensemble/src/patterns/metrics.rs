//! What patterns measure of their own work.

use super::Member;
use super::compare::Comparison;
use super::join::StepResult;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The metric families of all patterns; clones share them. Labels are names of the manifest
/// and fixed words, so there is a bounded number of series.
#[derive(Clone)]
pub struct PatternMetrics {
    arm_examples: Family<ArmLabels, Counter>,
    pub(super) canary_running: Family<PatternLabels, Gauge>,
    pub(super) canary_stops: Family<PatternLabels, Counter>,
    shadow_examples: Family<OutcomeLabels, Counter>,
    shadow_difference: Family<PatternLabels, Histogram>,
    pub(super) state_keys: Family<PatternLabels, Gauge>,
    pub(super) state_dropped: Family<OutcomeLabels, Counter>,
}

/// A way through a step, and what became of the examples that took it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ArmLabels {
    step: String,
    arm: String,
    /// `ok` or `failed`.
    outcome: &'static str,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PatternLabels {
    step: String,
}

/// A step and one of a few fixed words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    step: String,
    outcome: &'static str,
}

// === impl PatternMetrics ===

impl PatternMetrics {
    /// Registers the families.
    pub fn register(registry: &mut Registry) -> Self {
        // From where rounding shows, 1e-8, to about 1e7, by tens.
        let differences = || Histogram::new(exponential_buckets(1e-8, 10.0, 16));
        let metrics = Self {
            arm_examples: Family::default(),
            canary_running: Family::default(),
            canary_stops: Family::default(),
            shadow_examples: Family::default(),
            shadow_difference: Family::new_with_constructor(differences),
            state_keys: Family::default(),
            state_dropped: Family::default(),
        };
        registry.register(
            "consort_arm_examples",
            "Examples that took an arm of a split, canary, route or fallback",
            metrics.arm_examples.clone(),
        );
        registry.register(
            "consort_canary_running",
            "Whether a canary still gets examples (1) or stopped (0)",
            metrics.canary_running.clone(),
        );
        registry.register(
            "consort_canary_stops",
            "Canaries that stopped because they failed too often",
            metrics.canary_stops.clone(),
        );
        registry.register(
            "consort_shadow_examples",
            "Copies of examples for a shadow: equal, different, failed, base_failed or dropped",
            metrics.shadow_examples.clone(),
        );
        registry.register(
            "consort_shadow_difference",
            "Largest difference between numbers of a shadow and of the step it shadows",
            metrics.shadow_difference.clone(),
        );
        registry.register(
            "consort_state_keys",
            "Keys whose state is kept between examples",
            metrics.state_keys.clone(),
        );
        registry.register(
            "consort_state_dropped",
            "States that were dropped: idle for too long, or to make room",
            metrics.state_dropped.clone(),
        );
        metrics
    }

    /// Counts which way each example took.
    pub(super) fn arms(
        &self,
        step: &str,
        members: &[Member],
        chosen: &[usize],
        results: &[StepResult],
    ) {
        for (index, member) in members.iter().enumerate() {
            let (mut ok, mut failed) = (0, 0);
            for (_, result) in chosen.iter().zip(results).filter(|(to, _)| **to == index) {
                match result {
                    Ok(_) => ok += 1,
                    Err(_) => failed += 1,
                }
            }
            self.arm(step, &member.name, ok, failed);
        }
    }

    pub(super) fn arm(&self, step: &str, arm: &str, ok: u64, failed: u64) {
        for (outcome, count) in [("ok", ok), ("failed", failed)] {
            if count > 0 {
                let labels = ArmLabels {
                    step: step.to_owned(),
                    arm: arm.to_owned(),
                    outcome,
                };
                self.arm_examples.get_or_create(&labels).inc_by(count);
            }
        }
    }

    pub(super) fn compared(&self, step: &str, comparison: &Comparison) {
        self.shadowed(step, comparison.as_str(), 1);
        if let Some(difference) = comparison.largest_difference() {
            self.shadow_difference
                .get_or_create(&labels(step))
                .observe(difference);
        }
    }

    pub(super) fn shadowed(&self, step: &str, outcome: &'static str, count: u64) {
        self.shadow_examples
            .get_or_create(&outcome_labels(step, outcome))
            .inc_by(count);
    }

    #[cfg(test)]
    pub(super) fn shadow_count(&self, step: &str, outcome: &'static str) -> u64 {
        let labels = outcome_labels(step, outcome);
        self.shadow_examples.get_or_create(&labels).get()
    }

    #[cfg(test)]
    pub(super) fn arm_count(&self, step: &str, arm: &str, outcome: &'static str) -> u64 {
        let (step, arm) = (step.to_owned(), arm.to_owned());
        let labels = ArmLabels { step, arm, outcome };
        self.arm_examples.get_or_create(&labels).get()
    }
}

/// The labels of a step.
pub(super) fn labels(step: &str) -> PatternLabels {
    PatternLabels {
        step: step.to_owned(),
    }
}

/// The labels of a step and what became of something.
pub(super) fn outcome_labels(step: &str, outcome: &'static str) -> OutcomeLabels {
    OutcomeLabels {
        step: step.to_owned(),
        outcome,
    }
}
