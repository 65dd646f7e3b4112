//! `OrtValue`: tensors that go into a run and come out of it.

use super::{Error, Session, api, check, default_allocator, written};
use crate::datatype::{Element, native};
use bytes::Bytes;
use consort_inference::Datatype;
use ort::sys;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

/// A description of the CPU's memory.
pub(crate) struct CpuMemory(NonNull<sys::OrtMemoryInfo>);

/// A tensor that goes into a run.
pub(crate) struct Value {
    owned: Owned,
    /// The memory of a value that borrows.
    borrowed: Option<Bytes>,
}

/// A tensor that came out of a run.
pub(crate) struct OutputValue {
    owned: Owned,
    /// Memory of inputs that the output may be.
    borrowed: Vec<Bytes>,
    /// The arena or the weights that the output may lie in.
    _session: Arc<Session>,
}

/// The elements of an output, as bytes that own it.
struct OutputBytes {
    data: NonNull<u8>,
    length: usize,
    _value: OutputValue,
}

/// A value, released at its end.
struct Owned(NonNull<sys::OrtValue>);

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
// SAFETY: `data` points into the value that the same struct owns, and is only read.
#[expect(unsafe_code, reason = "a pointer into a value")]
unsafe impl Send for OutputBytes {}

/// Datatypes whose elements lie in memory as the protocol has them.
fn byte_length(datatype: Datatype, shape: &[usize]) -> Result<usize, Error> {
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
pub(crate) fn is_aligned(datatype: Datatype, data: &[u8]) -> bool {
    let alignment = datatype.size_bytes().unwrap_or(1);
    data.as_ptr().addr() % alignment == 0
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

// === impl OutputValue ===

#[expect(unsafe_code, reason = "C functions are called")]
impl OutputValue {
    /// Takes an output over.
    ///
    /// # Safety
    ///
    /// The pointer must be null or a value that a run of this session on these inputs has
    /// handed over.
    pub(super) unsafe fn from_raw(
        pointer: *mut sys::OrtValue,
        session: &Arc<Session>,
        inputs: &[Value],
    ) -> Result<Self, Error> {
        let owned = Owned(written(pointer)?);
        Ok(Self {
            owned,
            borrowed: inputs
                .iter()
                .filter_map(|input| input.borrowed.clone())
                .collect(),
            _session: session.clone(),
        })
    }

    /// The type of the elements and the length of each axis.
    pub(crate) fn shape(&self) -> Result<(Element, Vec<usize>), Error> {
        let mut element = 0i32;
        let mut axes: *const i64 = std::ptr::null();
        let mut rank = 0;
        // SAFETY: ONNX Runtime refuses a value that is no tensor; else it writes a pointer to
        // `rank` numbers inside the value, which are copied. The element type is an enum of
        // `repr(i32)`, read as a number since a newer library may know more of them.
        unsafe {
            check((api().GetTensorElementTypeAndShapeDataReference)(
                self.owned.as_ptr(),
                (&raw mut element).cast(),
                &mut axes,
                &mut rank,
            ))?;
            let convert = |index| {
                usize::try_from(*axes.add(index)).map_err(|_| Error::new("an axis is negative"))
            };
            let shape = (0..rank).map(convert).collect::<Result<_, _>>()?;
            Ok((Element(element), shape))
        }
    }

    /// The elements of a tensor of numbers, not copied: the bytes own the output.
    pub(crate) fn into_bytes(mut self, datatype: Datatype) -> Result<Bytes, Error> {
        let (element, shape) = self.shape()?;
        if element.datatype() != Some(datatype) || !self.is_in_cpu_memory()? {
            return Err(Error::new(
                "the output is not of the declared type, or not in memory",
            ));
        }
        let length = byte_length(datatype, &shape)?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        let data: NonNull<u8> = self.owned.data()?.cast();
        // An output that is an input handed through lies in the caller's memory; any other
        // need not keep the caller's memory.
        let range = data.addr().get()..data.addr().get() + length;
        self.borrowed.retain(|bytes| {
            let start = bytes.as_ptr().addr();
            start < range.end && range.start < start + bytes.len()
        });
        Ok(Bytes::from_owner(OutputBytes {
            data,
            length,
            _value: self,
        }))
    }

    /// The elements of a tensor of strings, in the protocol's form.
    pub(crate) fn to_byte_strings(&self, count: usize) -> Result<Vec<u8>, Error> {
        let value = self.owned.as_ptr();
        let mut total = 0;
        // SAFETY: ONNX Runtime refuses a value that is no tensor of strings, and checks each
        // index.
        unsafe { check((api().GetStringTensorDataLength)(value, &mut total))? };
        let mut data = Vec::with_capacity(total + 4 * count);
        for index in 0..count {
            let mut length = 0;
            // SAFETY: as above.
            unsafe {
                check((api().GetStringTensorElementLength)(
                    value,
                    index,
                    &mut length,
                ))?
            };
            let header = u32::try_from(length)
                .map_err(|_| Error::new("a string is longer than 4,294,967,295 bytes"))?;
            data.extend_from_slice(&header.to_le_bytes());
            data.reserve(length);
            let end = data.len();
            // SAFETY: there is room for `length` bytes after `end`, and ONNX Runtime writes
            // just as many, or fails.
            unsafe {
                let place = data.as_mut_ptr().add(end).cast::<c_void>();
                check((api().GetStringTensorElement)(value, length, index, place))?;
                data.set_len(end + length);
            }
        }
        Ok(data)
    }

    fn is_in_cpu_memory(&self) -> Result<bool, Error> {
        const CPU: i32 = sys::OrtMemoryInfoDeviceType::OrtMemoryInfoDeviceType_CPU as i32;
        let mut info = std::ptr::null();
        let mut device = -1i32;
        // SAFETY: the description belongs to the value, which lives during the call; the
        // device is an enum of `repr(i32)`.
        unsafe {
            check((api().GetTensorMemoryInfo)(self.owned.as_ptr(), &mut info))?;
            (api().MemoryInfoGetDeviceType)(info, (&raw mut device).cast());
        }
        Ok(device == CPU)
    }
}

// === impl OutputBytes ===

#[expect(unsafe_code, reason = "memory of a value is read")]
impl AsRef<[u8]> for OutputBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the value is a tensor of numbers in the CPU's memory of just that many
        // bytes, all written by the run; it lives as long as `self`, and nobody changes it.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.length) }
    }
}

// === impl Owned ===

#[expect(unsafe_code, reason = "C functions are called")]
impl Owned {
    fn as_ptr(&self) -> *mut sys::OrtValue {
        self.0.as_ptr()
    }

    /// Where the elements of a tensor of numbers begin.
    fn data(&self) -> Result<NonNull<c_void>, Error> {
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
