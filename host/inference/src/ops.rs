//! Cutting and joining tensors. Numbers and byte strings share one way: elements are
//! moved as runs of bytes, where a run of `BYTES` elements is found in a table of ranges.

use crate::{Tensor, TensorError};
use bytes::Bytes;
use std::ops::Range;

/// The number of elements of a shape; an empty shape is a scalar.
pub(crate) fn element_count(shape: &[usize]) -> Result<usize, TensorError> {
    if shape.contains(&0) {
        return Ok(0);
    }
    shape
        .iter()
        .try_fold(1usize, |count, &length| count.checked_mul(length))
        .ok_or_else(|| TensorError::ShapeOverflow {
            shape: shape.to_vec(),
        })
}

/// Where each element of `BYTES` data lies, its four bytes of length included.
pub(crate) fn byte_string_ranges(data: &[u8]) -> Result<Vec<Range<usize>>, TensorError> {
    let mut ranges = Vec::new();
    for_each_byte_string(data, |range| ranges.push(range))?;
    Ok(ranges)
}

/// How many elements `BYTES` data holds; needs no memory, however many they are.
pub(crate) fn byte_string_count(data: &[u8]) -> Result<usize, TensorError> {
    let mut count = 0;
    for_each_byte_string(data, |_| count += 1)?;
    Ok(count)
}

fn for_each_byte_string(
    data: &[u8],
    mut visit: impl FnMut(Range<usize>),
) -> Result<(), TensorError> {
    let (mut start, mut index) = (0, 0);
    while start < data.len() {
        let rest = data.get(start..).unwrap_or_default();
        let Some((length, content)) = rest.split_first_chunk::<4>() else {
            let missing = 4 - rest.len();
            return Err(TensorError::TruncatedElement { index, missing });
        };
        let length = u32::from_le_bytes(*length) as usize;
        if content.len() < length {
            let missing = length - content.len();
            return Err(TensorError::TruncatedElement { index, missing });
        }
        visit(start..start + 4 + length);
        start += 4 + length;
        index += 1;
    }
    Ok(())
}

pub(crate) fn push_byte_string(data: &mut Vec<u8>, element: &[u8]) -> Result<(), TensorError> {
    let length = u32::try_from(element.len()).map_err(|_| {
        TensorError::OutOfRange("a BYTES element can hold at most 4,294,967,295 bytes".to_owned())
    })?;
    data.extend_from_slice(&length.to_le_bytes());
    data.extend_from_slice(element);
    Ok(())
}

/// Finds the bytes of a run of elements.
enum Elements {
    Fixed(usize),
    Strings(Vec<Range<usize>>),
}

impl Elements {
    fn of(tensor: &Tensor) -> Result<Self, TensorError> {
        Ok(match tensor.datatype().size_bytes() {
            Some(size) => Self::Fixed(size),
            None => Self::Strings(byte_string_ranges(tensor.data())?),
        })
    }

    /// The bytes of `count` elements from element `start`.
    fn bytes(&self, start: usize, count: usize) -> Range<usize> {
        match self {
            Self::Fixed(size) => start * size..(start + count) * size,
            Self::Strings(ranges) => {
                let run = ranges.get(start..start + count).unwrap_or_default();
                match (run.first(), run.last()) {
                    (Some(first), Some(last)) => first.start..last.end,
                    _ => 0..0,
                }
            }
        }
    }

    fn copy(&self, tensor: &Tensor, start: usize, count: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(
            tensor
                .data()
                .get(self.bytes(start, count))
                .unwrap_or_default(),
        );
    }
}

pub(crate) fn stack(tensors: &[&Tensor]) -> Result<Tensor, TensorError> {
    let first = first(tensors, "stack")?;
    for tensor in tensors {
        same_datatype(first, tensor)?;
        if tensor.shape() != first.shape() {
            return Err(TensorError::Incompatible(format!(
                "only tensors of equal shapes can be stacked, not {:?} and {:?}",
                first.shape(),
                tensor.shape()
            )));
        }
    }
    let mut shape = Vec::with_capacity(first.shape().len() + 1);
    shape.push(tensors.len());
    shape.extend_from_slice(first.shape());
    if let [only] = tensors {
        return Ok(Tensor::from_parts(
            first.datatype(),
            shape,
            only.data().clone(),
        ));
    }
    element_count(&shape)?;
    let mut data = Vec::with_capacity(tensors.iter().map(|tensor| tensor.data().len()).sum());
    tensors
        .iter()
        .for_each(|tensor| data.extend_from_slice(tensor.data()));
    Ok(Tensor::from_parts(first.datatype(), shape, data.into()))
}

