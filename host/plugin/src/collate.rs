//! Many tensors into one and one into many: what a guest around a model does with examples
//! of different lengths. Sizes are known, and paid for, before a byte is allocated.

use crate::limits::Limit;
use crate::tensors::{Refusal, TensorTable};
use bytes::Bytes;
use consort_inference::{Datatype, Tensor};
use std::ops::Range;

/// Tensors of different lengths as one, and where they are.
#[derive(Debug)]
pub(crate) struct Padded {
    pub(crate) tensor: Tensor,
    pub(crate) mask: Option<Tensor>,
}

/// What [`stack_padded`] will make.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PaddedSize {
    /// The longest of each axis.
    longest: Vec<usize>,
    /// Bytes of the tensor and its mask.
    pub(crate) bytes: usize,
}

/// Measures without making anything; `value` is one element of the padding.
pub(crate) fn padded_size(
    tensors: &[&Tensor],
    value: &[u8],
    mask: Option<Datatype>,
) -> Result<PaddedSize, Refusal> {
    let Some(first) = tensors.first() else {
        return Err(Refusal::Invalid("there are no tensors to stack".to_owned()));
    };
    let mut longest = first.shape().to_vec();
    let (mut bytes, mut elements) = (0usize, 0usize);
    for tensor in tensors {
        if tensor.datatype() != first.datatype() {
            return Err(Refusal::Invalid(format!(
                "{} and {} cannot be stacked",
                first.datatype(),
                tensor.datatype()
            )));
        }
        if tensor.shape().len() != longest.len() {
            return Err(Refusal::Invalid(format!(
                "shapes {:?} and {:?} have different numbers of axes",
                first.shape(),
                tensor.shape()
            )));
        }
        for (length, longest) in tensor.shape().iter().zip(&mut longest) {
            *longest = (*longest).max(*length);
        }
        bytes = bytes.saturating_add(tensor.data().len());
        elements = elements.saturating_add(tensor.element_count());
    }
    check_element(first.datatype(), value)?;
    let total = count(&longest).and_then(|row| row.checked_mul(tensors.len()));
    let mask_size = match mask {
        None => 0,
        Some(datatype) => one(datatype)?.len(),
    };
    let size = total.and_then(|total| {
        let padding = (total.checked_sub(elements)?).checked_mul(value.len())?;
        let mask = total.checked_mul(mask_size)?;
        bytes.checked_add(padding)?.checked_add(mask)
    });
    match size {
        Some(bytes) => Ok(PaddedSize { longest, bytes }),
        None => Err(Refusal::Invalid(format!(
            "{} tensors padded to {longest:?} have more elements than memory can hold",
            tensors.len()
        ))),
    }
}

/// Joins tensors along a new first axis, each padded at the end of every axis to the
/// longest. `size` is what [`padded_size`] found.
pub(crate) fn stack_padded(
    tensors: &[&Tensor],
    value: &[u8],
    mask: Option<Datatype>,
    size: &PaddedSize,
) -> Result<Padded, Refusal> {
    let datatype = tensors.first().map_or(Datatype::Uint8, |t| t.datatype());
    let mut shape = vec![tensors.len()];
    shape.extend_from_slice(&size.longest);
    let mut data = Vec::new();
    for tensor in tensors {
        append_padded(&mut data, tensor, &size.longest, value)?;
    }
    let mask = match mask {
        None => None,
        Some(datatype) => {
            let one = one(datatype)?;
            let zero = vec![0; one.len()];
            let mut data = Vec::new();
            for tensor in tensors {
                let ones = filled(datatype, tensor.shape().to_vec(), &one)?;
                append_padded(&mut data, &ones, &size.longest, &zero)?;
            }
            Some(Tensor::new(datatype, shape.clone(), data.into())?)
        }
    };
    let tensor = Tensor::new(datatype, shape, data.into())?;
    Ok(Padded { tensor, mask })
}

