//! Models by name, endpoints by name.

use crate::{LoadError, Model, ModelConfig, ModelFile};
use consort_batching::Metrics;
use consort_inference::{Endpoint, ModelHandler, ModelName};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Everything that is loaded. Shared by all that serve or run.
pub struct Registry {
    models: RwLock<BTreeMap<ModelName, Arc<Model>>>,
    endpoints: RwLock<BTreeMap<String, Arc<dyn Endpoint>>>,
    metrics: Metrics,
}

// === impl Registry ===

impl Registry {
    /// An empty registry whose models report to `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            models: RwLock::default(),
            endpoints: RwLock::default(),
            metrics,
        }
    }

    /// Loads a model and keeps it. `load` runs on a thread where it may block.
    pub async fn load<E>(
        &self,
        config: ModelConfig,
        load: impl FnOnce(ModelFile<'_>) -> Result<Arc<dyn ModelHandler>, E> + Send + 'static,
    ) -> Result<Arc<Model>, LoadError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let name = config.name.clone();
        if self.model(&name).is_some() {
            return Err(LoadError::Duplicate(name));
        }
        let model = Arc::new(Model::load(config, load, &self.metrics).await?);
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        models.insert(name, model.clone());
        Ok(model)
    }

    /// The model of that name.
    pub fn model(&self, name: &ModelName) -> Option<Arc<Model>> {
        self.models
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// All models, by name.
    pub fn models(&self) -> Vec<Arc<Model>> {
        self.models
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Gives an endpoint its name on the wire; returns the one that had it.
    pub fn publish(&self, endpoint: Arc<dyn Endpoint>) -> Option<Arc<dyn Endpoint>> {
        let name = endpoint.name().to_owned();
        self.endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, endpoint)
    }

    /// The endpoint of that name.
    pub fn endpoint(&self, name: &str) -> Option<Arc<dyn Endpoint>> {
        self.endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// All endpoints, by name.
    pub fn endpoints(&self) -> Vec<Arc<dyn Endpoint>> {
        self.endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Lets every model finish what is queued and refuses the rest.
    pub async fn drain(&self) {
        for model in self.models() {
            model.batcher().drain().await;
        }
    }
}
