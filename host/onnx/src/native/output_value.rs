//! `OrtValue`: what comes out of a run.

use super::value::{Owned, byte_length};
use super::{Error, Session, Value, api, check, default_allocator, written};
use crate::datatype::Element;
use bytes::Bytes;
use consort_inference::Datatype;
use ort::sys;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

/// A tensor that came out of a run, or a sequence or map of such.
pub(crate) struct OutputValue {
    owned: Owned,
    /// Memory of inputs that the output may be.
    borrowed: Vec<Bytes>,
    /// The arena or the weights that the output may lie in.
    session: Arc<Session>,
}

/// The elements of an output, as bytes that own it.
struct OutputBytes {
    data: NonNull<u8>,
    length: usize,
    _value: OutputValue,
}

// SAFETY: `data` points into the value that the same struct owns, and is only read.
#[expect(unsafe_code, reason = "a pointer into a value")]
unsafe impl Send for OutputBytes {}

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
            session: session.clone(),
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

    /// The elements of a sequence.
    pub(crate) fn elements(&self) -> Result<Vec<Self>, Error> {
        let mut count = 0;
        // SAFETY: the value lives; ONNX Runtime refuses one that is a tensor.
        unsafe { check((api().GetValueCount)(self.owned.as_ptr(), &mut count))? };
        (0..count).map(|index| self.part(index)).collect()
    }

    /// The keys and the values of a map, in ascending order of the keys.
    pub(crate) fn entries(&self) -> Result<(Self, Self), Error> {
        Ok((self.part(0)?, self.part(1)?))
    }

    fn part(&self, index: usize) -> Result<Self, Error> {
        let index = i32::try_from(index).map_err(|_| Error::new("a sequence is too long"))?;
        let allocator = default_allocator()?;
        let mut pointer = std::ptr::null_mut();
        // SAFETY: ONNX Runtime checks kind and index, and writes a pointer to a new value. Its
        // memory is a copy, or shared with the sequence and counted; should it be an input's
        // or the session's, both are kept as for the whole.
        unsafe {
            check((api().GetValue)(
                self.owned.as_ptr(),
                index,
                allocator.as_ptr(),
                &mut pointer,
            ))?;
        }
        Ok(Self {
            owned: Owned(written(pointer)?),
            borrowed: self.borrowed.clone(),
            session: self.session.clone(),
        })
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
