//! What a session says about its inputs and outputs.

use super::{Error, api, check, written};
use crate::datatype::Element;
use ort::sys;
use std::ptr::NonNull;

/// An input or output as the model declares it.
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What kind of value it is.
pub(crate) enum Kind {
    /// A tensor. `None` when the model does not say how many axes it has; an axis of any
    /// length is -1.
    Tensor {
        element: Element,
        shape: Option<Vec<i64>>,
    },
    /// Something else, by its name in ONNX.
    Other(&'static str),
}

/// A type that a session has told, owned.
pub(super) struct TypeInfo(NonNull<sys::OrtTypeInfo>);

// === impl TypeInfo ===

#[expect(unsafe_code, reason = "C functions are called")]
impl TypeInfo {
    /// Takes a type over.
    ///
    /// # Safety
    ///
    /// The pointer must have been written by a function of the API that gives ownership.
    pub(super) unsafe fn from_raw(pointer: *mut sys::OrtTypeInfo) -> Result<Self, Error> {
        written(pointer).map(Self)
    }

    pub(super) fn kind(&self) -> Result<Kind, Error> {
        // Numbers and not `ort`'s enums: a newer library may know more kinds, and a value
        // outside an enum would be undefined behaviour. The enums are `repr(i32)`.
        let mut number = 0i32;
        let mut tensor: *const sys::OrtTensorTypeAndShapeInfo = std::ptr::null();
        // SAFETY: `self` owns the type; the tensor's part of it is borrowed from it and used
        // only while `self` lives.
        unsafe {
            check((api().GetOnnxTypeFromTypeInfo)(
                self.0.as_ptr(),
                (&raw mut number).cast(),
            ))?;
            let other = match number {
                1 => None,
                2 => Some("a sequence"),
                3 => Some("a map"),
                4 => Some("an opaque value"),
                5 => Some("a sparse tensor"),
                6 => Some("an optional value"),
                _ => Some("a value of an unknown kind"),
            };
            if let Some(name) = other {
                return Ok(Kind::Other(name));
            }
            check((api().CastTypeInfoToTensorInfo)(
                self.0.as_ptr(),
                &mut tensor,
            ))?;
            let tensor = written(tensor.cast_mut())?;
            tensor_kind(tensor)
        }
    }
}

#[expect(unsafe_code, reason = "a C function is called")]
impl Drop for TypeInfo {
    fn drop(&mut self) {
        // SAFETY: the type is owned and not used any more.
        unsafe { (api().ReleaseTypeInfo)(self.0.as_ptr()) };
    }
}

/// # Safety
///
/// The pointer must be to a tensor's type that lives during the call.
#[expect(unsafe_code, reason = "C functions are called")]
unsafe fn tensor_kind(info: NonNull<sys::OrtTensorTypeAndShapeInfo>) -> Result<Kind, Error> {
    let info = info.as_ptr();
    let (mut element, mut rank) = (0i32, 0usize);
    // SAFETY: the caller vouches for `info`; the shape is written into as many numbers as
    // ONNX Runtime has just said there are.
    unsafe {
        check((api().GetTensorElementType)(
            info,
            (&raw mut element).cast(),
        ))?;
        let shape = if (api().TensorTypeAndShape_HasShape)(info) {
            check((api().GetDimensionsCount)(info, &mut rank))?;
            let mut shape = vec![0i64; rank];
            check((api().GetDimensions)(info, shape.as_mut_ptr(), rank))?;
            Some(shape)
        } else {
            None
        };
        Ok(Kind::Tensor {
            element: Element(element),
            shape,
        })
    }
}
