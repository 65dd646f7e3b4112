//! The metric families of all models' batchers.
//!
//! Beam's names are kept as they are, ours begin with `consort_`. The OpenMetrics text
//! form appends `_total` to counters, so that `num_inferences` is read as
//! `num_inferences_total` and `failed_batches_counter` as `failed_batches_counter_total`;
//! and it knows no slash, so that Beam's `BatchElements/batch_size` is
//! `batch_elements_batch_size` and its `BatchElements/msec_per_batch` is
//! `batch_elements_msec_per_batch`. Beam's namespace of a model is the label `namespace` of
//! `consort_model_namespace`.
//!
//! The number of series is bounded: after [`TENANTS_MAX`] tenants further ones are counted
//! as `other`, and of each model the last [`VERSIONS_MAX`] versions are kept.

mod counted;
mod labels;

use self::counted::CountedHistogram;
use self::labels::{
    DropLabels, KindLabels, ModelLabels, NamespaceLabels, RefusalLabels, TenantLabels,
};
use crate::lock;

use consort_inference::{FailureKind, ModelId, TenantId};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Tenants with series of their own, in all models together.
const TENANTS_MAX: usize = 256;
/// Versions of one model whose series are kept.
const VERSIONS_MAX: usize = 8;
/// The tenant under which all further ones are counted.
const OTHER_TENANTS: &str = "other";
const DROP_REASONS: [&str; 2] = ["expired", "abandoned"];

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
/// | `batch_elements_batch_size` | histogram: examples in a run, whatever became of it (Beam's `BatchElements/batch_size`) | |
/// | `batch_elements_msec_per_batch` | histogram: milliseconds of a run, whatever became of it (Beam's `BatchElements/msec_per_batch`) | |
/// | `consort_model_namespace` | gauge: always 1 | `namespace` |
/// | `consort_queue_wait_seconds` | histogram: arrival to start, each example | |
/// | `consort_queue_examples`, `consort_queue_bytes` | gauges: what waits | |
/// | `consort_refusals` | counter: examples not let in | `tenant`, `kind` |
/// | `consort_dropped_examples` | counter: dropped before they ran | `tenant`, `reason`: `expired`, `abandoned` |
/// | `consort_batch_splits` | counter: failed batches taken apart | `kind` |
/// | `consort_handler_panics` | counter: panics of the handler, caught | |
/// | `consort_batch_fill_ratio` | histogram: examples in a batch, of those that make it full | |
/// | `consort_padding_waste_ratio` | histogram: the part of a ragged batch that is padding | |
/// | `consort_cost_model_error_ratio` | histogram: how far off the expected time of a run was, of the time it took | |
/// | `consort_batch_size_target` | gauge: the size of batches of which enough waits | |
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
    formed_size: Family<ModelLabels, Histogram>,
    formed_ms: Family<ModelLabels, Histogram>,
    namespace: Family<NamespaceLabels, Gauge>,
    batch_fill: Family<ModelLabels, Histogram>,
    padding_waste: Family<ModelLabels, Histogram>,
    cost_error: Family<ModelLabels, Histogram>,
    batch_size_target: Family<ModelLabels, Gauge>,
    queue_wait_s: Family<ModelLabels, CountedHistogram>,
    queue_examples: Family<ModelLabels, Gauge>,
    queue_bytes: Family<ModelLabels, Gauge>,
    refusals: Family<RefusalLabels, Counter>,
    dropped: Family<DropLabels, Counter>,
    splits: Family<KindLabels, Counter>,
    panics: Family<ModelLabels, Counter>,
    batch_size_max: Family<ModelLabels, Gauge>,
    replicas: Family<ModelLabels, Gauge>,
    replicas_busy: Family<ModelLabels, Gauge>,
    known: Arc<Mutex<Known>>,
}

/// What has series.
#[derive(Default)]
struct Known {
    tenants: BTreeSet<TenantId>,
    versions: HashMap<Arc<str>, VecDeque<(Arc<str>, String)>>,
}

