//! Models by name, endpoints by name.

use crate::loader::ModelLoader;
use crate::model::Recipe;
use crate::shelf::{InUse, Shelf};
use crate::{
    Config, LoadError, Metrics, Model, ModelConfig, ModelStatus, Update, UpdateError, Updated, lock,
};
use consort_batching::Metrics as BatchingMetrics;
use consort_inference::{Endpoint, ModelName};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Everything that is loaded. Shared by all that serve or run.
pub struct Registry {
    models: RwLock<BTreeMap<ModelName, Arc<Model>>>,
    declared: RwLock<BTreeMap<ModelName, Recipe>>,
    /// All names that are taken, those of models that are being loaded included.
    names: Mutex<BTreeSet<ModelName>>,
    endpoints: RwLock<BTreeMap<String, Arc<dyn Endpoint>>>,
    shelf: Arc<Shelf>,
    batching: BatchingMetrics,
    metrics: Metrics,
    stopping: AtomicBool,
}

/// A name that is taken; free again when this is dropped, unless it is kept.
struct Taken<'a> {
    registry: &'a Registry,
    name: Option<ModelName>,
}

// === impl Registry ===

impl Registry {
    /// An empty registry with default settings whose models' batchers report to `batching`,
    /// and whose own metrics nobody sees.
    pub fn new(batching: BatchingMetrics) -> Self {
        Self::with(Config::default(), batching, Metrics::default())
    }

    /// An empty registry.
    pub fn with(config: Config, batching: BatchingMetrics, metrics: Metrics) -> Self {
        Self {
            models: RwLock::default(),
            declared: RwLock::default(),
            names: Mutex::default(),
            endpoints: RwLock::default(),
            shelf: Shelf::new(config, metrics.clone()),
            batching,
            metrics,
            stopping: AtomicBool::new(false),
        }
    }

    /// Loads a model and keeps it in memory; it does not count against
    /// [`Config::model_bytes_max`]. Needs a Tokio runtime; the loader runs on threads where
    /// it may block.
    pub async fn load(
        &self,
        config: ModelConfig,
        loader: Arc<dyn ModelLoader>,
    ) -> Result<Arc<Model>, LoadError> {
        let taken = self.take(&config.name)?;
        let model = Model::load(self.recipe(config, loader)).await?;
        write(&self.models).insert(model.name().clone(), model.clone());
        taken.keep();
        Ok(model)
    }

    /// Makes a model known, which is loaded when it is first asked for
    /// ([`Registry::hold`]) and goes when others need the room, unless it is pinned.
    pub fn declare(
        &self,
        config: ModelConfig,
        loader: Arc<dyn ModelLoader>,
    ) -> Result<(), LoadError> {
        config.validate()?;
        let taken = self.take(&config.name)?;
        let name = config.name.clone();
        write(&self.declared).insert(name, self.recipe(config, loader));
        taken.keep();
        Ok(())
    }

    /// A model to use, loaded first if it has to be. It stays in memory while this is held.
    pub async fn hold(&self, name: &ModelName) -> Result<InUse, Arc<LoadError>> {
        if let Some(model) = self.model(name) {
            return Ok(InUse::resident(model));
        }
        let recipe = read(&self.declared).get(name).cloned();
        match recipe {
            Some(recipe) => self.shelf.hold(&recipe).await,
            None => Err(Arc::new(LoadError::Unknown(name.clone()))),
        }
    }

    /// The model of that name that [`Registry::load`] loaded.
    pub fn model(&self, name: &ModelName) -> Option<Arc<Model>> {
        read(&self.models).get(name).cloned()
    }

    /// All models in memory: those that stay, by name, then those loaded on demand. Not to
    /// be kept, since the latter would stay in memory for it.
    pub fn models(&self) -> Vec<Arc<Model>> {
        let mut models: Vec<_> = read(&self.models).values().cloned().collect();
        models.extend(self.shelf.models());
        models
    }

    /// All models in memory as they are now.
    pub fn statuses(&self) -> Vec<ModelStatus> {
        self.models().iter().map(|model| model.status()).collect()
    }

    /// Brings a new version of a model in memory: see [`Model::update`].
    pub async fn update(&self, name: &ModelName, update: Update) -> Result<Updated, UpdateError> {
        let held = self.in_memory(name)?;
        held.model().update(update).await
    }

