//! What is done to a text, in this order: control characters, normalisation form, small letters,
//! accents, white space.
//!
//! A step that would change nothing makes no copy, and a text of ASCII alone needs no tables.

use crate::config::{Config, Form, Invalid};
use std::borrow::Cow;
use std::fmt;
use std::str::Utf8Error;
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{
    IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfd_quick, is_nfkc_quick, is_nfkd_quick,
};

/// What is done to each text.
#[derive(Debug, Clone)]
pub struct Normaliser {
    config: Config,
}

/// Why a text cannot be taken. It is said after `element N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextError {
    /// It is too long.
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// It is no text.
    NotUtf8(Utf8Error),
}

// === impl Normaliser ===

impl Normaliser {
    /// It does what the configuration says.
    pub fn new(config: &Config) -> Self {
        let config = config.clone();
        Self { config }
    }

    /// The text as it is wanted.
    pub fn apply<'a>(&self, text: &'a [u8]) -> Result<Cow<'a, str>, TextError> {
        let config = &self.config;
        if text.len() > config.bytes_max {
            return Err(TextError::TooLong {
                bytes: text.len(),
                bytes_max: config.bytes_max,
            });
        }
        let text = match config.invalid {
            Invalid::Error => Cow::Borrowed(std::str::from_utf8(text)?),
            Invalid::Replace => String::from_utf8_lossy(text),
        };
        let mut text = match text.is_ascii() {
            true => self.ascii(text),
            false => self.unicode(text),
        };
        if config.collapse_whitespace {
            text = with(text, |text| {
                has_space_to_collapse(text).then(|| collapsed(text))
            });
        }
        if config.trim {
            text = match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(trimmed(text)),
            };
        }
        Ok(text)
    }

    /// All but white space, of a text that is in every form.
    fn ascii<'a>(&self, mut text: Cow<'a, str>) -> Cow<'a, str> {
        if self.config.strip_control {
            text = with(text, without_controls);
        }
        if self.config.lowercase {
            text = match text {
                Cow::Owned(mut text) => {
                    text.make_ascii_lowercase();
                    Cow::Owned(text)
                }
                Cow::Borrowed(text) => Cow::Owned(text.to_ascii_lowercase()),
            };
        }
        text
    }

    /// All but white space, of any text.
    fn unicode<'a>(&self, mut text: Cow<'a, str>) -> Cow<'a, str> {
        let config = &self.config;
        if config.strip_control {
            text = with(text, without_controls);
        }
        text = with(text, |text| config.form.apply(text));
        if config.lowercase {
            text = Cow::Owned(text.to_lowercase());
            // A small letter may be of more characters than the capital was.
            text = with(text, |text| config.form.apply(text));
        }
        if config.strip_accents {
            text = Cow::Owned(config.form.without_accents(&text));
        }
        text
    }
}

/// Changes a text if there is something to change.
fn with<'a>(text: Cow<'a, str>, change: impl FnOnce(&str) -> Option<String>) -> Cow<'a, str> {
    change(&text).map_or(text, Cow::Owned)
}

/// The text without its control characters, if it has any. White space among them stays.
fn without_controls(text: &str) -> Option<String> {
    let is_dropped = |letter: char| letter.is_control() && !letter.is_whitespace();
    text.contains(is_dropped)
        .then(|| text.chars().filter(|letter| !is_dropped(*letter)).collect())
}

/// Whether there is white space that is no space, or two of it side by side.
fn has_space_to_collapse(text: &str) -> bool {
    let mut after_space = false;
    text.chars().any(|letter| {
        let is_space = letter.is_whitespace();
        let found = is_space && (after_space || letter != ' ');
        after_space = is_space;
        found
    })
}

/// The text with one space wherever there is white space.
fn collapsed(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    let mut after_space = false;
    for (at, word) in text.split(char::is_whitespace).enumerate() {
        if at > 0 && !after_space {
            collapsed.push(' ');
            after_space = true;
        }
        if !word.is_empty() {
            collapsed.push_str(word);
            after_space = false;
        }
    }
    collapsed
}

fn trimmed(mut text: String) -> String {
    text.truncate(text.trim_end().len());
    let start = text.len() - text.trim_start().len();
    text.drain(..start);
    text
}

// === impl Form ===

impl Form {
    /// The text in this form, if it is not known to be in it.
    fn apply(self, text: &str) -> Option<String> {
        let is_in_form = match self {
            Self::None => return None,
            Self::Nfc => is_nfc_quick(text.chars()),
            Self::Nfkc => is_nfkc_quick(text.chars()),
            Self::Nfd => is_nfd_quick(text.chars()),
            Self::Nfkd => is_nfkd_quick(text.chars()),
        };
        (is_in_form != IsNormalized::Yes).then(|| {
            in_parts(text, |part, normal| match self {
                Self::None => normal.push_str(part),
                Self::Nfc => normal.extend(part.nfc()),
                Self::Nfkc => normal.extend(part.nfkc()),
                Self::Nfd => normal.extend(part.nfd()),
                Self::Nfkd => normal.extend(part.nfkd()),
            })
        })
    }

    /// The text taken apart, without marks that combine, and put together again where the
    /// form is not one of texts taken apart.
    fn without_accents(self, text: &str) -> String {
        in_parts(text, |part, plain| {
            let letters = part
                .nfd()
                .filter(|letter| canonical_combining_class(*letter) == 0);
            match self {
                Self::None | Self::Nfc | Self::Nfkc => plain.extend(letters.nfc()),
                Self::Nfd | Self::Nfkd => plain.extend(letters),
            }
        })
    }
}

/// Does something to the parts of a text that are not ASCII, each with the letter before it: a
/// mark may combine with that one. Nothing combines with the letter of ASCII that follows, and
/// what lies between two of them is as it is in every form.
fn in_parts(text: &str, mut change: impl FnMut(&str, &mut String)) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !byte.is_ascii()) {
        let (plain, part) = rest.split_at(at.saturating_sub(1));
        changed.push_str(plain);
        let start = at - plain.len();
        let end = part.bytes().skip(start).position(|byte| byte.is_ascii());
        let (part, after) = part.split_at(end.map_or(part.len(), |end| start + end));
        change(part, &mut changed);
        rest = after;
    }
    changed.push_str(rest);
    changed
}

// === impl TextError ===

impl From<Utf8Error> for TextError {
    fn from(error: Utf8Error) -> Self {
        Self::NotUtf8(error)
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, bytes_max } => write!(
                f,
                "has {bytes} bytes, and `bytes_max` in the plugin's configuration allows {bytes_max}"
            ),
            Self::NotUtf8(error) => write!(
                f,
                "is not UTF-8 text: {error} (`invalid = \"replace\"` would take it)"
            ),
        }
    }
}

impl std::error::Error for TextError {}
