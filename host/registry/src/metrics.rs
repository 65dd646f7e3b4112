//! The metric families of what is loaded.
//!
//! Beam's `model_byte_size` and `load_model_latency_milli_secs` are kept by the batchers'
//! [`consort_batching::Metrics`], to which every load here is reported.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The metric families of a registry of models; clones share them.
///
/// | name | type | labels |
/// |---|---|---|
/// | `consort_models_loaded` | gauge: versions of models in memory, kept ones included | |
/// | `consort_models_loaded_bytes` | gauge: bytes they hold | |
/// | `consort_models_on_demand_bytes` | gauge: bytes the budget counts | |
/// | `consort_models_on_demand_max_bytes` | gauge: the budget, 0 for none | |
/// | `consort_model_loads` | counter: loads, updates included | `result`: `ok`, `failed` |
/// | `consort_model_evictions` | counter: models that made room for others | |
/// | `consort_model_updates` | counter | `model`, `result`: `ok`, `failed`, `rolled_back` |
#[derive(Clone, Default)]
pub struct Metrics {
    pub(crate) loaded: Gauge,
    pub(crate) loaded_bytes: Gauge,
    pub(crate) on_demand_bytes: Gauge,
    pub(crate) on_demand_bytes_max: Gauge,
    pub(crate) evictions: Counter,
    loads: Family<LoadLabels, Counter>,
    updates: Family<UpdateLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoadLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpdateLabels {
    model: String,
    result: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the families; once a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let bytes = || Unit::Bytes;
        registry.register(
            "consort_models_loaded",
            "Versions of models in memory, those kept for a rollback included",
            metrics.loaded.clone(),
        );
        registry.register_with_unit(
            "consort_models_loaded",
            "Bytes that the models in memory hold",
            bytes(),
            metrics.loaded_bytes.clone(),
        );
        registry.register_with_unit(
            "consort_models_on_demand",
            "Bytes of models loaded on demand, as the budget counts them",
            bytes(),
            metrics.on_demand_bytes.clone(),
        );
        registry.register_with_unit(
            "consort_models_on_demand_max",
            "The budget for models loaded on demand, 0 for none",
            bytes(),
            metrics.on_demand_bytes_max.clone(),
        );
        registry.register(
            "consort_model_loads",
            "Models loaded, for updates too, by result",
            metrics.loads.clone(),
        );
        registry.register(
            "consort_model_evictions",
            "Models that made room for others",
            metrics.evictions.clone(),
        );
        registry.register(
            "consort_model_updates",
            "Updates of models, by result",
            metrics.updates.clone(),
        );
        metrics
    }

    pub(crate) fn load(&self, is_ok: bool) {
        let result = if is_ok { "ok" } else { "failed" };
        self.loads.get_or_create(&LoadLabels { result }).inc();
    }

    pub(crate) fn update(&self, model: &str, result: &'static str) {
        let model = model.to_owned();
        let labels = UpdateLabels { model, result };
        self.updates.get_or_create(&labels).inc();
    }
}

/// Bytes as a gauge takes them.
pub(crate) fn gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
