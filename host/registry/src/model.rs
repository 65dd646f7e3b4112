//! One model: the versions of it that answer, and which of them does when nobody asks for
//! one. How a version takes the place of another is in `update.rs`.

use crate::generation::{Generation, Held};
use crate::load::{Loaded, Target};
use crate::loader::ModelLoader;
use crate::metrics::{self, Metrics};
use crate::shelf::Account;
use crate::status::{History, ModelStatus, VersionStatus};
use crate::tune::TuneReport;
use crate::warm_up::WarmUpReport;
use crate::{LoadError, ModelConfig, Source, UpdateError, disk, lock, update, versions, watch};
use consort_batching::{Metrics as BatchingMetrics, Totals};
use consort_inference::{Call, Example, Failure, ModelId, ModelName, Signature, Tensors};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::task::AbortHandle;

/// A model that can answer, through all its updates.
pub struct Model {
    pub(crate) recipe: Recipe,
    signature: Signature,
    warm_up: WarmUpReport,
    tuning: Option<TuneReport>,
    served: RwLock<Served>,
    /// One update at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
    pub(crate) history: Mutex<History>,
    watch: Mutex<Option<AbortHandle>>,
    /// Where the bytes are booked of a model that was loaded on demand.
    pub(crate) account: OnceLock<Account>,
    /// What the gauges count of this model: versions and bytes.
    counted: Mutex<(i64, i64)>,
}

/// What a model is made with, every time.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) config: Arc<ModelConfig>,
    pub(crate) loader: Arc<dyn ModelLoader>,
    pub(crate) batching: BatchingMetrics,
    pub(crate) metrics: Metrics,
}

/// What one call gave: one result for each example, in order, and what made them all.
pub type Answered = (Vec<Result<Tensors, Failure>>, ModelId);

/// The versions in memory.
pub(crate) struct Served {
    pub(crate) current: Arc<Generation>,
    /// What else answers, by version.
    pub(crate) others: BTreeMap<Arc<str>, Arc<Generation>>,
    /// What a rollback goes back to.
    pub(crate) previous: Option<Arc<Loaded>>,
    /// Those that answer nobody any more and whose calls are under way.
    pub(crate) ending: Vec<Arc<Generation>>,
    /// Batches of those that have ended.
    past: Option<Totals>,
    pub(crate) stopping: bool,
    /// Whether `current` only keeps the place of a model that is not in memory.
    pub(crate) unloaded: bool,
}

/// Without a `max_batch_size` the batcher learns up to so many times the batch size that was
/// found fastest when the model was loaded.
const LEARNED_BEYOND: usize = 2;

// === impl Recipe ===

impl Recipe {
    /// Runs what blocks on a thread where it may.
    pub(crate) async fn blocking<T: Send + 'static>(
        work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        let joined = tokio::task::spawn_blocking(work).await;
        joined.unwrap_or_else(|error| Err(LoadError::BrokenOff(error.to_string())))
    }

    /// Loads, warms up, starts; records all of it.
    async fn first(
        &self,
        target: Target,
    ) -> Result<(Arc<Generation>, Option<TuneReport>), LoadError> {
        let (config, loader) = (self.config.clone(), self.loader.clone());
        let loaded = Self::blocking(move || Loaded::first(&config, loader.as_ref(), &target)).await;
        self.metrics.load(loaded.is_ok());
        let (loaded, tuned) = loaded?;
        let generation = self.start(Arc::new(loaded), tuned.as_ref())?;
        Ok((generation, tuned))
    }

    /// Starts the replicas of a version that was just loaded, or kept.
    pub(crate) fn start(
        &self,
        loaded: Arc<Loaded>,
        tuned: Option<&TuneReport>,
    ) -> Result<Arc<Generation>, LoadError> {
        let mut batching = self.config.batching.clone();
        if let (Some(tuned), Some(tune)) = (tuned, &self.config.tune) {
            batching.replicas = tuned.tuning().replicas;
            if tune.cap_batch_size {
                let found = tuned.tuning().batch_size;
                let given = batching.max_batch_size.unwrap_or(found);
                batching.max_batch_size = Some(found.min(given));
            } else if !matches!(tuned, TuneReport::Guessed(..)) {
                // The batcher goes on learning, and need not begin by trying what was far
                // slower a moment ago.
                let near = tuned.tuning().batch_size.saturating_mul(LEARNED_BEYOND);
                batching.max_batch_size.get_or_insert(near);
            }
        }
        let (id, latency, bytes) = (loaded.id.clone(), loaded.latency, loaded.bytes());
        let generation = Generation::start(loaded, batching, &self.batching)?;
        self.batching.record_model_load(&id, latency, bytes);
        let load_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(model = %id, load_ms, bytes, "model loaded");
        Ok(generation)
    }

    /// Bytes of the files that are to be loaded; 0 where there are none. Blocks.
    pub(crate) fn file_bytes(&self) -> Result<u64, LoadError> {
        let mut bytes = 0u64;
        for target in self.targets()? {
            let Some(path) = target.path else { continue };
            match disk::byte_len(&path) {
                Ok(more) => bytes = bytes.saturating_add(more),
                Err(source) => return Err(LoadError::Unreadable { path, source }),
            }
        }
        Ok(bytes)
    }

    /// The versions that are to answer, the one for those who ask for none last.
    pub(crate) fn targets(&self) -> Result<Vec<Target>, LoadError> {
        let ModelConfig { source, sha256, .. } = &*self.config;
        let (folder, serve) = match source {
            Source::Versions { folder, serve } => (folder, serve),
            Source::Remote | Source::File(_) => {
                return Ok(vec![Target {
                    path: source.file().cloned(),
                    version: None,
                    sha256: sha256.clone(),
                }]);
            }
        };
        let chosen = versions::choose(folder, &versions::list(folder)?, serve)?;
        let target = |(version, entry): (u64, PathBuf)| update::numbered(version, &entry);
        chosen.into_iter().map(target).collect()
    }
}

