//! Holding what a shadow gave against what was answered.

use super::join::StepResult;
use super::numbers::numbers;
use consort_inference::{Outcome, Tensors};

/// How two results of one example compare.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Comparison {
    /// Byte for byte.
    Equal,
    /// Other names, shapes, texts or numbers.
    Different {
        /// The largest difference of two numbers, where shapes are equal.
        largest: Option<f64>,
    },
    /// The shadow failed and the other did not.
    Failed,
    /// The other failed: there is nothing to compare with.
    BaseFailed,
}

// === impl Comparison ===

impl Comparison {
    pub(super) fn of(base: &StepResult, shadow: &StepResult) -> Self {
        match (base, shadow) {
            (Err(_), _) => Self::BaseFailed,
            (Ok(_), Err(_)) => Self::Failed,
            (Ok(base), Ok(shadow)) => Self::of_tensors(tensors(base), tensors(shadow)),
        }
    }

    fn of_tensors(base: &Tensors, shadow: &Tensors) -> Self {
        let (mut equal, mut largest) = (base.len() == shadow.len(), None::<f64>);
        for (name, tensor) in base.iter() {
            let Some(other) = shadow.tensor(name) else {
                equal = false;
                continue;
            };
            if tensor == other {
                continue;
            }
            equal = false;
            let same_kind =
                tensor.datatype() == other.datatype() && tensor.shape() == other.shape();
            if let (true, Some(ours), Some(theirs)) = (same_kind, numbers(tensor), numbers(other)) {
                // What is no number differs, and by no number.
                let differences = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
                for difference in differences.filter(|difference| difference.is_finite()) {
                    largest = Some(largest.map_or(difference, |most| most.max(difference)));
                }
            }
        }
        match equal {
            true => Self::Equal,
            false => Self::Different { largest },
        }
    }

    /// The word for it in metrics.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Different { .. } => "different",
            Self::Failed => "failed",
            Self::BaseFailed => "base_failed",
        }
    }

    pub(super) fn largest_difference(&self) -> Option<f64> {
        match self {
            Self::Equal => Some(0.0),
            Self::Different { largest } => *largest,
            Self::Failed | Self::BaseFailed => None,
        }
    }
}

/// What a step gave, however it gave it.
pub(super) fn tensors(outcome: &Outcome) -> &Tensors {
    match outcome {
        Outcome::Forward(tensors) | Outcome::Predicted(tensors, _) | Outcome::Answer(tensors) => {
            tensors
        }
    }
}
