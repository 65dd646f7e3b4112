//! One item in, one item out.

use crate::{Arm, Failure, ModelId, Origin, TenantId, Tensors};
use std::sync::Arc;

/// The caller's own name for an example; forwarded untouched.
pub type Key = Arc<str>;

/// One item to predict on. Its tensors carry no batch axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Who it belongs to. It never changes on the way.
    pub tenant: TenantId,
    /// The caller's name for it.
    pub key: Option<Key>,
    /// Its content.
    pub tensors: Tensors,
}

/// What was predicted for one example (Beam's `PredictionResult`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// The key of the example, untouched.
    pub key: Option<Key>,
    /// All outputs by name.
    pub outputs: Tensors,
    /// What made it, in which version.
    pub model_id: ModelId,
    /// The example's own tensors, if the call asked for them.
    pub example: Option<Tensors>,
    /// Which arms were taken on the way: those of splits, routes and fallbacks.
    pub arms: Vec<Arm>,
    /// Optional steps that failed or had nothing to do; outputs that needed them are absent.
    pub partial: Vec<Failure>,
}

/// What a step made of one example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Tensors for the next step.
    Forward(Tensors),
    /// Tensors for the next step, and what made them in which version.
    Predicted(Tensors, Origin),
    /// The ensemble's answer already: the remaining steps are skipped.
    Answer(Tensors),
}

// === impl Prediction ===

impl Prediction {
    /// What something made of the example with that key.
    pub fn new(key: Option<Key>, outputs: Tensors, origin: impl Into<Origin>) -> Self {
        let Origin {
            model_id,
            arms,
            partial,
        } = origin.into();
        Self {
            key,
            outputs,
            model_id,
            example: None,
            arms,
            partial,
        }
    }
}
