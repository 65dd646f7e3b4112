//! Why a model was not loaded.

use crate::{ExecutionProvider, SignatureError};
use std::io;
use std::path::PathBuf;

/// Why a model was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is not there.
    #[error("model file \"{path}\" does not exist", path = .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("model file \"{path}\" cannot be read: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is something else.
    #[error("the model is not an ONNX file: {0}")]
    NotOnnx(&'static str),
    /// It ends too early.
    #[error("the model is truncated: at least {missing} bytes are missing at its end")]
    Truncated {
        /// How many bytes are missing at least.
        missing: u64,
    },
    /// A file that holds weights is not there.
    #[error(
        "the model keeps weights in \"{path}\", which does not exist; put the file there, \
         beside the model",
        path = .0.display()
    )]
    ExternalDataMissing(PathBuf),
    /// A file that holds weights is too short.
    #[error(
        "the model keeps weights in \"{path}\", which is truncated: {needed} bytes are needed, \
         {actual} are there",
        path = path.display()
    )]
    ExternalDataTruncated {
        /// The file.
        path: PathBuf,
        /// How long it must be at least.
        needed: u64,
        /// How long it is.
        actual: u64,
    },
    /// A model in memory that needs files.
    #[error(
        "the model keeps weights in a file, \"{0}\", and can only be loaded from a file itself"
    )]
    ExternalDataOfBytes(String),
    /// It needs a newer library.
    #[error(
        "the model asks for version {opset} of the operators of {domain}, which ONNX Runtime \
         {version} does not know; export it for an older version, or use a newer ONNX Runtime"
    )]
    UnsupportedOpset {
        /// The operators' domain, `ai.onnx` for ONNX's own.
        domain: String,
        /// The version the model asks for.
        opset: i64,
        /// The library's version.
        version: String,
    },
    /// Its inputs or outputs cannot be served.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Execution providers cannot be used: all of them that cannot.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Providers(Vec<ProviderError>),
    /// Memory was lacking.
    #[error("out of memory while the model was loaded: {0}")]
    OutOfMemory(String),
    /// ONNX Runtime refuses it for another reason.
    #[error("ONNX Runtime {version} cannot load the model: {message}")]
    Refused {
        /// The library's version.
        version: String,
        /// What it says.
        message: String,
    },
}

/// Why one execution provider cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The library was built without it.
    #[error(
        "execution provider {provider} is not in this build of ONNX Runtime, which offers \
         {offered}; use a build that has it, or set fallback = true to go on without it"
    )]
    Unavailable {
        /// The provider asked for.
        provider: ExecutionProvider,
        /// What there is.
        offered: String,
    },
    /// It is there but does not work.
    #[error(
        "execution provider {provider} cannot be used: {message}; set fallback = true to go on \
         without it"
    )]
    Failed {
        /// The provider asked for.
        provider: ExecutionProvider,
        /// What ONNX Runtime says.
        message: String,
    },
    /// It took none of the model's operators.
    #[error(
        "execution provider {provider} takes none of the model's operators; leave it out, or \
         set fallback = true"
    )]
    Unused {
        /// The provider asked for.
        provider: ExecutionProvider,
    },
}

// === impl ProviderError ===

impl ProviderError {
    /// The provider asked for.
    pub const fn provider(&self) -> ExecutionProvider {
        match self {
            Self::Unavailable { provider, .. }
            | Self::Failed { provider, .. }
            | Self::Unused { provider } => *provider,
        }
    }
}
