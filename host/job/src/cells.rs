//! Fields of CSV and values of Parquet as elements of tensors.
//!
//! A number is read in its own datatype, so that it is rounded once; one that the datatype
//! cannot hold is refused, never cut off.

use crate::elements;
use crate::json::Cursor;
use crate::parquet_rows::Values;
use consort_inference::{Datatype, Element, Tensor, TensorSpec};
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

/// The most bytes of a field that a message repeats.
const SHOWN_MAX: usize = 40;

/// Reads a field as a whole tensor: an element, or a list as JSON writes it.
pub(crate) fn tensor_of_field(field: &[u8], spec: &TensorSpec) -> Result<Tensor, String> {
    let is_list = field.trim_ascii_start().starts_with(b"[");
    if is_scalar(spec) || *spec.shape == [None] && !is_list {
        let mut data = Vec::new();
        push_field(field, spec.datatype, &mut data)?;
        return finish(spec, 1, data);
    }
    let text = std::str::from_utf8(field).map_err(|_| "the field is not UTF-8".to_owned())?;
    let mut cursor = Cursor::new(text);
    let tensor = elements::read(&mut cursor, spec).and_then(|tensor| {
        cursor.end()?;
        Ok(tensor)
    });
    tensor.map_err(|fault| fault.what)
}

/// Stacks fields into a vector; says which of them was bad.
pub(crate) fn tensor_of_fields<'a>(
    fields: impl ExactSizeIterator<Item = &'a [u8]>,
    spec: &TensorSpec,
) -> Result<Tensor, (usize, String)> {
    let count = fields.len();
    let size = spec.datatype.size_bytes().unwrap_or(size_of::<u32>());
    let mut data = Vec::with_capacity(count * size);
    for (index, field) in fields.enumerate() {
        push_field(field, spec.datatype, &mut data).map_err(|what| (index, what))?;
    }
    finish(spec, count, data).map_err(|what| (0, what))
}

/// Makes a tensor of one element, a vector of as many as there are, or, where all axes but
/// one are known, of that shape, row by row.
fn finish(spec: &TensorSpec, count: usize, data: Vec<u8>) -> Result<Tensor, String> {
    let known: Option<usize> = spec
        .shape
        .iter()
        .flatten()
        .try_fold(1usize, |product, length| product.checked_mul(*length));
    let open = spec.shape.iter().filter(|length| length.is_none()).count();
    let shape: Option<Vec<usize>> = match (known, open) {
        (Some(known), 0) if known == count => spec.shape.iter().copied().collect(),
        (Some(known), 1) if known > 0 && count.is_multiple_of(known) => {
            let length = |length: &Option<usize>| length.unwrap_or(count / known);
            Some(spec.shape.iter().map(length).collect())
        }
        _ => None,
    };
    let Some(shape) = shape else {
        return Err(format!("{spec} is expected, there are {count} elements"));
    };
    Tensor::new(spec.datatype, shape, data.into()).map_err(|error| error.to_string())
}

fn is_scalar(spec: &TensorSpec) -> bool {
    spec.shape.iter().all(|length| *length == Some(1)) && spec.shape.len() < 2
}

fn push_field(field: &[u8], datatype: Datatype, out: &mut Vec<u8>) -> Result<(), String> {
    if datatype == Datatype::Bytes {
        return push_bytes(field, out);
    }
    let text = std::str::from_utf8(field).map(str::trim);
    let text = text.map_err(|_| format!("{datatype} is expected, the field is not UTF-8"))?;
    if datatype == Datatype::Fp32
        && let Some(value) = short_single(text)
    {
        value.write_le(out);
        return Ok(());
    }
    match datatype {
        Datatype::Bool => {
            let truth = ["true", "1"]
                .iter()
                .any(|word| text.eq_ignore_ascii_case(word));
            let lie = ["false", "0"]
                .iter()
                .any(|word| text.eq_ignore_ascii_case(word));
            match truth || lie {
                true => out.push(u8::from(truth)),
                false => return Err(unfit(text, "true, false, 1 or 0")),
            }
        }
        Datatype::Uint8 => integer::<u8>(text, out)?,
        Datatype::Uint16 => integer::<u16>(text, out)?,
        Datatype::Uint32 => integer::<u32>(text, out)?,
        Datatype::Uint64 => integer::<u64>(text, out)?,
        Datatype::Int8 => integer::<i8>(text, out)?,
        Datatype::Int16 => integer::<i16>(text, out)?,
        Datatype::Int32 => integer::<i32>(text, out)?,
        Datatype::Int64 => integer::<i64>(text, out)?,
        Datatype::Fp32 => float(text, datatype, |value: f32| {
            value.write_le(out);
            value.is_finite()
        })?,
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp64 => {
            float(text, datatype, |value: f64| {
                push_float(value, datatype, out)
            })?;
        }
        Datatype::Bytes => {}
    }
    Ok(())
}

