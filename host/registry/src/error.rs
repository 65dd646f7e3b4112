//! Why a model cannot be loaded, and why it cannot be updated.

use crate::config::ConfigError;
use crate::loader::BoxError;
use crate::warm_up::WarmUpError;
use consort_batching::StartError;
use consort_inference::ModelName;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a model is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Settings that do not go together.
    #[error(transparent)]
    Config(#[from] ConfigError),
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
    /// The file was written to while it was read.
    #[error(
        "the model file {path} changed while it was being loaded; write it under another name \
         and rename it when it is complete"
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The folder of versions has not what is asked for.
    #[error("the folder {folder} has no version {wanted}; it has {found}")]
    NoVersion {
        /// The folder.
        folder: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// Two entries of a folder are one version.
    #[error("both {first} and {second} are version {version}; remove one of them")]
    AmbiguousVersion {
        /// The number.
        version: u64,
        /// One entry.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A version's folder in which the model cannot be told from the other files.
    #[error(
        "the model in {folder} cannot be told from the other files; leave one file there, or \
         name it model.onnx"
    )]
    AmbiguousModel {
        /// The version's folder.
        folder: PathBuf,
    },
    /// The model runtime refused it.
    #[error("{0}")]
    Handler(#[source] BoxError),
    /// The version reads or writes other tensors than the one that answers now.
    #[error("the new version does not fit those who use the model: {0}")]
    OtherSignature(String),
    /// The model does not do on the warm-up examples what it promises.
    #[error("the model failed its warm-up: {0}")]
    WarmUp(#[from] WarmUpError),
    /// There are no examples to warm the model up with.
    #[error("the warm-up examples: {0}")]
    WarmUpRows(#[source] BoxError),
    /// The batcher's configuration is not possible.
    #[error(transparent)]
    Batcher(#[from] StartError),
    /// There is a model of this name already.
    #[error("a model \"{0}\" is loaded already")]
    Duplicate(ModelName),
    /// There is no model of this name.
    #[error("there is no model \"{0}\"")]
    Unknown(ModelName),
    /// The budget for models that are loaded on demand can never hold it.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The budget cannot hold a new version beside the old one for now.
    #[error(
        "there is no room for the new version beside the old one: both need {needed} bytes, and \
         the other models that model_bytes_max counts are in use; try again later, or raise \
         model_bytes_max in [registry]"
    )]
    NoRoomNow {
        /// The bytes that both need.
        needed: u64,
    },
    /// The loading thread died.
    #[error("loading was broken off: {0}")]
    BrokenOff(String),
    /// The host is about to end.
    #[error("the models are being stopped")]
    Stopping,
}

/// A model that the budget can never hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoom {
    /// The model.
    pub model: ModelName,
    /// The bytes it needs.
    pub needed: u64,
    /// The bytes that all models loaded on demand may have together.
    pub budget: u64,
    /// Those that stay, and their bytes.
    pub pinned: Vec<(ModelName, u64)>,
}

/// Why a model was not updated. What answered before answers still.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// There is no model of this name, or it is not loaded.
    #[error("there is no model \"{0}\" in memory")]
    Unknown(ModelName),
    /// The new version cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model is loaded on demand, and cannot be.
    #[error(transparent)]
    OnDemand(Arc<LoadError>),
    /// The version's name is taken.
    #[error("version \"{0}\" answers already; give the new one another version")]
    VersionInUse(String),
    /// Nothing is kept to go back to.
    #[error("there is nothing to go back to: {0}")]
    NothingKept(&'static str),
    /// The model takes no more work.
    #[error("the model is being stopped")]
    Stopping,
}

// === impl LoadError ===

impl LoadError {
    /// Whether the file itself is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the same file may well load at the next try.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. }
                | Self::Changed { .. }
                | Self::NoRoomNow { .. }
                | Self::Batcher(_)
                | Self::BrokenOff(_)
                | Self::Stopping
        )
    }
}

// === impl NoRoom ===

impl std::error::Error for NoRoom {}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            model,
            needed,
            budget,
            pinned,
        } = self;
        write!(
            f,
            "model \"{model}\" needs {needed} bytes, and model_bytes_max = {budget} can never hold it"
        )?;
        if !pinned.is_empty() {
            write!(f, " beside what is pinned:")?;
            for (index, (name, bytes)) in pinned.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                write!(f, "{comma} \"{name}\" ({bytes} bytes)")?;
            }
        }
        write!(f, "; raise model_bytes_max in [registry]")
    }
}