// === impl Model ===

impl Model {
    /// Checks the digest, has a handler made, finds threads and replicas if asked to, warms
    /// up, starts the batcher, and begins to watch. Needs a Tokio runtime.
    pub(crate) async fn load(recipe: Recipe) -> Result<Arc<Self>, LoadError> {
        recipe.config.validate()?;
        let looking = recipe.clone();
        let mut targets = Recipe::blocking(move || looking.targets()).await?;
        let Some(latest) = targets.pop() else {
            return Err(LoadError::BrokenOff("there is no version".to_owned()));
        };
        let (current, tuning) = recipe.first(latest).await?;
        let model = Arc::new(Self {
            signature: current.handler().signature().clone(),
            warm_up: current.loaded().warm_up.clone(),
            tuning,
            served: RwLock::new(Served {
                current,
                others: BTreeMap::new(),
                previous: None,
                ending: Vec::new(),
                past: None,
                stopping: false,
                unloaded: false,
            }),
            turn: tokio::sync::Mutex::default(),
            history: Mutex::default(),
            watch: Mutex::default(),
            account: OnceLock::new(),
            counted: Mutex::default(),
            recipe,
        });
        model.count();
        for target in targets {
            model.add(target).await.map_err(|error| match error {
                UpdateError::Load(error) => error,
                other => LoadError::BrokenOff(other.to_string()),
            })?;
        }
        if let Some(interval) = model.recipe.config.watch_interval {
            model.start_watch(watch::start(&model, interval));
        }
        Ok(model)
    }

    /// The model's name.
    pub fn name(&self) -> &ModelName {
        &self.recipe.config.name
    }

    /// What the model reads and writes. It stays through all updates: versions that do not
    /// fit it are refused.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What it is made with.
    pub fn config(&self) -> &ModelConfig {
        &self.recipe.config
    }

    /// Name and version of what answers now.
    pub fn id(&self) -> ModelId {
        self.read().current.id().clone()
    }

    /// What answers now.
    pub fn current(&self) -> Arc<Generation> {
        self.read().current.clone()
    }

    /// Names and versions of all that answer, the current one last.
    pub fn versions(&self) -> Vec<ModelId> {
        let served = self.read();
        let others = served.others.values();
        others
            .chain([&served.current])
            .map(|one| one.id().clone())
            .collect()
    }

    /// How threads and replicas were found, if they were to be.
    pub fn tuning(&self) -> Option<&TuneReport> {
        self.tuning.as_ref()
    }

    /// Predicts on each example with what answers now: exactly one result for each, in
    /// order. All are of the one version that is returned with them, and an update neither
    /// fails, repeats nor delays them.
    pub async fn infer(&self, examples: Vec<Example>, call: Call) -> Answered {
        let Some(held) = self.hold() else {
            let results = examples.iter().map(|_| Err(self.absence())).collect();
            return (results, self.id());
        };
        let results = held.infer(examples, call).await;
        (results, held.id().clone())
    }

    /// Like [`Model::infer`] with one version; `None` if it does not answer.
    pub async fn infer_version(
        &self,
        version: &str,
        examples: Vec<Example>,
        call: Call,
    ) -> Option<Answered> {
        let held = self.hold_version(version)?;
        let results = held.infer(examples, call).await;
        Some((results, held.id().clone()))
    }

    /// The batches that ran so far, in all versions.
    pub fn totals(&self) -> Totals {
        let served = self.read();
        let live = served.others.values().chain(&served.ending);
        let totals = live.map(|one| one.batcher().totals()).chain(served.past);
        totals.fold(served.current.batcher().totals(), Totals::and)
    }

    /// Bytes of all versions in memory, each once.
    pub fn bytes(&self) -> u64 {
        self.read()
            .in_memory()
            .iter()
            .map(|loaded| loaded.bytes())
            .sum()
    }

    /// How long loading what answers now took (Beam's `load_model_latency_milli_secs`).
    pub fn load_latency(&self) -> Duration {
        self.read().current.load_latency()
    }

