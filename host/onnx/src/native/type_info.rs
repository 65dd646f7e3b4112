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
    /// A sequence of maps from keys to numbers.
    Maps { keys: Element, values: Element },
    /// A sequence of tensors, each of this shape.
    Tensors {
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
        match self.number()? {
            1 => self.tensor(),
            2 => self.sequence(),
            3 => Ok(Kind::Other("a map")),
            4 => Ok(Kind::Other("an opaque value")),
            5 => Ok(Kind::Other("a sparse tensor")),
            6 => Ok(Kind::Other("an optional value")),
            _ => Ok(Kind::Other("a value of an unknown kind")),
        }
    }

    /// The kind of value, by its number in ONNX Runtime.
    fn number(&self) -> Result<i32, Error> {
        // Numbers and not `ort`'s enums: a newer library may know more kinds, and a value
        // outside an enum would be undefined behaviour. The enums are `repr(i32)`.
        let mut number = 0i32;
        // SAFETY: `self` owns the type, and the function writes one number.
        unsafe {
            check((api().GetOnnxTypeFromTypeInfo)(
                self.0.as_ptr(),
                (&raw mut number).cast(),
            ))?;
        }
        Ok(number)
    }

    fn tensor(&self) -> Result<Kind, Error> {
        let mut tensor: *const sys::OrtTensorTypeAndShapeInfo = std::ptr::null();
        // SAFETY: the tensor's part of the type is borrowed from it and used only while
        // `self` lives.
        unsafe {
            check((api().CastTypeInfoToTensorInfo)(
                self.0.as_ptr(),
                &mut tensor,
            ))?;
            let (element, shape) = tensor_kind(written(tensor.cast_mut())?)?;
            Ok(Kind::Tensor { element, shape })
        }
    }

    fn sequence(&self) -> Result<Kind, Error> {
        let mut sequence: *const sys::OrtSequenceTypeInfo = std::ptr::null();
        let mut element = std::ptr::null_mut();
        // SAFETY: the sequence's part of the type is borrowed from it; the type of its
        // elements is a new one, which is taken over.
        let element = unsafe {
            check((api().CastTypeInfoToSequenceTypeInfo)(
                self.0.as_ptr(),
                &mut sequence,
            ))?;
            let sequence = written(sequence.cast_mut())?.as_ptr();
            check((api().GetSequenceElementType)(sequence, &mut element))?;
            Self::from_raw(element)?
        };
        match element.number()? {
            1 => match element.tensor()? {
                Kind::Tensor { element, shape } => Ok(Kind::Tensors { element, shape }),
                other => Ok(other),
            },
            3 => element.map(),
            _ => Ok(Kind::Other("a sequence of values that are no tensors")),
        }
    }

    /// The kind of a sequence of such maps.
    fn map(&self) -> Result<Kind, Error> {
        let mut map: *const sys::OrtMapTypeInfo = std::ptr::null();
        let mut keys = 0i32;
        let mut values = std::ptr::null_mut();
        // SAFETY: as for a sequence; the type of the keys is an enum of `repr(i32)`, read as
        // a number.
        let values = unsafe {
            check((api().CastTypeInfoToMapTypeInfo)(self.0.as_ptr(), &mut map))?;
            let map = written(map.cast_mut())?.as_ptr();
            check((api().GetMapKeyType)(map, (&raw mut keys).cast()))?;
            check((api().GetMapValueType)(map, &mut values))?;
            Self::from_raw(values)?
        };
        match values.number()? {
            1 => match values.tensor()? {
                Kind::Tensor { element, .. } => Ok(Kind::Maps {
                    keys: Element(keys),
                    values: element,
                }),
                other => Ok(other),
            },
            _ => Ok(Kind::Other(
                "a sequence of maps to values that are no numbers",
            )),
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
unsafe fn tensor_kind(
    info: NonNull<sys::OrtTensorTypeAndShapeInfo>,
) -> Result<(Element, Option<Vec<i64>>), Error> {
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
        Ok((Element(element), shape))
    }
}