pub(crate) fn unstack(tensor: &Tensor) -> Result<Vec<Tensor>, TensorError> {
    let Some((&count, row_shape)) = tensor.shape().split_first() else {
        return Err(TensorError::Incompatible(
            "a scalar has no first axis to take apart".into(),
        ));
    };
    let row_count = element_count(row_shape)?;
    let elements = Elements::of(tensor)?;
    let row = |index: usize| {
        let data = tensor
            .data()
            .slice(elements.bytes(index * row_count, row_count));
        Tensor::from_parts(tensor.datatype(), row_shape.to_vec(), data)
    };
    Ok((0..count).map(row).collect())
}

pub(crate) fn concat(tensors: &[&Tensor], axis: usize) -> Result<Tensor, TensorError> {
    let first = first(tensors, "concatenate")?;
    let rank = first.shape().len();
    if axis >= rank {
        return Err(TensorError::OutOfRange(format!(
            "axis {axis} does not exist in a tensor of {rank} axes"
        )));
    }
    let mut shape = first.shape().to_vec();
    let mut length = 0usize;
    for tensor in tensors {
        same_datatype(first, tensor)?;
        let others_equal = tensor.shape().len() == rank
            && (0..rank).all(|i| i == axis || tensor.shape().get(i) == first.shape().get(i));
        if !others_equal {
            return Err(TensorError::Incompatible(format!(
                "tensors of shapes {:?} and {:?} cannot be joined along axis {axis}",
                first.shape(),
                tensor.shape()
            )));
        }
        let more = tensor.shape().get(axis).copied().unwrap_or_default();
        length = length
            .checked_add(more)
            .ok_or_else(|| TensorError::ShapeOverflow {
                shape: shape.clone(),
            })?;
    }
    if let Some(along) = shape.get_mut(axis) {
        *along = length;
    }
    element_count(&shape)?;
    let outer = element_count(shape.get(..axis).unwrap_or_default())?;
    let tables = tensors
        .iter()
        .map(|tensor| Elements::of(tensor))
        .collect::<Result<Vec<_>, _>>()?;
    let mut data = Vec::with_capacity(tensors.iter().map(|tensor| tensor.data().len()).sum());
    // Tensors without elements add nothing, and without them there are never more blocks
    // than elements: a shape like [2^40, 0] costs no time.
    let filled: Vec<_> = tensors
        .iter()
        .zip(&tables)
        .filter(|(tensor, _)| !tensor.data().is_empty())
        .collect();
    let blocks = if filled.is_empty() { 0 } else { outer };
    for block in 0..blocks {
        for (tensor, elements) in &filled {
            let run = element_count(tensor.shape().get(axis..).unwrap_or_default())?;
            elements.copy(tensor, block * run, run, &mut data);
        }
    }
    Ok(Tensor::from_parts(first.datatype(), shape, data.into()))
}

pub(crate) fn slice(tensor: &Tensor, ranges: &[Range<usize>]) -> Result<Tensor, TensorError> {
    same_rank(tensor, ranges.len())?;
    for (axis, (range, &length)) in ranges.iter().zip(tensor.shape()).enumerate() {
        if range.start > range.end || range.end > length {
            return Err(TensorError::OutOfRange(format!(
                "range {}..{} lies outside axis {axis} of length {length}",
                range.start, range.end
            )));
        }
    }
    let shape: Vec<usize> = ranges.iter().map(Range::len).collect();
    let elements = Elements::of(tensor)?;
    let whole_after_first = ranges
        .iter()
        .zip(tensor.shape())
        .skip(1)
        .all(|(range, &length)| range.len() == length);
    if let (true, Some(rows)) = (whole_after_first, ranges.first()) {
        let row = element_count(tensor.shape().get(1..).unwrap_or_default())?;
        let data = tensor
            .data()
            .slice(elements.bytes(rows.start * row, rows.len() * row));
        return Ok(Tensor::from_parts(tensor.datatype(), shape, data));
    }
    let mut data = Vec::new();
    let starts: Vec<usize> = ranges.iter().map(|range| range.start).collect();
    for_each_run(&shape, tensor.shape(), &starts, |_, source, run| {
        elements.copy(tensor, source, run, &mut data);
    });
    Ok(Tensor::from_parts(tensor.datatype(), shape, data.into()))
}

