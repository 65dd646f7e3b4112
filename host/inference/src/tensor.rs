//! A tensor on the host: a datatype, a shape and a ref-counted slice of bytes.

use crate::{Datatype, Element, ops};
use bytes::Bytes;
use smallvec::SmallVec;
use std::fmt;
use std::ops::Range;

/// An immutable tensor, row-major, little-endian.
///
/// The bytes are a ref-counted slice: cloning, reshaping and cutting along the first
/// axis copy nothing. Every `Tensor` is valid: its data is exactly what datatype and
/// shape ask for.
#[derive(Clone)]
pub struct Tensor {
    datatype: Datatype,
    /// In place for as many axes as most have: tensors are made by the million.
    shape: SmallVec<[usize; 4]>,
    data: Bytes,
    /// Bytes of the tensor that this one was cut out of, and keeps in memory.
    kept: usize,
}

/// A cut of so many times fewer bytes than what it keeps in memory is better copied.
const KEPT_RATIO: usize = 2;
/// What nobody minds keeping.
const KEPT_BYTES_MIN: usize = 4 << 10;

/// Datatype, shape and data that do not make a tensor, or an operation outside of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The number of elements is more than memory can address.
    #[error("shape {shape:?} has more elements than memory can hold")]
    ShapeOverflow {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// Too few or too many bytes.
    #[error("{datatype} of shape {shape:?} takes {expected} bytes, {actual} were given")]
    ByteLength {
        /// The datatype given.
        datatype: Datatype,
        /// The shape given.
        shape: Vec<usize>,
        /// The bytes it takes.
        expected: usize,
        /// The bytes given.
        actual: usize,
    },
    /// A `BYTES` element that ends before its length is reached.
    #[error("BYTES element {index} is truncated: {missing} bytes are missing")]
    TruncatedElement {
        /// Which element.
        index: usize,
        /// Bytes that are missing.
        missing: usize,
    },
    /// More or fewer elements than the shape asks for.
    #[error("shape {shape:?} takes {expected} elements, {actual} were given")]
    ElementCount {
        /// The shape given.
        shape: Vec<usize>,
        /// The elements it takes.
        expected: usize,
        /// The elements given.
        actual: usize,
    },
    /// Another datatype than the one asked for.
    #[error("the tensor is {actual}, not {expected}")]
    Datatype {
        /// What was asked for.
        expected: Datatype,
        /// What the tensor is.
        actual: Datatype,
    },
    /// Tensors that cannot be joined or cut in the way asked.
    #[error("{0}")]
    Incompatible(String),
    /// An axis or index outside the tensor.
    #[error("{0}")]
    OutOfRange(String),
}

// === impl Tensor ===

impl Tensor {
    /// Checks that `data` is exactly what `datatype` and `shape` ask for.
    pub fn new(datatype: Datatype, shape: Vec<usize>, data: Bytes) -> Result<Self, TensorError> {
        ops::check(datatype, &shape, &data)?;
        Ok(Self::from_parts(datatype, &shape, data))
    }

    /// A tensor of numbers.
    pub fn from_slice<T: Element>(shape: Vec<usize>, elements: &[T]) -> Result<Self, TensorError> {
        let expected = ops::element_count(&shape)?;
        if elements.len() != expected {
            return Err(TensorError::ElementCount {
                shape,
                expected,
                actual: elements.len(),
            });
        }
        let mut data = Vec::with_capacity(std::mem::size_of_val(elements));
        elements
            .iter()
            .for_each(|element| element.write_le(&mut data));
        Ok(Self::from_parts(T::DATATYPE, &shape, data.into()))
    }

    /// A `BYTES` tensor of byte strings (or texts).
    pub fn from_byte_strings<T: AsRef<[u8]>>(
        shape: Vec<usize>,
        elements: impl IntoIterator<Item = T>,
    ) -> Result<Self, TensorError> {
        let expected = ops::element_count(&shape)?;
        let mut data = Vec::new();
        let mut actual = 0;
        for element in elements {
            ops::push_byte_string(&mut data, element.as_ref())?;
            actual += 1;
        }
        if actual != expected {
            return Err(TensorError::ElementCount {
                shape,
                expected,
                actual,
            });
        }
        Ok(Self::from_parts(Datatype::Bytes, &shape, data.into()))
    }