/// One model's metrics, looked up once.
pub(crate) struct ModelMetrics {
    all: Metrics,
    labels: ModelLabels,
    pub(crate) batch_size: Histogram,
    pub(crate) batch_byte_size: Histogram,
    pub(crate) batch_latency_us: Histogram,
    pub(crate) formed_size: Histogram,
    pub(crate) formed_ms: Histogram,
    pub(crate) batch_fill: Histogram,
    pub(crate) padding_waste: Histogram,
    pub(crate) cost_error: Histogram,
    pub(crate) batch_size_target: Gauge,
    pub(crate) queue_wait_s: CountedHistogram,
    pub(crate) queue_examples: Gauge,
    pub(crate) queue_bytes: Gauge,
    pub(crate) panics: Counter,
    pub(crate) batch_size_max: Gauge,
    pub(crate) replicas: Gauge,
    pub(crate) replicas_busy: Gauge,
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

/// 1/64 ms, doubling, to about 9 minutes.
fn milli_secs() -> Histogram {
    Histogram::new(exponential_buckets(1.0 / 64.0, 2.0, 26))
}

/// 10 us, doubling, to about 84 s.
fn seconds() -> CountedHistogram {
    CountedHistogram::new(exponential_buckets(1e-5, 2.0, 24))
}

/// Tenths.
fn parts() -> Histogram {
    Histogram::new((1..=10).map(|tenths| f64::from(tenths) / 10.0))
}

/// 1 %, doubling, to about 10 times.
fn errors() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.0, 11))
}

// === impl Metrics ===

impl Metrics {
    /// Registers the families; once a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        metrics.register_beam(registry);
        metrics.register_batch_elements(registry);
        metrics.register_ours(registry);
        metrics.register_learning(registry);
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
            formed_size: Family::new_with_constructor(batch_sizes),
            formed_ms: Family::new_with_constructor(milli_secs),
            namespace: Family::default(),
            batch_fill: Family::new_with_constructor(parts),
            padding_waste: Family::new_with_constructor(parts),
            cost_error: Family::new_with_constructor(errors),
            batch_size_target: Family::default(),
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
            known: Arc::default(),
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

    fn register_batch_elements(&self, registry: &mut Registry) {
        registry.register(
            "batch_elements_batch_size",
            "Examples in a run, whatever became of it",
            self.formed_size.clone(),
        );
        registry.register(
            "batch_elements_msec_per_batch",
            "Milliseconds that a run took, whatever became of it",
            self.formed_ms.clone(),
        );
        registry.register(
            "consort_model_namespace",
            "The namespace of a model's metrics in Beam's form; always 1",
            self.namespace.clone(),
        );
    }

