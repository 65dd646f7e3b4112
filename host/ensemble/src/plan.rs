//! An ensemble before it is checked, and what can be wrong with it.

use crate::{Condition, Step};
use consort_inference::{InferenceArgs, ModelId};
use std::sync::Arc;

/// An ensemble before it is checked.
pub struct Plan {
    /// Its name and version on the wire.
    pub id: ModelId,
    /// The kind of thing, as the protocol's metadata shows it.
    pub platform: String,
    /// Whether requests carry a leading batch axis.
    pub has_batch_axis: bool,
    /// The request's tensors. `None`: those that the first step reads.
    pub inputs: Option<Vec<Arc<str>>>,
    /// The ensemble's outputs. `None`: those of the last step.
    pub outputs: Option<Vec<PlannedOutput>>,
    /// How much may be under way at once.
    pub limits: Limits,
    /// The steps. Their order decides only which tensor of a name counts: the latest one
    /// made before the step that reads it, else the last one made after it.
    pub steps: Vec<PlannedStep>,
}

/// An output of an ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedOutput {
    /// What callers know it by.
    pub name: Arc<str>,
    /// The tensor that it is in the ensemble.
    pub tensor: Arc<str>,
}

/// A step and the names its tensors go by in the ensemble.
pub struct PlannedStep {
    /// The step's name in the ensemble.
    pub name: Arc<str>,
    /// What runs.
    pub step: Arc<dyn Step>,
    /// `(the step's own input name, name in the ensemble)`, where they differ.
    pub inputs: Vec<(Arc<str>, Arc<str>)>,
    /// `(the step's own output name, name in the ensemble)`, where they differ.
    pub outputs: Vec<(Arc<str>, Arc<str>)>,
    /// What the step is told with calls that bring no arguments of their own.
    pub args: InferenceArgs,
    /// Which examples it runs on; its outputs keep their older values for the others.
    pub when: Option<Condition>,
    /// Whether an example goes on without it where it fails or has nothing to run on: its
    /// outputs keep their older values, or are absent.
    pub optional: bool,
}

/// How much of an ensemble may be under way at once. Whatever comes on top is refused
/// ([`QueueFull`](consort_inference::FailureKind::QueueFull)), never kept waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Examples, of all callers together.
    pub inflight_max: usize,
    /// Bytes of tensors that a step or the answer still needs, of all callers together.
    pub inflight_bytes_max: usize,
}

/// Everything that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct CompileError {
    /// All problems found, in the order of the steps.
    pub problems: Vec<CompileProblem>,
}

/// One thing that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", self.prefix())]
pub struct CompileProblem {
    /// Where it is wrong.
    pub place: ProblemPlace,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where that is known.
    pub help: Option<String>,
}

/// A part of a plan that something is wrong with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemPlace {
    /// No part alone.
    Ensemble,
    /// One of [`Plan::inputs`], by its index.
    Input(usize),
    /// One of [`Plan::outputs`], by its index, or of the last step's where the plan has none.
    Output(usize),
    /// A step.
    Step(StepPlace),
    /// One of [`PlannedStep::inputs`], by its index.
    StepInput(StepPlace, usize),
    /// One of [`PlannedStep::outputs`], by its index.
    StepOutput(StepPlace, usize),
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPlace {
    /// Its index in the plan.
    pub index: usize,
    /// Its name.
    pub name: Arc<str>,
}

// === impl Plan ===

impl Plan {
    /// A plan of these steps with everything else as usual.
    pub fn new(id: ModelId, steps: Vec<PlannedStep>) -> Self {
        Self {
            id,
            platform: "ensemble".to_owned(),
            has_batch_axis: true,
            inputs: None,
            outputs: None,
            limits: Limits::default(),
            steps,
        }
    }
}

// === impl PlannedOutput ===

impl From<&str> for PlannedOutput {
    /// A tensor under its own name.
    fn from(name: &str) -> Self {
        Self::from(&Arc::from(name))
    }
}

impl From<&Arc<str>> for PlannedOutput {
    fn from(name: &Arc<str>) -> Self {
        Self {
            name: name.clone(),
            tensor: name.clone(),
        }
    }
}

// === impl PlannedStep ===

impl PlannedStep {
    /// A step that always runs, with its own names for its tensors.
    pub fn new(name: impl Into<Arc<str>>, step: Arc<dyn Step>) -> Self {
        Self {
            name: name.into(),
            step,
            inputs: Vec::new(),
            outputs: Vec::new(),
            args: InferenceArgs::new(),
            when: None,
            optional: false,
        }
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            inflight_max: 65_536,
            inflight_bytes_max: 1 << 30,
        }
    }
}

// === impl CompileProblem ===

impl CompileProblem {
    /// The index of the step, where it is one that is wrong.
    pub fn index(&self) -> Option<usize> {
        self.place.step().map(|step| step.index)
    }

    fn prefix(&self) -> String {
        match self.place.step() {
            Some(step) => format!("step \"{}\": ", step.name),
            None => String::new(),
        }
    }
}

// === impl ProblemPlace ===

impl ProblemPlace {
    /// The step, where it is in one.
    pub fn step(&self) -> Option<&StepPlace> {
        match self {
            Self::Ensemble | Self::Input(_) | Self::Output(_) => None,
            Self::Step(step) | Self::StepInput(step, _) | Self::StepOutput(step, _) => Some(step),
        }
    }
}