fn append_padded(
    data: &mut Vec<u8>,
    tensor: &Tensor,
    shape: &[usize],
    value: &[u8],
) -> Result<(), Refusal> {
    match (tensor.shape(), shape) {
        (old, new) if old == new => data.extend_from_slice(tensor.data()),
        // Lists of tokens: what nearly all of this is used for.
        (&[old], &[new]) => {
            data.extend_from_slice(tensor.data());
            repeat(data, value, new.saturating_sub(old));
        }
        _ => data.extend_from_slice(tensor.pad(shape.to_vec(), value)?.data()),
    }
    Ok(())
}

/// Takes a tensor apart along its first axis; parts are cut back to `lengths` along their
/// own first axis. Copies nothing. `parts_max` is how many there may be.
pub(crate) fn split(
    tensor: &Tensor,
    lengths: Option<&[usize]>,
    parts_max: usize,
) -> Result<Vec<Tensor>, Refusal> {
    let Some(&count) = tensor.shape().first() else {
        let message = "a scalar has no first axis to take apart";
        return Err(Refusal::Invalid(message.to_owned()));
    };
    if count > parts_max {
        let limit = Limit::Tensors;
        let message = format!("{limit}: {count} parts are more than {parts_max}");
        return Err(Refusal::Limit(limit, message));
    }
    if let Some(lengths) = lengths
        && lengths.len() != count
    {
        return Err(Refusal::Invalid(format!(
            "{} lengths are given for {count} parts",
            lengths.len()
        )));
    }
    let parts = tensor.unstack()?;
    let Some(lengths) = lengths else {
        return Ok(parts);
    };
    let cut = |(part, &length): (Tensor, &usize)| {
        let mut ranges: Vec<Range<usize>> = part.shape().iter().map(|&end| 0..end).collect();
        match ranges.first_mut() {
            Some(first) => first.end = length,
            None => {
                let message = "the parts are scalars: they have no axis to cut";
                return Err(Refusal::OutOfRange(message.to_owned()));
            }
        }
        Ok(part.slice(&ranges)?)
    };
    parts.into_iter().zip(lengths).map(cut).collect()
}

/// A tensor of one value, within the table's limit of bytes.
pub(crate) fn fill(
    table: &mut TensorTable,
    datatype: Datatype,
    shape: Vec<usize>,
    value: &[u8],
) -> Result<Tensor, Refusal> {
    check_element(datatype, value)?;
    let bytes = count(&shape).and_then(|count| count.checked_mul(value.len()));
    table.charge(bytes)?;
    filled(datatype, shape, value)
}

fn filled(datatype: Datatype, shape: Vec<usize>, value: &[u8]) -> Result<Tensor, Refusal> {
    let mut data = Vec::new();
    repeat(&mut data, value, count(&shape).unwrap_or_default());
    Ok(Tensor::new(datatype, shape, data.into())?)
}

fn repeat(data: &mut Vec<u8>, value: &[u8], count: usize) {
    let end = data.len() + value.len() * count;
    match value.split_first() {
        Some((&byte, rest)) if rest.iter().all(|other| *other == byte) => data.resize(end, byte),
        _ => {
            data.reserve_exact(end - data.len());
            (0..count).for_each(|_| data.extend_from_slice(value));
        }
    }
}

fn check_element(datatype: Datatype, value: &[u8]) -> Result<(), Refusal> {
    let checked = Tensor::new(datatype, vec![], Bytes::copy_from_slice(value));
    checked
        .map(|_| ())
        .map_err(|error| Refusal::Invalid(format!("the value must be one element: {error}")))
}

/// The number of elements, if memory can count them.
fn count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    (shape.iter()).try_fold(1usize, |count, &length| count.checked_mul(length))
}