/// Most numbers are short, and most tensors are of single precision.
fn short_single(text: &str) -> Option<f32> {
    let mut cursor = Cursor::new(text);
    let number = cursor.number("a number").ok()?;
    (cursor.rest_len() == 0).then(|| number.exact_single())?
}

fn unfit(text: &str, wanted: &str) -> String {
    match text.is_empty() {
        true => format!("{wanted} is expected, the field is empty"),
        false => {
            let shown: String = text.chars().take(SHOWN_MAX).collect();
            format!("{wanted} is expected, \"{shown}\" was found")
        }
    }
}

fn integer<T: Element + FromStr>(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let value: T = text
        .parse()
        .map_err(|_| unfit(text, T::DATATYPE.as_str()))?;
    value.write_le(out);
    Ok(())
}

/// Reads a number, or NaN or infinity as a word; `push` tells whether it stayed finite.
fn float<T: FromStr>(
    text: &str,
    datatype: Datatype,
    push: impl FnOnce(T) -> bool,
) -> Result<(), String> {
    let value = text.parse().map_err(|_| unfit(text, datatype.as_str()))?;
    let is_word = || {
        let word = text.trim_start_matches(['+', '-']);
        word.starts_with(|first: char| first.is_ascii_alphabetic())
    };
    match push(value) || is_word() {
        true => Ok(()),
        false => Err(format!("{text:.SHOWN_MAX$} is out of range for {datatype}")),
    }
}

/// Appends a float in its own precision; whether it is finite there.
fn push_float(value: f64, datatype: Datatype, out: &mut Vec<u8>) -> bool {
    match datatype {
        Datatype::Fp16 => {
            let value = half::f16::from_f64(value);
            out.extend_from_slice(&value.to_le_bytes());
            value.is_finite()
        }
        Datatype::Bf16 => {
            let value = half::bf16::from_f64(value);
            out.extend_from_slice(&value.to_le_bytes());
            value.is_finite()
        }
        Datatype::Fp32 => {
            let value = value as f32;
            value.write_le(out);
            value.is_finite()
        }
        _ => {
            value.write_le(out);
            value.is_finite()
        }
    }
}

fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let length = u32::try_from(bytes.len());
    let length = length.map_err(|_| "a BYTES element holds at most 4 GiB".to_owned())?;
    length.write_le(out);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Makes a tensor of one value or of a list.
pub(crate) fn tensor_of_values(
    values: &Values,
    range: Range<usize>,
    spec: &TensorSpec,
) -> Result<Tensor, String> {
    let count = range.len();
    let size = spec.datatype.size_bytes().unwrap_or(size_of::<u32>());
    let mut data = Vec::with_capacity(count * size);
    push_values(values, range, spec.datatype, &mut data)?;
    finish(spec, count, data)
}

/// Stacks values, one of each column, into a vector; says which of them was bad.
pub(crate) fn tensor_of_stack<'a>(
    cells: impl ExactSizeIterator<Item = (&'a Values, Range<usize>)>,
    spec: &TensorSpec,
) -> Result<Tensor, (usize, String)> {
    let count = cells.len();
    let size = spec.datatype.size_bytes().unwrap_or(size_of::<u32>());
    let mut data = Vec::with_capacity(count * size);
    for (index, (values, range)) in cells.enumerate() {
        let pushed = match range.len() {
            1 => push_values(values, range, spec.datatype, &mut data),
            _ => Err("a value is expected, a list was found".to_owned()),
        };
        pushed.map_err(|what| (index, what))?;
    }
    finish(spec, count, data).map_err(|what| (0, what))
}

