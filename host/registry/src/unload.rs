//! Taking a model out of memory and bringing it in again, as an operator asks. Its place
//! stays: whoever was built with the model is told that it is not there.

use crate::generation::Generation;
use crate::load::Loaded;
use crate::model::{Model, Recipe};
use crate::warm_up::WarmUpReport;
use crate::{Update, UpdateError, Updated, watch};
use consort_batching::Config as BatchingConfig;
use consort_inference::{
    Batch, Failure, FailureKind, ModelHandler, ModelId, PredictError, Signature, Stage, StageKind,
    Tensors,
};
use std::sync::Arc;
use std::time::Duration;

/// The version of a model that is not in memory; no prediction carries it.
const VERSION: &str = "unloaded";

/// What stands where a model was.
struct Nothing {
    signature: Signature,
    platform: String,
}

// === impl Model ===

impl Model {
    /// Whether the model is in memory; [`Model::unload`] takes it out.
    pub fn is_loaded(&self) -> bool {
        !self.read().unloaded
    }

    /// Takes every version out of memory once the calls under way have ended. Calls from now
    /// on fail ([`FailureKind::Unavailable`]) until [`Model::update`] brings it in again.
    pub async fn unload(self: &Arc<Self>) -> Result<(), UpdateError> {
        let _turn = self.turn.lock().await;
        if !self.is_loaded() {
            return Ok(());
        }
        let nothing = self.nothing()?;
        let gone: Vec<_> = {
            let mut served = self.write();
            if served.stopping {
                return Err(UpdateError::Stopping);
            }
            served.unloaded = true;
            served.previous = None;
            let current = std::mem::replace(&mut served.current, nothing);
            let others = std::mem::take(&mut served.others).into_values();
            let gone: Vec<_> = others.chain([current]).collect();
            served.ending.extend(gone.iter().cloned());
            gone
        };
        self.stop_watch();
        tracing::info!(model = %self.name(), "model unloaded");
        for generation in gone {
            self.end(generation);
        }
        self.count();
        Ok(())
    }

    /// What is said to those who ask a model that is not in memory.
    pub(crate) fn absence(&self) -> Failure {
        let name = self.name().as_str();
        let message = format!(
            "the model was unloaded; POST /v2/repository/models/{name}/load brings it in again"
        );
        let stage = Stage::new(StageKind::Inference, name);
        Failure::new(stage, FailureKind::Unavailable, message)
    }

    /// After an update of a model that was not in memory: the versions that answer beside the
    /// latest, and the watch.
    pub(crate) async fn come_back(self: &Arc<Self>) -> Result<(), UpdateError> {
        let looking = self.recipe.clone();
        for target in Recipe::blocking(move || looking.targets()).await? {
            let answering = self.versions();
            let answers = |version: &str| answering.iter().any(|one| &*one.version == version);
            if target.version.as_deref().is_some_and(|one| !answers(one)) {
                self.add(target).await?;
            }
        }
        if let Some(interval) = self.config().watch_interval {
            self.start_watch(watch::start(self, interval));
        }
        Ok(())
    }

    /// Brings a model in again, or looks for an update of one that is in.
    pub(crate) async fn load_now(self: &Arc<Self>, update: Update) -> Result<Updated, UpdateError> {
        let was_loaded = self.is_loaded();
        let updated = self.update(update).await?;
        if !was_loaded {
            self.come_back().await?;
        }
        Ok(updated)
    }

    fn nothing(&self) -> Result<Arc<Generation>, UpdateError> {
        let handler = Nothing {
            signature: self.signature().clone(),
            platform: self.current().handler().platform().to_owned(),
        };
        let loaded = Loaded {
            id: ModelId::new(self.name().as_str(), VERSION),
            handler: Arc::new(handler),
            path: None,
            digest: None,
            fingerprint: None,
            latency: Duration::ZERO,
            warm_up: WarmUpReport::Off,
        };
        let batching = BatchingConfig {
            replicas: 1,
            ..BatchingConfig::default()
        };
        let started = Generation::start(Arc::new(loaded), batching, &self.recipe.batching);
        Ok(started?)
    }
}

// === impl Nothing ===

impl ModelHandler for Nothing {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Nobody gets here: [`Model::infer`] looks first.
    fn predict(&self, _: &Batch) -> Result<Vec<Tensors>, PredictError> {
        Err(PredictError::Unavailable(
            "the model was unloaded".to_owned(),
        ))
    }

    fn model_byte_size(&self) -> u64 {
        0
    }

    fn platform(&self) -> &str {
        &self.platform
    }
}