    /// Brings a model in: one on demand that is not in memory, or one that was unloaded. Of
    /// a model that is in memory it brings a new version: see [`Model::update`].
    pub async fn load_now(&self, name: &ModelName, update: Update) -> Result<Updated, UpdateError> {
        if let Some(model) = self.model(name) {
            return model.load_now(update).await;
        }
        if let Some(held) = self.shelf.held(name) {
            return held.model().update(update).await;
        }
        let Some(recipe) = read(&self.declared).get(name).cloned() else {
            return Err(UpdateError::Unknown(name.clone()));
        };
        let held = self.shelf.hold(&recipe).await;
        let held = held.map_err(UpdateError::OnDemand)?;
        if update == Update::default() {
            return Ok(Updated::Loaded(held.id()));
        }
        held.model().update(update).await
    }

    /// Takes a model out of memory: see [`Model::unload`]. One on demand comes back when it
    /// is next asked for.
    pub async fn unload(&self, name: &ModelName) -> Result<(), UpdateError> {
        if let Some(model) = self.model(name) {
            return model.unload().await;
        }
        match self.shelf.dismiss_one(name) || read(&self.declared).contains_key(name) {
            true => Ok(()),
            false => Err(UpdateError::Unknown(name.clone())),
        }
    }

    /// Goes back to what a model was before its last update: see [`Model::rollback`].
    pub async fn rollback(&self, name: &ModelName) -> Result<Updated, UpdateError> {
        let held = self.in_memory(name)?;
        held.model().rollback().await
    }

    /// Gives an endpoint its name on the wire; returns the one that had it.
    pub fn publish(&self, endpoint: Arc<dyn Endpoint>) -> Option<Arc<dyn Endpoint>> {
        let name = endpoint.name().to_owned();
        write(&self.endpoints).insert(name, endpoint)
    }

    /// The endpoint of that name.
    pub fn endpoint(&self, name: &str) -> Option<Arc<dyn Endpoint>> {
        read(&self.endpoints).get(name).cloned()
    }

    /// All endpoints, by name.
    pub fn endpoints(&self) -> Vec<Arc<dyn Endpoint>> {
        read(&self.endpoints).values().cloned().collect()
    }

    /// Lets every model finish what is queued and refuses the rest. Nothing is loaded or
    /// updated any more.
    pub async fn drain(&self) {
        self.stopping.store(true, Ordering::Release);
        let models: Vec<_> = read(&self.models).values().cloned().collect();
        let residents = join_all(models.iter().map(|model| model.drain()));
        tokio::join!(residents, self.shelf.drain());
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether a model of that name was loaded or declared.
    pub fn knows(&self, name: &ModelName) -> bool {
        read(&self.models).contains_key(name) || read(&self.declared).contains_key(name)
    }

    /// A model that was never declared, loaded on demand.
    pub(crate) async fn hold_recipe(
        &self,
        config: ModelConfig,
        loader: Arc<dyn ModelLoader>,
    ) -> Result<InUse, Arc<LoadError>> {
        if lock(&self.names).contains(&config.name) {
            return Err(Arc::new(LoadError::Duplicate(config.name)));
        }
        self.shelf.hold(&self.recipe(config, loader)).await
    }

    fn in_memory(&self, name: &ModelName) -> Result<InUse, UpdateError> {
        let resident = self.model(name).map(InUse::resident);
        let held = resident.or_else(|| self.shelf.held(name));
        held.ok_or_else(|| UpdateError::Unknown(name.clone()))
    }

    fn recipe(&self, config: ModelConfig, loader: Arc<dyn ModelLoader>) -> Recipe {
        Recipe {
            config: Arc::new(config),
            loader,
            batching: self.batching.clone(),
            metrics: self.metrics.clone(),
        }
    }

    fn take(&self, name: &ModelName) -> Result<Taken<'_>, LoadError> {
        if lock(&self.names).insert(name.clone()) {
            let name = Some(name.clone());
            return Ok(Taken {
                registry: self,
                name,
            });
        }
        Err(LoadError::Duplicate(name.clone()))
    }
}

// === impl Taken ===

impl Taken<'_> {
    fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            lock(&self.registry.names).remove(&name);
        }
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
