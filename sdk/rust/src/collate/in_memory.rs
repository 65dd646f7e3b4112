//! The same in native unit tests, with the host's rules.

use super::Padded;
use crate::dims::shape_text;
use crate::memory::Handle;
use crate::{Datatype, Tensor, TensorError};
use std::ops::Range;

pub(super) fn stack_padded(
    tensors: &[&Tensor],
    value: &[u8],
    mask: Option<Datatype>,
) -> Result<Padded, TensorError> {
    let Some(first) = tensors.first() else {
        return Err(TensorError::Invalid(
            "there are no tensors to stack".to_owned(),
        ));
    };
    let mut longest = first.shape();
    for tensor in tensors {
        let shape = tensor.shape();
        if shape.len() != longest.len() {
            return Err(TensorError::Invalid(format!(
                "shapes {} and {} have different numbers of axes",
                shape_text(&first.shape()),
                shape_text(&shape)
            )));
        }
        for (length, longest) in shape.into_iter().zip(&mut longest) {
            *longest = length.max(*longest);
        }
    }
    let handles = tensors.iter().map(|tensor| tensor.handle());
    let tensor = joined(handles.map(|handle| handle.pad(&longest, value)))?;
    let Some(datatype) = mask else {
        return Ok(Padded { tensor, mask: None });
    };
    let one = one(datatype)?;
    let zero = vec![0; one.len()];
    let ones = tensors
        .iter()
        .map(|tensor| fill(datatype, &tensor.shape(), &one));
    let mask = joined(ones.map(|ones| ones?.handle().pad(&longest, &zero)))?;
    Ok(Padded {
        tensor,
        mask: Some(mask),
    })
}

pub(super) fn split(
    tensor: &Tensor,
    lengths: Option<&[usize]>,
) -> Result<Vec<Tensor>, TensorError> {
    let shape = tensor.shape();
    let Some((&count, row)) = shape.split_first() else {
        let message = "a scalar has no first axis to take apart";
        return Err(TensorError::Invalid(message.to_owned()));
    };
    if let Some(lengths) = lengths
        && lengths.len() != count
    {
        return Err(TensorError::Invalid(format!(
            "{} lengths are given for {count} parts",
            lengths.len()
        )));
    }
    let part = |index: usize| {
        let part = tensor.rows(index..index + 1)?.reshape(row)?;
        let Some(length) = lengths.and_then(|lengths| lengths.get(index)) else {
            return Ok(part);
        };
        let mut ranges: Vec<Range<usize>> = row.iter().map(|&end| 0..end).collect();
        match ranges.first_mut() {
            Some(first) => first.end = *length,
            None => {
                let message = "the parts are scalars: they have no axis to cut";
                return Err(TensorError::OutOfRange(message.to_owned()));
            }
        }
        part.slice(&ranges)
    };
    (0..count).map(part).collect()
}

pub(super) fn fill(
    datatype: Datatype,
    shape: &[usize],
    value: &[u8],
) -> Result<Tensor, TensorError> {
    let count = shape.iter().product();
    Tensor::from_raw(datatype, shape, &value.repeat(count))
}

fn joined(
    handles: impl Iterator<Item = Result<Handle, TensorError>>,
) -> Result<Tensor, TensorError> {
    let handles = handles.collect::<Result<Vec<_>, _>>()?;
    let handles: Vec<_> = handles.iter().collect();
    Ok(Tensor::from_handle(Handle::stack(&handles)?))
}

fn one(datatype: Datatype) -> Result<Vec<u8>, TensorError> {
    Ok(match datatype {
        Datatype::Bytes => {
            let message = "a mask of BYTES says nothing: choose a datatype of numbers or BOOL";
            return Err(TensorError::Invalid(message.to_owned()));
        }
        Datatype::Fp16 => vec![0x00, 0x3c],
        Datatype::Bf16 => vec![0x80, 0x3f],
        Datatype::Fp32 => 1f32.to_le_bytes().to_vec(),
        Datatype::Fp64 => 1f64.to_le_bytes().to_vec(),
        whole => {
            let mut one = vec![0; whole.size_bytes().unwrap_or_default()];
            if let Some(lowest) = one.first_mut() {
                *lowest = 1;
            }
            one
        }
    })
}
