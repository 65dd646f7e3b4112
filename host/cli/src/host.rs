//! Everything that is loaded, and the metrics of all rooms.

use crate::repository::ModelRepository;
use crate::trace::Recorder;
use crate::versions;
use consort_ensemble::Ensemble;
use consort_ensemble::patterns::PatternMetrics;
use consort_inference::Endpoint;
use consort_registry::Registry;
use consort_server::{Catalog, Repository};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The metric families of the rooms, and the registry that `/metrics` writes out. The
/// sandbox registers its own when it is made.
pub(crate) struct Telemetry {
    pub(crate) registry: prometheus_client::registry::Registry,
    pub(crate) batching: consort_batching::Metrics,
    pub(crate) ensemble: consort_ensemble::Metrics,
    pub(crate) models: consort_registry::Metrics,
    pub(crate) patterns: PatternMetrics,
    pub(crate) remote: consort_remote::Metrics,
    pub(crate) server: consort_server::Metrics,
}

/// A manifest put to work.
pub(crate) struct Host {
    pub(crate) registry: Arc<Registry>,
    /// The manifest's ensembles, in its order.
    pub(crate) ensembles: Vec<Arc<Ensemble>>,
    /// Each model as an ensemble of one step, in the manifest's order.
    pub(crate) models: Vec<Arc<Ensemble>>,
    /// What was noticed while loading and is no error: a plugin without a snapshot, say.
    pub(crate) notes: Vec<String>,
}

/// The registry as the server sees it, and what may change it there.
pub(crate) struct RegistryCatalog {
    pub(crate) registry: Arc<Registry>,
    pub(crate) repository: Option<Arc<ModelRepository>>,
    /// Who traces the first calls.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

// === impl Telemetry ===

impl Telemetry {
    /// Registers every room's families.
    pub(crate) fn new() -> Self {
        let mut registry = prometheus_client::registry::Registry::default();
        Self {
            batching: consort_batching::Metrics::register(&mut registry),
            ensemble: consort_ensemble::Metrics::register(&mut registry),
            models: consort_registry::Metrics::register(&mut registry),
            patterns: PatternMetrics::register(&mut registry),
            remote: consort_remote::Metrics::register(&mut registry),
            server: consort_server::Metrics::register(&mut registry),
            registry,
        }
    }
}

// === impl Host ===

impl Host {
    /// The models by their names, for those who may change them.
    pub(crate) fn repository(&self) -> Arc<ModelRepository> {
        let names = |ensembles: &[Arc<Ensemble>]| {
            let names = ensembles.iter().map(|ensemble| ensemble.name().to_owned());
            names.collect::<BTreeSet<String>>()
        };
        let mut others = names(&self.ensembles);
        let single = names(&self.models);
        others.extend(single.into_iter().filter(|name| {
            let name = name.parse().ok();
            !name.is_some_and(|name| self.registry.knows(&name))
        }));
        Arc::new(ModelRepository::new(self.registry.clone(), others))
    }

    /// The ensemble (or model) of that name; without a name, the only ensemble, or the
    /// only model of a manifest without ensembles.
    pub(crate) fn choose(&self, name: Option<&str>) -> Result<&Arc<Ensemble>, String> {
        let named = || self.ensembles.iter().chain(&self.models);
        if let Some(name) = name {
            return named()
                .find(|ensemble| ensemble.name() == name)
                .ok_or_else(|| {
                    format!(
                        "there is no ensemble or model \"{name}\"; there are {}",
                        names(named())
                    )
                });
        }
        match (self.ensembles.as_slice(), self.models.as_slice()) {
            ([only], _) | ([], [only]) => Ok(only),
            ([], []) => Err("the manifest has neither a model nor an ensemble".to_owned()),
            _ => Err(format!(
                "choose one with --ensemble: there are {}",
                names(named())
            )),
        }
    }
}

fn names<'a>(ensembles: impl Iterator<Item = &'a Arc<Ensemble>>) -> String {
    let names: Vec<String> = ensembles
        .map(|ensemble| format!("\"{}\"", ensemble.name()))
        .collect();
    names.join(", ")
}

// === impl RegistryCatalog ===

impl Catalog for RegistryCatalog {
    fn endpoint(&self, name: &str) -> Option<Arc<dyn Endpoint>> {
        self.traced(self.registry.endpoint(name))
    }

    fn endpoints(&self) -> Vec<Arc<dyn Endpoint>> {
        self.registry.endpoints()
    }

    fn repository(&self) -> Option<Arc<dyn Repository>> {
        let repository = self.repository.clone()?;
        Some(repository)
    }

    /// Everything was loaded before the server listened. What an operator has unloaded since
    /// is missing on purpose, and no reason to send the other requests elsewhere.
    fn is_ready(&self) -> bool {
        true
    }

    fn versions(&self, endpoint: &dyn Endpoint) -> Vec<Arc<str>> {
        versions::of(&self.registry, endpoint)
    }

    fn endpoint_version(&self, name: &str, version: &str) -> Option<Arc<dyn Endpoint>> {
        self.traced(versions::endpoint(&self.registry, name, version))
    }
}

impl RegistryCatalog {
    fn traced(&self, endpoint: Option<Arc<dyn Endpoint>>) -> Option<Arc<dyn Endpoint>> {
        Some(Recorder::around(self.recorder.as_ref(), endpoint?))
    }
}
