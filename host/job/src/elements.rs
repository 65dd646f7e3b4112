//! The elements of an input, from JSON straight to the bytes of a tensor.
//!
//! A number is read in its own datatype, so that it is rounded once; one that the datatype
//! cannot hold is refused, never cut off.

use crate::json::{Cursor, Fault, Number};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use consort_inference::{Datatype, Element, Tensor, TensorSpec};
use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

/// The object member that holds bytes that are no text.
pub(crate) const BASE64_NAME: &str = "b64";

/// Reads a tensor as `spec` promises it: nested arrays, or a bare element for shapes `[]`
/// and `[1]`.
pub(crate) fn read(cursor: &mut Cursor<'_>, spec: &TensorSpec) -> Result<Tensor, Fault> {
    // An element takes two bytes of text at the least, whatever the shape promises.
    let size = spec.datatype.size_bytes().unwrap_or(size_of::<u32>());
    let expected = spec
        .shape
        .iter()
        .try_fold(1usize, |count, length| count.checked_mul((*length)?));
    let count_max = cursor.rest_len() / 2 + 1;
    let mut data = Vec::with_capacity(expected.unwrap_or(0).min(count_max) * size);
    let at = cursor.place();
    if let [promised] = spec.shape.as_slice()
        && cursor.pass(b'[')
    {
        let length = vector(cursor, spec, &mut data)?;
        if let Some(expected) = promised.filter(|expected| *expected != length) {
            return Err(wrong_length(at, expected, length, spec));
        }
        return Tensor::new(spec.datatype, vec![length], data.into()).map_err(|error| Fault {
            at,
            what: error.to_string(),
        });
    }
    let mut shape = Shape {
        spec,
        lengths: vec![None; spec.shape.len()],
    };
    if *spec.shape == [Some(1)] && cursor.peek() != Some(b'[') {
        element(cursor, spec.datatype, &mut data)?;
        shape.lengths = vec![Some(1)];
    } else {
        shape.fill(cursor, 0, &mut data)?;
    }
    // An axis below an empty one was not met.
    let met = shape.lengths.iter().zip(&spec.shape);
    let lengths = met.map(|(met, promised)| met.or(*promised).unwrap_or(0));
    Tensor::new(spec.datatype, lengths.collect(), data.into()).map_err(|error| Fault {
        at,
        what: error.to_string(),
    })
}

/// Reads an array of elements, as most inputs are one.
fn vector(cursor: &mut Cursor<'_>, spec: &TensorSpec, data: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut length = 0;
    while cursor.another(length == 0, b']')? {
        element(cursor, spec.datatype, data)?;
        length += 1;
    }
    Ok(length)
}

/// The lengths of the axes as far as they are known.
struct Shape<'a> {
    spec: &'a TensorSpec,
    lengths: Vec<Option<usize>>,
}

fn wrong_length(at: usize, expected: usize, length: usize, spec: &TensorSpec) -> Fault {
    let what = format!("an array of {expected} is expected, it has {length}; the shape is {spec}");
    Fault { at, what }
}

// === impl Shape ===

impl Shape<'_> {
    /// Reads what is below `axis`; at the bottom an element.
    fn fill(
        &mut self,
        cursor: &mut Cursor<'_>,
        axis: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let Some(promised) = self.spec.shape.get(axis).copied() else {
            return element(cursor, self.spec.datatype, out);
        };
        let at = cursor.place();
        if !cursor.pass(b'[') {
            let mut fault = cursor.expected("an array");
            fault
                .what
                .push_str(&format!("; the shape is {}", self.spec));
            return Err(fault);
        }
        let mut length = 0;
        while cursor.another(length == 0, b']')? {
            self.fill(cursor, axis + 1, out)?;
            length += 1;
        }
        let known = self.lengths.get(axis).copied().flatten();
        if let Some(expected) = known.or(promised).filter(|expected| *expected != length) {
            return Err(wrong_length(at, expected, length, self.spec));
        }
        if let Some(slot) = self.lengths.get_mut(axis) {
            *slot = Some(length);
        }
        Ok(())
    }
}

