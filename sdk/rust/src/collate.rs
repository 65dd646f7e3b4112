//! One tensor of many and many of one, on the host: examples of different lengths become a
//! batch, and a batch becomes examples again, without a byte crossing into the plugin.
//!
//! ```
//! use consort_sdk::{Datatype, Tensor, collate};
//!
//! let short = Tensor::from_slice(&[1], &[7i64])?;
//! let long = Tensor::from_slice(&[3], &[1i64, 2, 3])?;
//! let padded = collate::stack_padded(&[&short, &long], 0i64, Datatype::Int64)?;
//! assert_eq!(*padded.tensor.read::<i64>()?, [7, 0, 0, 1, 2, 3]);
//! assert_eq!(*padded.mask.unwrap().read::<i64>()?, [1, 0, 0, 1, 1, 1]);
//!
//! let parts = collate::split_to(&padded.tensor, &[1, 3])?;
//! assert_eq!(parts[0].shape(), [1]);
//! # Ok::<(), consort_sdk::TensorError>(())
//! ```

use crate::elements::push_byte_string;
use crate::{Datatype, Element, Tensor, TensorError};

#[cfg(target_family = "wasm")]
use crate::host::collate as place;
#[cfg(not(target_family = "wasm"))]
mod in_memory;
#[cfg(not(target_family = "wasm"))]
use in_memory as place;

/// Tensors of different lengths as one.
#[derive(Debug)]
pub struct Padded {
    /// The tensors one after another along a new first axis.
    pub tensor: Tensor,
    /// Of the same shape: one where an element is given, zero where it is padding. Present
    /// if a datatype for it was given.
    pub mask: Option<Tensor>,
}

/// Joins tensors of one datatype and one number of axes along a new first axis, each padded
/// with `value` at the end of every axis to the longest. `mask` is the datatype of the mask
/// to make, `None` for no mask.
pub fn stack_padded<T: Element>(
    tensors: &[&Tensor],
    value: T,
    mask: impl Into<Option<Datatype>>,
) -> Result<Padded, TensorError> {
    if let Some(tensor) = tensors
        .iter()
        .find(|tensor| tensor.datatype() != T::DATATYPE)
    {
        return Err(TensorError::Datatype {
            expected: T::DATATYPE,
            actual: tensor.datatype(),
        });
    }
    place::stack_padded(tensors, value.as_bytes(), mask.into())
}

/// The same for `BYTES` tensors.
pub fn stack_padded_bytes(
    tensors: &[&Tensor],
    value: impl AsRef<[u8]>,
    mask: impl Into<Option<Datatype>>,
) -> Result<Padded, TensorError> {
    let mut data = Vec::new();
    push_byte_string(&mut data, value.as_ref())?;
    place::stack_padded(tensors, &data, mask.into())
}

/// Takes a tensor apart along its first axis, which the parts do not have.
pub fn split(tensor: &Tensor) -> Result<Vec<Tensor>, TensorError> {
    place::split(tensor, None)
}

/// The same, and cuts each part back to a length along its own first axis: what
/// [`stack_padded`] added is gone again.
pub fn split_to(tensor: &Tensor, lengths: &[usize]) -> Result<Vec<Tensor>, TensorError> {
    place::split(tensor, Some(lengths))
}

/// A tensor in which every element is `value`.
pub fn fill<T: Element>(shape: &[usize], value: T) -> Result<Tensor, TensorError> {
    place::fill(T::DATATYPE, shape, value.as_bytes())
}

/// A `BYTES` tensor in which every element is `value`.
pub fn fill_bytes(shape: &[usize], value: impl AsRef<[u8]>) -> Result<Tensor, TensorError> {
    let mut data = Vec::new();
    push_byte_string(&mut data, value.as_ref())?;
    place::fill(Datatype::Bytes, shape, &data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>() as i32;
        Tensor::from_slice(shape, &(1..=count).collect::<Vec<_>>()).unwrap()
    }

    fn message<T: std::fmt::Debug>(result: Result<T, TensorError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn tensors_of_any_rank_are_padded() {
        let (a, b) = (numbers(&[1, 2]), numbers(&[2, 1]));
        let padded = stack_padded(&[&a, &b], -1i32, Datatype::Bool).unwrap();
        assert_eq!(padded.tensor.shape(), [2, 2, 2]);
        assert_eq!(
            padded.tensor.to_vec::<i32>().unwrap(),
            [1, 2, -1, -1, 1, -1, 2, -1]
        );
        let mask = padded.mask.unwrap().to_vec::<bool>().unwrap();
        assert_eq!(mask, [true, true, false, false, true, false, true, false]);
        assert!(stack_padded(&[&a], 0i32, None).unwrap().mask.is_none());
    }

    #[test]
    fn texts_are_padded_and_filled() {
        let one = Tensor::single_bytes("a").unwrap();
        let two = Tensor::from_byte_strings(&[2], ["b", "c"]).unwrap();
        let padded = stack_padded_bytes(&[&one, &two], "-", None).unwrap();
        let strings = padded.tensor.byte_strings().unwrap();
        assert_eq!(strings.texts().unwrap(), ["a", "-", "b", "c"]);
        let filled = fill_bytes(&[2], "x").unwrap();
        assert_eq!(filled.byte_strings().unwrap().texts().unwrap(), ["x", "x"]);
        assert_eq!(fill(&[2, 2], 7u8).unwrap().to_vec::<u8>().unwrap(), [7; 4]);
    }

    #[test]
    fn a_mask_is_one_in_every_datatype() {
        let a = numbers(&[1]);
        let mask = |datatype| stack_padded(&[&a], 0i32, datatype).unwrap().mask.unwrap();
        assert_eq!(mask(Datatype::Fp32).to_vec::<f32>().unwrap(), [1.0]);
        assert_eq!(mask(Datatype::Fp64).to_vec::<f64>().unwrap(), [1.0]);
        assert_eq!(
            mask(Datatype::Fp16).to_vec::<crate::F16>().unwrap()[0].to_f32(),
            1.0
        );
        assert_eq!(
            mask(Datatype::Bf16).to_vec::<crate::Bf16>().unwrap()[0].to_f32(),
            1.0
        );
        assert_eq!(mask(Datatype::Uint16).to_vec::<u16>().unwrap(), [1]);
        let bytes = stack_padded(&[&a], 0i32, Datatype::Bytes);
        assert!(message(bytes).contains("mask of BYTES"));
    }

    #[test]
    fn parts_are_taken_apart() {
        let parts = split(&numbers(&[2, 2])).unwrap();
        assert_eq!(parts[1].to_vec::<i32>().unwrap(), [3, 4]);
        assert!(split(&numbers(&[0, 2])).unwrap().is_empty());
        assert!(split_to(&numbers(&[2]), &[0, 0]).is_err());
        assert!(split_to(&numbers(&[2, 2]), &[1]).is_err());
        assert!(split_to(&numbers(&[2, 2]), &[1, 3]).is_err());
        assert!(split(&numbers(&[])).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let a = numbers(&[1]);
        assert!(message(stack_padded(&[&a], 0i64, None)).contains("INT32, INT64 is expected"));
        assert!(message(stack_padded::<i32>(&[], 0, None)).contains("no tensors"));
        let square = numbers(&[1, 1]);
        assert!(message(stack_padded(&[&a, &square], 0i32, None)).contains("axes"));
    }
}
