//! The roles a component can play.

use consort_inference::StageKind;
use std::fmt;

/// A role of a plugin: one exported interface of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// From a request's tensors to the model's inputs.
    Preprocess,
    /// From the model's outputs to an answer.
    Postprocess,
    /// Around the model: collates examples, calls it, splits what it wrote.
    ModelHandler,
    /// An ensemble in code: calls models as it sees fit.
    Ensemble,
}

// === impl Role ===

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [
        Self::Preprocess,
        Self::Postprocess,
        Self::ModelHandler,
        Self::Ensemble,
    ];

    /// The interface's name, as in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preprocess => "preprocess",
            Self::Postprocess => "postprocess",
            Self::ModelHandler => "model-handler",
            Self::Ensemble => "ensemble",
        }
    }

    /// The function of the interface that does the role's work.
    pub(crate) const fn function(self) -> &'static str {
        match self {
            Self::Preprocess | Self::Postprocess => "process",
            Self::ModelHandler => "predict",
            Self::Ensemble => "run",
        }
    }

    /// The stage at which its failures happen. An ensemble in code stands where a model
    /// could stand: what it makes are predictions.
    pub const fn stage(self) -> StageKind {
        match self {
            Self::Preprocess => StageKind::Preprocess,
            Self::Postprocess => StageKind::Postprocess,
            Self::ModelHandler | Self::Ensemble => StageKind::Inference,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