/// The element of a mask that says "given".
fn one(datatype: Datatype) -> Result<Vec<u8>, Refusal> {
    Ok(match datatype {
        Datatype::Bool | Datatype::Uint8 | Datatype::Int8 => vec![1],
        Datatype::Uint16 | Datatype::Int16 => 1u16.to_le_bytes().to_vec(),
        Datatype::Uint32 | Datatype::Int32 => 1u32.to_le_bytes().to_vec(),
        Datatype::Uint64 | Datatype::Int64 => 1u64.to_le_bytes().to_vec(),
        // Sign and exponent of 1.0; the fraction is zero.
        Datatype::Fp16 => 0x3c00u16.to_le_bytes().to_vec(),
        Datatype::Bf16 => 0x3f80u16.to_le_bytes().to_vec(),
        Datatype::Fp32 => 1f32.to_le_bytes().to_vec(),
        Datatype::Fp64 => 1f64.to_le_bytes().to_vec(),
        Datatype::Bytes => {
            let message = "a mask of BYTES says nothing: choose a datatype of numbers or BOOL";
            return Err(Refusal::Invalid(message.to_owned()));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use proptest::prelude::*;

    fn numbers(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>() as i32;
        let values: Vec<i32> = (1..=count).collect();
        Tensor::from_slice(shape.to_vec(), &values).unwrap()
    }

    fn stack(tensors: &[&Tensor], value: &[u8], mask: Option<Datatype>) -> Result<Padded, Refusal> {
        let size = padded_size(tensors, value, mask)?;
        let padded = stack_padded(tensors, value, mask, &size)?;
        let mask = padded.mask.as_ref().map_or(0, |mask| mask.data().len());
        assert_eq!(
            padded.tensor.data().len() + mask,
            size.bytes,
            "measured wrongly"
        );
        Ok(padded)
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
        match result.unwrap_err() {
            Refusal::Invalid(message)
            | Refusal::OutOfRange(message)
            | Refusal::Limit(_, message) => message,
        }
    }

    #[test]
    fn token_lists_are_padded_and_masked() {
        let (a, b, none) = (numbers(&[3]), numbers(&[1]), numbers(&[0]));
        let value = (-7i32).to_le_bytes();
        let padded = stack(&[&a, &b, &none], &value, Some(Datatype::Int64)).unwrap();
        assert_eq!(padded.tensor.shape(), [3, 3]);
        assert_eq!(
            padded.tensor.to_vec::<i32>().unwrap(),
            [1, 2, 3, 1, -7, -7, -7, -7, -7]
        );
        let mask = padded.mask.unwrap();
        assert_eq!(mask.shape(), [3, 3]);
        assert_eq!(mask.to_vec::<i64>().unwrap(), [1, 1, 1, 1, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_mask_of_any_numbers_is_one_and_zero() {
        for datatype in Datatype::ALL {
            let made = stack(&[&numbers(&[1]), &numbers(&[2])], &[0; 4], Some(datatype));
            if datatype == Datatype::Bytes {
                assert!(refused(made).contains("a mask of BYTES"));
                continue;
            }
            let mask = made.unwrap().mask.unwrap();
            let size = datatype.size_bytes().unwrap();
            let elements: Vec<&[u8]> = mask.data().chunks(size).collect();
            assert_eq!(elements[0], one(datatype).unwrap());
            assert_eq!(elements[1], vec![0; size]);
            assert_eq!(elements[2], elements[3]);
        }
    }

    #[test]
    fn texts_are_padded_too() {
        let a = Tensor::from_byte_strings(vec![2], ["x", "yz"]).unwrap();
        let b = Tensor::from_byte_strings(vec![1], ["w"]).unwrap();
        let padded = stack(&[&b, &a], b"\x01\0\0\0-", None).unwrap();
        let strings = padded.tensor.byte_strings().unwrap();
        assert_eq!(strings, ["w", "-", "x", "yz"]);
    }

    #[test]
    fn what_cannot_be_stacked_is_refused() {
        let a = numbers(&[2]);
        let float = Tensor::from_slice(vec![2], &[1f32, 2.0]).unwrap();
        assert!(refused(stack(&[], &[], None)).contains("no tensors"));
        assert!(refused(stack(&[&a, &float], &[0; 4], None)).contains("INT32 and FP32"));
        assert!(refused(stack(&[&a, &numbers(&[1, 2])], &[0; 4], None)).contains("axes"));
        assert!(refused(stack(&[&a], &[0; 3], None)).contains("must be one element"));
        let wide = Tensor::from_slice::<i32>(vec![1 << 40, 0], &[]).unwrap();
        let high = Tensor::from_slice::<i32>(vec![0, 1 << 40], &[]).unwrap();
        let refusal = refused(padded_size(&[&wide, &high], &[0; 4], None));
        assert!(refusal.contains("memory"), "{refusal}");
    }

    #[test]
    fn parts_are_cut_back() {
        let parts = split(&numbers(&[2, 3]), Some(&[1, 3]), 2).unwrap();
        let values: Vec<Vec<i32>> = parts.iter().map(|part| part.to_vec().unwrap()).collect();
        assert_eq!(values, [vec![1], vec![4, 5, 6]]);
        assert!(refused(split(&numbers(&[2, 3]), Some(&[1, 4]), 2)).contains("outside"));
        assert!(refused(split(&numbers(&[2, 3]), Some(&[1]), 2)).contains("1 lengths"));
        assert!(refused(split(&numbers(&[3, 3]), None, 2)).contains("tensors_max"));
        assert!(refused(split(&numbers(&[2]), Some(&[0, 0]), 2)).contains("scalars"));
        assert!(refused(split(&numbers(&[]), None, 2)).contains("scalar"));
    }

    #[test]
    fn filled_tensors_are_paid_for_first() {
        let mut table = TensorTable::new(&Limits {
            output_bytes_max: 100,
            ..Limits::default()
        });
        let seven = fill(&mut table, Datatype::Int32, vec![2, 3], &7i32.to_le_bytes());
        assert_eq!(seven.unwrap().to_vec::<i32>().unwrap(), [7; 6]);
        for shape in [vec![20], vec![usize::MAX], vec![usize::MAX, 3]] {
            let refusal = refused(fill(&mut table, Datatype::Int32, shape, &[0; 4]));
            assert!(refusal.contains("output_bytes_max"), "{refusal}");
        }
        let texts = fill(&mut table, Datatype::Bytes, vec![2], b"\x01\0\0\0a");
        assert_eq!(texts.unwrap().byte_strings().unwrap(), ["a", "a"]);
        assert!(fill(&mut table, Datatype::Uint8, vec![usize::MAX, 0], &[1]).is_ok());
    }

    proptest! {
        #[test]
        fn splitting_gives_back_what_was_stacked(
            shapes in proptest::collection::vec((0usize..5, 0usize..4), 1..6),
        ) {
            let tensors: Vec<Tensor> =
                shapes.iter().map(|(rows, columns)| numbers(&[*rows, *columns])).collect();
            let refs: Vec<&Tensor> = tensors.iter().collect();
            let padded = stack(&refs, &[9; 4], Some(Datatype::Bool)).unwrap();
            let lengths: Vec<usize> = shapes.iter().map(|(rows, _)| *rows).collect();
            let parts = split(&padded.tensor, Some(&lengths), 100).unwrap();
            for ((part, tensor), (rows, columns)) in parts.iter().zip(&tensors).zip(shapes) {
                let given = part.slice(&[0..rows, 0..columns]).unwrap();
                prop_assert_eq!(given.data(), tensor.data());
            }
            let given: usize = tensors.iter().map(Tensor::element_count).sum();
            let ones = padded.mask.unwrap().data().iter().filter(|byte| **byte == 1).count();
            prop_assert_eq!(ones, given);
        }
    }
}
