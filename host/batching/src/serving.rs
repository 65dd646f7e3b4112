//! The handler that runs now, under the name of its model; replaced as a whole.

use crate::config::Config;
use crate::error::ReplaceError;
use crate::events::Events;
use crate::kind::Sorter;
use crate::runner::Runner;
use consort_inference::{BatchHints, ModelHandler, ModelId, Signature, TensorSpec};
use std::sync::Arc;

/// What replicas are made of.
#[derive(Clone)]
pub enum Replicas {
    /// Threads of their own, which the handler blocks while it predicts.
    Threads(Arc<dyn ModelHandler>),
    /// Tasks of the Tokio runtime in which the batcher is started.
    Tasks(Arc<dyn Runner>),
}

/// A handler and everything that is told under its name.
pub(crate) struct Serving {
    pub(crate) model: Arc<ModelId>,
    pub(crate) signature: Signature,
    pub(crate) handler: Replicas,
    pub(crate) events: Events,
    pub(crate) sorter: Sorter,
    pub(crate) batch_size_max: usize,
}

// === impl Replicas ===

impl Replicas {
    pub(crate) fn signature(&self) -> &Signature {
        match self {
            Self::Threads(handler) => handler.signature(),
            Self::Tasks(runner) => runner.signature(),
        }
    }

    pub(crate) fn batch_hints(&self) -> BatchHints {
        match self {
            Self::Threads(handler) => handler.batch_hints(),
            Self::Tasks(runner) => runner.batch_hints(),
        }
    }

    pub(crate) fn metrics_namespace(&self) -> &str {
        match self {
            Self::Threads(handler) => handler.metrics_namespace(),
            Self::Tasks(runner) => runner.metrics_namespace(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Threads(_) => "threads",
            Self::Tasks(_) => "tasks",
        }
    }
}

// === impl Serving ===

impl Serving {
    pub(crate) fn new(handler: Replicas, events: Events, model: ModelId, config: &Config) -> Self {
        let hints = handler.batch_hints();
        let signature = handler.signature().clone();
        let buckets = config.shape_buckets.clone();
        Self {
            model: Arc::new(model),
            sorter: Sorter::new(&signature, buckets, hints.ragged, hints.single_tenant),
            batch_size_max: config.batch_size_max(&hints),
            signature,
            handler,
            events,
        }
    }

    /// Whether a handler can run what was let in for another.
    pub(crate) fn check(new: &Replicas, old: &Self) -> Result<(), ReplaceError> {
        let signature = new.signature();
        let sides = [
            ("inputs", &old.signature.inputs, &signature.inputs),
            ("outputs", &old.signature.outputs, &signature.outputs),
        ];
        for (side, old, new) in sides {
            if !same_specs(old, new) {
                return Err(ReplaceError::Signature {
                    side,
                    old: specs_text(old),
                    new: specs_text(new),
                });
            }
        }
        let hints = new.batch_hints();
        if !old.sorter.agrees(hints.ragged, hints.single_tenant) {
            return Err(ReplaceError::Batches);
        }
        if new.kind() != old.handler.kind() {
            return Err(ReplaceError::Replicas {
                old: old.handler.kind(),
                new: new.kind(),
            });
        }
        Ok(())
    }
}

/// Whether both promise the same tensors, in whatever order.
fn same_specs(one: &[TensorSpec], other: &[TensorSpec]) -> bool {
    one.len() == other.len() && one.iter().all(|spec| other.contains(spec))
}

fn specs_text(specs: &[TensorSpec]) -> String {
    let text = |spec: &TensorSpec| format!("\"{}\" {spec}", spec.name);
    specs.iter().map(text).collect::<Vec<_>>().join(", ")
}
