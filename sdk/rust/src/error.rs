//! How a plugin says that something went wrong.

use crate::{Datatype, dims};
use std::fmt;

/// Why `init` or one example failed, and through whose fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The example is not acceptable: the caller's fault. Say what was expected.
    InvalidInput(String),
    /// The plugin could not do its work: the plugin's fault.
    Failed(String),
}

/// A tensor that could not be read or made. It becomes an [`Error`] by `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorError {
    /// The tensor has another datatype than it was read as.
    Datatype {
        /// What it was read as.
        expected: Datatype,
        /// What it is.
        actual: Datatype,
    },
    /// The tensor has another number of elements than the plugin asked for.
    ElementCount {
        /// How many were asked for.
        expected: usize,
        /// The tensor's shape.
        shape: Vec<usize>,
    },
    /// The elements are not what the plugin asked for: text that is not UTF-8, say.
    Content(String),
    /// Data, shape and datatype given for a new tensor do not agree.
    Invalid(String),
    /// An index, axis or range lies outside the tensor.
    OutOfRange(String),
    /// A limit of the host: bytes or number of tensors.
    Limit(String),
}

// === impl Error ===

impl Error {
    /// The caller's fault. Say what was expected and what came.
    pub fn invalid_input(message: impl fmt::Display) -> Self {
        Self::InvalidInput(message.to_string())
    }

    /// The plugin's fault.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// What was wrong, without whose fault it is.
    pub fn message(&self) -> &str {
        match self {
            Self::InvalidInput(message) | Self::Failed(message) => message,
        }
    }

    /// Puts `prefix` and a colon before the message.
    pub fn within(self, prefix: impl fmt::Display) -> Self {
        match self {
            Self::InvalidInput(message) => Self::InvalidInput(format!("{prefix}: {message}")),
            Self::Failed(message) => Self::Failed(format!("{prefix}: {message}")),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

impl From<TensorError> for Error {
    fn from(error: TensorError) -> Self {
        let message = error.to_string();
        match error {
            // Lengths and contents vary with the example.
            TensorError::ElementCount { .. } | TensorError::Content(_) => {
                Self::InvalidInput(message)
            }
            // The host has checked datatypes against `describe`: plugin and promise differ.
            // The others are about tensors that the plugin makes.
            TensorError::Datatype { .. }
            | TensorError::Invalid(_)
            | TensorError::OutOfRange(_)
            | TensorError::Limit(_) => Self::Failed(message),
        }
    }
}

// === impl TensorError ===

impl fmt::Display for TensorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Datatype { expected, actual } => {
                write!(f, "the tensor is {actual}, {expected} is expected")
            }
            Self::ElementCount { expected, shape } => {
                let shape = dims::shape_text(shape);
                write!(
                    f,
                    "the tensor has shape {shape}, {expected} element{} expected",
                    if *expected == 1 { " is" } else { "s are" }
                )
            }
            Self::Content(message)
            | Self::Invalid(message)
            | Self::OutOfRange(message)
            | Self::Limit(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for TensorError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_expected_and_actual() {
        let error = TensorError::Datatype {
            expected: Datatype::Fp32,
            actual: Datatype::Int64,
        };
        assert_eq!(error.to_string(), "the tensor is INT64, FP32 is expected");
        let error = TensorError::ElementCount {
            expected: 1,
            shape: vec![2, 3],
        };
        assert_eq!(
            error.to_string(),
            "the tensor has shape [2, 3], 1 element is expected"
        );
    }

    #[test]
    fn faults_are_told_apart() {
        let wrong_type = TensorError::Datatype {
            expected: Datatype::Fp32,
            actual: Datatype::Int64,
        };
        assert!(matches!(Error::from(wrong_type), Error::Failed(_)));
        let bad_text = TensorError::Content("element 0 is not UTF-8 text".into());
        assert!(matches!(Error::from(bad_text), Error::InvalidInput(_)));
        let bad_make = TensorError::Invalid("3 elements do not make [4]".into());
        assert!(matches!(Error::from(bad_make), Error::Failed(_)));
    }

    #[test]
    fn a_prefix_keeps_the_fault() {
        let error = Error::invalid_input("too long").within("tensor \"ids\"");
        assert_eq!(
            error,
            Error::InvalidInput("tensor \"ids\": too long".into())
        );
    }
}
