//! Which tensor a name means where it is read.

use super::Draft;
use consort_inference::TensorSpec;
use std::sync::Arc;

/// Where a tensor comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The request's tensor of that index.
    Request(usize),
    /// An output of a step.
    Step { step: usize, output: usize },
}

/// All tensors of an ensemble by name.
pub(crate) struct Sources {
    pub(crate) request: Vec<TensorSpec>,
    /// The outputs of each step, under their names in the ensemble.
    pub(crate) made: Vec<Vec<TensorSpec>>,
    /// Whether a step may be passed by, so that a tensor keeps its older value.
    pub(crate) missable: Vec<bool>,
    pub(crate) steps: Vec<Arc<str>>,
}

// === impl Source ===

impl Source {
    pub(crate) fn step(self) -> Option<usize> {
        match self {
            Self::Request(_) => None,
            Self::Step { step, .. } => Some(step),
        }
    }
}

// === impl Sources ===

impl Sources {
    pub(crate) fn new(drafts: &[Draft], request: Vec<TensorSpec>) -> Self {
        let missable = |draft: &Draft| draft.planned.when.is_some() || draft.planned.optional;
        Self {
            request,
            made: drafts.iter().map(Draft::made).collect(),
            missable: drafts.iter().map(missable).collect(),
            steps: drafts
                .iter()
                .map(|draft| draft.planned.name.clone())
                .collect(),
        }
    }

    /// What a reader at that place gets: the latest tensor of the name made before it, the
    /// request's, or the last one made after it.
    pub(crate) fn find(&self, reader: usize, name: &str) -> Option<Source> {
        let after = || {
            let later = self.made.len().saturating_sub(reader + 1);
            self.last(name, self.made.iter().enumerate().rev().take(later))
        };
        self.before(reader, name).or_else(after)
    }

    /// The latest tensor of the name made before that step, or the request's.
    pub(crate) fn before(&self, step: usize, name: &str) -> Option<Source> {
        let earlier = self.made.iter().enumerate().take(step).rev();
        self.last(name, earlier).or_else(|| {
            let mut request = self.request.iter();
            let index = request.position(|spec| *spec.name == *name)?;
            Some(Source::Request(index))
        })
    }

    fn last<'a>(
        &self,
        name: &str,
        mut steps: impl Iterator<Item = (usize, &'a Vec<TensorSpec>)>,
    ) -> Option<Source> {
        steps.find_map(|(step, made)| {
            let output = made.iter().position(|spec| *spec.name == *name)?;
            Some(Source::Step { step, output })
        })
    }

    /// What is there instead where the step that makes a tensor is passed by.
    pub(crate) fn older(&self, source: Source) -> Option<Source> {
        match source {
            Source::Step { step, .. } if self.may_be_missed(source) => {
                self.before(step, &self.spec(source)?.name)
            }
            _ => None,
        }
    }

    /// Whether the step that makes a tensor may be passed by.
    pub(crate) fn may_be_missed(&self, source: Source) -> bool {
        let missable = |step: usize| self.missable.get(step).copied();
        source.step().and_then(missable).unwrap_or_default()
    }

    /// Everything that a reader of this tensor may get to see: itself, and what it is where
    /// steps are passed by.
    pub(crate) fn all_seen(&self, source: Source) -> impl Iterator<Item = Source> {
        std::iter::successors(Some(source), |source| self.older(*source))
    }

    pub(crate) fn spec(&self, source: Source) -> Option<&TensorSpec> {
        match source {
            Source::Request(index) => self.request.get(index),
            Source::Step { step, output } => self.made.get(step)?.get(output),
        }
    }

    /// Who makes it, for people.
    pub(crate) fn maker(&self, source: Source) -> String {
        match source.step().and_then(|step| self.steps.get(step)) {
            Some(step) => format!("step \"{step}\""),
            None => "the request".to_owned(),
        }
    }

    /// All tensors that a reader at that place could ask for, each name once.
    pub(crate) fn visible(&self, reader: usize) -> Vec<&TensorSpec> {
        let made = self.made.iter().enumerate();
        let others = made.filter(|(step, _)| *step != reader);
        let all = self.request.iter().chain(others.flat_map(|(_, made)| made));
        let mut visible: Vec<&TensorSpec> = Vec::new();
        for spec in all {
            let found = self.find(reader, &spec.name);
            let seen = found.and_then(|source| self.spec(source)).unwrap_or(spec);
            if !visible.iter().any(|known| known.name == seen.name) {
                visible.push(seen);
            }
        }
        visible
    }
}
