//! The metric families of all models' batchers.
//!
//! Beam's names are kept as they are, ours begin with `consort_`. The OpenMetrics text
//! form appends `_total` to counters, so that `num_inferences` is read as
//! `num_inferences_total` and `failed_batches_counter` as `failed_batches_counter_total`.

use consort_inference::{FailureKind, ModelId, TenantId};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Duration;

/// The metric families of all models; clones share them.
///
/// | name | type | labels beside `model` and `version` |
/// |---|---|---|
/// | `num_inferences` | counter: examples predicted | `tenant` |
/// | `failed_batches_counter` | counter: runs that failed, wholly or for a row | `kind` |
/// | `inference_request_batch_size` | histogram: examples in a run that succeeded | |
/// | `inference_request_batch_byte_size` | histogram: bytes of their inputs | |
/// | `inference_batch_latency_micro_secs` | histogram: time of a run that succeeded | |
/// | `model_byte_size` | gauge: bytes that the loaded model holds | |
/// | `load_model_latency_milli_secs` | histogram: time of loading | |
/// | `consort_queue_wait_seconds` | histogram: arrival to start, each example | |
/// | `consort_queue_examples`, `consort_queue_bytes` | gauges: what waits | |
/// | `consort_refusals` | counter: examples not let in | `tenant`, `kind` |
/// | `consort_dropped_examples` | counter: dropped before they ran | `tenant`, `reason`: `expired`, `abandoned` |
/// | `consort_batch_splits` | counter: failed batches taken apart | `kind` |
/// | `consort_handler_panics` | counter: panics of the handler, caught | |
/// | `consort_batch_size_max` | gauge: the largest batch that may run now | |
/// | `consort_replicas`, `consort_replicas_busy` | gauges | |
#[derive(Clone)]
pub struct Metrics {
    inferences: Family<TenantLabels, Counter>,
    failed_batches: Family<KindLabels, Counter>,
    batch_size: Family<ModelLabels, Histogram>,
    batch_byte_size: Family<ModelLabels, Histogram>,
    batch_latency_us: Family<ModelLabels, Histogram>,
    model_byte_size: Family<ModelLabels, Gauge>,
    load_latency_ms: Family<ModelLabels, Histogram>,
    queue_wait_s: Family<ModelLabels, Histogram>,
    queue_examples: Family<ModelLabels, Gauge>,
    queue_bytes: Family<ModelLabels, Gauge>,
    refusals: Family<RefusalLabels, Counter>,
    dropped: Family<DropLabels, Counter>,
    splits: Family<KindLabels, Counter>,
    panics: Family<ModelLabels, Counter>,
    batch_size_max: Family<ModelLabels, Gauge>,
    replicas: Family<ModelLabels, Gauge>,
    replicas_busy: Family<ModelLabels, Gauge>,
}

/// One model's metrics, looked up once.
pub(crate) struct ModelMetrics {
    all: Metrics,
    labels: ModelLabels,
    pub(crate) batch_size: Histogram,
    pub(crate) batch_byte_size: Histogram,
    pub(crate) batch_latency_us: Histogram,
    pub(crate) queue_wait_s: Histogram,
    pub(crate) queue_examples: Gauge,
    pub(crate) queue_bytes: Gauge,
    pub(crate) panics: Counter,
    pub(crate) batch_size_max: Gauge,
    pub(crate) replicas: Gauge,
    pub(crate) replicas_busy: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: Arc<str>,
    version: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabels {
    model: Arc<str>,
    version: Arc<str>,
    tenant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    model: Arc<str>,
    version: Arc<str>,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    model: Arc<str>,
    version: Arc<str>,
    tenant: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabels {
    model: Arc<str>,
    version: Arc<str>,
    tenant: String,
    reason: &'static str,
}

/// 1, 2, 4, ... 65,536 examples.
fn batch_sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 17))
}

/// 64 bytes, times 4 each, to 1 GiB.
fn byte_sizes() -> Histogram {
    Histogram::new(exponential_buckets(64.0, 4.0, 13))
}

/// 10 us, doubling, to about 84 s.
fn micro_secs() -> Histogram {
    Histogram::new(exponential_buckets(10.0, 2.0, 24))
}

/// 1 ms, doubling, to about 9 minutes.
fn milli_secs() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 20))
}

/// 10 us, doubling, to about 84 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(1e-5, 2.0, 24))
}

// === impl Metrics ===

