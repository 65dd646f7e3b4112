//! What a model or plugin promises about its tensors, and checks against it.

use crate::{Datatype, Tensor, Tensors};
use std::fmt;
use std::sync::Arc;

/// The length of an axis, `None` where any will do.
pub type Dim = Option<usize>;

/// A tensor as promised. Shapes are those of one example: no batch axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name it goes by.
    pub name: Arc<str>,
    /// The type of its elements.
    pub datatype: Datatype,
    /// The length of each axis.
    pub shape: Vec<Dim>,
}

/// What a step reads and writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// The tensors an example must hold.
    pub inputs: Vec<TensorSpec>,
    /// The tensors a prediction holds.
    pub outputs: Vec<TensorSpec>,
}

/// Tensors that do not keep a promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// A tensor that should be there is not.
    #[error("tensor \"{name}\" is missing; {expected} is expected")]
    Missing {
        /// Its name.
        name: Arc<str>,
        /// What was promised.
        expected: TensorSpec,
    },
    /// A tensor that nobody asked for.
    #[error("tensor \"{name}\" is not expected; the names are {known}")]
    Unexpected {
        /// Its name.
        name: Arc<str>,
        /// The names that are expected.
        known: String,
    },
    /// Another datatype.
    #[error("tensor \"{name}\" is {actual}, {expected} is expected")]
    Datatype {
        /// Its name.
        name: Arc<str>,
        /// What was promised.
        expected: Datatype,
        /// What came.
        actual: Datatype,
    },
    /// Another number of axes, or an axis of another length.
    #[error("tensor \"{name}\" has shape {actual}, {expected} is expected")]
    Shape {
        /// Its name.
        name: Arc<str>,
        /// What was promised, `-1` for any length.
        expected: String,
        /// What came.
        actual: String,
    },
}

// === impl TensorSpec ===

impl TensorSpec {
    /// A promise of one tensor.
    pub fn new(name: impl Into<Arc<str>>, datatype: Datatype, shape: Vec<Dim>) -> Self {
        Self {
            name: name.into(),
            datatype,
            shape,
        }
    }

    /// Whether a tensor keeps the promise.
    pub fn check(&self, tensor: &Tensor) -> Result<(), Mismatch> {
        self.check_parts(tensor.datatype(), tensor.shape())
    }

    /// Whether a tensor of that datatype and shape would keep the promise; for callers
    /// that hold no tensor yet.
    pub fn check_parts(&self, datatype: Datatype, shape: &[usize]) -> Result<(), Mismatch> {
        self.check_lengths(datatype, shape.iter().copied().map(Some))
    }

    /// Whether tensors of another promise can be given where this one is asked for. An
    /// axis of unknown length on either side is left to the check of each tensor.
    pub fn accepts(&self, given: &Self) -> Result<(), Mismatch> {
        self.check_lengths(given.datatype, given.shape.iter().copied())
    }

    /// A tensor of zeros that keeps the promise, if it is of a fixed size that memory can
    /// hold.
    pub fn zeros(&self) -> Option<Tensor> {
        let size = self.datatype.size_bytes()?;
        let shape: Vec<usize> = self.shape.iter().copied().collect::<Option<_>>()?;
        let mut lengths = shape.iter();
        let bytes = lengths.try_fold(size, |bytes, length| bytes.checked_mul(*length))?;
        let mut data = Vec::new();
        data.try_reserve_exact(bytes).ok()?;
        data.resize(bytes, 0);
        Tensor::new(self.datatype, shape, data.into()).ok()
    }

    fn check_lengths(
        &self,
        datatype: Datatype,
        shape: impl ExactSizeIterator<Item = Dim> + Clone,
    ) -> Result<(), Mismatch> {
        if self.datatype != datatype {
            return Err(Mismatch::Datatype {
                name: self.name.clone(),
                expected: self.datatype,
                actual: datatype,
            });
        }
        let fits = |(expected, actual): (&Dim, Dim)| match (expected, actual) {
            (Some(expected), Some(actual)) => *expected == actual,
            _ => true,
        };
        if self.shape.len() == shape.len() && self.shape.iter().zip(shape.clone()).all(fits) {
            return Ok(());
        }
        Err(Mismatch::Shape {
            name: self.name.clone(),
            expected: dims_text(&self.shape),
            actual: dims_text(&shape.collect::<Vec<_>>()),
        })
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.datatype, dims_text(&self.shape))
    }
}