    /// The type of the elements.
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All elements: raw, little-endian, row-major.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The number of elements.
    pub fn element_count(&self) -> usize {
        ops::element_count(&self.shape).unwrap_or_default()
    }

    /// The elements as numbers of type `T`.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>, TensorError> {
        if self.datatype != T::DATATYPE {
            return Err(TensorError::Datatype {
                expected: T::DATATYPE,
                actual: self.datatype,
            });
        }
        let size = std::mem::size_of::<T>().max(1);
        Ok(self
            .data
            .chunks_exact(size)
            .filter_map(T::read_le)
            .collect())
    }

    /// The elements of a `BYTES` tensor, each a slice of this tensor's own bytes.
    pub fn byte_strings(&self) -> Result<Vec<Bytes>, TensorError> {
        let mut elements = Vec::new();
        if self.datatype == Datatype::Bytes {
            elements.reserve_exact(ops::byte_string_count(&self.data)?);
        }
        self.each_byte_string(|range| elements.push(self.data.slice(range)))?;
        Ok(elements)
    }

    /// Visits where each element of a `BYTES` tensor lies in its data.
    pub fn each_byte_string(&self, mut visit: impl FnMut(Range<usize>)) -> Result<(), TensorError> {
        if self.datatype != Datatype::Bytes {
            return Err(TensorError::Datatype {
                expected: Datatype::Bytes,
                actual: self.datatype,
            });
        }
        ops::for_each_byte_string(&self.data, |range| visit(range.start + 4..range.end))
    }

    /// The same elements under another shape; copies nothing.
    pub fn reshape(&self, shape: Vec<usize>) -> Result<Self, TensorError> {
        let expected = ops::element_count(&shape)?;
        let actual = self.element_count();
        if expected != actual {
            return Err(TensorError::ElementCount {
                shape,
                expected,
                actual,
            });
        }
        Ok(self.part(&shape, self.data.clone()))
    }

    /// Joins tensors of one datatype and shape along a new first axis.
    pub fn stack(tensors: &[&Self]) -> Result<Self, TensorError> {
        ops::stack(tensors)
    }

    /// Joins tensors of one datatype along an axis they have.
    pub fn concat(tensors: &[&Self], axis: usize) -> Result<Self, TensorError> {
        ops::concat(tensors, axis)
    }

    /// Takes the tensor apart along its first axis; copies nothing.
    pub fn unstack(&self) -> Result<Vec<Self>, TensorError> {
        ops::unstack(self)
    }

    /// The part inside `ranges`, one for each axis.
    pub fn slice(&self, ranges: &[std::ops::Range<usize>]) -> Result<Self, TensorError> {
        ops::slice(self, ranges)
    }

    /// Grows each axis to `shape`, filling its end with `value` (one element's raw bytes).
    pub fn pad(&self, shape: Vec<usize>, value: &[u8]) -> Result<Self, TensorError> {
        ops::pad(self, shape, value)
    }

    /// Whether it keeps a tensor in memory that it was cut out of and that is much larger.
    pub fn is_small_part(&self) -> bool {
        self.kept > KEPT_BYTES_MIN && self.kept / KEPT_RATIO > self.data.len()
    }

    /// The same without the tensor that it was cut out of, where that is much larger: whoever
    /// keeps a part is not to keep the whole, which nobody counts.
    #[must_use]
    pub fn by_itself(self) -> Self {
        if !self.is_small_part() {
            return self;
        }
        Self {
            data: Bytes::copy_from_slice(&self.data),
            kept: self.data.len(),
            ..self
        }
    }

    /// The same as if it had been cut out of nothing: what is cut out of it from now on is a
    /// part of this one.
    #[must_use]
    pub fn as_whole(self) -> Self {
        Self {
            kept: self.data.len(),
            ..self
        }
    }

    /// Only for operations in this crate that keep the parts in agreement.
    pub(crate) fn from_parts(datatype: Datatype, shape: &[usize], data: Bytes) -> Self {
        let kept = data.len();
        Self::keeping(kept, datatype, shape, data)
    }

    /// A tensor of bytes that are a part of this one's.
    pub(crate) fn part(&self, shape: &[usize], data: Bytes) -> Self {
        Self::keeping(self.kept, self.datatype, shape, data)
    }

    fn keeping(kept: usize, datatype: Datatype, shape: &[usize], data: Bytes) -> Self {
        // Costs as much as the operations themselves, so only their own tests pay for it.
        #[cfg(test)]
        ops::check(datatype, shape, &data).unwrap();
        Self {
            datatype,
            shape: SmallVec::from_slice(shape),
            data,
            kept,
        }
    }
}

