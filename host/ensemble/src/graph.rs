//! What an ensemble says of itself, for drawing.

use consort_inference::{StageKind, TensorSpec};
use std::sync::Arc;

/// A compiled ensemble: its steps and which tensor goes where.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The ensemble's name.
    pub name: Arc<str>,
    /// First [`NodeKind::Request`], then the steps in the plan's order, then
    /// [`NodeKind::Prediction`].
    pub nodes: Vec<Node>,
    /// The tensors that go from node to node.
    pub edges: Vec<Edge>,
}

/// The request, a step or the prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name in the ensemble.
    pub name: Arc<str>,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// Where the request's tensors come from.
    Request,
    /// A step.
    Step(StepNode),
    /// Where the ensemble's outputs go.
    Prediction,
}

/// A step as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct StepNode {
    /// What runs.
    pub drawing: Drawing,
    /// On which examples, where not on all.
    pub when: Option<String>,
    /// Whether an example goes on where it fails.
    pub optional: bool,
    /// How many steps must be over before it can begin: steps of one level can run at the
    /// same time.
    pub level: usize,
}

/// What a step is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// The kind of thing: `plugin`, `model`, `ensemble`, or a pattern's word (`split`).
    pub kind: &'static str,
    /// The plugin's, model's, ensemble's or pattern's name.
    pub name: Arc<str>,
    /// What there is inside, with a word for each (`90 %`, `shadow`, `fallback`).
    pub parts: Vec<(String, Drawing)>,
}

/// A tensor on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// The index of the node that makes it.
    pub from: usize,
    /// The index of the node that reads it.
    pub to: usize,
    /// The tensor, under its name in the ensemble.
    pub tensor: TensorSpec,
    /// What it is for.
    pub kind: EdgeKind,
}

/// What a tensor is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    /// As an input.
    Input,
    /// For the step's condition.
    Condition,
    /// To stay as it is where the step is passed by.
    Older,
    /// To be the ensemble's answer, which skips the rest.
    Answer,
}

// === impl Drawing ===

impl Drawing {
    /// Something without parts.
    pub fn plain(kind: &'static str, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            name: name.into(),
            parts: Vec::new(),
        }
    }

    /// A step of that stage, of which nothing else is known.
    pub fn of_stage(kind: StageKind, name: impl Into<Arc<str>>) -> Self {
        let kind = match kind {
            StageKind::Inference => "model",
            StageKind::Preprocess | StageKind::Postprocess => "plugin",
            StageKind::Read | StageKind::Request | StageKind::Write => "step",
        };
        Self::plain(kind, name)
    }
}
