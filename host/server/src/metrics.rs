//! The server's own metrics.
//!
//! Labels are bounded: routes are a fixed set, and an endpoint's name is a label only if
//! the catalog knows it.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

/// The label of a request that names an endpoint which does not exist.
pub(crate) const UNKNOWN_ENDPOINT: &str = "_unknown";
/// The label of a request that names no endpoint.
pub(crate) const NO_ENDPOINT: &str = "_none";

/// The server's metrics. Clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<EndpointLabels, Histogram, fn() -> Histogram>,
    request_bytes: Family<EndpointLabels, Counter>,
    response_bytes: Family<EndpointLabels, Counter>,
    /// Requests under way.
    pub(crate) inflight: Gauge,
    /// Open connections.
    pub(crate) connections: Gauge,
    /// Connections refused at the limit.
    pub(crate) connections_refused: Counter,
}

/// What is counted of one request when it ends.
pub(crate) struct RequestRecord {
    pub(crate) route: &'static str,
    pub(crate) endpoint: Label,
    pub(crate) status: Status,
    pub(crate) duration: Duration,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

/// How a request ended: a status, or a word where the client saw none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    Http(u16),
    Abandoned,
    CutOff,
}

/// A shared text as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Label(pub(crate) Arc<str>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    endpoint: Label,
    status: Status,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    route: &'static str,
    endpoint: Label,
}

// === impl Metrics ===

impl Metrics {
    /// Makes the metrics and adds them to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| {
                // From 50 microseconds, doubling, to 26 seconds.
                Histogram::new(exponential_buckets(50e-6, 2.0, 20))
            }),
            request_bytes: Family::default(),
            response_bytes: Family::default(),
            inflight: Gauge::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("consort_server");
        registry.register(
            "requests",
            "Requests that ended, by route, endpoint and HTTP status; abandoned where the client \
             left, cut_off where the server stopped",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From the head of a request to the end of its response",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_with_unit(
            "request_body",
            "Bytes of request bodies as received",
            Unit::Bytes,
            metrics.request_bytes.clone(),
        );
        registry.register_with_unit(
            "response_body",
            "Bytes of response bodies as sent",
            Unit::Bytes,
            metrics.response_bytes.clone(),
        );
        registry.register(
            "requests_inflight",
            "Requests under way",
            metrics.inflight.clone(),
        );
        registry.register(
            "connections",
            "Open connections",
            metrics.connections.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections refused because the limit was reached",
            metrics.connections_refused.clone(),
        );
        metrics
    }

    pub(crate) fn record(&self, record: RequestRecord) {
        let labels = EndpointLabels {
            route: record.route,
            endpoint: record.endpoint,
        };
        self.duration
            .get_or_create(&labels)
            .observe(record.duration.as_secs_f64());
        let count = |family: &Family<EndpointLabels, Counter>, bytes| {
            family.get_or_create(&labels).inc_by(bytes);
        };
        count(&self.request_bytes, record.request_bytes);
        count(&self.response_bytes, record.response_bytes);
        let labels = RequestLabels {
            route: labels.route,
            endpoint: labels.endpoint,
            status: record.status,
        };
        self.requests.get_or_create(&labels).inc();
    }
}

// === impl Label ===

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(&self.0)
    }
}

// === impl Status ===

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        match self {
            Self::Http(status) => write!(encoder, "{status}"),
            Self::Abandoned => encoder.write_str("abandoned"),
            Self::CutOff => encoder.write_str("cut_off"),
        }
    }
}
