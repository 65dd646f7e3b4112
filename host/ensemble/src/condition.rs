//! When a step runs on an example: a question to one of its tensors.

mod compiled;
mod elements;

#[cfg(test)]
mod tests;

pub(crate) use compiled::{CompiledCondition, Unfit};

use std::fmt;
use std::sync::Arc;

/// A question to a tensor of each example.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The tensor's name in the ensemble.
    pub tensor: Arc<str>,
    /// What of its elements is asked about.
    pub of: Reduction,
    /// The question.
    pub test: Test,
}

/// Makes one thing of all elements of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The only element; a tensor with more or none is a failure of its example.
    Only,
    /// The largest number; where there are no elements, no test holds.
    Max,
    /// The smallest number; where there are no elements, no test holds.
    Min,
    /// The mean of the numbers; where there are no elements, no test holds.
    Mean,
    /// The test holds for some element.
    Any,
    /// The test holds for every element.
    All,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// A number above this one.
    Above(f64),
    /// A number below this one.
    Below(f64),
    /// Equal to this.
    Equals(Literal),
    /// Anything else.
    NotEquals(Literal),
    /// Equal to one of these.
    OneOf(Vec<Literal>),
}

/// Something that an element can be compared with. Whether the tensor has such elements is
/// checked when the ensemble is compiled.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number, rounded to the precision of the tensor it is compared with.
    Float(f64),
    /// A text, compared byte by byte.
    Text(Arc<str>),
}

// === impl Condition ===

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Reduction::Only => write!(f, "{} {}", self.tensor, self.test),
            of => write!(f, "{of} of {} {}", self.tensor, self.test),
        }
    }
}

// === impl Reduction ===

impl Reduction {
    /// The word for it in manifests and drawings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::Max => "max",
            Self::Min => "min",
            Self::Mean => "mean",
            Self::Any => "any",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Test ===

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(limit) => write!(f, "> {limit}"),
            Self::Below(limit) => write!(f, "< {limit}"),
            Self::Equals(literal) => write!(f, "= {literal}"),
            Self::NotEquals(literal) => write!(f, "≠ {literal}"),
            Self::OneOf(literals) => {
                let texts: Vec<String> = literals.iter().map(ToString::to_string).collect();
                write!(f, "in {{{}}}", texts.join(", "))
            }
        }
    }
}

// === impl Literal ===

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}