    fn register_learning(&self, registry: &mut Registry) {
        registry.register(
            "consort_batch_fill_ratio",
            "Examples in a batch, of those that make it full",
            self.batch_fill.clone(),
        );
        registry.register(
            "consort_padding_waste_ratio",
            "The part of a batch of examples of different shapes that is padding",
            self.padding_waste.clone(),
        );
        registry.register(
            "consort_cost_model_error_ratio",
            "How far off the expected time of a run was, of the time it took",
            self.cost_error.clone(),
        );
        registry.register(
            "consort_batch_size_target",
            "The size of batches of which enough waits",
            self.batch_size_target.clone(),
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

// === impl Metrics: what has series ===

impl Metrics {
    /// The label of a tenant.
    fn tenant(&self, tenant: &TenantId) -> String {
        let mut known = lock(&self.known);
        if !known.tenants.contains(tenant) {
            if known.tenants.len() >= TENANTS_MAX {
                return OTHER_TENANTS.to_owned();
            }
            known.tenants.insert(tenant.clone());
        }
        tenant.as_str().to_owned()
    }

    /// A version of a model is about to get series; the oldest of many loses its own.
    fn meet(&self, labels: &ModelLabels, namespace: &str) {
        let ModelLabels { model, version } = labels.clone();
        let namespace = namespace.to_owned();
        let named = NamespaceLabels {
            model: model.clone(),
            version: version.clone(),
            namespace: namespace.clone(),
        };
        self.namespace.get_or_create_owned(&named).set(1);
        let oldest = {
            let mut known = lock(&self.known);
            let versions = known.versions.entry(model).or_default();
            versions.retain(|(known, _)| *known != version);
            versions.push_back((version, namespace));
            match versions.len() > VERSIONS_MAX {
                true => versions.pop_front(),
                false => None,
            }
        };
        if let Some((version, namespace)) = oldest {
            let model = labels.model.clone();
            self.forget(&ModelLabels { model, version }, namespace);
        }
    }

    fn forget(&self, labels: &ModelLabels, namespace: String) {
        let ModelLabels { model, version } = labels.clone();
        self.namespace.remove(&NamespaceLabels {
            model,
            version,
            namespace,
        });
        for family in [
            &self.model_byte_size,
            &self.batch_size_target,
            &self.queue_examples,
            &self.queue_bytes,
            &self.batch_size_max,
            &self.replicas,
            &self.replicas_busy,
        ] {
            family.remove(labels);
        }
        for family in [
            &self.batch_size,
            &self.batch_byte_size,
            &self.batch_latency_us,
            &self.load_latency_ms,
            &self.formed_size,
            &self.formed_ms,
            &self.batch_fill,
            &self.padding_waste,
            &self.cost_error,
        ] {
            family.remove(labels);
        }
        self.queue_wait_s.remove(labels);
        self.panics.remove(labels);
        for kind in KINDS {
            self.failed_batches.remove(&labels.of_kind(kind));
            self.splits.remove(&labels.of_kind(kind));
        }
        let tenants: Vec<String> = {
            let known = lock(&self.known);
            let tenants = known
                .tenants
                .iter()
                .map(|tenant| tenant.as_str().to_owned());
            tenants.chain([OTHER_TENANTS.to_owned()]).collect()
        };
        for tenant in tenants {
            self.inferences.remove(&labels.of_tenant(tenant.clone()));
            for kind in KINDS {
                self.refusals
                    .remove(&labels.of_refusal(tenant.clone(), kind));
            }
            for reason in DROP_REASONS {
                self.dropped.remove(&labels.of_drop(tenant.clone(), reason));
            }
        }
    }
}

/// The kinds of failures that happen here.
const KINDS: [FailureKind; 9] = [
    FailureKind::InvalidArgument,
    FailureKind::TooLarge,
    FailureKind::ModelFailed,
    FailureKind::ModelContract,
    FailureKind::OutOfMemory,
    FailureKind::QueueFull,
    FailureKind::DeadlineExceeded,
    FailureKind::Unavailable,
    FailureKind::Internal,
];

// === impl ModelMetrics ===

impl ModelMetrics {
    pub(crate) fn new(all: &Metrics, model: &ModelId, namespace: &str) -> Self {
        let labels = ModelLabels::of(model);
        all.meet(&labels, namespace);
        Self {
            batch_size: all.batch_size.get_or_create_owned(&labels),
            batch_byte_size: all.batch_byte_size.get_or_create_owned(&labels),
            batch_latency_us: all.batch_latency_us.get_or_create_owned(&labels),
            formed_size: all.formed_size.get_or_create_owned(&labels),
            formed_ms: all.formed_ms.get_or_create_owned(&labels),
            batch_fill: all.batch_fill.get_or_create_owned(&labels),
            padding_waste: all.padding_waste.get_or_create_owned(&labels),
            cost_error: all.cost_error.get_or_create_owned(&labels),
            batch_size_target: all.batch_size_target.get_or_create_owned(&labels),
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
        let tenant = self.all.tenant(tenant);
        let inferences = self
            .all
            .inferences
            .get_or_create_owned(&self.labels.of_tenant(tenant));
        inferences.inc_by(count(examples));
    }

    pub(crate) fn refused(&self, tenant: &TenantId, kind: FailureKind, examples: usize) {
        let labels = self.labels.of_refusal(self.all.tenant(tenant), kind);
        let refusals = self.all.refusals.get_or_create_owned(&labels);
        refusals.inc_by(count(examples));
    }

    pub(crate) fn dropped(&self, tenant: &TenantId, reason: &'static str, examples: usize) {
        let labels = self.labels.of_drop(self.all.tenant(tenant), reason);
        let dropped = self.all.dropped.get_or_create_owned(&labels);
        dropped.inc_by(count(examples));
    }

    pub(crate) fn batch_failed(&self, kind: FailureKind) {
        let labels = self.labels.of_kind(kind);
        self.all.failed_batches.get_or_create_owned(&labels).inc();
    }

    pub(crate) fn batch_split(&self, kind: FailureKind) {
        let labels = self.labels.of_kind(kind);
        self.all.splits.get_or_create_owned(&labels).inc();
    }
}

fn count(examples: usize) -> u64 {
    u64::try_from(examples).unwrap_or(u64::MAX)
}
