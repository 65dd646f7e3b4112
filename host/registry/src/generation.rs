//! One version of a model while it answers, and who uses it.

use crate::LoadError;
use crate::load::Loaded;
use consort_batching::{Batcher, Config, Metrics};
use consort_inference::{Call, Example, Failure, InferenceArgs, ModelHandler, ModelId, Tensors};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A version of a model with a batcher of its own. It is drained when it answers nobody
/// any more and the last call that began with it has ended, so that no call is ever
/// turned away by an update.
pub struct Generation {
    loaded: Arc<Loaded>,
    batcher: Batcher,
    uses: AtomicUsize,
    unused: Notify,
}

/// A call under way on a generation.
pub(crate) struct Held(Arc<Generation>);

// === impl Generation ===

impl Generation {
    /// Starts the replicas of a version.
    pub(crate) fn start(
        loaded: Arc<Loaded>,
        config: Config,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, LoadError> {
        let batcher = Batcher::start(loaded.id.clone(), loaded.handler.clone(), config, metrics)?;
        Ok(Arc::new(Self {
            loaded,
            batcher,
            uses: AtomicUsize::new(0),
            unused: Notify::new(),
        }))
    }

    /// Name and version.
    pub fn id(&self) -> &ModelId {
        &self.loaded.id
    }

    /// What the version reads and writes, and how it runs.
    pub fn handler(&self) -> &Arc<dyn ModelHandler> {
        &self.loaded.handler
    }

    /// Where examples go in. Whoever goes in here and not by [`crate::Model::infer`] may
    /// be turned away when the version is replaced.
    pub fn batcher(&self) -> &Batcher {
        &self.batcher
    }

    /// The file it was made of.
    pub fn path(&self) -> Option<&Path> {
        self.loaded.path.as_deref()
    }

    /// How long loading took (Beam's `load_model_latency_milli_secs`).
    pub fn load_latency(&self) -> Duration {
        self.loaded.latency
    }

    /// Predicts, without arguments where the handler does not look at any: examples with
    /// different ones do not share a batch.
    pub(crate) async fn infer(
        &self,
        examples: Vec<Example>,
        mut call: Call,
    ) -> Vec<Result<Tensors, Failure>> {
        if !self.handler().takes_args() {
            call.args = InferenceArgs::new();
        }
        self.batcher.infer(examples, call).await
    }

    pub(crate) fn loaded(&self) -> &Arc<Loaded> {
        &self.loaded
    }

    /// Keeps the generation from being drained. Only for a generation that answers: see
    /// `Model::hold`.
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        self.uses.fetch_add(1, Ordering::AcqRel);
        Held(self.clone())
    }

    /// Lets the calls under way end, then the replicas.
    pub(crate) async fn end(&self) {
        loop {
            let mut unused = std::pin::pin!(self.unused.notified());
            unused.as_mut().enable();
            if self.uses.load(Ordering::Acquire) == 0 {
                break;
            }
            unused.await;
        }
        self.batcher.drain().await;
    }
}

// === impl Held ===

impl std::ops::Deref for Held {
    type Target = Generation;

    fn deref(&self) -> &Generation {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.uses.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.unused.notify_waiters();
        }
    }
}
