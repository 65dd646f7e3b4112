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

/// A model file, for whoever makes a handler of it.
pub enum ModelFile<'a> {
    /// A file to open.
    Path(&'a Path),
    /// The content of a file whose digest was asked for and found right. The file is not to
    /// be opened again: it could be another one by then.
    Checked(&'a [u8]),
}

type Loaded = (Arc<dyn ModelHandler>, Duration);

// === impl Model ===

impl Model {
    /// Checks the digest, then has `load` make a handler of the file, both on a thread of
    /// their own, and starts the batcher.
    pub(crate) async fn load<E>(
        config: ModelConfig,
        load: impl FnOnce(ModelFile<'_>) -> Result<Arc<dyn ModelHandler>, E> + Send + 'static,
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
    load: impl FnOnce(ModelFile<'_>) -> Result<Arc<dyn ModelHandler>, E>,
) -> Result<Loaded, LoadError>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let begin = Instant::now();
    let content = sha256
        .map(|expected| read_checked(path, expected))
        .transpose()?;
    let file = match &content {
        Some(content) => ModelFile::Checked(content),
        None => ModelFile::Path(path),
    };
    let handler = load(file).map_err(|error| LoadError::Handler(Box::new(error)))?;
    Ok((handler, begin.elapsed()))
}

fn read_checked(path: &Path, expected: &str) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let content = std::fs::read(path).map_err(unreadable)?;
    let actual = Sha256Digest::of(&content);
    if actual.matches(expected) {
        return Ok(content);
    }
    Err(LoadError::DigestMismatch {
        path: path.to_owned(),
        expected: expected.to_owned(),
        actual: actual.to_string(),
    })
}
