//! JSON arrays into a tensor's elements, with no tree between.
//!
//! The text has been checked as JSON before it comes here; this reader still assumes nothing
//! that could make it panic, or grow beyond a few times the text's own length.

use super::{DEPTH_MAX, NonText};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consort_inference::{Datatype, Element};
use serde::Deserialize;
use std::borrow::Cow;

/// Arrays of one length on each level, and their elements as a tensor holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nest {
    /// The length on each level; a lone element has none. What lies inside an empty array has
    /// no length either: `[]` has shape `[0]`.
    pub(crate) shape: Vec<usize>,
    /// The elements, raw and little-endian.
    pub(crate) data: Vec<u8>,
    /// How many there are.
    pub(crate) count: usize,
}

/// JSON that holds no tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// An element that is not of the datatype.
    #[error("element {index} is {found}; {datatype} takes {takes}")]
    Element {
        /// Which element, row-major.
        index: usize,
        /// The element as it was written, in quotes and cut if it is long.
        found: String,
        /// What was expected.
        datatype: Datatype,
        /// In words.
        takes: &'static str,
    },
    /// Arrays of several lengths on one level.
    #[error("the arrays on level {level} have {one} and {other} items; all need as many")]
    Ragged {
        /// Counted from the outside, from 0.
        level: usize,
        /// The first length.
        one: usize,
        /// Another.
        other: usize,
    },
    /// Elements and arrays side by side.
    #[error("elements and arrays stand side by side near element {0}")]
    Mixed(usize),
    /// Too deep.
    #[error("arrays nest deeper than {DEPTH_MAX} levels")]
    Depth,
    /// Not JSON after all.
    #[error("the text ends inside an array")]
    Cut,
    /// A datatype without a form.
    #[error("{0} has no form in JSON")]
    Datatype(Datatype),
}

/// The pieces of arrays. Commas are passed over: the text is known to be JSON.
struct Tokens<'a> {
    rest: &'a str,
}

enum Token<'a> {
    Open,
    Close,
    /// Anything that is no array, as it was written.
    Scalar(&'a str),
}

/// What is known of one level.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// The length of its arrays, once one has ended.
    length: Option<usize>,
    /// Whether they hold arrays, once one holds anything.
    holds_arrays: Option<bool>,
}

/// Reads a lone element, or arrays of arrays of elements.
pub(crate) fn read_nest(
    json: &str,
    datatype: Datatype,
    non_text: NonText,
) -> Result<Nest, ReadError> {
    let mut tokens = Tokens { rest: json };
    match datatype {
        Datatype::Bool => tokens.read(datatype, "true or false", push_bool),
        Datatype::Uint8 => tokens.read(datatype, "whole numbers from 0 to 255", push::<u8>),
        Datatype::Uint16 => tokens.read(datatype, "whole numbers from 0 to 65535", push::<u16>),
        Datatype::Uint32 => tokens.read(datatype, "whole numbers of 32 bits", push::<u32>),
        Datatype::Uint64 => tokens.read(datatype, "whole numbers of 64 bits", push::<u64>),
        Datatype::Int8 => tokens.read(datatype, "whole numbers from -128 to 127", push::<i8>),
        Datatype::Int16 => tokens.read(datatype, "whole numbers of 16 bits", push::<i16>),
        Datatype::Int32 => tokens.read(datatype, "whole numbers of 32 bits", push::<i32>),
        Datatype::Int64 => tokens.read(datatype, "whole numbers of 64 bits", push::<i64>),
        Datatype::Fp32 => tokens.read(datatype, "numbers within its range", |text, out| {
            let value = number::<f32>(text).filter(|value| value.is_finite());
            value.map(|value| value.write_le(out))
        }),
        Datatype::Fp64 => tokens.read(datatype, "numbers within its range", |text, out| {
            let value = number::<f64>(text).filter(|value| value.is_finite());
            value.map(|value| value.write_le(out))
        }),
        Datatype::Bytes => match non_text {
            NonText::Refused => tokens.read(datatype, "texts", push_text),
            NonText::Base64 => tokens.read(datatype, "texts and {\"b64\": ...}", |text, out| {
                push_text(text, out).or_else(|| push_base64(text, out))
            }),
        },
        Datatype::Fp16 | Datatype::Bf16 => Err(ReadError::Datatype(datatype)),
    }
}

