//! Cutting and joining tensors. Numbers and byte strings share one way: elements are
//! moved as runs of bytes, where a run of `BYTES` elements is found in a table of ranges.

use crate::{Datatype, Tensor, TensorError};
use bytes::Bytes;
use std::borrow::Borrow;
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

/// Whether `data` is exactly what `datatype` and `shape` ask for.
pub(crate) fn check(datatype: Datatype, shape: &[usize], data: &[u8]) -> Result<(), TensorError> {
    let count = element_count(shape)?;
    match datatype.size_bytes() {
        Some(size) => {
            let expected = count
                .checked_mul(size)
                .ok_or_else(|| TensorError::ShapeOverflow {
                    shape: shape.to_vec(),
                })?;
            if data.len() != expected {
                let actual = data.len();
                return Err(TensorError::ByteLength {
                    datatype,
                    shape: shape.to_vec(),
                    expected,
                    actual,
                });
            }
        }
        None => {
            let actual = byte_string_count(data)?;
            if actual != count {
                return Err(TensorError::ElementCount {
                    shape: shape.to_vec(),
                    expected: count,
                    actual,
                });
            }
        }
    }
    Ok(())
}

/// Where each element of `BYTES` data ends. Counted first, so that the table of many empty
/// elements, which is larger than they are, takes no more than it must.
fn byte_string_ends(data: &[u8]) -> Result<Vec<usize>, TensorError> {
    let mut ends = Vec::with_capacity(byte_string_count(data)?);
    for_each_byte_string(data, |range| ends.push(range.end))?;
    Ok(ends)
}

/// Where `count` elements of `BYTES` data lie, from element `start`; needs no table.
fn byte_string_run(data: &[u8], start: usize, count: usize) -> Result<Range<usize>, TensorError> {
    let (mut index, mut from, mut to) = (0, 0, 0);
    for_each_byte_string(data, |range| {
        if index < start {
            from = range.end;
        }
        if index < start + count {
            to = range.end;
        }
        index += 1;
    })?;
    Ok(from..to)
}

/// How many elements `BYTES` data holds; needs no memory, however many they are.
pub(crate) fn byte_string_count(data: &[u8]) -> Result<usize, TensorError> {
    let mut count = 0;
    for_each_byte_string(data, |_| count += 1)?;
    Ok(count)
}

/// Visits where each element lies, its four bytes of length included.
pub(crate) fn for_each_byte_string(
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
    /// Where each element ends, which is where the next begins.
    Strings(Vec<usize>),
}

impl Elements {
    fn of(tensor: &Tensor) -> Result<Self, TensorError> {
        Ok(match tensor.datatype().size_bytes() {
            Some(size) => Self::Fixed(size),
            None => Self::Strings(byte_string_ends(tensor.data())?),
        })
    }

