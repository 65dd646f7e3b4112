//! Tensors in native unit tests: plain memory that keeps the host's rules, so that a
//! plugin which works here does not meet a refusal there. Components do not contain it.

use crate::content::{Bytes, check, element_count};
use crate::elements::{self, End, Ends, LENGTH_BYTES};
use crate::raw::Raw;
use crate::widen;
use crate::{Datatype, TensorError, dims::shape_text};
use std::ops::Range;
use std::rc::Rc;

pub(crate) struct Handle {
    datatype: Datatype,
    shape: Vec<usize>,
    data: Rc<dyn Bytes>,
}

// === impl Handle ===

impl Handle {
    pub(crate) fn create(
        datatype: Datatype,
        shape: &[usize],
        data: &[u8],
    ) -> Result<Self, TensorError> {
        Self::create_of(datatype, shape, Box::new(data.to_vec()))
    }

    /// As [`create`](Self::create), without a copy.
    pub(crate) fn create_of(
        datatype: Datatype,
        shape: &[usize],
        data: Box<dyn Bytes>,
    ) -> Result<Self, TensorError> {
        check(datatype, shape, data.bytes())?;
        Ok(Self {
            datatype,
            shape: shape.to_vec(),
            data: data.into(),
        })
    }

    pub(crate) fn datatype(&self) -> Datatype {
        self.datatype
    }

    pub(crate) fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    pub(crate) fn byte_length(&self) -> usize {
        self.data.bytes().len()
    }

    pub(crate) fn read(&self) -> Raw {
        self.data.bytes().to_vec().into()
    }

    /// As [`read`](Self::read), in as many parts as cost the least.
    pub(crate) fn read_parts(&self) -> Vec<Raw> {
        vec![self.read()]
    }

    /// One end of each element.
    pub(crate) fn read_ends(&self, end: End, most: usize) -> Result<Ends, TensorError> {
        Ends::of(self.data.bytes(), end, most)
    }

    pub(crate) fn read_range(&self, range: Range<usize>) -> Result<Raw, TensorError> {
        self.data
            .bytes()
            .get(range.clone())
            .map(|bytes| bytes.to_vec().into())
            .ok_or_else(|| {
                TensorError::OutOfRange(format!(
                    "bytes {} to {} are outside of {} bytes",
                    range.start,
                    range.end,
                    self.data.bytes().len()
                ))
            })
    }

    pub(crate) fn slice(&self, ranges: &[Range<usize>]) -> Result<Self, TensorError> {
        if ranges.len() != self.shape.len() {
            return Err(TensorError::OutOfRange(format!(
                "{} ranges were given for the shape {}",
                ranges.len(),
                shape_text(&self.shape)
            )));
        }
        for (axis, (range, length)) in ranges.iter().zip(&self.shape).enumerate() {
            if range.start > range.end || range.end > *length {
                return Err(TensorError::OutOfRange(format!(
                    "range {} to {} is outside of axis {axis}, whose length is {length}",
                    range.start, range.end
                )));
            }
        }
        let shape: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
        let elements = self.elements()?;
        build(self.datatype, &shape, |index| {
            let position: Vec<usize> = index
                .iter()
                .zip(ranges)
                .map(|(i, range)| i + range.start)
                .collect();
            elements.get(offset(&position, &self.shape)).copied()
        })
    }

    pub(crate) fn reshape(&self, shape: &[usize]) -> Result<Self, TensorError> {
        let (expected, actual) = (element_count(shape)?, element_count(&self.shape)?);
        if expected != actual {
            return Err(TensorError::Invalid(format!(
                "shape {} takes {expected} elements, the tensor has {actual}",
                shape_text(shape)
            )));
        }
        Ok(Self {
            datatype: self.datatype,
            shape: shape.to_vec(),
            data: self.data.clone(),
        })
    }

    pub(crate) fn widen(&self, to: Datatype) -> Result<Self, TensorError> {
        if to == self.datatype {
            return self.share();
        }
        let data = widen::widened(self.data.bytes(), self.datatype, to);
        let data = data.ok_or_else(|| {
            let from = self.datatype;
            TensorError::Invalid(format!("{from} cannot be widened to {to}"))
        })?;
        Self::create_of(to, &self.shape, Box::new(data))
    }

    pub(crate) fn share(&self) -> Result<Self, TensorError> {
        self.reshape(&self.shape)
    }

