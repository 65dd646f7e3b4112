//! Why a model was not loaded.

use crate::SignatureError;
use crate::refusal::Refusal;
use std::io;
use std::path::PathBuf;

/// Why a model was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is not there.
    #[error("model file \"{path}\" does not exist", path = .0.display())]
    Missing(PathBuf),
    /// The file with the weights is not there.
    #[error(
        "the weights belong in \"{path}\", which does not exist; put the .bin file there, beside \
         the .xml file",
        path = .0.display()
    )]
    WeightsMissing(PathBuf),
    /// A file cannot be read.
    #[error("model file \"{path}\" cannot be read: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The files are longer than the limit.
    #[error(
        "the model is {actual} bytes long, and at most {max} are read; raise model_bytes_max if \
         it is meant to be so long"
    )]
    TooLong {
        /// The limit.
        max: u64,
        /// The length.
        actual: u64,
    },
    /// The XML is not what OpenVINO writes.
    #[error("the model is not in OpenVINO's format: {0}")]
    NotIr(String),
    /// The XML is longer than the limit.
    #[error(
        "the model's XML has more than {max} nodes; raise graph_nodes_max if it is meant to be \
         so long"
    )]
    TooManyNodes {
        /// The limit.
        max: u32,
    },
    /// The weights end too early.
    #[error("the weights are truncated: {needed} bytes are needed, {actual} are there")]
    WeightsTruncated {
        /// How long they must be at least.
        needed: u64,
        /// How long they are.
        actual: u64,
    },
    /// It remembers what it was given.
    #[error(
        "the model keeps state between runs (layer \"{0}\"), and so would mix what different \
         callers send; convert it without state"
    )]
    Stateful(String),
    /// Its inputs or outputs cannot be served.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Memory was lacking.
    #[error("out of memory while the model was loaded: {0}")]
    OutOfMemory(String),
    /// The runtime refuses it for another reason.
    #[error("{runtime} cannot load the model: {message}")]
    Refused {
        /// The runtime and its version.
        runtime: String,
        /// What it says.
        message: String,
    },
}

// === impl LoadError ===

impl LoadError {
    pub(crate) fn refused(runtime: String, refusal: Refusal) -> Self {
        match refusal {
            Refusal::OutOfMemory(message) => Self::OutOfMemory(message),
            Refusal::Other(message) => Self::Refused { runtime, message },
        }
    }
}