    /// The bytes of `count` elements from element `start`.
    fn bytes(&self, start: usize, count: usize) -> Range<usize> {
        match self {
            Self::Fixed(size) => start * size..(start + count) * size,
            Self::Strings(ends) => {
                let end_of = |count: usize| match count.checked_sub(1) {
                    None => 0,
                    Some(last) => ends.get(last).copied().unwrap_or_default(),
                };
                end_of(start)..end_of(start + count)
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
    let shape = stacked_shape(tensors)?;
    Ok(joined(tensors, &shape))
}

/// The shape that tensors have together, if they can be stacked.
pub(crate) fn stacked_shape<T: Borrow<Tensor>>(tensors: &[T]) -> Result<Vec<usize>, TensorError> {
    let first = first(tensors, "stack")?;
    for tensor in tensors {
        let tensor = tensor.borrow();
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
    element_count(&shape)?;
    Ok(shape)
}

/// One tensor of those that have `shape` together. One alone is not copied.
pub(crate) fn joined<T: Borrow<Tensor>>(tensors: &[T], shape: &[usize]) -> Tensor {
    let datatype = tensors.first().map(|first| first.borrow().datatype());
    let datatype = datatype.unwrap_or(Datatype::Bytes);
    if let [only] = tensors {
        let only = only.borrow();
        return only.part(shape, only.data().clone());
    }
    let each = tensors.iter().map(|tensor| tensor.borrow().data());
    let mut data = Vec::with_capacity(each.clone().map(Bytes::len).sum());
    each.for_each(|bytes| data.extend_from_slice(bytes));
    Tensor::from_parts(datatype, shape, data.into())
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
        tensor.part(row_shape, data)
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
    if let [only] = tensors {
        // Copies nothing: whoever counts copied bytes relies on it.
        return Ok((*only).clone());
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
    let mut filled = Vec::new();
    for (tensor, elements) in tensors.iter().zip(&tables) {
        if !tensor.data().is_empty() {
            let run = element_count(tensor.shape().get(axis..).unwrap_or_default())?;
            filled.push((tensor, elements, run));
        }
    }
    let blocks = if filled.is_empty() { 0 } else { outer };
    for block in 0..blocks {
        for (tensor, elements, run) in &filled {
            elements.copy(tensor, block * run, *run, &mut data);
        }
    }
    Ok(Tensor::from_parts(first.datatype(), &shape, data.into()))
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
    if ranges.is_empty() {
        // A scalar; as above, nothing is copied.
        return Ok(tensor.clone());
    }
    let shape: Vec<usize> = ranges.iter().map(Range::len).collect();
    let whole_after_first = ranges
        .iter()
        .zip(tensor.shape())
        .skip(1)
        .all(|(range, &length)| range.len() == length);
    if let (true, Some(rows)) = (whole_after_first, ranges.first()) {
        let row = element_count(tensor.shape().get(1..).unwrap_or_default())?;
        let (start, count) = (rows.start * row, rows.len() * row);
        let bytes = match tensor.datatype().size_bytes() {
            Some(size) => Elements::Fixed(size).bytes(start, count),
            None => byte_string_run(tensor.data(), start, count)?,
        };
        let data = tensor.data().slice(bytes);
        return Ok(tensor.part(&shape, data));
    }
    let elements = Elements::of(tensor)?;
    let mut data = Vec::new();
    let starts: Vec<usize> = ranges.iter().map(|range| range.start).collect();
    for_each_run(&shape, tensor.shape(), &starts, |source, run| {
        elements.copy(tensor, source, run, &mut data);
    });
    Ok(Tensor::from_parts(tensor.datatype(), &shape, data.into()))
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
    for_each_run(tensor.shape(), &shape, &zeros, |target, run| {
        fill(written, target, &mut data);
        elements.copy(tensor, source, run, &mut data);
        source += run;
        written = target + run;
    });
    fill(written, total, &mut data);
    Ok(Tensor::from_parts(tensor.datatype(), &shape, data.into()))
}

/// An axis along which runs follow one another.
struct RunAxis {
    length: usize,
    /// Elements from one run to the next.
    stride: usize,
    /// Where the walk is.
    at: usize,
}

/// Visits the box `shape` at `starts` inside the larger `outer` shape, run by run in
/// row-major order: `visit(first element in outer, elements)`. However many axes there are,
/// a run costs the same: a guest chooses the shapes, and nothing stops the walk.
fn for_each_run(
    shape: &[usize],
    outer: &[usize],
    starts: &[usize],
    mut visit: impl FnMut(usize, usize),
) {
    if shape.contains(&0) {
        return;
    }
    // From the last axis to the first: those that are whole make the run longer, and those
    // of one position only move the box.
    let (mut run, mut stride, mut position) = (1, 1, 0);
    let mut axes: Vec<RunAxis> = Vec::new();
    for ((&length, &outer_length), &start) in shape.iter().zip(outer).zip(starts).rev() {
        position += start * stride;
        if length > 1 && run == stride {
            run *= length;
        } else if length > 1 {
            axes.push(RunAxis {
                length,
                stride,
                at: 0,
            });
        }
        stride *= outer_length;
    }
    loop {
        visit(position, run);
        // One step along the innermost axis that has one left; those further in begin anew.
        let mut inner_first = axes.iter_mut();
        loop {
            let Some(axis) = inner_first.next() else {
                return;
            };
            axis.at += 1;
            if axis.at < axis.length {
                position += axis.stride;
                break;
            }
            axis.at = 0;
            position -= axis.stride * (axis.length - 1);
        }
    }
}

fn first<'a, T: Borrow<Tensor>>(tensors: &'a [T], what: &str) -> Result<&'a Tensor, TensorError> {
    tensors
        .first()
        .map(Borrow::borrow)
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
        // One tensor is joined without a copy, which limits on copied bytes rely on.
        for one in [&a, &strings(&[2, 1])] {
            let joined = concat(&[one], 1).unwrap();
            assert_eq!(joined.data().as_ptr(), one.data().as_ptr());
        }
        // No element, and more blocks than anyone can walk over.
        let hollow = numbers(&[usize::MAX >> 8, 0]);
        assert_eq!(concat(&[&hollow, &hollow], 1).unwrap(), hollow);
    }

    #[test]
    fn a_scalar_and_rows_are_cut_out_without_a_copy() {
        let text = Tensor::from_byte_strings(vec![], ["long"]).unwrap();
        let cut = slice(&text, &[]).unwrap();
        assert_eq!(cut, text);
        assert_eq!(cut.data().as_ptr(), text.data().as_ptr());
        let rows = strings(&[4, 2]);
        let cut = slice(&rows, &[1..3, 0..2]).unwrap();
        assert!(rows.data().as_ptr_range().contains(&cut.data().as_ptr()));
        assert_eq!(
            cut.byte_strings().unwrap(),
            rows.byte_strings().unwrap()[2..6]
        );
        assert_eq!(slice(&rows, &[4..4, 0..2]).unwrap().data().len(), 0);
    }

    #[test]
    fn runs_are_as_long_as_can_be() {
        let runs = |shape: &[usize], outer: &[usize], starts: &[usize]| {
            let mut runs = Vec::new();
            for_each_run(shape, outer, starts, |first, count| {
                runs.push((first, count))
            });
            runs
        };
        assert_eq!(runs(&[], &[], &[]), [(0, 1)]);
        assert_eq!(runs(&[2, 3], &[2, 3], &[0, 0]), [(0, 6)]);
        assert_eq!(runs(&[2, 3], &[5, 3], &[1, 0]), [(3, 6)]);
        assert_eq!(runs(&[2, 1], &[2, 3], &[0, 2]), [(2, 1), (5, 1)]);
        let halves = runs(&[2, 2, 2, 2], &[2, 4, 3, 2], &[0, 1, 1, 0]);
        assert_eq!(halves, [(8, 4), (14, 4), (32, 4), (38, 4)]);
        assert!(runs(&[2, 0], &[2, 3], &[0, 0]).is_empty());
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
