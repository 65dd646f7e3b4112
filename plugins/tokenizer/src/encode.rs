//! From a text to its first tokens, at a cost that goes by the tokens and not by the text.
//!
//! A prefix of the text is tokenised, cut where white space begins. It is enough when the tokens
//! that are wanted end well before the cut: then no rule that looks at words and their
//! neighbours can make others of the whole text. Otherwise a prefix of twice the size is tried.

use crate::config::{Config, Output};
use consort_sdk::Error;
use std::fmt;
use tokenizers::{PostProcessor, Tokenizer, TruncationDirection};

/// How many bytes of text are tried first, for each token wanted.
const BYTES_PER_TOKEN: usize = 8;
/// The least that is tried first.
const PREFIX_BYTES_MIN: usize = 2048;
/// How far before the cut of a prefix the last token wanted must end.
const MARGIN_BYTES: usize = 256;

/// The rules, ready to be used.
#[derive(Debug)]
pub struct Encoder {
    rules: Tokenizer,
    max_length: usize,
    /// How many special tokens the rules add to one text.
    added: usize,
    special_tokens: bool,
    text_bytes_max: usize,
    /// Whether the rules take a text apart before they look for tokens.
    words_apart: bool,
}

/// The tokens of one text; all three are of one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    ids: Vec<i64>,
    mask: Vec<i64>,
    types: Vec<i64>,
}

/// Why a text has no tokens.
#[derive(Debug)]
pub enum EncodeError {
    /// More of it would have to be looked at than is allowed.
    TooLong {
        /// The length of the text.
        text_bytes: usize,
        /// How much may be looked at.
        text_bytes_max: usize,
        /// How many tokens were wanted.
        max_length: usize,
    },
    /// The rules do not agree with themselves.
    Tokenizer(String),
}

// === impl Encoder ===

impl Encoder {
    /// Reads the rules. Padding and truncation that the file asks for are not theirs to decide.
    pub fn new(rules: &[u8], config: &Config) -> Result<Self, Error> {
        let mut rules = Tokenizer::from_bytes(rules).map_err(Error::failed)?;
        rules.with_padding(None);
        rules.with_truncation(None).map_err(Error::failed)?;
        let added = match rules.get_post_processor() {
            Some(processor) if config.special_tokens => processor.added_tokens(false),
            _ => 0,
        };
        if config.max_length <= added {
            return Err(Error::failed(format!(
                "max_length is {}, and {added} special tokens are added: at least {} is expected",
                config.max_length,
                added + 1
            )));
        }
        Ok(Self {
            words_apart: rules.get_pre_tokenizer().is_some(),
            rules,
            max_length: config.max_length,
            added,
            special_tokens: config.special_tokens,
            text_bytes_max: config.text_bytes_max,
        })
    }

    /// The first tokens of a text.
    pub fn encode(&self, text: &str) -> Result<Tokens, EncodeError> {
        let wanted = self.max_length - self.added;
        let mut bytes = wanted.saturating_mul(BYTES_PER_TOKEN).max(PREFIX_BYTES_MIN);
        loop {
            let prefix = self.prefix(text, bytes);
            if prefix.len() > self.text_bytes_max {
                return Err(EncodeError::TooLong {
                    text_bytes: text.len(),
                    text_bytes_max: self.text_bytes_max,
                    max_length: self.max_length,
                });
            }
            let is_whole = prefix.len() == text.len();
            // Where tokens are in the text matters only to a prefix.
            let mut encoding = match is_whole {
                true => self.rules.encode_fast(prefix, false)?,
                false => self.rules.encode(prefix, false)?,
            };
            let last = encoding.get_offsets().get(wanted.saturating_sub(1));
            let enough = last.is_some_and(|(_, end)| end + MARGIN_BYTES <= prefix.len());
            if enough || is_whole {
                encoding.truncate(wanted, 0, TruncationDirection::Right);
                if let (true, Some(rules)) = (self.special_tokens, self.rules.get_post_processor())
                {
                    encoding = rules.process(encoding, None, true)?;
                }
                return Ok(Tokens {
                    ids: wide(encoding.get_ids()),
                    mask: wide(encoding.get_attention_mask()),
                    types: wide(encoding.get_type_ids()),
                });
            }
            bytes = prefix.len().max(bytes).saturating_mul(2);
        }
    }

    /// At least so many bytes of a text, up to where white space begins.
    fn prefix<'a>(&self, text: &'a str, bytes: usize) -> &'a str {
        if !self.words_apart {
            return text;
        }
        let mut before_is_word = false;
        for (at, letter) in text.char_indices() {
            if at >= bytes && before_is_word && letter.is_whitespace() {
                return text.get(..at).unwrap_or(text);
            }
            before_is_word = !letter.is_whitespace();
        }
        text
    }
}

// === impl Tokens ===

impl Tokens {
    /// The numbers that an output holds.
    pub fn of(&self, output: Output) -> &[i64] {
        match output {
            Output::InputIds => &self.ids,
            Output::AttentionMask => &self.mask,
            Output::TokenTypeIds => &self.types,
        }
    }
}

fn wide(numbers: &[u32]) -> Vec<i64> {
    numbers.iter().map(|number| i64::from(*number)).collect()
}

// === impl EncodeError ===

impl From<tokenizers::Error> for EncodeError {
    fn from(error: tokenizers::Error) -> Self {
        Self::Tokenizer(error.to_string())
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong {
                text_bytes,
                text_bytes_max,
                max_length,
            } => write!(
                f,
                "the text has {text_bytes} bytes, and its first {max_length} tokens are not found \
                 in {text_bytes_max} bytes (`text_bytes_max`)"
            ),
            Self::Tokenizer(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for EncodeError {}