pub(crate) fn pad(tensor: &Tensor, shape: Vec<usize>, value: &[u8]) -> Result<Tensor, TensorError> {
    same_rank(tensor, shape.len())?;
    if let Some(axis) = shape
        .iter()
        .zip(tensor.shape())
        .position(|(new, old)| new < old)
    {
        return Err(TensorError::OutOfRange(format!(
            "cannot pad axis {axis} of {:?} to fewer elements in {shape:?}",
            tensor.shape()
        )));
    }
    Tensor::new(tensor.datatype(), vec![], Bytes::copy_from_slice(value)).map_err(|error| {
        TensorError::Incompatible(format!("the padding value must be one element: {error}"))
    })?;
    let total = element_count(&shape)?;
    let added = total - tensor.element_count();
    let capacity = added
        .checked_mul(value.len())
        .and_then(|bytes| bytes.checked_add(tensor.data().len()))
        .ok_or_else(|| TensorError::ShapeOverflow {
            shape: shape.clone(),
        })?;
    let mut data = Vec::new();
    data.try_reserve_exact(capacity)
        .map_err(|_| TensorError::ShapeOverflow {
            shape: shape.clone(),
        })?;
    let elements = Elements::of(tensor)?;
    let mut written = 0;
    let fill = |from: usize, to: usize, data: &mut Vec<u8>| {
        (from..to).for_each(|_| data.extend_from_slice(value));
    };
    // Walk the old tensor's runs in order; what lies between them in the new is padding.
    let zeros = vec![0; shape.len()];
    let mut source = 0;
    for_each_run(tensor.shape(), &shape, &zeros, |_, target, run| {
        fill(written, target, &mut data);
        elements.copy(tensor, source, run, &mut data);
        source += run;
        written = target + run;
    });
    fill(written, total, &mut data);
    Ok(Tensor::from_parts(tensor.datatype(), shape, data.into()))
}

/// Visits the box `shape` at `starts` inside the larger `outer` shape, run by run along
/// the last axis: `visit(index of run, first element in outer, elements)`.
fn for_each_run(
    shape: &[usize],
    outer: &[usize],
    starts: &[usize],
    mut visit: impl FnMut(usize, usize, usize),
) {
    if shape.contains(&0) {
        return;
    }
    let run = shape.last().copied().unwrap_or(1);
    let runs: usize = shape.iter().rev().skip(1).product();
    for index in 0..runs {
        // The position of this run, from the second to last axis to the first.
        let mut rest = index;
        let mut stride = outer.last().copied().unwrap_or(1);
        let mut position = starts.last().copied().unwrap_or_default();
        for ((&length, &outer_length), &start) in shape.iter().zip(outer).zip(starts).rev().skip(1)
        {
            position += (rest % length + start) * stride;
            rest /= length;
            stride *= outer_length;
        }
        visit(index, position, run);
    }
}

fn first<'a>(tensors: &[&'a Tensor], what: &str) -> Result<&'a Tensor, TensorError> {
    tensors
        .first()
        .copied()
        .ok_or_else(|| TensorError::Incompatible(format!("there are no tensors to {what}")))
}

fn same_datatype(a: &Tensor, b: &Tensor) -> Result<(), TensorError> {
    if a.datatype() == b.datatype() {
        return Ok(());
    }
    Err(TensorError::Datatype {
        expected: a.datatype(),
        actual: b.datatype(),
    })
}

