//! One item in, one item out.

use crate::{ModelId, TenantId, Tensors};
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
}

/// What a step made of one example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Tensors for the next step.
    Forward(Tensors),
    /// Tensors for the next step, and the version of a model that made them.
    Predicted(Tensors, ModelId),
    /// The ensemble's answer already: the remaining steps are skipped.
    Answer(Tensors),
}
