//! `OrtValue`: tensors that go into a run.

use super::{Error, api, check, default_allocator, written};
use crate::datatype::native;
use bytes::Bytes;
use consort_inference::Datatype;
use ort::sys;
use std::ffi::c_void;
use std::ptr::NonNull;

/// A description of the CPU's memory.
pub(crate) struct CpuMemory(NonNull<sys::OrtMemoryInfo>);

/// A tensor that goes into a run.
pub(crate) struct Value {
    owned: Owned,
    /// The memory of a value that borrows.
    pub(super) borrowed: Option<Bytes>,
}

/// A value, released at its end.
pub(super) struct Owned(pub(super) NonNull<sys::OrtValue>);

// SAFETY: the description does not change after it was made and belongs to no thread.
#[expect(unsafe_code, reason = "a pointer of the C API")]
unsafe impl Send for CpuMemory {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a pointer of the C API")]
unsafe impl Sync for CpuMemory {}
// SAFETY: a value belongs to no thread: it may be read and released on any. Its memory goes
// back to an allocator that is locked inside.
#[expect(unsafe_code, reason = "a pointer of the C API")]
unsafe impl Send for Owned {}
/// Datatypes whose elements lie in memory as the protocol has them.
pub(super) fn byte_length(datatype: Datatype, shape: &[usize]) -> Result<usize, Error> {
    let size = datatype
        .size_bytes()
        .ok_or_else(|| Error::new("strings do not lie in memory one after another"))?;
    shape
        .iter()
        .try_fold(size, |length, &axis| length.checked_mul(axis))
        .ok_or_else(|| Error::new("the tensor is larger than memory"))
}

fn native_shape(shape: &[usize]) -> Result<Vec<i64>, Error> {
    let convert = |&axis: &usize| {
        i64::try_from(axis).map_err(|_| Error::new("an axis is longer than ONNX Runtime can count"))
    };
    shape.iter().map(convert).collect()
}

/// The alignment that an element of this datatype asks for.
fn is_aligned(datatype: Datatype, data: &[u8]) -> bool {
    let alignment = datatype.size_bytes().unwrap_or(1);
    data.as_ptr().addr().is_multiple_of(alignment)
}

// === impl CpuMemory ===

#[expect(unsafe_code, reason = "C functions are called")]
impl CpuMemory {
    pub(crate) fn new(kind: sys::OrtAllocatorType) -> Result<Self, Error> {
        let mut pointer = std::ptr::null_mut();
        // SAFETY: the function writes a pointer to a new description, which `Drop` releases.
        unsafe {
            check((api().CreateCpuMemoryInfo)(
                kind,
                sys::OrtMemType::OrtMemTypeDefault,
                &mut pointer,
            ))?;
        }
        written(pointer).map(Self)
    }

    pub(super) fn as_ptr(&self) -> *const sys::OrtMemoryInfo {
        self.0.as_ptr()
    }
}

#[expect(unsafe_code, reason = "a C function is called")]
impl Drop for CpuMemory {
    fn drop(&mut self) {
        // SAFETY: the description is owned and not used any more.
        unsafe { (api().ReleaseMemoryInfo)(self.0.as_ptr()) };
    }
}

// === impl Value ===

#[expect(unsafe_code, reason = "C functions are called")]
impl Value {
    /// A tensor of numbers that lies in `data`, which is not copied. `None` when the data
    /// does not lie as ONNX Runtime needs it.
    pub(crate) fn borrowed(
        memory: &CpuMemory,
        datatype: Datatype,
        shape: &[usize],
        data: &Bytes,
    ) -> Result<Option<Self>, Error> {
        if data.is_empty()
            || !is_aligned(datatype, data)
            || byte_length(datatype, shape)? != data.len()
        {
            return Ok(None);
        }
        let shape = native_shape(shape)?;
        let mut pointer = std::ptr::null_mut();
        // SAFETY: the data is as long as shape and datatype ask for, aligned, and kept alive
        // by the value. It is only read: see `Session::run`.
        unsafe {
            check((api().CreateTensorWithDataAsOrtValue)(
                memory.as_ptr(),
                data.as_ptr().cast_mut().cast(),
                data.len(),
                shape.as_ptr(),
                shape.len(),
                native(datatype),
                &mut pointer,
            ))?;
        }
        Ok(Some(Self {
            owned: Owned(written(pointer)?),
            borrowed: Some(data.clone()),
        }))
    }

