//! `data` of an input: JSON text straight into a tensor's bytes, with no tree between.
//!
//! The text has been checked as JSON before it comes here; this reader still assumes
//! nothing that could make it panic or grow beyond the text's own length.

use super::{DecodeError, ElementError, NestingError};
use consort_inference::{Datatype, Element};

/// Characters of an element that a message shows.
const SHOWN_CHARS_MAX: usize = 40;

/// Reads `data` as `count` elements of a shape. The array is flat, or nested exactly
/// like the shape.
pub(super) fn read_data(
    name: &str,
    json: &str,
    datatype: Datatype,
    shape: &[usize],
    count: usize,
    depth_max: usize,
) -> Result<Vec<u8>, DecodeError> {
    let reader = Reader {
        tokens: Tokens { rest: json.trim() },
        shape,
        count,
        depth_max,
    };
    let read = match datatype {
        Datatype::Bool => reader.read(1, push_bool),
        Datatype::Uint8 => reader.read(1, push_integer::<u8>),
        Datatype::Uint16 => reader.read(2, push_integer::<u16>),
        Datatype::Uint32 => reader.read(4, push_integer::<u32>),
        Datatype::Uint64 => reader.read(8, push_integer::<u64>),
        Datatype::Int8 => reader.read(1, push_integer::<i8>),
        Datatype::Int16 => reader.read(2, push_integer::<i16>),
        Datatype::Int32 => reader.read(4, push_integer::<i32>),
        Datatype::Int64 => reader.read(8, push_integer::<i64>),
        Datatype::Fp32 => reader.read(4, push_float::<f32>),
        Datatype::Fp64 => reader.read(8, push_float::<f64>),
        Datatype::Bytes => reader.read(4, push_text),
        Datatype::Fp16 | Datatype::Bf16 => {
            return Err(DecodeError::NoJsonForm {
                name: name.into(),
                datatype,
            });
        }
    };
    read.map_err(|error| match error {
        DataError::Element(source) => DecodeError::Element {
            name: name.into(),
            source,
        },
        DataError::Nesting(source) => DecodeError::Nesting {
            name: name.into(),
            source,
        },
    })
}

#[derive(Debug)]
enum DataError {
    Element(ElementError),
    Nesting(NestingError),
}

struct Reader<'a> {
    tokens: Tokens<'a>,
    shape: &'a [usize],
    count: usize,
    depth_max: usize,
}

/// The pieces of an array. Commas are passed over: the text is known to be JSON.
struct Tokens<'a> {
    rest: &'a str,
}

enum Token<'a> {
    Open,
    Close,
    /// Anything that is no array, as it was written.
    Scalar(&'a str),
}

/// Appends one element, or says what the datatype takes. A type parameter where it is
/// used, so that it is compiled into the loop.
trait Push: Fn(&str, &mut Vec<u8>) -> Result<(), String> + Copy {}

impl<F: Fn(&str, &mut Vec<u8>) -> Result<(), String> + Copy> Push for F {}

// === impl Reader ===

