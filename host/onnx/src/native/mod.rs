//! The C API of ONNX Runtime, as far as it is used here, behind safe functions.
//!
//! Sessions, options and values are made with the C API itself and not with `ort`'s types of
//! those names, for three reasons: `ort`'s session can only be run through `&mut`; reading a
//! model's signature panics on types it has no name for; and its options ask ONNX Runtime to
//! choose providers by a policy, where Consort wants the ones that were named and no others.
//!
//! Every function here needs the library to be loaded. It is: each is reached through a
//! [`Library`](crate::Library), which only exists afterwards.

mod options;
mod output_value;
mod session;
mod type_info;
mod value;

pub(crate) use options::SessionOptions;
pub(crate) use output_value::OutputValue;
pub(crate) use session::{Assignment, Session};
pub(crate) use type_info::{Described, Kind};
pub(crate) use value::{CpuMemory, Value};

use ort::sys;
use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

/// An error of ONNX Runtime: a code and a message.
pub(crate) type Error = ort::Error;

/// The table of functions.
fn api() -> &'static sys::OrtApi {
    ort::api()
}

/// Turns the status that every function returns into a result.
///
/// # Safety
///
/// The status must have been returned by a function of the API just now: it is consumed.
#[expect(unsafe_code, reason = "a status is an owned pointer")]
unsafe fn check(status: sys::OrtStatusPtr) -> Result<(), Error> {
    // SAFETY: the caller gives a status of the API, and it is used only here.
    unsafe { Error::result_from_status(status) }
}

/// The pointer that a function has written, which is not null when it has succeeded.
fn written<T>(pointer: *mut T) -> Result<NonNull<T>, Error> {
    NonNull::new(pointer).ok_or_else(|| Error::new("ONNX Runtime succeeded without a result"))
}

/// The allocator of the process. It is never released.
#[expect(unsafe_code, reason = "a C function is called")]
fn default_allocator() -> Result<NonNull<sys::OrtAllocator>, Error> {
    let mut allocator = std::ptr::null_mut();
    // SAFETY: the function writes a pointer to an allocator that lives as long as the library.
    unsafe { check((api().GetAllocatorWithDefaultOptions)(&mut allocator))? };
    written(allocator)
}

/// The providers that the library was built with, by ONNX Runtime's names.
#[expect(unsafe_code, reason = "C functions are called")]
pub(crate) fn available_providers() -> Result<Vec<String>, Error> {
    let mut names: *mut *mut c_char = std::ptr::null_mut();
    let mut length = 0;
    // SAFETY: the function writes a table of `length` C strings, which is released below and
    // not used afterwards. Copying the strings cannot panic but for lack of memory.
    unsafe {
        check((api().GetAvailableProviders)(&mut names, &mut length))?;
        let count = usize::try_from(length).unwrap_or_default();
        let copied = (0..count)
            .map(|index| copy_text(*names.add(index)))
            .collect();
        check((api().ReleaseAvailableProviders)(names, length))?;
        Ok(copied)
    }
}

/// Copies a C string; bytes that are not UTF-8 are replaced, since it is for people.
///
/// # Safety
///
/// `text` must be null or point to a C string.
#[expect(unsafe_code, reason = "a C string is read")]
unsafe fn copy_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for the string.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