fn same_rank(tensor: &Tensor, rank: usize) -> Result<(), TensorError> {
    if tensor.shape().len() == rank {
        return Ok(());
    }
    Err(TensorError::OutOfRange(format!(
        "{rank} axes were given for a tensor of {} axes",
        tensor.shape().len()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Datatype;
    use proptest::prelude::*;

    fn numbers(shape: &[usize]) -> Tensor {
        let count = element_count(shape).unwrap();
        let values: Vec<i32> = (0..count as i32).collect();
        Tensor::from_slice(shape.to_vec(), &values).unwrap()
    }

    fn strings(shape: &[usize]) -> Tensor {
        let count = element_count(shape).unwrap();
        let values = (0..count).map(|i| "x".repeat(i % 4) + &i.to_string());
        Tensor::from_byte_strings(shape.to_vec(), values).unwrap()
    }

    #[test]
    fn a_box_is_cut_out() {
        let cut = slice(&numbers(&[3, 4]), &[1..3, 1..3]).unwrap();
        assert_eq!(
            (cut.shape(), cut.to_vec::<i32>().unwrap()),
            (&[2, 2][..], vec![5, 6, 9, 10])
        );
        let error = slice(&numbers(&[3, 4]), &[1..4, 0..1])
            .unwrap_err()
            .to_string();
        assert_eq!(error, "range 1..4 lies outside axis 0 of length 3");
    }

    #[test]
    fn padding_surrounds_the_old_elements() {
        let padded = pad(&numbers(&[2, 2]), vec![3, 3], &9i32.to_le_bytes()).unwrap();
        assert_eq!(padded.to_vec::<i32>().unwrap(), [0, 1, 9, 2, 3, 9, 9, 9, 9]);
        let padded = pad(&strings(&[1]), vec![2], b"\x01\0\0\0z").unwrap();
        assert_eq!(padded.byte_strings().unwrap(), ["0", "z"]);
        let error = pad(&numbers(&[2]), vec![3], &[0]).unwrap_err().to_string();
        assert!(
            error.starts_with("the padding value must be one element"),
            "{error}"
        );
        assert!(pad(&numbers(&[1]), vec![usize::MAX / 8], &9i32.to_le_bytes()).is_err());
    }

    #[test]
    fn tensors_are_joined_along_an_axis() {
        let (a, b) = (numbers(&[2, 1]), numbers(&[2, 2]));
        let joined = concat(&[&a, &b], 1).unwrap();
        assert_eq!(joined.to_vec::<i32>().unwrap(), [0, 0, 1, 1, 2, 3]);
        assert!(
            concat(&[&a, &b], 0)
                .unwrap_err()
                .to_string()
                .contains("along axis 0")
        );
        assert!(
            concat(&[&a], 2)
                .unwrap_err()
                .to_string()
                .contains("axis 2 does not exist")
        );
        assert!(stack(&[]).is_err());
        // No element, and more blocks than anyone can walk over.
        let hollow = numbers(&[usize::MAX >> 8, 0]);
        assert_eq!(concat(&[&hollow, &hollow], 1).unwrap(), hollow);
    }

    fn any_shape() -> impl Strategy<Value = Vec<usize>> {
        proptest::collection::vec(0usize..5, 0..4)
    }

    proptest! {
        #[test]
        fn unstack_undoes_stack(shape in any_shape(), count in 1usize..5, text: bool) {
            let tensor = if text { strings(&shape) } else { numbers(&shape) };
            let stacked = stack(&vec![&tensor; count]).unwrap();
            prop_assert_eq!(unstack(&stacked).unwrap(), vec![tensor; count]);
        }

        #[test]
        fn slice_undoes_pad(shape in any_shape(), more in 0usize..3, text: bool) {
            let tensor = if text { strings(&shape) } else { numbers(&shape) };
            let value: &[u8] = if text { b"\x01\0\0\0-" } else { &[7, 0, 0, 0] };
            let padded = pad(&tensor, shape.iter().map(|n| n + more).collect(), value).unwrap();
            let ranges: Vec<_> = shape.iter().map(|&n| 0..n).collect();
            prop_assert_eq!(slice(&padded, &ranges).unwrap(), tensor);
        }

        #[test]
        fn slices_join_to_the_whole(shape in any_shape(), axis in 0usize..3, at in 0usize..5, text: bool) {
            prop_assume!(axis < shape.len() && at <= shape[axis]);
            let tensor = if text { strings(&shape) } else { numbers(&shape) };
            let part = |range: Range<usize>| {
                let mut ranges: Vec<_> = shape.iter().map(|&n| 0..n).collect();
                ranges[axis] = range;
                slice(&tensor, &ranges).unwrap()
            };
            let (a, b) = (part(0..at), part(at..shape[axis]));
            prop_assert_eq!(concat(&[&a, &b], axis).unwrap(), tensor);
        }

        #[test]
        fn any_bytes_are_counted_or_refused(data: Vec<u8>, shape in any_shape()) {
            let _ = Tensor::new(Datatype::Bytes, shape, data.into());
        }
    }
}
