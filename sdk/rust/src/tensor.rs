//! A tensor as a plugin sees it: a handle that copies only when it is read or made.

use crate::elements::{ByteString, ByteStrings, Elements, End, Ends, push_byte_string};
use crate::{Datatype, Element, TensorError};
use std::fmt;
use std::ops::Range;
use zerocopy::IntoBytes;

#[cfg(target_family = "wasm")]
use crate::host::Handle;
#[cfg(not(target_family = "wasm"))]
use crate::memory::Handle;

/// An immutable tensor in row-major order.
///
/// Inside a component it is a handle to the host's memory; in native builds it is plain
/// memory with the same rules. Reading copies into the plugin; [`slice`](Self::slice),
/// [`reshape`](Self::reshape), [`pad`](Self::pad), [`stack`](Self::stack),
/// [`concat`](Self::concat) and [`share`](Self::share) are done by the host and cost the
/// plugin no copy.
///
/// ```
/// use consort_sdk::Tensor;
///
/// let scores = Tensor::from_slice(&[2, 2], &[0.1f32, 0.2, 0.3, 0.4])?;
/// let second_row = scores.slice(&[1..2, 0..2])?;
/// assert_eq!(*second_row.read::<f32>()?, [0.3, 0.4]);
/// assert_eq!(
///     second_row.read::<i64>().unwrap_err().to_string(),
///     "the tensor is FP32, INT64 is expected"
/// );
/// # Ok::<(), consort_sdk::TensorError>(())
/// ```
pub struct Tensor(Handle);

// === impl Tensor ===

impl Tensor {
    /// A tensor of numbers or truth values.
    pub fn from_slice<T: Element>(shape: &[usize], elements: &[T]) -> Result<Self, TensorError> {
        Ok(Self(Handle::create(
            T::DATATYPE,
            shape,
            elements.as_bytes(),
        )?))
    }

    /// The same of a vector, which is not copied where the tensor can stay in the plugin's
    /// memory: when many examples are worked on at once.
    pub fn from_vec<T: Element>(shape: &[usize], elements: Vec<T>) -> Result<Self, TensorError> {
        Ok(Self(Handle::create_of(
            T::DATATYPE,
            shape,
            Box::new(elements),
        )?))
    }

    /// A `BYTES` tensor of byte strings or texts.
    pub fn from_byte_strings<T: AsRef<[u8]>>(
        shape: &[usize],
        elements: impl IntoIterator<Item = T>,
    ) -> Result<Self, TensorError> {
        let mut data = Vec::new();
        for element in elements {
            push_byte_string(&mut data, element.as_ref())?;
        }
        Ok(Self(Handle::create_of(
            Datatype::Bytes,
            shape,
            Box::new(data),
        )?))
    }

    /// One number, as a tensor of shape `[1]`.
    pub fn single<T: Element>(element: T) -> Result<Self, TensorError> {
        Self::from_slice(&[1], &[element])
    }

    /// One text or byte string, as a `BYTES` tensor of shape `[1]`.
    pub fn single_bytes(element: impl AsRef<[u8]>) -> Result<Self, TensorError> {
        Self::from_byte_strings(&[1], [element])
    }

    /// A tensor from its raw elements: little-endian, row-major, each element of a
    /// `BYTES` tensor behind its length as a `u32`.
    pub fn from_raw(datatype: Datatype, shape: &[usize], data: &[u8]) -> Result<Self, TensorError> {
        Ok(Self(Handle::create(datatype, shape, data)?))
    }

    /// The type of the elements.
    pub fn datatype(&self) -> Datatype {
        self.0.datatype()
    }

    /// The length of each axis. An example carries no batch axis.
    pub fn shape(&self) -> Vec<usize> {
        self.0.shape()
    }

    /// The number of elements.
    pub fn element_count(&self) -> usize {
        self.shape().iter().product()
    }

    /// The number of bytes that reading all elements copies.
    pub fn byte_length(&self) -> usize {
        self.0.byte_length()
    }

    /// Copies all elements into the plugin. Read once and keep the result: each call
    /// copies again.
    pub fn read<T: Element>(&self) -> Result<Elements<T>, TensorError> {
        self.expect_datatype(T::DATATYPE)?;
        Elements::from_bytes(self.0.read())
    }

    /// Copies the elements of a range of the row-major order, without the others.
    pub fn read_range<T: Element>(&self, range: Range<usize>) -> Result<Elements<T>, TensorError> {
        self.expect_datatype(T::DATATYPE)?;
        let size = size_of::<T>();
        let bytes = range.start.saturating_mul(size)..range.end.saturating_mul(size);
        Elements::from_bytes(self.0.read_range(bytes)?)
    }