/// Appends values in another datatype, as long as they are in its range.
fn push_values(
    values: &Values,
    range: Range<usize>,
    datatype: Datatype,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let missing = || "a value is missing".to_owned();
    macro_rules! each {
        ($values:expr, $push:expr) => {{
            let values = $values.get(range).ok_or_else(missing)?;
            values.iter().try_for_each($push)
        }};
    }
    match (values, datatype) {
        // The common case is a copy.
        (Values::Fp32(values), Datatype::Fp32) => each!(values, |value| {
            value.write_le(out);
            Ok(())
        }),
        (Values::Bool(values), Datatype::Bool) => each!(values, |value| {
            out.push(u8::from(*value));
            Ok(())
        }),
        (Values::Bool(values), _) => {
            each!(values, |value| push_integer(
                i128::from(*value),
                datatype,
                "a boolean",
                out
            ))
        }
        (Values::Int32(values), _) => {
            each!(values, |value| push_integer(
                (*value).into(),
                datatype,
                "an integer",
                out
            ))
        }
        (Values::Uint32(values), _) => {
            let unsigned = |value: i32| i128::from(value as u32);
            each!(values, |value| push_integer(
                unsigned(*value),
                datatype,
                "an integer",
                out
            ))
        }
        (Values::Int64(values), _) => {
            each!(values, |value| push_integer(
                (*value).into(),
                datatype,
                "an integer",
                out
            ))
        }
        (Values::Uint64(values), _) => {
            let unsigned = |value: i64| i128::from(value as u64);
            each!(values, |value| push_integer(
                unsigned(*value),
                datatype,
                "an integer",
                out
            ))
        }
        (Values::Fp32(values), _) => {
            each!(values, |value| push_real(f64::from(*value), datatype, out))
        }
        (Values::Fp64(values), _) => each!(values, |value| push_real(*value, datatype, out)),
        (Values::Fixed(values, true), _) if datatype != Datatype::Bytes => each!(values, |value| {
            let bytes = value.data().try_into().map_err(|_| missing())?;
            push_real(half::f16::from_le_bytes(bytes).to_f64(), datatype, out)
        }),
        (Values::Bytes(values), Datatype::Bytes) => {
            each!(values, |value| push_bytes(value.data(), out))
        }
        (Values::Fixed(values, false), Datatype::Bytes) => {
            each!(values, |value| push_bytes(value.data(), out))
        }
        (Values::Bytes(_) | Values::Fixed(..), _) => {
            Err(format!("{datatype} is expected, a string was found"))
        }
    }
}

fn push_integer(
    value: i128,
    datatype: Datatype,
    what: &str,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    fn cast<T: Element + TryFrom<i128>>(value: i128, out: &mut Vec<u8>) -> bool {
        let cast = T::try_from(value).map(|value| value.write_le(out));
        cast.is_ok()
    }
    let fits = match datatype {
        Datatype::Uint8 => cast::<u8>(value, out),
        Datatype::Uint16 => cast::<u16>(value, out),
        Datatype::Uint32 => cast::<u32>(value, out),
        Datatype::Uint64 => cast::<u64>(value, out),
        Datatype::Int8 => cast::<i8>(value, out),
        Datatype::Int16 => cast::<i16>(value, out),
        Datatype::Int32 => cast::<i32>(value, out),
        Datatype::Int64 => cast::<i64>(value, out),
        Datatype::Fp32 => {
            // Straight from the integer, so that it is rounded once.
            (value as f32).write_le(out);
            true
        }
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp64 => push_float(value as f64, datatype, out),
        Datatype::Bool if value == 0 || value == 1 => {
            out.push(u8::from(value == 1));
            true
        }
        Datatype::Bool | Datatype::Bytes => {
            return Err(format!("{datatype} is expected, {what} was found"));
        }
    };
    in_range(fits, value, datatype)
}

fn push_real(value: f64, datatype: Datatype, out: &mut Vec<u8>) -> Result<(), String> {
    match datatype {
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => {
            let finite = push_float(value, datatype, out);
            in_range(finite || !value.is_finite(), value, datatype)
        }
        Datatype::Bool | Datatype::Bytes => {
            Err(format!("{datatype} is expected, a number was found"))
        }
        // Columns of integers with gaps are often stored as floats.
        _ if value.fract() == 0.0 && value.abs() < (1u64 << 53) as f64 => {
            push_integer(value as i128, datatype, "a number", out)
        }
        _ => Err(format!("{datatype} is expected, {value} was found")),
    }
}

