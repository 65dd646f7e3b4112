//! Metric families of all remote models.
//!
//! Beam's name is kept as it is, ours begin with `consort_`. The OpenMetrics text form appends
//! `_total` to counters, so that `cumulativeThrottlingSeconds` is read as
//! `cumulativeThrottlingSeconds_total`.

use crate::policy::BreakerState;
use consort_inference::ModelId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// The metric families of all remote models; clones share them.
///
/// | name | type | labels beside `model` and `version` |
/// |---|---|---|
/// | `cumulativeThrottlingSeconds` | counter: seconds that calls waited because of adaptive throttling or the rate limit (back-off between tries is not counted) | |
/// | `consort_remote_requests` | counter: tries, metadata included, by how they ended | `outcome`: `answered`, `refused`, `overloaded`, `unreachable`, `broken`, `timeout`, `invalid`, `abandoned` |
/// | `consort_remote_retries` | counter: tries after the first of a call | |
/// | `consort_remote_held_back` | counter: times that a call was held back, or refused by the breaker | `reason`: `throttle`, `rate`, `breaker` |
/// | `consort_remote_breaker_state` | gauge: 0 closed, 1 half-open, 2 open | |
/// | `consort_remote_request_duration_seconds` | histogram: time of a try that was answered, whatever its status | |
#[derive(Debug, Clone)]
pub struct Metrics {
    throttling: Family<ModelLabels, Counter<f64, AtomicU64>>,
    requests: Family<OutcomeLabels, Counter>,
    retries: Family<ModelLabels, Counter>,
    held_back: Family<ReasonLabels, Counter>,
    breaker_state: Family<ModelLabels, Gauge>,
    request_time: Family<ModelLabels, Histogram, fn() -> Histogram>,
}

/// One model's metrics, looked up once.
#[derive(Debug)]
pub(crate) struct ModelMetrics {
    all: Metrics,
    labels: ModelLabels,
    throttling: Counter<f64, AtomicU64>,
    retries: Counter,
    breaker_state: Gauge,
    request_time: Histogram,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TryOutcome {
    /// With what was asked for.
    Answered,
    /// With a status that another try would not change.
    Refused,
    /// With a status that asks for patience.
    Overloaded,
    /// No connection.
    Unreachable,
    /// The connection broke.
    Broken,
    /// Too late.
    Timeout,
    /// With a body that cannot be taken.
    Invalid,
    /// Its caller left.
    Abandoned,
}

/// Why a call had to wait, or was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldBack {
    /// Adaptive throttling.
    Throttle,
    /// The rate limit.
    Rate,
    /// The circuit breaker.
    Breaker,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: Arc<str>,
    version: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    model: Arc<str>,
    version: Arc<str>,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    model: Arc<str>,
    version: Arc<str>,
    reason: &'static str,
}

// === impl Metrics ===

impl Default for Metrics {
    /// Families that nobody reads.
    fn default() -> Self {
        Self {
            throttling: Family::default(),
            requests: Family::default(),
            retries: Family::default(),
            held_back: Family::default(),
            breaker_state: Family::default(),
            request_time: Family::new_with_constructor(request_buckets),
        }
    }
}

impl Metrics {
    /// Creates the families and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "cumulativeThrottlingSeconds",
            "Seconds that calls of remote models waited because of throttling",
            metrics.throttling.clone(),
        );
        registry.register(
            "consort_remote_requests",
            "Tries of requests to other servers, by how they ended",
            metrics.requests.clone(),
        );
        registry.register(
            "consort_remote_retries",
            "Tries after the first of a call",
            metrics.retries.clone(),
        );
        registry.register(
            "consort_remote_held_back",
            "Times that a call to another server was held back, by reason",
            metrics.held_back.clone(),
        );
        registry.register(
            "consort_remote_breaker_state",
            "The circuit breaker: 0 closed, 1 half-open, 2 open",
            metrics.breaker_state.clone(),
        );
        registry.register_with_unit(
            "consort_remote_request_duration",
            "Time of a try that was answered, whatever its status",
            Unit::Seconds,
            metrics.request_time.clone(),
        );
        metrics
    }
}

fn request_buckets() -> Histogram {
    Histogram::new(exponential_buckets(250e-6, 2.0, 18))
}

// === impl ModelMetrics ===

impl ModelMetrics {
    pub(crate) fn new(all: &Metrics, model: &ModelId) -> Self {
        let labels = ModelLabels {
            model: model.name.clone(),
            version: model.version.clone(),
        };
        Self {
            throttling: all.throttling.get_or_create_owned(&labels),
            retries: all.retries.get_or_create_owned(&labels),
            breaker_state: all.breaker_state.get_or_create_owned(&labels),
            request_time: all.request_time.get_or_create_owned(&labels),
            all: all.clone(),
            labels,
        }
    }

    /// A call waited because of throttling.
    pub(crate) fn throttled(&self, time: Duration) {
        self.throttling.inc_by(time.as_secs_f64());
    }

    pub(crate) fn held_back(&self, reason: HeldBack) {
        let labels = ReasonLabels {
            model: self.labels.model.clone(),
            version: self.labels.version.clone(),
            reason: reason.as_str(),
        };
        self.all.held_back.get_or_create(&labels).inc();
    }

    pub(crate) fn retry(&self) {
        self.retries.inc();
    }

    pub(crate) fn request_done(&self, outcome: TryOutcome) {
        let labels = OutcomeLabels {
            model: self.labels.model.clone(),
            version: self.labels.version.clone(),
            outcome: outcome.as_str(),
        };
        self.all.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn request_answered(&self, time: Duration) {
        self.request_time.observe(time.as_secs_f64());
    }

    pub(crate) fn breaker_is(&self, state: BreakerState) {
        self.breaker_state.set(state.level());
    }
}

// === impl TryOutcome ===

impl TryOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Overloaded => "overloaded",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
            Self::Invalid => "invalid",
            Self::Abandoned => "abandoned",
        }
    }
}

// === impl HeldBack ===

impl HeldBack {
    fn as_str(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Rate => "rate",
            Self::Breaker => "breaker",
        }
    }
}