impl Metrics {
    /// Registers the families; once a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        metrics.register_beam(registry);
        metrics.register_ours(registry);
        metrics
    }

    /// Records that a model was loaded: how long it took, and the bytes it holds.
    pub fn record_model_load(&self, model: &ModelId, latency: Duration, bytes: u64) {
        let labels = ModelLabels::of(model);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.model_byte_size.get_or_create(&labels).set(bytes);
        let load_latency_ms = self.load_latency_ms.get_or_create(&labels);
        load_latency_ms.observe(latency.as_secs_f64() * 1e3);
    }

    fn unregistered() -> Self {
        Self {
            inferences: Family::default(),
            failed_batches: Family::default(),
            batch_size: Family::new_with_constructor(batch_sizes),
            batch_byte_size: Family::new_with_constructor(byte_sizes),
            batch_latency_us: Family::new_with_constructor(micro_secs),
            model_byte_size: Family::default(),
            load_latency_ms: Family::new_with_constructor(milli_secs),
            queue_wait_s: Family::new_with_constructor(seconds),
            queue_examples: Family::default(),
            queue_bytes: Family::default(),
            refusals: Family::default(),
            dropped: Family::default(),
            splits: Family::default(),
            panics: Family::default(),
            batch_size_max: Family::default(),
            replicas: Family::default(),
            replicas_busy: Family::default(),
        }
    }

    fn register_beam(&self, registry: &mut Registry) {
        registry.register(
            "num_inferences",
            "Examples predicted",
            self.inferences.clone(),
        );
        registry.register(
            "failed_batches_counter",
            "Runs of a model that failed, wholly or for one of their rows, by kind",
            self.failed_batches.clone(),
        );
        registry.register(
            "inference_request_batch_size",
            "Examples in a run that succeeded",
            self.batch_size.clone(),
        );
        registry.register(
            "inference_request_batch_byte_size",
            "Bytes of the inputs of a run that succeeded",
            self.batch_byte_size.clone(),
        );
        registry.register(
            "inference_batch_latency_micro_secs",
            "Microseconds that a run took, if it succeeded",
            self.batch_latency_us.clone(),
        );
        registry.register(
            "model_byte_size",
            "Bytes that the loaded model holds",
            self.model_byte_size.clone(),
        );
        registry.register(
            "load_model_latency_milli_secs",
            "Milliseconds that loading the model took",
            self.load_latency_ms.clone(),
        );
    }

    fn register_ours(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "consort_queue_wait",
            "Time from an example's arrival to the start of its batch",
            Unit::Seconds,
            self.queue_wait_s.clone(),
        );
        registry.register(
            "consort_queue_examples",
            "Examples that wait for a model",
            self.queue_examples.clone(),
        );
        registry.register_with_unit(
            "consort_queue",
            "Bytes of tensors that wait for a model",
            Unit::Bytes,
            self.queue_bytes.clone(),
        );
        registry.register(
            "consort_refusals",
            "Examples that were not let into a model's queue, by kind of failure",
            self.refusals.clone(),
        );
        registry.register(
            "consort_dropped_examples",
            "Examples dropped before they ran: expired, or abandoned by their caller",
            self.dropped.clone(),
        );
        registry.register(
            "consort_batch_splits",
            "Failed batches that were taken apart and run again, by kind of failure",
            self.splits.clone(),
        );
        registry.register(
            "consort_handler_panics",
            "Panics of a model's handler, which were caught",
            self.panics.clone(),
        );
        registry.register(
            "consort_batch_size_max",
            "The largest batch that may run, lowered when memory ran out",
            self.batch_size_max.clone(),
        );
        registry.register(
            "consort_replicas",
            "Replicas of a model",
            self.replicas.clone(),
        );
        registry.register(
            "consort_replicas_busy",
            "Replicas of a model that run a batch now",
            self.replicas_busy.clone(),
        );
    }
}

// === impl ModelMetrics ===

impl ModelMetrics {
    pub(crate) fn new(all: &Metrics, model: &ModelId) -> Self {
        let labels = ModelLabels::of(model);
        Self {
            batch_size: all.batch_size.get_or_create_owned(&labels),
            batch_byte_size: all.batch_byte_size.get_or_create_owned(&labels),
            batch_latency_us: all.batch_latency_us.get_or_create_owned(&labels),
            queue_wait_s: all.queue_wait_s.get_or_create_owned(&labels),
            queue_examples: all.queue_examples.get_or_create_owned(&labels),
            queue_bytes: all.queue_bytes.get_or_create_owned(&labels),
            panics: all.panics.get_or_create_owned(&labels),
            batch_size_max: all.batch_size_max.get_or_create_owned(&labels),
            replicas: all.replicas.get_or_create_owned(&labels),
            replicas_busy: all.replicas_busy.get_or_create_owned(&labels),
            all: all.clone(),
            labels,
        }
    }

    pub(crate) fn predicted(&self, tenant: &TenantId, examples: usize) {
        let ModelLabels { model, version } = self.labels.clone();
        let tenant = tenant.as_str().to_owned();
        let labels = TenantLabels {
            model,
            version,
            tenant,
        };
        self.all
            .inferences
            .get_or_create(&labels)
            .inc_by(count(examples));
    }

    pub(crate) fn refused(&self, tenant: &TenantId, kind: FailureKind, examples: usize) {
        let ModelLabels { model, version } = self.labels.clone();
        let labels = RefusalLabels {
            model,
            version,
            tenant: tenant.as_str().to_owned(),
            kind: kind.as_str(),
        };
        self.all
            .refusals
            .get_or_create(&labels)
            .inc_by(count(examples));
    }

    pub(crate) fn dropped(&self, tenant: &TenantId, reason: &'static str, examples: usize) {
        let ModelLabels { model, version } = self.labels.clone();
        let labels = DropLabels {
            model,
            version,
            tenant: tenant.as_str().to_owned(),
            reason,
        };
        self.all
            .dropped
            .get_or_create(&labels)
            .inc_by(count(examples));
    }

    pub(crate) fn batch_failed(&self, kind: FailureKind) {
        let labels = self.kind_labels(kind);
        self.all.failed_batches.get_or_create(&labels).inc();
    }

    pub(crate) fn batch_split(&self, kind: FailureKind) {
        let labels = self.kind_labels(kind);
        self.all.splits.get_or_create(&labels).inc();
    }

    fn kind_labels(&self, kind: FailureKind) -> KindLabels {
        let ModelLabels { model, version } = self.labels.clone();
        let kind = kind.as_str();
        KindLabels {
            model,
            version,
            kind,
        }
    }
}

fn count(examples: usize) -> u64 {
    u64::try_from(examples).unwrap_or(u64::MAX)
}

// === impl ModelLabels ===

impl ModelLabels {
    fn of(model: &ModelId) -> Self {
        Self {
            model: model.name.clone(),
            version: model.version.clone(),
        }
    }
}
