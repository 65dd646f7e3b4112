//! Metric families of the sandbox: what plugins did, how long it took, what stopped them.

use crate::limits::Limit;
use crate::role::Role;
use consort_inference::{PluginName, TenantId};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Duration;

/// The families, registered once for a process.
#[derive(Debug, Clone)]
pub struct Metrics {
    calls: Family<CallLabels, Counter>,
    call_time: Family<RoleLabels, Histogram, fn() -> Histogram>,
    instantiate_time: Family<PluginLabels, Histogram, fn() -> Histogram>,
    log_bytes_dropped: Family<TenantLabels, Counter>,
    limit_hits: Family<LimitLabels, Counter>,
    model_calls: Family<ModelCallLabels, Counter>,
    loads: Family<LoadLabels, Counter>,
    /// Instances that exist now, idle ones included.
    pub(crate) instances: Gauge,
}

/// The families with one plugin's name, ready for its calls.
#[derive(Debug)]
pub(crate) struct PluginMetrics {
    families: Arc<Metrics>,
    plugin: Arc<str>,
    instantiate_time: Histogram,
    /// By [`Role::ALL`]'s order.
    role_times: [Histogram; Role::ALL.len()],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabels {
    plugin: Arc<str>,
    role: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabels {
    plugin: Arc<str>,
    tenant: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    plugin: Arc<str>,
    role: &'static str,
    tenant: Arc<str>,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    plugin: Arc<str>,
    tenant: Arc<str>,
    limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelCallLabels {
    plugin: Arc<str>,
    model: Arc<str>,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoadLabels {
    plugin: Arc<str>,
    result: &'static str,
}

/// The tenant's label where there is none: at load.
const NO_TENANT: &str = "";

// === impl Metrics ===

impl Metrics {
    /// Creates the families and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            calls: Family::default(),
            call_time: Family::new_with_constructor(call_buckets),
            instantiate_time: Family::new_with_constructor(instantiate_buckets),
            log_bytes_dropped: Family::default(),
            limit_hits: Family::default(),
            model_calls: Family::default(),
            loads: Family::default(),
            instances: Gauge::default(),
        };
        registry.register(
            "consort_plugin_calls",
            "Calls into plugins: one crossing with one or more examples of one tenant",
            metrics.calls.clone(),
        );
        registry.register_with_unit(
            "consort_plugin_call_duration",
            "Time of a call, the making of its instance included",
            Unit::Seconds,
            metrics.call_time.clone(),
        );
        registry.register_with_unit(
            "consort_plugin_instantiate_duration",
            "Time to make a fresh instance",
            Unit::Seconds,
            metrics.instantiate_time.clone(),
        );
        registry.register(
            "consort_plugin_log_bytes_dropped",
            "Bytes that plugins wrote to the log beyond log_bytes_max",
            metrics.log_bytes_dropped.clone(),
        );
        registry.register(
            "consort_plugin_limit_hits",
            "Plugins stopped at a limit, by its manifest key",
            metrics.limit_hits.clone(),
        );
        registry.register(
            "consort_plugin_model_calls",
            "Calls from inside plugins to models granted to them",
            metrics.model_calls.clone(),
        );
        registry.register(
            "consort_plugin_loads",
            "Plugins loaded: from the cache, by compiling, or not at all",
            metrics.loads.clone(),
        );
        registry.register(
            "consort_plugin_instances",
            "Plugin instances that exist now",
            metrics.instances.clone(),
        );
        metrics
    }

    pub(crate) fn load_done(&self, plugin: &PluginName, result: &'static str) {
        let labels = LoadLabels {
            plugin: plugin.as_str().into(),
            result,
        };
        self.loads.get_or_create(&labels).inc();
    }
}

fn call_buckets() -> Histogram {
    Histogram::new(exponential_buckets(5e-6, 2.5, 18))
}

fn instantiate_buckets() -> Histogram {
    Histogram::new(exponential_buckets(5e-6, 2.0, 16))
}

// === impl PluginMetrics ===

impl PluginMetrics {
    pub(crate) fn new(families: Arc<Metrics>, plugin: &PluginName) -> Self {
        let plugin: Arc<str> = plugin.as_str().into();
        let role_time = |role: Role| {
            let labels = RoleLabels {
                plugin: plugin.clone(),
                role: role.as_str(),
            };
            families.call_time.get_or_create_owned(&labels)
        };
        let labels = PluginLabels {
            plugin: plugin.clone(),
        };
        Self {
            instantiate_time: families.instantiate_time.get_or_create_owned(&labels),
            role_times: Role::ALL.map(role_time),
            plugin,
            families,
        }
    }

    pub(crate) fn call_done(
        &self,
        role: Role,
        tenant: &TenantId,
        outcome: &'static str,
        time: Duration,
    ) {
        let labels = CallLabels {
            plugin: self.plugin.clone(),
            role: role.as_str(),
            tenant: tenant.as_str().into(),
            outcome,
        };
        self.families.calls.get_or_create(&labels).inc();
        if let Some(histogram) = self.role_times.get(role as usize) {
            histogram.observe(time.as_secs_f64());
        }
    }

    pub(crate) fn instantiated(&self, time: Duration) {
        self.instantiate_time.observe(time.as_secs_f64());
    }

    pub(crate) fn log_bytes_dropped(&self, tenant: Option<&TenantId>, bytes: u64) {
        let labels = TenantLabels {
            plugin: self.plugin.clone(),
            tenant: tenant_label(tenant),
        };
        self.families
            .log_bytes_dropped
            .get_or_create(&labels)
            .inc_by(bytes);
    }

    /// One call from inside the plugin to a model granted to it, and what came of it.
    pub(crate) fn model_called(&self, model: &Arc<str>, outcome: &'static str) {
        let labels = ModelCallLabels {
            plugin: self.plugin.clone(),
            model: model.clone(),
            outcome,
        };
        self.families.model_calls.get_or_create(&labels).inc();
    }

    pub(crate) fn limit_hit(&self, tenant: Option<&TenantId>, limit: Limit) {
        let labels = LimitLabels {
            plugin: self.plugin.clone(),
            tenant: tenant_label(tenant),
            limit: limit.as_str(),
        };
        self.families.limit_hits.get_or_create(&labels).inc();
    }
}

fn tenant_label(tenant: Option<&TenantId>) -> Arc<str> {
    tenant.map_or(NO_TENANT, TenantId::as_str).into()
}
