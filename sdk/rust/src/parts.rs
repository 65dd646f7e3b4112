//! `tensor.create-from-parts`, called as it is: the generated binding would want each part
//! in a vector of its own, and so a copy of what is to be copied anyway.

#![expect(
    unsafe_code,
    reason = "the canonical ABI is made of raw pointers; each use has its contract above it"
)]

use crate::bindings::tensors::{Datatype, Tensor, TensorError};
use std::mem::MaybeUninit;

/// A `list<u8>` as the canonical ABI has it.
#[repr(C)]
struct Part {
    start: *const u8,
    length: usize,
}

/// A `result<tensor, tensor-error>` as the canonical ABI has it in memory.
#[repr(C)]
struct Returned {
    is_error: u8,
    /// The handle, or which error.
    first: u32,
    /// The error's text.
    start: *mut u8,
    length: usize,
}

#[link(wasm_import_module = "consort:inference/tensors@0.1.0")]
unsafe extern "C" {
    #[link_name = "[static]tensor.create-from-parts"]
    fn create_from_parts(
        datatype: i32,
        shape: *const u64,
        axes: usize,
        parts: *const Part,
        count: usize,
        returned: *mut Returned,
    );
}

/// Makes a tensor of data that lies in several places.
pub(crate) fn create<'a>(
    datatype: Datatype,
    shape: &[u64],
    parts: impl Iterator<Item = &'a [u8]>,
) -> Result<Tensor, TensorError> {
    let parts: Vec<Part> = parts
        .map(|part| Part {
            start: part.as_ptr(),
            length: part.len(),
        })
        .collect();
    let mut returned = MaybeUninit::<Returned>::zeroed();
    // SAFETY: shape and parts are valid for the time of the call, in which the host only
    // reads them; `returned` has the size and alignment of the result.
    unsafe {
        create_from_parts(
            i32::from(datatype as u8),
            shape.as_ptr(),
            shape.len(),
            parts.as_ptr(),
            parts.len(),
            returned.as_mut_ptr(),
        );
    }
    // SAFETY: what the host did not write is still zero, and any bytes make an integer or a
    // pointer.
    let returned = unsafe { returned.assume_init() };
    if returned.is_error == 0 {
        // SAFETY: the host gave this handle, and nobody else has it.
        return Ok(unsafe { Tensor::from_handle(returned.first) });
    }
    // SAFETY: the host allocated the text by this component's own allocator, with its
    // length as the capacity, and handed it over.
    let text = unsafe { Vec::from_raw_parts(returned.start, returned.length, returned.length) };
    let text = String::from_utf8_lossy(&text).into_owned();
    // Only the lowest byte was written.
    Err(match returned.first as u8 {
        0 => TensorError::Invalid(text),
        1 => TensorError::OutOfRange(text),
        _ => TensorError::Limit(text),
    })
}
