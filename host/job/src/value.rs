//! A tensor as JSON.
//!
//! A single element (shape `[]` or `[1]`) is written bare, all others as nested arrays;
//! one without elements is `[]`. `BYTES` are strings where they are UTF-8, otherwise
//! `{"b64": ".."}`. Numbers are the shortest that read back in their own datatype (half
//! precision as the single it equals); what JSON has no number for is `"NaN"`,
//! `"Infinity"` or `"-Infinity"`.

use crate::elements::BASE64_NAME;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use consort_inference::{Datatype, Element, Tensor};
use std::io::Write as _;

/// The most axes that are written as nested arrays.
const AXES_MAX: usize = 64;

/// Appends a tensor, or says why it cannot be written.
pub(crate) fn write(out: &mut Vec<u8>, tensor: &Tensor) -> Result<(), String> {
    let shape = tensor.shape();
    if shape.len() > AXES_MAX {
        let axes = shape.len();
        return Err(format!(
            "it has {axes} axes; at most {AXES_MAX} are written as nested arrays"
        ));
    }
    match tensor.datatype() {
        Datatype::Bytes => {
            let strings = tensor.byte_strings().map_err(|error| error.to_string())?;
            nest(out, shape, strings.iter(), |out, bytes| {
                byte_string(out, bytes)
            });
        }
        Datatype::Bool => numbers::<1>(out, tensor, |out, [byte]| {
            out.extend_from_slice(if byte == 0 { b"false" } else { b"true" });
        }),
        Datatype::Uint8 => integers::<u8, 1>(out, tensor),
        Datatype::Uint16 => integers::<u16, 2>(out, tensor),
        Datatype::Uint32 => integers::<u32, 4>(out, tensor),
        Datatype::Uint64 => integers::<u64, 8>(out, tensor),
        Datatype::Int8 => integers::<i8, 1>(out, tensor),
        Datatype::Int16 => integers::<i16, 2>(out, tensor),
        Datatype::Int32 => integers::<i32, 4>(out, tensor),
        Datatype::Int64 => integers::<i64, 8>(out, tensor),
        Datatype::Fp16 => numbers(out, tensor, |out, bytes| {
            single(out, half::f16::from_le_bytes(bytes).to_f32());
        }),
        Datatype::Bf16 => numbers(out, tensor, |out, bytes| {
            single(out, half::bf16::from_le_bytes(bytes).to_f32());
        }),
        Datatype::Fp32 => numbers(out, tensor, |out, bytes| {
            single(out, f32::from_le_bytes(bytes))
        }),
        Datatype::Fp64 => numbers(out, tensor, |out, bytes| {
            double(out, f64::from_le_bytes(bytes))
        }),
    }
    Ok(())
}

/// Appends one element of a tensor of anything but `BYTES`.
pub(crate) fn element(out: &mut Vec<u8>, tensor: &Tensor, index: usize) {
    let size = tensor.datatype().size_bytes().unwrap_or(1);
    let bytes = tensor.data().get(index * size..(index + 1) * size);
    let Some(bytes) = bytes else { return };
    // Writing to a vector cannot fail, and the length is that of the datatype.
    fn display<T: Element + std::fmt::Display>(out: &mut Vec<u8>, bytes: &[u8]) {
        if let Some(value) = T::read_le(bytes) {
            let _ = write!(out, "{value}");
        }
    }
    match (tensor.datatype(), bytes) {
        (Datatype::Bool, _) => display::<bool>(out, bytes),
        (Datatype::Uint8, _) => display::<u8>(out, bytes),
        (Datatype::Uint16, _) => display::<u16>(out, bytes),
        (Datatype::Uint32, _) => display::<u32>(out, bytes),
        (Datatype::Uint64, _) => display::<u64>(out, bytes),
        (Datatype::Int8, _) => display::<i8>(out, bytes),
        (Datatype::Int16, _) => display::<i16>(out, bytes),
        (Datatype::Int32, _) => display::<i32>(out, bytes),
        (Datatype::Int64, _) => display::<i64>(out, bytes),
        (Datatype::Fp16, [low, high]) => {
            single(out, half::f16::from_le_bytes([*low, *high]).to_f32())
        }
        (Datatype::Bf16, [low, high]) => {
            single(out, half::bf16::from_le_bytes([*low, *high]).to_f32())
        }
        (Datatype::Fp32, _) => single(out, f32::read_le(bytes).unwrap_or(f32::NAN)),
        (Datatype::Fp64, _) => double(out, f64::read_le(bytes).unwrap_or(f64::NAN)),
        (Datatype::Fp16 | Datatype::Bf16 | Datatype::Bytes, _) => {}
    }
}

/// Appends a string in quotes.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Writing to a vector cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn integers<T: Element + std::fmt::Display, const SIZE: usize>(out: &mut Vec<u8>, tensor: &Tensor) {
    numbers::<SIZE>(out, tensor, |out, bytes| {
        if let Some(value) = T::read_le(&bytes) {
            let _ = write!(out, "{value}");
        }
    });
}

fn numbers<const SIZE: usize>(
    out: &mut Vec<u8>,
    tensor: &Tensor,
    write: impl Fn(&mut Vec<u8>, [u8; SIZE]),
) {
    let (elements, _) = tensor.data().as_chunks::<SIZE>();
    nest(out, tensor.shape(), elements.iter(), |out, bytes| {
        write(out, *bytes)
    });
}