/// Reads one element and appends it.
pub(crate) fn element(
    cursor: &mut Cursor<'_>,
    datatype: Datatype,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    match datatype {
        Datatype::Bool => out.push(u8::from(cursor.boolean()?)),
        Datatype::Uint8 => integer::<u8>(cursor, u8::MIN, u8::MAX)?.write_le(out),
        Datatype::Uint16 => integer::<u16>(cursor, u16::MIN, u16::MAX)?.write_le(out),
        Datatype::Uint32 => integer::<u32>(cursor, u32::MIN, u32::MAX)?.write_le(out),
        Datatype::Uint64 => integer::<u64>(cursor, u64::MIN, u64::MAX)?.write_le(out),
        Datatype::Int8 => integer::<i8>(cursor, i8::MIN, i8::MAX)?.write_le(out),
        Datatype::Int16 => integer::<i16>(cursor, i16::MIN, i16::MAX)?.write_le(out),
        Datatype::Int32 => integer::<i32>(cursor, i32::MIN, i32::MAX)?.write_le(out),
        Datatype::Int64 => integer::<i64>(cursor, i64::MIN, i64::MAX)?.write_le(out),
        Datatype::Fp16 => {
            let convert = |value: f64| half::f16::from_f64(value);
            let value = float(cursor, datatype, convert, |value| value.is_finite())?;
            out.extend_from_slice(&value.to_le_bytes());
        }
        Datatype::Bf16 => {
            let convert = |value: f64| half::bf16::from_f64(value);
            let value = float(cursor, datatype, convert, |value| value.is_finite())?;
            out.extend_from_slice(&value.to_le_bytes());
        }
        Datatype::Fp32 => {
            // Most numbers are short, and most tensors are of these.
            let start = cursor.clone();
            if cursor.peek() != Some(b'"')
                && let Ok(number) = cursor.number("a number")
                && let Some(value) = number.exact_single()
            {
                value.write_le(out);
                return Ok(());
            }
            *cursor = start;
            float(
                cursor,
                datatype,
                |value: f32| value,
                |value| value.is_finite(),
            )?
            .write_le(out);
        }
        Datatype::Fp64 => {
            float(
                cursor,
                datatype,
                |value: f64| value,
                |value| value.is_finite(),
            )?
            .write_le(out);
        }
        Datatype::Bytes => byte_string(cursor, out)?,
    }
    Ok(())
}

fn integer<T: Element + FromStr + Display>(
    cursor: &mut Cursor<'_>,
    min: T,
    max: T,
) -> Result<T, Fault> {
    let Number { text, integer, .. } = cursor.number("an integer")?;
    let fault = |what| Fault {
        at: cursor.at() - text.len(),
        what,
    };
    if !integer {
        return Err(fault(format!("an integer is expected, {text} was found")));
    }
    // `-0` is zero, but not in the spelling of Rust's unsigned numbers.
    let digits = if text == "-0" { "0" } else { text };
    digits.parse().map_err(|_| {
        let datatype = T::DATATYPE;
        fault(format!(
            "{text} is out of range for {datatype} ({min} to {max})"
        ))
    })
}

/// Reads a number, or one of the words that JSON has no number for.
fn float<P: FromStr, T>(
    cursor: &mut Cursor<'_>,
    datatype: Datatype,
    convert: impl Fn(P) -> T,
    is_finite: impl Fn(&T) -> bool,
) -> Result<T, Fault> {
    let wanted = "a number (or \"NaN\", \"Infinity\", \"-Infinity\")";
    let number = match cursor.peek() {
        Some(b'"') => {
            let at = cursor.at();
            let word = cursor.string(wanted)?;
            let parsed = match &*word {
                "NaN" | "Infinity" | "-Infinity" => word.parse().ok(),
                _ => None,
            };
            return parsed.map(convert).ok_or_else(|| Fault {
                at,
                what: format!("{wanted} is expected, {word:?} was found"),
            });
        }
        _ => cursor.number(wanted)?.text,
    };
    let value = number.parse().ok().map(convert);
    value.filter(is_finite).ok_or_else(|| Fault {
        at: cursor.at() - number.len(),
        what: format!("{number} is out of range for {datatype}"),
    })
}

