//! Whether data, shape and datatype make a tensor: the host's rules, told in its words.

use crate::elements;
use crate::{Datatype, TensorError, dims::shape_text};
use zerocopy::{Immutable, IntoBytes};

/// Refuses data that is not exactly what datatype and shape ask for.
pub(crate) fn check(datatype: Datatype, shape: &[usize], data: &[u8]) -> Result<(), TensorError> {
    let expected = element_count(shape)?;
    match datatype.size_bytes() {
        Some(size) => {
            let expected = expected.checked_mul(size).ok_or_else(|| overflow(shape))?;
            if data.len() != expected {
                return Err(TensorError::Invalid(format!(
                    "{datatype} of shape {} takes {expected} bytes, {} were given",
                    shape_text(shape),
                    data.len()
                )));
            }
        }
        None => {
            let actual = elements::ranges(data)
                .map_err(|error| TensorError::Invalid(error.to_string()))?
                .len();
            if actual != expected {
                return Err(TensorError::Invalid(format!(
                    "shape {} takes {expected} elements, {actual} were given",
                    shape_text(shape)
                )));
            }
        }
    }
    Ok(())
}

/// The number of elements of a shape.
pub(crate) fn element_count(shape: &[usize]) -> Result<usize, TensorError> {
    if shape.contains(&0) {
        return Ok(0);
    }
    shape
        .iter()
        .try_fold(1usize, |count, length| count.checked_mul(*length))
        .ok_or_else(|| overflow(shape))
}

fn overflow(shape: &[usize]) -> TensorError {
    TensorError::Invalid(format!(
        "shape {} has more elements than memory can hold",
        shape_text(shape)
    ))
}

/// Elements as the bytes that they are, without a copy.
pub(crate) trait Bytes {
    fn bytes(&self) -> &[u8];
}

impl<T: IntoBytes + Immutable> Bytes for Vec<T> {
    fn bytes(&self) -> &[u8] {
        self.as_slice().as_bytes()
    }
}