    /// Copies all elements into a vector.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>, TensorError> {
        Ok(self.read()?.into_vec())
    }

    /// The one element of a tensor that must hold exactly one, whatever its rank.
    pub fn element<T: Element>(&self) -> Result<T, TensorError> {
        match *self.read::<T>()? {
            [element] => Ok(element),
            _ => Err(self.not_single()),
        }
    }

    /// Copies the elements of a `BYTES` tensor into the plugin.
    pub fn byte_strings(&self) -> Result<ByteStrings, TensorError> {
        self.expect_datatype(Datatype::Bytes)?;
        ByteStrings::from_parts(self.0.read_parts())
    }

    /// Copies the first bytes of each element of a `BYTES` tensor, `most` of each at most, and
    /// says how long each is. [`TensorError::Limit`] where the plugin's memory could not hold
    /// them.
    pub fn heads(&self, most: usize) -> Result<Ends, TensorError> {
        self.expect_datatype(Datatype::Bytes)?;
        self.0.read_ends(End::Head, most)
    }

    /// As [`heads`](Self::heads), of the last bytes of each element.
    pub fn tails(&self, most: usize) -> Result<Ends, TensorError> {
        self.expect_datatype(Datatype::Bytes)?;
        self.0.read_ends(End::Tail, most)
    }

    /// The one element of a `BYTES` tensor that must hold exactly one, whatever its rank.
    pub fn byte_string(&self) -> Result<ByteString, TensorError> {
        self.expect_datatype(Datatype::Bytes)?;
        ByteString::from_bytes(self.0.read())
    }

    /// The one element of a `BYTES` tensor, as text.
    pub fn text(&self) -> Result<String, TensorError> {
        self.byte_string()?.into_string()
    }

    /// Copies the raw elements, as [`from_raw`](Self::from_raw) takes them.
    pub fn read_raw(&self) -> Vec<u8> {
        self.0.read().into_vec()
    }

    /// The part inside `ranges`, one for each axis.
    pub fn slice(&self, ranges: &[Range<usize>]) -> Result<Self, TensorError> {
        Ok(Self(self.0.slice(ranges)?))
    }

    /// The part of the first axis inside `rows`, whole along the others.
    pub fn rows(&self, rows: Range<usize>) -> Result<Self, TensorError> {
        let others = self.shape().into_iter().skip(1).map(|length| 0..length);
        let ranges: Vec<_> = std::iter::once(rows).chain(others).collect();
        self.slice(&ranges)
    }

    /// The same elements under another shape.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self, TensorError> {
        Ok(Self(self.0.reshape(shape)?))
    }

    /// The same numbers, and the same shape, in a datatype that holds every number of this one
    /// exactly: of integers a wider integer, `FP32` for up to 16 bits and `FP64` for up to 32;
    /// of `BOOL` any of these, as 0 and 1; of `FP32` only `FP64`. Anything else is
    /// [`TensorError::Invalid`].
    ///
    /// The host does it for large tensors: make them of narrow numbers, which cross the sandbox
    /// for less, and widen them to what the model takes.
    pub fn widen(&self, to: Datatype) -> Result<Self, TensorError> {
        Ok(Self(self.0.widen(to)?))
    }

    /// Another handle to the same elements, to pass an input on as an output.
    pub fn share(&self) -> Result<Self, TensorError> {
        Ok(Self(self.0.share()?))
    }

    /// Grows each axis to `shape` by adding `value` at its end.
    pub fn pad<T: Element>(&self, shape: &[usize], value: T) -> Result<Self, TensorError> {
        self.expect_datatype(T::DATATYPE)?;
        Ok(Self(self.0.pad(shape, value.as_bytes())?))
    }

    /// Grows each axis of a `BYTES` tensor to `shape` by adding `value` at its end.
    pub fn pad_bytes(&self, shape: &[usize], value: impl AsRef<[u8]>) -> Result<Self, TensorError> {
        self.expect_datatype(Datatype::Bytes)?;
        let mut data = Vec::new();
        push_byte_string(&mut data, value.as_ref())?;
        Ok(Self(self.0.pad(shape, &data)?))
    }

    /// Joins tensors of one datatype along a new first axis; all shapes must be equal.
    pub fn stack(tensors: &[&Self]) -> Result<Self, TensorError> {
        let handles: Vec<_> = tensors.iter().map(|tensor| &tensor.0).collect();
        Ok(Self(Handle::stack(&handles)?))
    }

    /// Joins tensors of one datatype along an axis they have; the others must be equal.
    pub fn concat(tensors: &[&Self], axis: usize) -> Result<Self, TensorError> {
        let handles: Vec<_> = tensors.iter().map(|tensor| &tensor.0).collect();
        Ok(Self(Handle::concat(&handles, axis)?))
    }

    fn expect_datatype(&self, expected: Datatype) -> Result<(), TensorError> {
        let actual = self.datatype();
        if actual == expected {
            Ok(())
        } else {
            Err(TensorError::Datatype { expected, actual })
        }
    }

    fn not_single(&self) -> TensorError {
        TensorError::ElementCount {
            expected: 1,
            shape: self.shape(),
        }
    }
}

#[cfg(target_family = "wasm")]
impl Tensor {
    pub(crate) fn from_host(
        tensor: crate::bindings::tensors::Tensor,
        datatype: Option<Datatype>,
    ) -> Self {
        Self(Handle::from_host(tensor, datatype))
    }

    /// The tensor of one example in a column.
    pub(crate) fn of_column(column: std::rc::Rc<crate::host::Column>, row: usize) -> Self {
        Self(Handle::of_column(column, row))
    }

    pub(crate) fn into_host(self) -> Result<crate::bindings::tensors::Tensor, TensorError> {
        self.0.into_host()
    }

    /// Datatype, shape and data, if the host has not seen it yet.
    pub(crate) fn made(&self) -> Option<(Datatype, &[usize], &[u8])> {
        self.0.made()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {:?})", self.datatype(), self.shape())
    }
}

/// What `collate` makes tensors of, and of what.
impl Tensor {
    pub(crate) fn handle(&self) -> &Handle {
        &self.0
    }

    pub(crate) fn from_handle(handle: Handle) -> Self {
        Self(handle)
    }
}