// === impl Tokens ===

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.rest.as_bytes();
        let start = bytes.iter().position(|byte| !is_between(*byte))?;
        let text = bytes.get(start..)?;
        let length = match text.first()? {
            b'[' | b']' => 1,
            b'"' => string_length(text),
            b'{' => object_length(text),
            _ => {
                let ends = |byte: &u8| is_between(*byte) || matches!(byte, b'[' | b']');
                text.iter().position(ends).unwrap_or(text.len())
            }
        };
        // Pieces begin and end beside ASCII, so the text is never cut inside a character.
        let piece = self.rest.get(start..start + length)?;
        self.rest = self.rest.get(start + length..)?;
        Some(match piece {
            "[" => Token::Open,
            "]" => Token::Close,
            scalar => Token::Scalar(scalar),
        })
    }

    /// `push` appends one element, or gives `None` where the text is not of the datatype.
    fn read(
        &mut self,
        datatype: Datatype,
        takes: &'static str,
        push: impl Fn(&str, &mut Vec<u8>) -> Option<()>,
    ) -> Result<Nest, ReadError> {
        let mut data = Vec::new();
        let mut count = 0;
        let mut levels: Vec<Level> = Vec::new();
        // How many items each open array has so far.
        let mut open: Vec<usize> = Vec::new();
        while let Some(token) = self.next() {
            let is_array = matches!(token, Token::Open);
            if let (false, Some(items)) = (matches!(token, Token::Close), open.last_mut()) {
                *items += 1;
                let level = levels.get_mut(open.len() - 1);
                let holds_arrays = level.map(|level| *level.holds_arrays.get_or_insert(is_array));
                if holds_arrays != Some(is_array) {
                    return Err(ReadError::Mixed(count));
                }
            }
            match token {
                Token::Open if open.len() == DEPTH_MAX => return Err(ReadError::Depth),
                Token::Open => {
                    open.push(0);
                    if levels.len() < open.len() {
                        levels.push(Level::default());
                    }
                }
                Token::Scalar(text) => {
                    push(text, &mut data).ok_or_else(|| ReadError::Element {
                        index: count,
                        found: crate::text::excerpt(text.as_bytes()),
                        datatype,
                        takes,
                    })?;
                    count += 1;
                }
                Token::Close => {
                    let items = open.pop().ok_or(ReadError::Cut)?;
                    if let Some(level) = levels.get_mut(open.len()) {
                        let one = *level.length.get_or_insert(items);
                        if one != items {
                            return Err(ReadError::Ragged {
                                level: open.len(),
                                one,
                                other: items,
                            });
                        }
                    }
                }
            }
            if open.is_empty() {
                let shape = levels.iter().filter_map(|level| level.length).collect();
                return Ok(Nest { shape, data, count });
            }
        }
        Err(ReadError::Cut)
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

/// The length of the JSON object at the start of `text`, braces included.
fn object_length(text: &[u8]) -> usize {
    let (mut index, mut depth) = (0usize, 0usize);
    while let Some(byte) = text.get(index) {
        match byte {
            b'"' => {
                index += string_length(text.get(index..).unwrap_or_default());
                continue;
            }
            b'{' => depth += 1,
            b'}' if depth <= 1 => return index + 1,
            b'}' => depth -= 1,
            _ => {}
        }
        index += 1;
    }
    text.len()
}

/// Rust's own reading of a number, which rounds correctly. It takes a few words that JSON does
/// not; those have been refused as JSON before.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn push<T: Element + std::str::FromStr + Default>(text: &str, out: &mut Vec<u8>) -> Option<()> {
    // JSON has a zero with a sign, Rust's unsigned numbers do not.
    let value = if text == "-0" {
        T::default()
    } else {
        number(text)?
    };
    value.write_le(out);
    Some(())
}

fn push_bool(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let value = match text {
        "true" | "1" => true,
        "false" | "0" => false,
        _ => return None,
    };
    value.write_le(out);
    Some(())
}

fn push_text(text: &str, out: &mut Vec<u8>) -> Option<()> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let Text(text) = serde_json::from_str(text).ok()?;
    push_bytes(text.as_bytes(), out)
}

fn push_base64(text: &str, out: &mut Vec<u8>) -> Option<()> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Base64<'a> {
        #[serde(borrow)]
        b64: Cow<'a, str>,
    }
    let Base64 { b64 } = serde_json::from_str(text).ok()?;
    push_bytes(&STANDARD.decode(b64.as_bytes()).ok()?, out)
}

fn push_bytes(element: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let length = u32::try_from(element.len()).ok()?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(element);
    Some(())
}
