//! The steps that a pattern is made of, and whether they are alike.

use super::error::{Check, PatternProblem};
use crate::{Drawing, Step};
use consort_inference::{Dim, ModelId, Signature, Stage, StreamStates, TensorSpec};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A step under the name that the pattern knows it by.
#[derive(Clone)]
pub struct Member {
    /// Its name in arms, metrics and errors: that of the model or ensemble.
    pub name: Arc<str>,
    /// The step.
    pub step: Arc<dyn Step>,
}

/// What a pattern shows of itself to the graph, made of what its members show.
pub(super) struct Face {
    pub(super) stage: Stage,
    pub(super) id: ModelId,
    pub(super) signature: Signature,
    pub(super) answers: Vec<TensorSpec>,
    pub(super) headers: Vec<Arc<str>>,
    pub(super) states: Vec<Arc<dyn StreamStates>>,
}

/// Which tensors of a signature are compared.
type Side = (&'static str, fn(&Signature) -> &[TensorSpec]);

const INPUTS: Side = ("input", |signature| &signature.inputs);
const OUTPUTS: Side = ("output", |signature| &signature.outputs);

// === impl Member ===

impl Member {
    /// A step under a name.
    pub fn new(name: impl Into<Arc<str>>, step: Arc<dyn Step>) -> Self {
        Self {
            name: name.into(),
            step,
        }
    }

    pub(super) fn part(&self, word: impl Into<String>) -> (String, Drawing) {
        (word.into(), self.step.drawing())
    }
}

// === impl Face ===

impl Face {
    /// The face of a pattern around one step: the step's own.
    pub(super) fn of_one(step: &dyn Step) -> Self {
        Self {
            stage: step.stage().clone(),
            id: step.model_id().clone(),
            signature: step.signature().clone(),
            answers: step.answers().to_vec(),
            headers: step.headers().to_vec(),
            states: step.states().to_vec(),
        }
    }

    /// The face of members that must be alike: the first's, under the pattern's name, with
    /// axes open only where members leave them open.
    pub(super) fn of_alike(name: &Arc<str>, members: &[Member], check: &mut Check) -> Option<Self> {
        let mut names = BTreeSet::new();
        for member in members {
            if !names.insert(&member.name) {
                check.problem(PatternProblem::NameTwice(member.name.clone()));
            }
        }
        let (first, others) = members.split_first()?;
        let mut face = Self::of_one(&*first.step);
        face.stage.name = name.clone();
        face.id.name = name.clone();
        for other in others {
            alike(INPUTS, first, other, check);
            alike(OUTPUTS, first, other, check);
            for (spec, given) in pairs(&mut face.signature.inputs, &other.step.signature().inputs) {
                merge(&mut spec.shape, &given.shape, |a, b| a.or(b));
            }
            for (spec, given) in pairs(&mut face.signature.outputs, &other.step.signature().outputs)
            {
                merge(&mut spec.shape, &given.shape, |a, b| a.filter(|_| a == b));
            }
            let answers = other.step.answers();
            if face.answers.is_empty() {
                face.answers = answers.to_vec();
            } else if !answers.is_empty() && answers != face.answers {
                check.problem(PatternProblem::Answers(other.name.clone()));
            }
            face.reads_headers(other.step.headers());
            face.states.extend_from_slice(other.step.states());
        }
        Some(face)
    }

    pub(super) fn reads_headers(&mut self, headers: &[Arc<str>]) {
        for header in headers {
            if !self.headers.contains(header) {
                self.headers.push(header.clone());
            }
        }
    }
}

/// A step that answers by itself has no place where outputs are gathered.
pub(super) fn refuse_answers(name: &Arc<str>, step: &dyn Step, check: &mut Check) {
    if !step.answers().is_empty() {
        check.problem(PatternProblem::Answers(name.clone()));
    }
}

/// The names of tensors, for errors.
pub(super) fn names(specs: &[TensorSpec]) -> String {
    let names: Vec<String> = specs
        .iter()
        .map(|spec| format!("\"{}\"", spec.name))
        .collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

/// Reports what differs between two members on one side.
fn alike((side, of): Side, first: &Member, other: &Member, check: &mut Check) {
    let (ours, theirs) = (of(first.step.signature()), of(other.step.signature()));
    for spec in ours {
        match theirs.iter().find(|given| given.name == spec.name) {
            None => check.problem(absent(side, spec, first, other)),
            Some(given) if spec.accepts(given).is_err() => {
                check.problem(PatternProblem::Differs {
                    side,
                    tensor: spec.name.clone(),
                    first: first.name.clone(),
                    first_spec: spec.clone(),
                    other: other.name.clone(),
                    other_spec: given.clone(),
                });
            }
            Some(_) => {}
        }
    }
    for given in theirs {
        if !ours.iter().any(|spec| spec.name == given.name) {
            check.problem(absent(side, given, other, first));
        }
    }
}

fn absent(
    side: &'static str,
    spec: &TensorSpec,
    with: &Member,
    without: &Member,
) -> PatternProblem {
    PatternProblem::Absent {
        side,
        tensor: spec.name.clone(),
        with: with.name.clone(),
        without: without.name.clone(),
    }
}

fn pairs<'a>(
    specs: &'a mut [TensorSpec],
    others: &'a [TensorSpec],
) -> impl Iterator<Item = (&'a mut TensorSpec, &'a TensorSpec)> {
    specs.iter_mut().filter_map(|spec| {
        let other = others.iter().find(|other| other.name == spec.name)?;
        Some((spec, other))
    })
}

fn merge(dims: &mut [Dim], others: &[Dim], both: fn(Dim, Dim) -> Dim) {
    for (dim, other) in dims.iter_mut().zip(others) {
        *dim = both(*dim, *other);
    }
}

/// The parts of [`Step`](crate::Step) that every pattern answers from its face.
macro_rules! shows_face {
    () => {
        fn stage(&self) -> &::consort_inference::Stage {
            &self.face.stage
        }

        fn model_id(&self) -> &::consort_inference::ModelId {
            &self.face.id
        }

        fn signature(&self) -> &::consort_inference::Signature {
            &self.face.signature
        }

        fn answers(&self) -> &[::consort_inference::TensorSpec] {
            &self.face.answers
        }

        fn headers(&self) -> &[::std::sync::Arc<str>] {
            &self.face.headers
        }

        fn states(&self) -> &[::std::sync::Arc<dyn ::consort_inference::StreamStates>] {
            &self.face.states
        }
    };
}
pub(super) use shows_face;
