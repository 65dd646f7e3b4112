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
fn add_features(
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
    add_tokens(config, start, strip_end(tail), config.padding_token, tokens);
    Ok(None)
}

/// Adds the tokens of a file of whose windows only the outer ends are at hand: enough, unless
/// there is much white space, or too little for tokens that have no `padding`. Whether there
/// were any: if not, the whole windows say more.
pub fn add_ends<T: Token>(
    config: &Config,
    ends: Windows<'_>,
    (head_length, tail_length): (usize, usize),
    padding: Option<T>,
    tokens: &mut Vec<T>,
) -> Result<bool, WindowError> {
    let Windows { head, tail, size } = ends;
    let length = block_length(size, config.block_size);
    check_window("head", head_length, length, size)?;
    check_window("tail", tail_length, length, size)?;
    let (head, tail) = (first(head, length), last(tail, length));
    let (start, end) = (strip_start(head), strip_end(tail));
    let (starts, ends) = (start.len() >= config.beg_size, end.len() >= config.end_size);
    let is_whole = (starts || head.len() == length) && (ends || tail.len() == length);
    let is_seen = size >= config.min_file_size as u64 && start.len() >= config.min_file_size;
    // No padding is needed where there are bytes enough.
    let padding = padding.or((starts && ends).then(T::default));
    match padding {
        Some(padding) if is_whole && is_seen => {
            add_tokens(config, start, end, padding, tokens);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// What is left of the two blocks, as tokens.
fn add_tokens<T: Token>(
    config: &Config,
    start: &[u8],
    end: &[u8],
    padding: T,
    tokens: &mut Vec<T>,
) {
    let (start, end) = (first(start, config.beg_size), last(end, config.end_size));
    let before = tokens.len();
    T::add(start, tokens);
    tokens.resize(before + config.token_count() - end.len(), padding);
    T::add(end, tokens);
}

/// A number that stands for a byte.
pub trait Token: Copy + Default {
    /// Adds one token a byte.
    fn add(bytes: &[u8], tokens: &mut Vec<Self>);
}

impl Token for u8 {
    fn add(bytes: &[u8], tokens: &mut Vec<Self>) {
        tokens.extend_from_slice(bytes);
    }
}

impl Token for u16 {
    fn add(bytes: &[u8], tokens: &mut Vec<Self>) {
        add_wide(bytes, tokens);
    }
}

impl Token for i32 {
    fn add(bytes: &[u8], tokens: &mut Vec<Self>) {
        add_wide(bytes, tokens);
    }
}

/// Block by block: a component is looked at after each turn of a loop, and is faster for fewer
/// turns.
fn add_wide<T: From<u8>>(bytes: &[u8], tokens: &mut Vec<T>) {
    let (blocks, rest) = bytes.as_chunks::<64>();
    tokens.reserve(bytes.len());
    for block in blocks {
        tokens.extend(block.iter().map(|byte| T::from(*byte)));
    }
    tokens.extend(rest.iter().map(|byte| T::from(*byte)));
}

/// So many bytes from the start, or all there are.
fn first(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(..count).unwrap_or(bytes)
}

/// So many bytes up to the end, or all there are.
fn last(bytes: &[u8], count: usize) -> &[u8] {
    let cut = bytes.len().checked_sub(count);
    cut.and_then(|cut| bytes.get(cut..)).unwrap_or(bytes)
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
        let length = block_length(size, block_size);
        check_window("head", head.len(), length, size)?;
        check_window("tail", tail.len(), length, size)?;
        Ok((first(head, length), last(tail, length)))
    }
}

/// How many bytes a block of a file has.
fn block_length(size: u64, block_size: usize) -> usize {
    usize::try_from(size).map_or(block_size, |size| size.min(block_size))
}

/// Refuses a window that does not hold its block, or more than the file.
fn check_window(
    window: &'static str,
    actual: usize,
    length: usize,
    size: u64,
) -> Result<(), WindowError> {
    let (actual, least) = (actual as u64, length as u64);
    if (least..=size.max(least)).contains(&actual) {
        return Ok(());
    }
    Err(WindowError {
        window,
        expected: (least, size),
        actual,
        size,
    })
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