impl Reader<'_> {
    fn read(mut self, element_bytes: usize, push: impl Push) -> Result<Vec<u8>, DataError> {
        let Some(Token::Open) = self.tokens.next() else {
            return Err(DataError::Nesting(NestingError::NotArray));
        };
        // An element takes two characters at least, so the text bounds what is reserved.
        let elements = self.count.min(self.tokens.rest.len() / 2 + 1);
        let mut data = Vec::with_capacity(elements.saturating_mul(element_bytes));
        if self.tokens.rest.trim_start().starts_with('[') {
            self.read_nested(push, &mut data)?;
        } else {
            self.read_flat(push, &mut data)?;
        }
        Ok(data)
    }

    fn read_flat(&mut self, push: impl Push, data: &mut Vec<u8>) -> Result<(), DataError> {
        let mut index = 0;
        while let Some(token) = self.tokens.next() {
            match token {
                Token::Close if index == self.count => return Ok(()),
                Token::Close => return Err(self.wrong_count(index)),
                Token::Open => return Err(self.wrong_level(index, "an array begins")),
                Token::Scalar(_) if index == self.count => {
                    let more = std::iter::from_fn(|| self.tokens.next())
                        .filter(|token| matches!(token, Token::Scalar(_)))
                        .count();
                    return Err(self.wrong_count(index + 1 + more));
                }
                Token::Scalar(text) => push_element(push, index, text, data)?,
            }
            index += 1;
        }
        Err(DataError::Nesting(NestingError::NotArray))
    }

    fn read_nested(&mut self, push: impl Push, data: &mut Vec<u8>) -> Result<(), DataError> {
        // How many items each open array has so far; the outermost is open.
        let mut items = vec![0usize];
        let mut index = 0;
        while let Some(token) = self.tokens.next() {
            let depth = items.len();
            if let (Token::Open | Token::Scalar(_), Some(count)) = (&token, items.last_mut()) {
                let axis = depth - 1;
                let expected = self.shape.get(axis).copied().unwrap_or_default();
                if *count == expected {
                    return Err(self.wrong_axis(axis, format!("more than {expected}")));
                }
                *count += 1;
            }
            match token {
                Token::Open if depth >= self.depth_max => {
                    let depth_max = self.depth_max;
                    return Err(DataError::Nesting(NestingError::Depth { depth_max }));
                }
                Token::Open if depth >= self.shape.len() => {
                    return Err(self.wrong_level(index, "an array begins, where elements belong"));
                }
                Token::Open => items.push(0),
                Token::Scalar(_) if depth < self.shape.len() => {
                    return Err(self.wrong_level(index, "an element stands, where arrays belong"));
                }
                Token::Scalar(text) => {
                    push_element(push, index, text, data)?;
                    index += 1;
                }
                Token::Close => {
                    let count = items.pop().unwrap_or_default();
                    if self.shape.get(depth - 1) != Some(&count) {
                        return Err(self.wrong_axis(depth - 1, count.to_string()));
                    }
                    if items.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
        Err(DataError::Nesting(NestingError::NotArray))
    }

    fn wrong_count(&self, actual: usize) -> DataError {
        DataError::Nesting(NestingError::Count {
            shape: self.shape.to_vec(),
            expected: self.count,
            actual,
        })
    }

    fn wrong_axis(&self, axis: usize, actual: String) -> DataError {
        DataError::Nesting(NestingError::Axis {
            shape: self.shape.to_vec(),
            axis,
            expected: self.shape.get(axis).copied().unwrap_or_default(),
            actual,
        })
    }

    fn wrong_level(&self, index: usize, found: &'static str) -> DataError {
        DataError::Nesting(NestingError::Level {
            shape: self.shape.to_vec(),
            index,
            found,
        })
    }
}

fn push_element(
    push: impl Push,
    index: usize,
    text: &str,
    data: &mut Vec<u8>,
) -> Result<(), DataError> {
    push(text, data).map_err(|expected| {
        let mut found: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        if found.len() < text.len() {
            found.push_str("...");
        }
        DataError::Element(ElementError {
            index,
            found,
            expected,
        })
    })
}

// === impl Tokens ===

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.rest.as_bytes();
        let start = bytes.iter().position(|byte| !is_between(*byte))?;
        let text = bytes.get(start..)?;
        let length = match *text.first()? {
            b'[' | b']' => 1,
            b'"' => string_length(text),
            b'{' => text.len(),
            _ => text
                .iter()
                .position(|byte| is_between(*byte) || matches!(byte, b'[' | b']'))
                .unwrap_or(text.len()),
        };
        // Tokens end where ASCII begins, so the text is never cut inside a character.
        let end = start + length;
        let token = self.rest.get(start..end)?;
        self.rest = self.rest.get(end..)?;
        Some(match token {
            "[" => Token::Open,
            "]" => Token::Close,
            scalar => Token::Scalar(scalar),
        })
    }
}

/// What stands between elements.
fn is_between(byte: u8) -> bool {
    matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r')
}

/// The length of the JSON string at the start of `text`, quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn push_bool(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let value = match text {
        "true" | "1" => true,
        "false" | "0" => false,
        _ => return Err("BOOL takes true and false".to_owned()),
    };
    value.write_le(out);
    Ok(())
}

fn push_integer<T>(text: &str, out: &mut Vec<u8>) -> Result<(), String>
where
    T: Element + std::str::FromStr + Default,
{
    // JSON has a zero with a sign, Rust's unsigned numbers do not.
    if text == "-0" {
        T::default().write_le(out);
        return Ok(());
    }
    let value: T = text.parse().map_err(|_| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("that is out of the range of {}", T::DATATYPE)
        } else {
            format!(
                "{} takes whole numbers, written without fraction or exponent",
                T::DATATYPE
            )
        }
    })?;
    value.write_le(out);
    Ok(())
}