/// Where the bytes are makes no difference.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.datatype == other.datatype && self.shape == other.shape && self.data == other.data
    }
}

impl Eq for Tensor {}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Tensor({} {:?}, {} bytes)",
            self.datatype,
            self.shape,
            self.data.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_part_leaves_the_whole() {
        let numbers = vec![7i64; 10_000];
        let whole = Tensor::from_slice(vec![100, 100], &numbers).unwrap();
        let inside = |part: &Tensor| whole.data().as_ptr_range().contains(&part.data().as_ptr());
        let cut = |rows: usize| whole.slice(&[0..rows, 0..100]).unwrap();
        for (rows, stays) in [(100, true), (60, true), (40, false), (1, false)] {
            let part = cut(rows);
            assert!(inside(&part));
            let alone = part.clone().by_itself();
            assert_eq!((inside(&alone), &alone), (stays, &part), "{rows} rows");
        }
        // However it came about, and once is enough.
        let row = cut(10).unstack().unwrap().remove(3);
        let row = row.reshape(vec![10, 10]).unwrap();
        let row = Tensor::stack(&[&row]).unwrap().by_itself();
        assert!(!inside(&row));
        let again = row.clone().by_itself();
        assert_eq!(again.data().as_ptr(), row.data().as_ptr());
        // What somebody was given is all there is to them.
        let given = cut(1).as_whole();
        assert!(inside(&given) && !given.is_small_part());
        let given = cut(10).as_whole();
        assert!(given.slice(&[0..1, 0..100]).unwrap().is_small_part());
        // A small whole is not worth a copy.
        let small = Tensor::from_slice(vec![100], &[1i64; 100]).unwrap();
        let part = small.slice(std::slice::from_ref(&(0..1))).unwrap();
        assert_eq!(
            part.clone().by_itself().data().as_ptr(),
            part.data().as_ptr()
        );
    }

    #[test]
    fn data_must_fit_datatype_and_shape() {
        let error = Tensor::new(Datatype::Fp32, vec![2, 3], Bytes::from_static(&[0; 20]));
        assert_eq!(
            error.unwrap_err().to_string(),
            "FP32 of shape [2, 3] takes 24 bytes, 20 were given"
        );
        let error = Tensor::new(Datatype::Fp64, vec![usize::MAX, 2], Bytes::new());
        assert!(matches!(error, Err(TensorError::ShapeOverflow { .. })));
        let error = Tensor::new(Datatype::Fp64, vec![usize::MAX], Bytes::new());
        assert!(matches!(error, Err(TensorError::ShapeOverflow { .. })));
        assert!(Tensor::new(Datatype::Fp64, vec![usize::MAX, 0], Bytes::new()).is_ok());
    }

    #[test]
    fn byte_strings_are_counted_and_bounded() {
        let tensor = Tensor::from_byte_strings(vec![2], ["ab", ""]).unwrap();
        assert_eq!(&tensor.data()[..], b"\x02\0\0\0ab\0\0\0\0");
        assert_eq!(tensor.byte_strings().unwrap(), ["ab", ""]);
        let cut = tensor.data().slice(..5);
        let error = Tensor::new(Datatype::Bytes, vec![1], cut).unwrap_err();
        assert_eq!(
            error,
            TensorError::TruncatedElement {
                index: 0,
                missing: 1
            }
        );
        let error = Tensor::new(Datatype::Bytes, vec![3], tensor.data().clone()).unwrap_err();
        assert!(matches!(
            error,
            TensorError::ElementCount {
                expected: 3,
                actual: 2,
                ..
            }
        ));
    }

    #[test]
    fn numbers_read_back() {
        let tensor = Tensor::from_slice(vec![3], &[1.5f32, -2.0, 0.0]).unwrap();
        assert_eq!(tensor.to_vec::<f32>().unwrap(), [1.5, -2.0, 0.0]);
        assert!(matches!(
            tensor.to_vec::<i32>(),
            Err(TensorError::Datatype { .. })
        ));
    }
}