    /// A tensor of numbers in memory of its own, into which the pieces are copied one after
    /// another.
    pub(crate) fn copied<'a>(
        datatype: Datatype,
        shape: &[usize],
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, Error> {
        let length = byte_length(datatype, shape)?;
        let value = Self::allocated(datatype, shape)?;
        if length == 0 {
            return Ok(value);
        }
        let start = value.owned.data()?.cast::<u8>();
        let mut filled = 0;
        for piece in pieces {
            if piece.len() > length - filled {
                return Err(Error::new("the rows are longer than the tensor"));
            }
            // SAFETY: the tensor is `length` bytes long, was allocated just now and is known
            // to nobody else; `filled + piece.len()` is at most `length`.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    piece.as_ptr(),
                    start.as_ptr().add(filled),
                    piece.len(),
                );
            }
            filled += piece.len();
        }
        if filled != length {
            return Err(Error::new("the rows are shorter than the tensor"));
        }
        Ok(value)
    }

    /// A tensor of strings, of which there are as many as the shape asks for.
    pub(crate) fn strings<'a>(
        shape: &[usize],
        strings: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, Error> {
        let value = Self::allocated(Datatype::Bytes, shape)?;
        for (index, string) in strings.enumerate() {
            let mut buffer = std::ptr::null_mut();
            // SAFETY: ONNX Runtime checks the index, makes the string `string.len()` bytes
            // long and writes a pointer to its first byte; nobody else knows the value.
            unsafe {
                check((api().GetResizedStringTensorElementBuffer)(
                    value.owned.as_ptr(),
                    index,
                    string.len(),
                    &mut buffer,
                ))?;
                let buffer = written(buffer)?.cast::<u8>();
                std::ptr::copy_nonoverlapping(string.as_ptr(), buffer.as_ptr(), string.len());
            }
        }
        Ok(value)
    }

    /// A tensor in memory of ONNX Runtime's; numbers are not initialised.
    fn allocated(datatype: Datatype, shape: &[usize]) -> Result<Self, Error> {
        let allocator = default_allocator()?;
        let shape = native_shape(shape)?;
        let mut pointer = std::ptr::null_mut();
        // SAFETY: the shape is `shape.len()` numbers long; the function writes a pointer to a
        // new value.
        unsafe {
            check((api().CreateTensorAsOrtValue)(
                allocator.as_ptr(),
                shape.as_ptr(),
                shape.len(),
                native(datatype),
                &mut pointer,
            ))?;
        }
        Ok(Self {
            owned: Owned(written(pointer)?),
            borrowed: None,
        })
    }

    pub(super) fn as_ptr(&self) -> *const sys::OrtValue {
        self.owned.as_ptr()
    }
}

// === impl Owned ===

#[expect(unsafe_code, reason = "C functions are called")]
impl Owned {
    pub(super) fn as_ptr(&self) -> *mut sys::OrtValue {
        self.0.as_ptr()
    }

    /// Where the elements of a tensor of numbers begin.
    pub(super) fn data(&self) -> Result<NonNull<c_void>, Error> {
        let mut data = std::ptr::null_mut();
        // SAFETY: the value lives; ONNX Runtime refuses one that is no tensor.
        unsafe { check((api().GetTensorMutableData)(self.as_ptr(), &mut data))? };
        written(data)
    }
}

#[expect(unsafe_code, reason = "a C function is called")]
impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the value is owned and not used any more.
        unsafe { (api().ReleaseValue)(self.as_ptr()) };
    }
}
