//! What can be wrong with a pattern before it runs.

use consort_inference::TensorSpec;
use std::fmt;
use std::sync::Arc;

/// A pattern whose members or settings do not fit, with everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// The pattern's word: `split`, `combine`.
    pub pattern: &'static str,
    /// The name of the step.
    pub step: Arc<str>,
    /// What is wrong, in the order found; never empty.
    pub problems: Vec<PatternProblem>,
}

/// One thing that is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternProblem {
    /// Too few members.
    #[error("it has {actual} members; give it {least} or more")]
    TooFew {
        /// How many there are.
        actual: usize,
        /// How many it takes.
        least: usize,
    },
    /// Two members of one name.
    #[error("two of its members are named \"{0}\"; choose another name for one")]
    NameTwice(Arc<str>),
    /// A tensor that only one of two members has.
    #[error("\"{with}\" has the {side} \"{tensor}\" and \"{without}\" has not; give all the same")]
    Absent {
        /// `input` or `output`.
        side: &'static str,
        /// The tensor's name.
        tensor: Arc<str>,
        /// The member that has it.
        with: Arc<str>,
        /// The member that has not.
        without: Arc<str>,
    },
    /// A tensor that differs between two members.
    #[error(
        "the {side} \"{tensor}\" is {first_spec} in \"{first}\" and {other_spec} in \"{other}\"; \
         give all the same"
    )]
    Differs {
        /// `input` or `output`.
        side: &'static str,
        /// The tensor's name.
        tensor: Arc<str>,
        /// One member.
        first: Arc<str>,
        /// What it has.
        first_spec: TensorSpec,
        /// The other member.
        other: Arc<str>,
        /// What that has.
        other_spec: TensorSpec,
    },
    /// A member that answers by itself where that makes no sense, or in another way.
    #[error("\"{0}\" answers by itself, which it may not here; take it out")]
    Answers(Arc<str>),
    /// A weight that is zero, negative or no number.
    #[error("the weight of \"{0}\" is not above zero; leave the member out instead")]
    Weight(Arc<str>),
    /// A setting outside of what is possible.
    #[error("`{key}` is {actual}; write {expected}")]
    Setting {
        /// The key in a manifest.
        key: &'static str,
        /// What it is.
        actual: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A rule for outputs of another datatype.
    #[error("\"{rule}\" does not work on the output \"{output}\", which is {spec}; {help}")]
    RuleDatatype {
        /// The rule's word.
        rule: &'static str,
        /// The output's name.
        output: Arc<str>,
        /// What the output is.
        spec: TensorSpec,
        /// What to do.
        help: &'static str,
    },
    /// An output that no rule is for.
    #[error("no rule says what becomes of the output \"{0}\"; add one")]
    NoRule(Arc<str>),
    /// A name of a tensor that there is not.
    #[error("there is no {side} \"{name}\"; there are: {known}")]
    NoTensor {
        /// `input` or `output`.
        side: &'static str,
        /// The name given.
        name: Arc<str>,
        /// What there is.
        known: String,
    },
    /// A name of a tensor that is given twice.
    #[error("\"{0}\" is named twice; once is enough")]
    TensorTwice(Arc<str>),
    /// A tensor that routes cannot look at.
    #[error("\"{tensor}\" is {spec}; {help}")]
    Unroutable {
        /// The tensor's name.
        tensor: Arc<str>,
        /// What it is.
        spec: TensorSpec,
        /// What to do.
        help: &'static str,
    },
    /// The value of a case that the tensor never has.
    #[error("\"{tensor}\" is {spec} and never \"{value}\"")]
    CaseValue {
        /// The tensor's name.
        tensor: Arc<str>,
        /// What it is.
        spec: TensorSpec,
        /// The value given.
        value: Arc<str>,
    },
    /// A value with two cases.
    #[error("\"{0}\" has two cases; remove one")]
    CaseTwice(Arc<str>),
    /// A state's input and output that do not fit.
    #[error(
        "the state \"{input}\" is {input_spec}, and \"{output}\" is {output_spec}; both must be the same"
    )]
    StatePair {
        /// The input's name.
        input: Arc<str>,
        /// What it is.
        input_spec: TensorSpec,
        /// The output's name.
        output: Arc<str>,
        /// What that is.
        output_spec: TensorSpec,
    },
    /// A state that has no fixed size, so that nobody knows its zeros.
    #[error(
        "the state \"{input}\" is {spec}; it begins with zeros, so it must be numbers or \
         booleans and every axis must have a length"
    )]
    StateSize {
        /// The input's name.
        input: Arc<str>,
        /// What it is.
        spec: TensorSpec,
    },
    /// Not even one state fits.
    #[error(
        "the state of one key takes {state_bytes} bytes; `state_bytes_max` is {bytes_max}; raise it"
    )]
    StateRoom {
        /// Bytes of one key.
        state_bytes: u64,
        /// Bytes allowed.
        bytes_max: u64,
    },
}

/// Collects problems while a pattern is checked.
pub(super) struct Check {
    pattern: &'static str,
    step: Arc<str>,
    problems: Vec<PatternProblem>,
}

// === impl PatternError ===

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} \"{}\" cannot be made:", self.pattern, self.step)?;
        match self.problems.as_slice() {
            [only] => write!(f, " {only}"),
            several => several
                .iter()
                .try_for_each(|problem| write!(f, "\n  - {problem}")),
        }
    }
}

impl std::error::Error for PatternError {}

// === impl Check ===

impl Check {
    pub(super) fn new(pattern: &'static str, step: &Arc<str>) -> Self {
        Self {
            pattern,
            step: step.clone(),
            problems: Vec::new(),
        }
    }

    pub(super) fn problem(&mut self, problem: PatternProblem) {
        self.problems.push(problem);
    }

    /// A setting that must hold.
    pub(super) fn setting(
        &mut self,
        holds: bool,
        key: &'static str,
        actual: impl ToString,
        expected: &'static str,
    ) {
        if !holds {
            self.problem(PatternProblem::Setting {
                key,
                actual: actual.to_string(),
                expected,
            });
        }
    }

    /// So many members at least.
    pub(super) fn members(&mut self, actual: usize, least: usize) {
        if actual < least {
            self.problem(PatternProblem::TooFew { actual, least });
        }
    }

    /// Ends the check with what was made of the members: nothing where there are none.
    pub(super) fn done_with<T>(mut self, made: Option<T>) -> Result<T, PatternError> {
        if made.is_none() && self.problems.is_empty() {
            self.members(0, 1);
        }
        let failed = PatternError {
            pattern: self.pattern,
            step: self.step,
            problems: self.problems,
        };
        made.filter(|_| failed.problems.is_empty()).ok_or(failed)
    }

    pub(super) fn done(self) -> Result<(), PatternError> {
        self.done_with(Some(()))
    }
}
