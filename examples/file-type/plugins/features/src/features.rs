//! From the two ends of a file to the model's tokens: the pure function, without any
//! tensor, so that it can be benched and tested by itself.

use crate::Config;
use std::fmt;

/// The ends of a file. For a file shorter than a window both are the whole file.
#[derive(Debug, Clone, Copy)]
pub struct Windows<'a> {
    /// The first bytes.
    pub head: &'a [u8],
    /// The last bytes.
    pub tail: &'a [u8],
    /// The size of the whole file in bytes.
    pub size: u64,
}

/// What the ends of a file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Features {
    /// The model's input: one token a byte.
    Tokens(Vec<i32>),
    /// There is nothing for a model to see.
    Guess(Guess),
}

/// What can be said of a file without the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// It has no content.
    Empty,
    /// It is UTF-8.
    Text,
    /// It is not.
    Unknown,
}

/// A window that does not hold what the file's size asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowError {
    /// Which window.
    pub window: &'static str,
    /// How many bytes it must hold at least, at most.
    pub expected: (u64, u64),
    /// How many bytes it holds.
    pub actual: u64,
    /// The size of the file.
    pub size: u64,
}

/// Makes the model's tokens of a file, or says what the file is without the model.
pub fn features(config: &Config, windows: Windows<'_>) -> Result<Features, WindowError> {
    let mut tokens = Vec::with_capacity(config.token_count());
    Ok(match add_features(config, windows, &mut tokens)? {
        None => Features::Tokens(tokens),
        Some(guess) => Features::Guess(guess),
    })
}

/// Adds the model's tokens of a file to others, or says what the file is without the model.
///
/// The first and last `block_size` bytes are stripped of white space on their outer side;
/// of these, `beg_size` and `end_size` bytes become tokens, padded on their inner side.
pub fn add_features(
    config: &Config,
    windows: Windows<'_>,
    tokens: &mut Vec<i32>,
) -> Result<Option<Guess>, WindowError> {
    let Windows { size, .. } = windows;
    let (head, tail) = windows.blocks(config.block_size)?;
    if size == 0 {
        return Ok(Some(Guess::Empty));
    }
    let start = strip_start(head);
    // Too little content, or too little after white space: the model would see padding.
    if size < config.min_file_size as u64 || start.len() < config.min_file_size {
        return Ok(Some(guess(head)));
    }
    let end = strip_end(tail);
    let start = start.get(..config.beg_size).unwrap_or(start);
    let end = end
        .len()
        .checked_sub(config.end_size)
        .and_then(|cut| end.get(cut..))
        .unwrap_or(end);

    let before = tokens.len();
    add_tokens(start, tokens);
    tokens.resize(
        before + config.token_count() - end.len(),
        config.padding_token,
    );
    add_tokens(end, tokens);
    Ok(None)
}

/// One token a byte. Block by block: a component is looked at after each turn of a loop, and
/// is faster for fewer turns.
fn add_tokens(bytes: &[u8], tokens: &mut Vec<i32>) {
    let (blocks, rest) = bytes.as_chunks::<64>();
    tokens.reserve(bytes.len());
    for block in blocks {
        tokens.extend(block.iter().map(|byte| i32::from(*byte)));
    }
    tokens.extend(rest.iter().map(|byte| i32::from(*byte)));
}

fn guess(content: &[u8]) -> Guess {
    if std::str::from_utf8(content).is_ok() {
        Guess::Text
    } else {
        Guess::Unknown
    }
}

fn strip_start(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().take_while(|byte| is_space(**byte)).count();
    bytes.get(length..).unwrap_or_default()
}

fn strip_end(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.iter().rev().take_while(|byte| is_space(**byte));
    bytes
        .get(..bytes.len() - spaces.count())
        .unwrap_or_default()
}

/// White space in ASCII, vertical tab and form feed included.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

// === impl Windows ===

impl<'a> Windows<'a> {
    /// The first and the last block of the file, of `block_size` bytes or all there are.
    fn blocks(self, block_size: usize) -> Result<(&'a [u8], &'a [u8]), WindowError> {
        let Self { head, tail, size } = self;
        let length = usize::try_from(size).map_or(block_size, |size| size.min(block_size));
        for (window, bytes) in [("head", head), ("tail", tail)] {
            let actual = bytes.len() as u64;
            if actual < length as u64 || actual > size {
                let expected = (length as u64, size);
                return Err(WindowError {
                    window,
                    expected,
                    actual,
                    size,
                });
            }
        }
        let head = head.get(..length).unwrap_or_default();
        let tail = tail.get(tail.len() - length..).unwrap_or_default();
        Ok((head, tail))
    }
}

// === impl WindowError ===

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            window,
            expected: (least, most),
            actual,
            size,
        } = self;
        write!(
            f,
            "tensor \"{window}\" holds {actual} bytes of a file of {size} bytes; "
        )?;
        if actual < least {
            write!(f, "at least {least} are needed")
        } else {
            write!(f, "at most {most} are possible")
        }
    }
}

impl std::error::Error for WindowError {}