fn push_float<T: Element + Finite>(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let value = T::read(text)
        .filter(|_| is_number)
        .ok_or_else(|| format!("{} takes numbers", T::DATATYPE))?;
    if !value.is_finite() {
        return Err(format!("that is out of the range of {}", T::DATATYPE));
    }
    value.write_le(out);
    Ok(())
}

/// Floating-point numbers, read with one rounding.
trait Finite: Sized {
    fn read(text: &str) -> Option<Self>;
    fn is_finite(&self) -> bool;
}

impl Finite for f32 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn is_finite(&self) -> bool {
        Self::is_finite(*self)
    }
}

impl Finite for f64 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn is_finite(&self) -> bool {
        Self::is_finite(*self)
    }
}

fn push_text(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let plain = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .ok_or_else(|| "BYTES takes texts in quotes".to_owned())?;
    if plain.contains('\\') {
        let unescaped: String = serde_json::from_str(text)
            .map_err(|_| "it has an escape that stands for no character".to_owned())?;
        push_byte_string(unescaped.as_bytes(), out)
    } else {
        push_byte_string(plain.as_bytes(), out)
    }
}

fn push_byte_string(element: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let length = u32::try_from(element.len())
        .map_err(|_| "a BYTES element holds at most 4,294,967,295 bytes".to_owned())?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(element);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::Tensor;

    fn read(datatype: Datatype, shape: &[usize], json: &str) -> Result<Tensor, String> {
        // As in life: only checked JSON comes here.
        serde_json::from_str::<&serde_json::value::RawValue>(json).map_err(|e| e.to_string())?;
        let count = shape.iter().product();
        let data = read_data("x", json, datatype, shape, count, 8).map_err(|e| e.to_string())?;
        Ok(Tensor::new(datatype, shape.to_vec(), data.into()).unwrap())
    }

    #[track_caller]
    fn refused(datatype: Datatype, shape: &[usize], json: &str, expected: &str) {
        let error = read(datatype, shape, json).unwrap_err();
        assert_eq!(error, format!("input \"x\": {expected}"), "{json}");
    }

    #[test]
    fn flat_and_nested_arrays_are_the_same_tensor() {
        let expected = Tensor::from_slice(vec![2, 3], &[1i32, 2, 3, 4, 5, 6]).unwrap();
        for json in [
            "[1,2,3,4,5,6]",
            " [ 1 , 2 ,3,4,\n5,\t6 ] ",
            "[[1,2,3],[4,5,6]]",
            "[ [1, 2, 3] , [4, 5, 6] ]",
        ] {
            assert_eq!(read(Datatype::Int32, &[2, 3], json).unwrap(), expected);
        }
        assert!(read(Datatype::Int32, &[], "[7]").is_ok());
        assert!(read(Datatype::Int32, &[0, 3], "[]").is_ok());
        assert!(read(Datatype::Int32, &[2, 0], "[]").is_ok());
        assert!(read(Datatype::Int32, &[2, 0], "[[], []]").is_ok());
    }

    #[test]
    fn other_nesting_is_refused() {
        let int = Datatype::Int32;
        let advice = "nest it like the shape, or give a flat array in row-major order";
        let axis = |axis, actual, expected| {
            format!(
                "\"data\" is nested, and on axis {axis} it has {actual} where shape [2, 3] has \
                 {expected}; {advice}"
            )
        };
        let level = |index, found: &str| {
            format!(
                "\"data\" does not nest like shape [2, 3]: near element {index} {found}; {advice}"
            )
        };
        refused(int, &[2, 3], "[[1,2],[3,4],[5,6]]", &axis(1, "2", 3));
        refused(
            int,
            &[2, 3],
            "[[1,2,3,4],[5,6]]",
            &axis(1, "more than 3", 3),
        );
        refused(int, &[2, 3], "[[1,2,3]]", &axis(0, "1", 2));
        refused(
            int,
            &[2, 3],
            "[[1,2,3],[4,5,6],[7,8,9]]",
            &axis(0, "more than 2", 2),
        );
        let array = "an array begins, where elements belong";
        refused(int, &[2, 3], "[[[1],[2],[3]],[4,5,6]]", &level(0, array));
        let element = "an element stands, where arrays belong";
        refused(int, &[2, 3], "[[1,2,3],4]", &level(3, element));
        refused(int, &[2, 3], "[1,[2]]", &level(1, "an array begins"));
        refused(int, &[2, 3], "5", "\"data\" takes an array");
        refused(int, &[2, 3], "{\"a\": [1]}", "\"data\" takes an array");
        let few = "shape [2, 3] takes 6 elements, but \"data\" has 2";
        refused(int, &[2, 3], "[1,2]", few);
        let many = "shape [2, 3] takes 6 elements, but \"data\" has 7";
        refused(int, &[2, 3], "[1,2,3,4,5,6,7]", many);
        let deep = "\"data\" nests deeper than 8 levels, which is the limit";
        refused(int, &[1; 9], "[[[[[[[[[1]]]]]]]]]", deep);
    }

    #[test]
    fn integers_are_exact_and_bounded() {
        let big = read(
            Datatype::Int64,
            &[2],
            "[9007199254740993, -9223372036854775808]",
        );
        assert_eq!(
            big.unwrap().to_vec::<i64>().unwrap(),
            [9007199254740993, i64::MIN]
        );
        let zero = read(Datatype::Uint8, &[2], "[-0, 255]");
        assert_eq!(zero.unwrap().to_vec::<u8>().unwrap(), [0, 255]);
        let range = |found, datatype| {
            format!("element 1 of \"data\" is {found}; that is out of the range of {datatype}")
        };
        refused(Datatype::Uint8, &[2], "[0, 256]", &range("256", "UINT8"));
        refused(Datatype::Uint8, &[2], "[0, -1]", &range("-1", "UINT8"));
        refused(Datatype::Int8, &[2], "[0, -129]", &range("-129", "INT8"));
        let huge = "99999999999999999999";
        refused(
            Datatype::Uint64,
            &[2],
            &format!("[0, {huge}]"),
            &range(huge, "UINT64"),
        );
        for wrong in ["1.0", "1e3", "\"1\"", "true", "null"] {
            let expected = format!(
                "element 0 of \"data\" is {wrong}; INT32 takes whole numbers, written without \
                 fraction or exponent"
            );
            refused(Datatype::Int32, &[1], &format!("[{wrong}]"), &expected);
        }
    }

    #[test]
    fn floats_are_rounded_once() {
        // Between two FP32 numbers: rounding to FP64 first would give the wrong one.
        let text = "1.00000005960464483090178623592";
        let read_back = read(Datatype::Fp32, &[1], &format!("[{text}]")).unwrap();
        assert_eq!(
            read_back.to_vec::<f32>().unwrap(),
            [text.parse::<f32>().unwrap()]
        );
        assert_ne!(
            text.parse::<f64>().unwrap() as f32,
            text.parse::<f32>().unwrap()
        );
        let doubles = read(Datatype::Fp64, &[3], "[0.1, -1E-3, 5]").unwrap();
        assert_eq!(doubles.to_vec::<f64>().unwrap(), [0.1, -0.001, 5.0]);
        let range = "element 0 of \"data\" is 1e39; that is out of the range of FP32";
        refused(Datatype::Fp32, &[1], "[1e39]", range);
        let wrong = "element 0 of \"data\" is \"NaN\"; FP32 takes numbers";
        refused(Datatype::Fp32, &[1], "[\"NaN\"]", wrong);
        assert!(
            read(Datatype::Fp32, &[1], "[NaN]")
                .unwrap_err()
                .contains("expected value")
        );
    }

    #[test]
    fn truth_and_texts() {
        let truth = read(Datatype::Bool, &[4], "[true, false, 1, 0]").unwrap();
        assert_eq!(truth.to_vec::<bool>().unwrap(), [true, false, true, false]);
        let wrong = "element 0 of \"data\" is 2; BOOL takes true and false";
        refused(Datatype::Bool, &[1], "[2]", wrong);
        let texts = r#"["a,]\"[", "", "\u00e4\\", "ö"]"#;
        let read_back = read(Datatype::Bytes, &[4], texts).unwrap();
        assert_eq!(
            read_back.byte_strings().unwrap(),
            ["a,]\"[", "", "ä\\", "ö"]
        );
        let wrong = "element 0 of \"data\" is 5; BYTES takes texts in quotes";
        refused(Datatype::Bytes, &[1], "[5]", wrong);
        let long = "x".repeat(50);
        let error = read(Datatype::Int8, &[1], &format!("[\"{long}\"]")).unwrap_err();
        assert!(error.contains(&format!("{}...;", &long[..39])), "{error}");
    }

    #[test]
    fn half_precision_has_no_form_in_json() {
        let error = read(Datatype::Bf16, &[1], "[1.0]").unwrap_err();
        assert!(
            error.contains("BF16 has no form in JSON; send it with the binary"),
            "{error}"
        );
    }
}