/// Reads a string as its UTF-8, or `{"b64": ".."}` as the bytes it stands for.
fn byte_string(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let wanted = "a string or {\"b64\": \"..\"}";
    let at = cursor.place();
    if !cursor.pass(b'{') {
        let text = cursor.string(wanted)?;
        return push_byte_string(text.as_bytes(), at, out);
    }
    let name = cursor.name()?;
    if name != BASE64_NAME {
        return Err(Fault {
            at,
            what: format!("{wanted} is expected, an object with \"{name}\" was found"),
        });
    }
    let at = cursor.place();
    let text: Cow<'_, str> = cursor.string("a string in base 64")?;
    let bytes = STANDARD.decode(&*text).map_err(|error| Fault {
        at,
        what: format!("the string is not base 64: {error}"),
    })?;
    cursor.open(b'}', "'}'")?;
    push_byte_string(&bytes, at, out)
}

fn push_byte_string(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let length = u32::try_from(bytes.len()).map_err(|_| Fault {
        at,
        what: "a BYTES element holds at most 4 GiB".to_owned(),
    })?;
    length.write_le(out);
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::Dim;
    use proptest::prelude::*;

    fn tensor(datatype: Datatype, shape: &[Dim], text: &str) -> Result<Tensor, Fault> {
        let spec = TensorSpec::new("x", datatype, shape.to_vec());
        let mut cursor = Cursor::new(text);
        let tensor = read(&mut cursor, &spec)?;
        cursor.end()?;
        spec.check(&tensor).unwrap();
        Ok(tensor)
    }

    fn fault(datatype: Datatype, shape: &[Dim], text: &str) -> (usize, String) {
        let fault = tensor(datatype, shape, text).unwrap_err();
        (fault.at, fault.what)
    }

    #[test]
    fn shapes_are_nested_arrays() {
        let read = |shape: &[Dim], text| {
            let tensor = tensor(Datatype::Int32, shape, text).unwrap();
            (tensor.shape().to_vec(), tensor.to_vec::<i32>().unwrap())
        };
        assert_eq!(read(&[], "7"), (vec![], vec![7]));
        assert_eq!(read(&[Some(1)], "7"), (vec![1], vec![7]));
        assert_eq!(read(&[Some(1)], " [ 7 ] "), (vec![1], vec![7]));
        assert_eq!(read(&[None], "[]"), (vec![0], vec![]));
        assert_eq!(read(&[None, Some(3), None], "[]"), (vec![0, 3, 0], vec![]));
        let nested = "[[1, 2, 3], [4, 5, 6]]";
        let expected = (vec![2, 3], vec![1, 2, 3, 4, 5, 6]);
        assert_eq!(read(&[None, Some(3)], nested), expected);
        assert_eq!(read(&[None, None], nested), expected);
    }

    #[test]
    fn other_shapes_are_named() {
        let fault = |shape: &[Dim], text| fault(Datatype::Int32, shape, text);
        let what = "an array of 2 is expected, it has 3; the shape is INT32 [2]";
        assert_eq!(fault(&[Some(2)], " [1,2,3]"), (1, what.to_owned()));
        let what = "an array of 2 is expected, it has 1; the shape is INT32 [-1, -1]";
        assert_eq!(fault(&[None, None], "[[1,2],[3]]"), (7, what.to_owned()));
        let what = "an array is expected, a number was found; the shape is INT32 [-1, -1]";
        assert_eq!(fault(&[None, None], "[1,2]"), (1, what.to_owned()));
        let what = "an integer is expected, an array was found";
        assert_eq!(fault(&[Some(1)], "[[1]]"), (1, what.to_owned()));
        let what = "',' or ']' is expected, a number was found";
        assert_eq!(fault(&[None], "[1 2]"), (3, what.to_owned()));
        let what = "an integer is expected, ']' was found";
        assert_eq!(fault(&[None], "[1,]"), (3, what.to_owned()));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for (datatype, text, what) in [
            (
                Datatype::Uint8,
                "256",
                "256 is out of range for UINT8 (0 to 255)",
            ),
            (
                Datatype::Uint8,
                "-1",
                "-1 is out of range for UINT8 (0 to 255)",
            ),
            (
                Datatype::Int8,
                "-129",
                "-129 is out of range for INT8 (-128 to 127)",
            ),
            (
                Datatype::Int32,
                "1.0",
                "an integer is expected, 1.0 was found",
            ),
            (Datatype::Fp32, "1e39", "1e39 is out of range for FP32"),
            (Datatype::Fp16, "65520", "65520 is out of range for FP16"),
            (Datatype::Bf16, "4e38", "4e38 is out of range for BF16"),
            (Datatype::Fp64, "-1e309", "-1e309 is out of range for FP64"),
            (
                Datatype::Bool,
                "1",
                "true or false is expected, a number was found",
            ),
        ] {
            assert_eq!(fault(datatype, &[], text), (0, what.to_owned()));
        }
        let what = fault(Datatype::Uint64, &[], "18446744073709551616").1;
        assert!(
            what.ends_with("UINT64 (0 to 18446744073709551615)"),
            "{what}"
        );
        let zero = tensor(Datatype::Uint8, &[], "-0").unwrap();
        assert_eq!(zero.to_vec::<u8>().unwrap(), [0]);
    }

    #[test]
    fn numbers_are_rounded_once() {
        let read = |text| {
            tensor(Datatype::Fp32, &[], text)
                .unwrap()
                .to_vec::<f32>()
                .unwrap()[0]
        };
        // Halfway between two singles but for the last digit: through a double it would
        // round down.
        assert_eq!(read("1.00000005960464477540"), 1.000_000_1);
        assert_eq!(read("0.998"), 0.998);
        assert!(read("\"NaN\"").is_nan());
        assert_eq!(read("\"-Infinity\""), f32::NEG_INFINITY);
        let half = tensor(Datatype::Fp16, &[], "1.5").unwrap();
        assert_eq!(half.data()[..], half::f16::from_f32(1.5).to_le_bytes());
        let half = tensor(Datatype::Bf16, &[], "\"Infinity\"").unwrap();
        assert_eq!(half.data()[..], half::bf16::INFINITY.to_le_bytes());
        let what = fault(Datatype::Fp32, &[], "\"nan\"").1;
        assert!(what.ends_with("expected, \"nan\" was found"), "{what}");
    }

    #[test]
    fn bytes_are_text_or_base_64() {
        let read = |text| {
            let tensor = tensor(Datatype::Bytes, &[None], text).unwrap();
            tensor.byte_strings().unwrap()
        };
        let expected: [&[u8]; 3] = ["ü\"".as_bytes(), b"", b"\xff\x00"];
        assert_eq!(read(r#"["ü\"", "", {"b64": "/wA="}]"#), expected);
        let fault = |text| fault(Datatype::Bytes, &[Some(1)], text);
        assert_eq!(fault(r#"{"b64": "?"}"#).0, 8);
        assert!(
            fault(r#"{"b64": "?"}"#)
                .1
                .starts_with("the string is not base 64")
        );
        assert!(
            fault(r#"{"x": "?"}"#)
                .1
                .ends_with("an object with \"x\" was found")
        );
        assert!(
            fault("5")
                .1
                .starts_with("a string or {\"b64\": \"..\"} is expected")
        );
        assert!(
            fault(r#"{"b64": "AA==", "x": 1}"#)
                .1
                .starts_with("'}' is expected")
        );
    }

    proptest! {
        #[test]
        fn single_precision_reads_back(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = serde_json::to_string(&value).unwrap();
            let tensor = tensor(Datatype::Fp32, &[], &text).unwrap();
            prop_assert_eq!(tensor.to_vec::<f32>().unwrap()[0].to_bits(), bits);
        }
    }
}