    pub(crate) fn pad(&self, shape: &[usize], value: &[u8]) -> Result<Self, TensorError> {
        let grows = |(new, old): (&usize, &usize)| new >= old;
        if shape.len() != self.shape.len() || !shape.iter().zip(&self.shape).all(grows) {
            return Err(TensorError::OutOfRange(format!(
                "shape {} cannot be padded to {}",
                shape_text(&self.shape),
                shape_text(shape)
            )));
        }
        Self::create(self.datatype, &[1], value)
            .map_err(|error| TensorError::Invalid(format!("the padding value: {error}")))?;
        let elements = self.elements()?;
        build(self.datatype, shape, |index| {
            let is_inside = index.iter().zip(&self.shape).all(|(i, length)| i < length);
            if is_inside {
                elements.get(offset(index, &self.shape)).copied()
            } else {
                Some(value)
            }
        })
    }

    pub(crate) fn stack(handles: &[&Self]) -> Result<Self, TensorError> {
        let first = handles.first().ok_or_else(nothing_to_join)?;
        let mut rows = Vec::with_capacity(handles.len());
        for handle in handles {
            if handle.shape != first.shape {
                return Err(TensorError::Invalid(format!(
                    "shapes {} and {} cannot be stacked",
                    shape_text(&first.shape),
                    shape_text(&handle.shape)
                )));
            }
            rows.push(handle.reshape(&[&[1], handle.shape.as_slice()].concat())?);
        }
        Self::concat(&rows.iter().collect::<Vec<_>>(), 0)
    }

    pub(crate) fn concat(handles: &[&Self], axis: usize) -> Result<Self, TensorError> {
        let first = handles.first().ok_or_else(nothing_to_join)?;
        if axis >= first.shape.len() {
            return Err(TensorError::OutOfRange(format!(
                "axis {axis} is outside of shape {}",
                shape_text(&first.shape)
            )));
        }
        // Along `axis`: each row of the result, as a handle and a row in it.
        let mut rows = Vec::new();
        for (position, handle) in handles.iter().enumerate() {
            if handle.datatype != first.datatype {
                return Err(TensorError::Invalid(format!(
                    "{} and {} cannot be joined",
                    first.datatype, handle.datatype
                )));
            }
            let fits = handle.shape.len() == first.shape.len()
                && (handle.shape.iter().zip(&first.shape).enumerate())
                    .all(|(i, (length, expected))| i == axis || length == expected);
            if !fits {
                return Err(TensorError::Invalid(format!(
                    "shapes {} and {} cannot be joined along axis {axis}",
                    shape_text(&first.shape),
                    shape_text(&handle.shape)
                )));
            }
            let length = handle.shape.get(axis).copied().unwrap_or_default();
            rows.extend((0..length).map(|row| (position, row)));
        }
        let elements = handles
            .iter()
            .map(|handle| handle.elements())
            .collect::<Result<Vec<_>, _>>()?;
        let mut shape = first.shape.clone();
        if let Some(length) = shape.get_mut(axis) {
            *length = rows.len();
        }
        build(first.datatype, &shape, |index| {
            let (position, row) = rows.get(*index.get(axis)?)?;
            let mut index = index.to_vec();
            *index.get_mut(axis)? = *row;
            let offset = offset(&index, &handles.get(*position)?.shape);
            elements.get(*position)?.get(offset).copied()
        })
    }

    /// Each element's raw bytes, as `create` takes them.
    fn elements(&self) -> Result<Vec<&[u8]>, TensorError> {
        Ok(match self.datatype.size_bytes() {
            Some(size) => self.data.bytes().chunks(size).collect(),
            None => elements::ranges(self.data.bytes())?
                .into_iter()
                .filter_map(|range| self.data.bytes().get(range.start - LENGTH_BYTES..range.end))
                .collect(),
        })
    }
}

/// Makes a tensor by asking for the element at each index.
fn build<'a>(
    datatype: Datatype,
    shape: &[usize],
    mut element: impl FnMut(&[usize]) -> Option<&'a [u8]>,
) -> Result<Handle, TensorError> {
    let mut data = Vec::new();
    for position in 0..element_count(shape)? {
        let mut rest = position;
        let mut index: Vec<usize> = shape
            .iter()
            .rev()
            .map(|length| {
                let i = rest % length;
                rest /= length;
                i
            })
            .collect();
        index.reverse();
        data.extend_from_slice(element(&index).unwrap_or_default());
    }
    Handle::create(datatype, shape, &data)
}

/// Where the element at `index` stands in row-major order.
fn offset(index: &[usize], shape: &[usize]) -> usize {
    let steps = index.iter().zip(shape);
    steps.fold(0, |offset, (i, length)| offset * length + i)
}

fn nothing_to_join() -> TensorError {
    TensorError::Invalid("no tensors were given to join".to_owned())
}
