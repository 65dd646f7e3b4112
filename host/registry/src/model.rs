//! One loaded model: its handler, once, and the batcher in front of it.

use crate::{LoadError, Sha256Digest};
use consort_batching::{Batcher, Config, Metrics};
use consort_inference::{ModelHandler, ModelId, ModelName};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What to load and how to batch for it.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The model's name.
    pub name: ModelName,
    /// Its version, forwarded with every prediction.
    pub version: String,
    /// The model file.
    pub path: PathBuf,
    /// The file's SHA-256 in hexadecimal, checked before loading when given.
    pub sha256: Option<String>,
    /// The batcher's settings.
    pub batching: Config,
}

/// A model that can answer.
pub struct Model {
    id: ModelId,
    handler: Arc<dyn ModelHandler>,
    batcher: Batcher,
    load_latency: Duration,
}

type Loaded = (Arc<dyn ModelHandler>, Duration);

// === impl Model ===

impl Model {
    /// Checks the digest, then has `load` make a handler of the file, both on a thread of
    /// their own, and starts the batcher.
    pub(crate) async fn load<E>(
        config: ModelConfig,
        load: impl FnOnce(&Path) -> Result<Arc<dyn ModelHandler>, E> + Send + 'static,
        metrics: &Metrics,
    ) -> Result<Self, LoadError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let id = ModelId::new(config.name.as_str(), config.version.as_str());
        let (path, sha256) = (config.path, config.sha256);
        let (handler, load_latency) =
            tokio::task::spawn_blocking(move || load_file(&path, sha256.as_deref(), load))
                .await
                .map_err(|error| LoadError::BrokenOff(error.to_string()))??;
        metrics.record_model_load(&id, load_latency, handler.model_byte_size());
        let batcher = Batcher::start(id.clone(), handler.clone(), config.batching, metrics)?;
        let load_ms = u64::try_from(load_latency.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(model = %id, load_ms, bytes = handler.model_byte_size(), "model loaded");
        Ok(Self {
            id,
            handler,
            batcher,
            load_latency,
        })
    }

    /// Name and version.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// The handler: what the model reads and writes.
    pub fn handler(&self) -> &Arc<dyn ModelHandler> {
        &self.handler
    }

    /// Where examples go in.
    pub fn batcher(&self) -> &Batcher {
        &self.batcher
    }

    /// How long loading took (Beam's `load_model_latency_milli_secs`).
    pub fn load_latency(&self) -> Duration {
        self.load_latency
    }
}

fn load_file<E>(
    path: &Path,
    sha256: Option<&str>,
    load: impl FnOnce(&Path) -> Result<Arc<dyn ModelHandler>, E>,
) -> Result<Loaded, LoadError>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let begin = Instant::now();
    if let Some(expected) = sha256 {
        let actual = Sha256Digest::of_file(path).map_err(|source| LoadError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        if !actual.matches(expected) {
            return Err(LoadError::DigestMismatch {
                path: path.to_owned(),
                expected: expected.to_owned(),
                actual: actual.to_string(),
            });
        }
    }
    let handler = load(path).map_err(|error| LoadError::Handler(Box::new(error)))?;
    Ok((handler, begin.elapsed()))
}