/// Writes a shape as the protocol does: `-1` for any length.
fn dims_text(dims: &[Dim]) -> String {
    let texts: Vec<String> = dims
        .iter()
        .map(|dim| dim.map_or("-1".to_owned(), |length| length.to_string()))
        .collect();
    format!("[{}]", texts.join(", "))
}

// === impl Signature ===

impl Signature {
    /// Whether `tensors` are exactly the inputs promised.
    pub fn check_inputs(&self, tensors: &Tensors) -> Result<(), Mismatch> {
        check_exactly(&self.inputs, tensors)
    }

    /// Whether `tensors` are exactly the outputs promised.
    pub fn check_outputs(&self, tensors: &Tensors) -> Result<(), Mismatch> {
        check_exactly(&self.outputs, tensors)
    }
}

fn check_exactly(specs: &[TensorSpec], tensors: &Tensors) -> Result<(), Mismatch> {
    for spec in specs {
        let tensor = tensors
            .tensor(&spec.name)
            .ok_or_else(|| Mismatch::Missing {
                name: spec.name.clone(),
                expected: spec.clone(),
            })?;
        spec.check(tensor)?;
    }
    if tensors.len() == specs.len() {
        return Ok(());
    }
    let known = || {
        specs
            .iter()
            .map(|spec| format!("\"{}\"", spec.name))
            .collect::<Vec<_>>()
    };
    match tensors
        .iter()
        .find(|(name, _)| !specs.iter().any(|spec| spec.name == **name))
    {
        None => Ok(()),
        Some((name, _)) => Err(Mismatch::Unexpected {
            name: name.clone(),
            known: known().join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> Signature {
        Signature {
            inputs: vec![
                TensorSpec::new("ids", Datatype::Int64, vec![None]),
                TensorSpec::new("size", Datatype::Int64, vec![Some(1)]),
            ],
            outputs: vec![],
        }
    }

    fn check(named: &[(&str, Tensor)]) -> String {
        let named = named
            .iter()
            .map(|(name, tensor)| ((*name).into(), tensor.clone()));
        let tensors = Tensors::from_named(named).unwrap();
        signature()
            .check_inputs(&tensors)
            .err()
            .map_or("ok".to_owned(), |e| e.to_string())
    }

    #[test]
    fn mismatches_say_what_is_expected() {
        let ids = Tensor::from_slice(vec![2], &[1i64, 2]).unwrap();
        let size = Tensor::from_slice(vec![1], &[7i64]).unwrap();
        let float = Tensor::from_slice(vec![1], &[7f32]).unwrap();
        assert_eq!(check(&[("ids", ids.clone()), ("size", size.clone())]), "ok");
        assert_eq!(
            check(&[("size", size.clone())]),
            "tensor \"ids\" is missing; INT64 [-1] is expected"
        );
        assert_eq!(
            check(&[("ids", ids.clone()), ("size", float)]),
            "tensor \"size\" is FP32, INT64 is expected"
        );
        assert_eq!(
            check(&[("ids", ids.clone()), ("size", ids.clone())]),
            "tensor \"size\" has shape [2], [1] is expected"
        );
        assert_eq!(
            check(&[("ids", ids), ("size", size.clone()), ("mask", size)]),
            "tensor \"mask\" is not expected; the names are \"ids\", \"size\""
        );
    }

    #[test]
    fn unknown_lengths_are_accepted_either_way() {
        let any = TensorSpec::new("x", Datatype::Fp32, vec![None, Some(3)]);
        let fixed = TensorSpec::new("x", Datatype::Fp32, vec![Some(2), Some(3)]);
        assert!(any.accepts(&fixed).is_ok() && fixed.accepts(&any).is_ok());
        let rank = TensorSpec::new("x", Datatype::Fp32, vec![Some(2)]);
        assert!(any.accepts(&rank).is_err());
    }
}
