//! What an ensemble measures of its own work.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The metric families of all ensembles; clones share them.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) examples: Family<ExampleLabels, Counter>,
    pub(crate) failures: Family<FailureLabels, Counter>,
    pub(crate) partial: Family<FailureLabels, Counter>,
    pub(crate) step_duration: Family<StepLabels, Histogram>,
    pub(crate) duration: Family<EnsembleLabels, Histogram>,
}

/// Examples by what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ExampleLabels {
    pub(crate) ensemble: String,
    pub(crate) tenant: String,
    /// `predicted`, `answered` (by a step that skipped the rest) or `failed`.
    pub(crate) outcome: &'static str,
}

/// Failures by place, kind and fault.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FailureLabels {
    pub(crate) ensemble: String,
    pub(crate) step: String,
    pub(crate) tenant: String,
    pub(crate) stage: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) fault: &'static str,
}

/// A step of an ensemble.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StepLabels {
    pub(crate) ensemble: String,
    pub(crate) step: String,
    pub(crate) stage: &'static str,
}

/// An ensemble.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct EnsembleLabels {
    pub(crate) ensemble: String,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the families.
    pub fn register(registry: &mut Registry) -> Self {
        // 10 microseconds to about 84 seconds, by doublings.
        let durations = || Histogram::new(exponential_buckets(1e-5, 2.0, 24));
        let metrics = Self {
            examples: Family::default(),
            failures: Family::default(),
            partial: Family::default(),
            step_duration: Family::new_with_constructor(durations),
            duration: Family::new_with_constructor(durations),
        };
        registry.register(
            "consort_examples",
            "Examples that left an ensemble, by outcome",
            metrics.examples.clone(),
        );
        registry.register(
            "consort_failures",
            "Examples that failed, by step, stage, kind and fault",
            metrics.failures.clone(),
        );
        registry.register(
            "consort_optional_failures",
            "Optional steps that examples went on without, by step, stage, kind and fault",
            metrics.partial.clone(),
        );
        registry.register_with_unit(
            "consort_step_duration",
            "Time of one call of a step, queue wait included",
            Unit::Seconds,
            metrics.step_duration.clone(),
        );
        registry.register_with_unit(
            "consort_inference_duration",
            "Time of one call of an ensemble, end to end",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        metrics
    }
}
