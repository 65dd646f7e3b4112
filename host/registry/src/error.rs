//! Why a model cannot be loaded.

use consort_batching::StartError;
use consort_inference::ModelName;
use std::io;
use std::path::PathBuf;

/// Why a model is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("the model file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not the one that was asked for.
    #[error("the model file {path} has sha256 {actual}, the manifest says {expected}")]
    DigestMismatch {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: String,
        /// What the file has.
        actual: String,
    },
    /// The model runtime refused it.
    #[error("{0}")]
    Handler(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The batcher's configuration is not possible.
    #[error(transparent)]
    Batcher(#[from] StartError),
    /// There is a model of this name already.
    #[error("a model \"{0}\" is loaded already")]
    Duplicate(ModelName),
    /// The loading thread died.
    #[error("loading was broken off: {0}")]
    BrokenOff(String),
}
