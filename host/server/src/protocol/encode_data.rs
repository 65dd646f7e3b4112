//! A tensor as a flat JSON array.

use super::EncodeError;
use consort_inference::{Datatype, Element, Tensor};
use serde::Serialize;
use std::sync::Arc;

/// Appends the tensor's elements as a JSON array.
pub(super) fn write_data(
    name: &Arc<str>,
    tensor: &Tensor,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let data = tensor.data();
    match tensor.datatype() {
        Datatype::Bool => write_numbers::<bool>(data, out),
        Datatype::Uint8 => write_numbers::<u8>(data, out),
        Datatype::Uint16 => write_numbers::<u16>(data, out),
        Datatype::Uint32 => write_numbers::<u32>(data, out),
        Datatype::Uint64 => write_numbers::<u64>(data, out),
        Datatype::Int8 => write_numbers::<i8>(data, out),
        Datatype::Int16 => write_numbers::<i16>(data, out),
        Datatype::Int32 => write_numbers::<i32>(data, out),
        Datatype::Int64 => write_numbers::<i64>(data, out),
        Datatype::Fp32 => {
            check_finite(name, tensor, |value: f32| value.is_finite())?;
            write_numbers::<f32>(data, out);
        }
        Datatype::Fp64 => {
            check_finite(name, tensor, |value: f64| value.is_finite())?;
            write_numbers::<f64>(data, out);
        }
        Datatype::Bytes => return write_texts(name, tensor, out),
        datatype @ (Datatype::Fp16 | Datatype::Bf16) => {
            return Err(EncodeError::NoJsonForm {
                name: name.clone(),
                datatype,
            });
        }
    }
    Ok(())
}

fn write_numbers<T: Element + Serialize>(data: &[u8], out: &mut Vec<u8>) {
    out.push(b'[');
    let mut first = true;
    for value in data
        .chunks_exact(size_of::<T>().max(1))
        .filter_map(T::read_le)
    {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write_value(&value, out);
    }
    out.push(b']');
}

/// Writes a number, a truth value or a text. The only way to fail is the writer's, and
/// a `Vec` does not fail.
pub(super) fn write_value<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

fn check_finite<T: Element>(
    name: &Arc<str>,
    tensor: &Tensor,
    is_finite: fn(T) -> bool,
) -> Result<(), EncodeError> {
    let bad = tensor
        .data()
        .chunks_exact(size_of::<T>().max(1))
        .filter_map(T::read_le)
        .position(|value| !is_finite(value));
    match bad {
        None => Ok(()),
        Some(index) => Err(EncodeError::NotFinite {
            name: name.clone(),
            index,
        }),
    }
}

fn write_texts(name: &Arc<str>, tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let elements = tensor
        .byte_strings()
        .map_err(|source| EncodeError::Tensor {
            name: name.clone(),
            source,
        })?;
    out.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        let text = std::str::from_utf8(element).map_err(|_| EncodeError::NotText {
            name: name.clone(),
            index,
        })?;
        if index > 0 {
            out.push(b',');
        }
        write_value(text, out);
    }
    out.push(b']');
    Ok(())
}
