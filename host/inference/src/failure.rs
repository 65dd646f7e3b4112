//! How work on an example can fail: where, of what kind, and through whose fault.

use std::fmt;
use std::sync::Arc;

/// Why one example has no prediction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {message}")]
pub struct Failure {
    /// Where it happened.
    pub stage: Stage,
    /// What happened.
    pub kind: FailureKind,
    /// What was wrong and what to do, for a person.
    pub message: String,
}

/// Where on its way an example was, and the name of the step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stage {
    /// Which part of the way.
    pub kind: StageKind,
    /// The plugin's, model's or ensemble's name.
    pub name: Arc<str>,
}

/// The parts of an example's way. Beam's dead letters know the middle three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StageKind {
    /// The example was read from a file or line.
    Read,
    /// It was taken in and checked.
    Request,
    /// A plugin prepared it.
    Preprocess,
    /// A model ran.
    Inference,
    /// A plugin finished it.
    Postprocess,
    /// The prediction was written.
    Write,
}

/// What happened. Each kind is one party's [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// The example is not acceptable (client).
    InvalidArgument,
    /// No such model, version or tensor (client).
    NotFound,
    /// The example is larger than a limit allows (client).
    TooLarge,
    /// The source could not be read (client).
    Unreadable,
    /// A condition of the ensemble passed the example by, and nothing else gives what the
    /// step would have given (client).
    Skipped,
    /// A plugin reported that it could not do its work (plugin).
    PluginFailed,
    /// A plugin trapped (plugin).
    PluginTrapped,
    /// A plugin was stopped at a limit (plugin).
    PluginLimit,
    /// A plugin broke its contract: wrong tensors, wrong number of results (plugin).
    PluginContract,
    /// The model runtime reported an error (model).
    ModelFailed,
    /// The model's outputs are not what was promised (model).
    ModelContract,
    /// The model runtime ran out of memory (model).
    OutOfMemory,
    /// A queue is full; try again later (host).
    QueueFull,
    /// The deadline passed before the work was done (host).
    DeadlineExceeded,
    /// The work was abandoned (host).
    Cancelled,
    /// The model or plugin is not ready, or the host is shutting down (host).
    Unavailable,
    /// The result could not be written (host).
    Unwritable,
    /// A defect of the host (host).
    Internal,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Whoever sent the example.
    Client,
    /// The plugin's author.
    Plugin,
    /// The model.
    Model,
    /// Consort or its machine.
    Host,
}

// === impl Failure ===

impl Failure {
    /// A failure of a kind at a stage.
    pub fn new(stage: Stage, kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            stage,
            kind,
            message: message.into(),
        }
    }
}

// === impl Stage ===

impl Stage {
    /// The stage of a step.
    pub fn new(kind: StageKind, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.kind, self.name)
    }
}

// === impl StageKind ===

impl StageKind {
    /// The name used in dead letters, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Request => "request",
            Self::Preprocess => "preprocess",
            Self::Inference => "inference",
            Self::Postprocess => "postprocess",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for StageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl FailureKind ===

impl FailureKind {
    /// The name used in dead letters, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Skipped => "skipped",
            Self::PluginFailed => "plugin_failed",
            Self::PluginTrapped => "plugin_trapped",
            Self::PluginLimit => "plugin_limit",
            Self::PluginContract => "plugin_contract",
            Self::ModelFailed => "model_failed",
            Self::ModelContract => "model_contract",
            Self::OutOfMemory => "out_of_memory",
            Self::QueueFull => "queue_full",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Cancelled => "cancelled",
            Self::Unavailable => "unavailable",
            Self::Unwritable => "unwritable",
            Self::Internal => "internal",
        }
    }

    /// Whether the same example may well succeed later, with nothing changed.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::QueueFull | Self::DeadlineExceeded | Self::Unavailable | Self::OutOfMemory
        )
    }

    /// Whose fault this kind is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::InvalidArgument
            | Self::NotFound
            | Self::TooLarge
            | Self::Unreadable
            | Self::Skipped => Fault::Client,
            Self::PluginFailed | Self::PluginTrapped | Self::PluginLimit | Self::PluginContract => {
                Fault::Plugin
            }
            Self::ModelFailed | Self::ModelContract | Self::OutOfMemory => Fault::Model,
            Self::QueueFull
            | Self::DeadlineExceeded
            | Self::Cancelled
            | Self::Unavailable
            | Self::Unwritable
            | Self::Internal => Fault::Host,
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Fault ===

impl Fault {
    /// The name used in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Plugin => "plugin",
            Self::Model => "model",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