fn nest<'a, T: 'a>(
    out: &mut Vec<u8>,
    shape: &[usize],
    mut elements: impl ExactSizeIterator<Item = &'a T>,
    mut write: impl FnMut(&mut Vec<u8>, &'a T),
) {
    // However many empty arrays the shape promises, nothing in nothing is nothing.
    if elements.len() == 0 {
        out.extend_from_slice(b"[]");
        return;
    }
    let mut next = |out: &mut Vec<u8>| {
        if let Some(element) = elements.next() {
            write(out, element);
        }
    };
    match shape {
        [1] => next(out),
        shape => arrays(out, shape, &mut next),
    }
}

fn arrays(out: &mut Vec<u8>, shape: &[usize], next: &mut dyn FnMut(&mut Vec<u8>)) {
    let Some((length, inner)) = shape.split_first() else {
        return next(out);
    };
    out.push(b'[');
    for index in 0..*length {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        arrays(out, inner, next);
    }
    out.push(b']');
}

/// Appends a number in single precision, or a word where it is none.
pub(crate) fn single(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        let _ = serde_json::to_writer(out, &value);
    } else {
        double(out, value.into());
    }
}

/// Appends a number in double precision, or a word where it is none.
pub(crate) fn double(out: &mut Vec<u8>, value: f64) {
    let word: &[u8] = if value.is_nan() {
        b"\"NaN\""
    } else if value == f64::INFINITY {
        b"\"Infinity\""
    } else if value == f64::NEG_INFINITY {
        b"\"-Infinity\""
    } else {
        let _ = serde_json::to_writer(out, &value);
        return;
    };
    out.extend_from_slice(word);
}

/// Appends bytes: a string where they are UTF-8.
pub(crate) fn byte_string(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => string(out, text),
        Err(_) => {
            let _ = write!(out, "{{\"{BASE64_NAME}\": \"{}\"}}", STANDARD.encode(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elements;
    use crate::json::Cursor;
    use bytes::Bytes;
    use consort_inference::TensorSpec;
    use proptest::prelude::*;

    fn json(tensor: Tensor) -> String {
        let mut out = Vec::new();
        write(&mut out, &tensor).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn floats(shape: &[usize], values: &[f32]) -> String {
        json(Tensor::from_slice(shape.to_vec(), values).unwrap())
    }

    #[test]
    fn shapes() {
        assert_eq!(floats(&[], &[0.998]), "0.998");
        assert_eq!(floats(&[1], &[0.998]), "0.998");
        assert_eq!(floats(&[1, 1], &[0.998]), "[[0.998]]");
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.5];
        assert_eq!(
            floats(&[2, 3], &values),
            "[[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]]"
        );
        assert_eq!(floats(&[0], &[]), "[]");
        assert_eq!(floats(&[1 << 60, 0], &[]), "[]");
    }

    #[test]
    fn datatypes() {
        let values = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            -0.0,
            1e-45,
            3.4e38,
        ];
        let text = r#"["NaN", "Infinity", "-Infinity", -0.0, 1e-45, 3.4e+38]"#;
        assert_eq!(floats(&[6], &values), text);
        let one = |datatype, bytes: &[u8]| {
            json(Tensor::new(datatype, vec![1], Bytes::copy_from_slice(bytes)).unwrap())
        };
        assert_eq!(
            one(Datatype::Fp16, &half::f16::from_f32(0.1).to_le_bytes()),
            "0.099975586"
        );
        assert_eq!(
            one(Datatype::Bf16, &half::bf16::NAN.to_le_bytes()),
            "\"NaN\""
        );
        assert_eq!(one(Datatype::Fp64, &0.1f64.to_le_bytes()), "0.1");
        assert_eq!(one(Datatype::Bool, &[1]), "true");
        assert_eq!(one(Datatype::Uint8, &[200]), "200");
        assert_eq!(
            one(Datatype::Int64, &i64::MIN.to_le_bytes()),
            "-9223372036854775808"
        );
        let strings: [&[u8]; 3] = ["ü\"\n".as_bytes(), b"", b"\xff\x00"];
        let tensor = Tensor::from_byte_strings(vec![3], strings).unwrap();
        assert_eq!(json(tensor), r#"["ü\"\n", "", {"b64": "/wA="}]"#);
    }

    #[test]
    fn axes_have_a_limit() {
        let tensor = Tensor::from_slice(vec![1; 65], &[1u8]).unwrap();
        let error = write(&mut Vec::new(), &tensor).unwrap_err();
        assert_eq!(
            error,
            "it has 65 axes; at most 64 are written as nested arrays"
        );
    }

    proptest! {
        /// What is written reads back as the same tensor, in every datatype.
        #[test]
        fn tensors_read_back(
            kind in 0usize..14, rows in 1usize..4, columns in 1usize..4,
            seed in prop::collection::vec(any::<u64>(), 16),
        ) {
            let datatype = Datatype::ALL[kind];
            let count = rows * columns;
            let mut data = Vec::new();
            for value in &seed[..count] {
                let bytes = value.to_le_bytes();
                match datatype.size_bytes() {
                    None => {
                        data.extend([(value % 9) as u8, 0, 0, 0]);
                        data.extend(&bytes[..(value % 9) as usize]);
                    }
                    Some(_) if datatype == Datatype::Bool => data.push((value % 2) as u8),
                    Some(size) => data.extend(&bytes[..size]),
                }
            }
            let tensor = Tensor::new(datatype, vec![rows, columns], data.into()).unwrap();
            let text = json(tensor.clone());
            let _: serde_json::Value = serde_json::from_str(&text).unwrap();
            let spec = TensorSpec::new("x", datatype, vec![Some(rows), None]);
            let again = elements::read(&mut Cursor::new(&text), &spec).unwrap();
            // A NaN reads back as one, but perhaps not as the same.
            if !text.contains("NaN") {
                prop_assert_eq!(again.data(), tensor.data(), "{}", text);
            }
            prop_assert_eq!(again.shape(), tensor.shape());
        }
    }
}
