//! The seam between batching and model runtimes.

use crate::{Batch, Signature, Tensors};

/// Runs batches on a loaded model (Beam's `ModelHandler`, after loading).
///
/// A handler holds the model's weights once and may be called from several threads at
/// the same time, one for each replica. It blocks its thread while it runs.
pub trait ModelHandler: Send + Sync {
    /// The tensors of one example: no batch axis.
    fn signature(&self) -> &Signature;

    /// Predicts on a batch whose rows fit [`ModelHandler::signature`]; returns the
    /// outputs of each row, in order. The caller counts them.
    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError>;

    /// What the model knows about good batches.
    fn batch_hints(&self) -> BatchHints {
        BatchHints::default()
    }

    /// Bytes of a batch as they are counted (Beam's `get_num_bytes`).
    fn batch_byte_size(&self, batch: &Batch) -> u64 {
        batch.byte_len() as u64
    }

    /// What the names of this model's metrics begin with in Beam's form (Beam's
    /// `get_metrics_namespace`).
    fn metrics_namespace(&self) -> &str {
        "RunInference"
    }

    /// Whether it looks at the arguments of its batches ([`Batch::args`]). Where it does not,
    /// they are left out, so that examples share batches whatever their callers said.
    fn takes_args(&self) -> bool {
        false
    }

    /// Bytes the loaded model holds (Beam's `model_byte_size`).
    fn model_byte_size(&self) -> u64;

    /// The kind of runtime, as the protocol's metadata shows it (`platform`).
    fn platform(&self) -> &str;
}

/// What a model knows about good batches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchHints {
    /// The largest batch the model can take, `None` when any.
    pub max_batch_size: Option<usize>,
    /// Sizes at which it runs best, in rising order; empty when unknown.
    pub preferred_batch_sizes: Vec<usize>,
    /// Whether examples whose shapes differ may share a batch, because the handler
    /// collates by itself ([`Batch::ragged`]).
    pub ragged: bool,
    /// Whether all examples of a batch must belong to one tenant, because the handler is
    /// a guest.
    pub single_tenant: bool,
}

/// Why a whole batch failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PredictError {
    /// The runtime refused or broke off.
    #[error("{0}")]
    Failed(String),
    /// The runtime could not allocate.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The examples hold what no run of the model could take (the client's fault).
    #[error("{0}")]
    InvalidInput(String),
    /// The model cannot be reached, or refuses for now; the same batch may succeed later,
    /// and a smaller one would not fare better.
    #[error("{0}")]
    Unavailable(String),
    /// What the runtime returned is not what the model promises.
    #[error("{0}")]
    Contract(String),
}