fn in_range(fits: bool, value: impl Display, datatype: Datatype) -> Result<(), String> {
    match fits {
        true => Ok(()),
        false => Err(format!("{value} is out of range for {datatype}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str, datatype: Datatype, shape: &[Option<usize>]) -> Result<Tensor, String> {
        let spec = TensorSpec::new("x", datatype, shape.to_vec());
        tensor_of_field(text.as_bytes(), &spec)
    }

    #[test]
    fn fields_are_numbers_words_and_lists() {
        let one = |text, datatype| field(text, datatype, &[Some(1)]);
        let float = |text| one(text, Datatype::Fp32).unwrap().to_vec::<f32>().unwrap()[0];
        assert_eq!(
            (float(" 1.5 "), float("-.5"), float("1e3")),
            (1.5, -0.5, 1000.0)
        );
        assert!(float("nan").is_nan() && float("-inf") == f32::NEG_INFINITY);
        assert_eq!(one("-7", Datatype::Int8).unwrap().data().as_ref(), [249]);
        assert_eq!(one("True", Datatype::Bool).unwrap().data().as_ref(), [1]);
        let text = one(" é ", Datatype::Bytes).unwrap().byte_strings().unwrap();
        assert_eq!(text, [" é "]);
        let list = field("[1, 2]", Datatype::Int64, &[None]).unwrap();
        assert_eq!(list.to_vec::<i64>().unwrap(), [1, 2]);
        let list = field("3", Datatype::Int64, &[None]).unwrap();
        assert_eq!(
            (list.shape(), list.to_vec::<i64>().unwrap()),
            (&[1][..], vec![3])
        );
        let matrix = field("[[1,2],[3,4]]", Datatype::Fp32, &[Some(2), None]).unwrap();
        assert_eq!(matrix.shape(), [2, 2]);
    }

    #[test]
    fn fields_that_do_not_fit_say_what_is_expected() {
        let error = |text, datatype| field(text, datatype, &[]).unwrap_err();
        assert_eq!(
            error("", Datatype::Fp32),
            "FP32 is expected, the field is empty"
        );
        assert_eq!(
            error("abc", Datatype::Fp64),
            "FP64 is expected, \"abc\" was found"
        );
        assert_eq!(
            error("1.0", Datatype::Int32),
            "INT32 is expected, \"1.0\" was found"
        );
        assert_eq!(
            error("300", Datatype::Uint8),
            "UINT8 is expected, \"300\" was found"
        );
        assert_eq!(
            error("1e39", Datatype::Fp32),
            "1e39 is out of range for FP32"
        );
        assert_eq!(
            error("yes", Datatype::Bool),
            "true, false, 1 or 0 is expected, \"yes\" was found"
        );
        let error = field("[1]", Datatype::Fp32, &[Some(2)]).unwrap_err();
        assert_eq!(
            error,
            "an array of 2 is expected, it has 1; the shape is FP32 [2]"
        );
    }

    #[test]
    fn values_keep_their_meaning_or_are_refused() {
        let make = |values: &Values, datatype, shape: &[Option<usize>]| {
            let spec = TensorSpec::new("x", datatype, shape.to_vec());
            tensor_of_values(values, 0..2, &spec)
        };
        let doubles = Values::Fp64(vec![1.0, -2.0]);
        let tensor = make(&doubles, Datatype::Int8, &[Some(2)]).unwrap();
        assert_eq!(tensor.data().as_ref(), [1, 254]);
        assert!(make(&doubles, Datatype::Fp32, &[None]).is_ok());
        let error = make(&doubles, Datatype::Uint8, &[None]).unwrap_err();
        assert_eq!(error, "-2 is out of range for UINT8");
        let error = make(&doubles, Datatype::Fp32, &[Some(3)]).unwrap_err();
        assert_eq!(error, "FP32 [3] is expected, there are 2 elements");
        let error = make(&Values::Fp64(vec![0.5, 0.5]), Datatype::Int8, &[None]).unwrap_err();
        assert_eq!(error, "INT8 is expected, 0.5 was found");
        let large = Values::Uint64(vec![-1, 0]);
        let tensor = make(&large, Datatype::Uint64, &[None]).unwrap();
        assert_eq!(tensor.to_vec::<u64>().unwrap(), [u64::MAX, 0]);
        let error = make(&large, Datatype::Bytes, &[None]).unwrap_err();
        assert_eq!(error, "BYTES is expected, an integer was found");
    }
}