    /// What answers, what happened last, what it holds.
    pub fn status(&self) -> ModelStatus {
        let (current, others, previous, bytes) = {
            let served = self.read();
            (
                version_status(served.current.loaded()),
                served
                    .others
                    .values()
                    .map(|one| version_status(one.loaded()))
                    .collect(),
                served.previous.as_deref().map(version_status),
                served.in_memory().iter().map(|loaded| loaded.bytes()).sum(),
            )
        };
        let history = lock(&self.history);
        ModelStatus {
            current,
            others,
            previous,
            bytes,
            updates: history.updates,
            failed_updates: history.failed_updates,
            last_update: history.last_update.clone(),
            last_error: history.last_error.clone(),
            tuning: self.tuning.clone(),
        }
    }

    /// Lets every version finish what is queued and refuses the rest; no update comes any
    /// more.
    pub async fn drain(&self) {
        self.stop_watch();
        let all: Vec<_> = {
            let mut served = self.write();
            served.stopping = true;
            let others = served.others.values().chain(&served.ending);
            others.chain([&served.current]).cloned().collect()
        };
        for generation in all {
            generation.batcher().drain().await;
        }
    }

    /// What a version other than the first is held against.
    pub(crate) fn warm_up(&self) -> &WarmUpReport {
        &self.warm_up
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Served> {
        self.served.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Served> {
        self.served.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds what answers now; `None` of an unloaded model. The hold begins under the lock under which versions are
    /// switched: whoever takes a version away afterwards sees it.
    fn hold(&self) -> Option<Held> {
        let served = self.read();
        (!served.unloaded).then(|| served.current.hold())
    }

    fn hold_version(&self, version: &str) -> Option<Held> {
        let served = self.read();
        if !served.unloaded && &*served.current.id().version == version {
            return Some(served.current.hold());
        }
        served.others.get(version).map(Generation::hold)
    }

    /// Lets a version that answers nobody any more end in the background. It is among
    /// [`Served::ending`] already.
    pub(crate) fn end(self: &Arc<Self>, generation: Arc<Generation>) {
        let model = self.clone();
        tokio::spawn(async move {
            generation.end().await;
            {
                let mut served = model.write();
                served.ending.retain(|one| !Arc::ptr_eq(one, &generation));
                let totals = generation.batcher().totals();
                served.past = Some(served.past.map_or(totals, |past| past.and(totals)));
            }
            drop(generation);
            model.count();
        });
    }

    pub(crate) fn start_watch(&self, watch: AbortHandle) {
        *lock(&self.watch) = Some(watch);
    }

    pub(crate) fn stop_watch(&self) {
        if let Some(watch) = lock(&self.watch).take() {
            watch.abort();
        }
    }

    /// Brings the gauges up to date.
    pub(crate) fn count(&self) {
        let (versions, bytes) = {
            let served = self.read();
            let loaded = served.in_memory();
            let bytes = loaded.iter().map(|loaded| loaded.bytes()).sum();
            (
                i64::try_from(loaded.len()).unwrap_or(i64::MAX),
                metrics::gauge(bytes),
            )
        };
        self.set_counted(versions, bytes);
        // A model that is being stopped has no account any more: it may be another's by now.
        if let Some(account) = self.account.get()
            && !self.read().stopping
        {
            account.set(self.bytes());
        }
    }

    /// Books the bytes of all versions from now on.
    pub(crate) fn open_account(&self, account: Account) {
        // A model has one account; a second one changes nothing.
        let _ = self.account.set(account);
    }

    fn set_counted(&self, versions: i64, bytes: i64) {
        let mut counted = lock(&self.counted);
        let Metrics {
            loaded,
            loaded_bytes,
            ..
        } = &self.recipe.metrics;
        loaded.inc_by(versions - counted.0);
        loaded_bytes.inc_by(bytes - counted.1);
        *counted = (versions, bytes);
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.stop_watch();
        self.set_counted(0, 0);
    }
}

// === impl Served ===

impl Served {
    /// Everything in memory, each once: a version that was rolled back to is current and
    /// may have been kept, too.
    fn in_memory(&self) -> Vec<Arc<Loaded>> {
        let live = self
            .others
            .values()
            .chain(&self.ending)
            .chain([&self.current]);
        let mut all: Vec<Arc<Loaded>> = Vec::new();
        for loaded in live.map(|one| one.loaded()).chain(&self.previous) {
            if !all.iter().any(|one| Arc::ptr_eq(one, loaded)) {
                all.push(loaded.clone());
            }
        }
        all
    }
}

fn version_status(loaded: &Loaded) -> VersionStatus {
    VersionStatus {
        id: loaded.id.clone(),
        path: loaded.path.clone(),
        digest: loaded.digest,
        bytes: loaded.bytes(),
        load_latency: loaded.latency,
        warm_up: loaded.warm_up.clone(),
    }
}
