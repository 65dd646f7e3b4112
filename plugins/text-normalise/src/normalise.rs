//! What is done to a text, in this order: control characters, normalisation form, small letters,
//! accents, white space.
//!
//! A step that would change nothing makes no copy, and a text of ASCII alone needs no tables.

use crate::config::{Config, Form, Invalid};
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use std::borrow::Cow;
use std::fmt;
use std::str::Utf8Error;

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
        if config.collapse_whitespace && has_space_to_collapse(&text) {
            text = Cow::Owned(collapsed(text.into_owned()));
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
    #[inline(never)]
    fn unicode<'a>(&self, mut text: Cow<'a, str>) -> Cow<'a, str> {
        let config = &self.config;
        if config.strip_control {
            text = with(text, without_controls);
        }
        text = with(text, |text| config.form.change(text));
        if config.lowercase {
            text = with(text, lowered);
            // A small letter may be of more characters than the capital was. Without accents
            // it is taken apart anyway.
            if !config.strip_accents {
                text = with(text, |text| config.form.change(text));
            }
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
    // Most texts are known to have none by their bytes alone; those beyond ASCII begin with 0xc2.
    let may_begin_one =
        |byte: u8| (byte.is_ascii_control() && !is_ascii_space(byte)) || byte == 0xc2;
    let block_has_one = |block: &[u8]| block.iter().fold(false, |a, b| a | may_begin_one(*b));
    let may_have_one = text.as_bytes().chunks(64).any(block_has_one);
    (may_have_one && text.contains(is_dropped))
        .then(|| text.chars().filter(|letter| !is_dropped(*letter)).collect())
}

/// The text in small letters, if it has others.
#[inline(never)]
fn lowered(text: &str) -> Option<String> {
    // What is a small letter becomes itself, and to know that is cheaper than to look it up.
    let stays = |letter: char| match letter.is_ascii() {
        true => !letter.is_ascii_uppercase(),
        false => letter.is_lowercase(),
    };
    let first = text.find(|letter| !stays(letter))?;
    let (start, rest) = text.split_at_checked(first)?;
    let mut lowered = String::with_capacity(text.len());
    lowered.push_str(start);
    for letter in rest.chars() {
        if stays(letter) {
            lowered.push(letter);
        } else if letter == SIGMA {
            return Some(text.to_lowercase());
        } else {
            lowered.extend(letter.to_lowercase());
        }
    }
    Some(lowered)
}

/// The capital whose small letter depends on where in a word it is.
const SIGMA: char = '\u{3a3}';

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
#[inline(never)]
fn collapsed(text: String) -> String {
    let mut bytes = text.into_bytes();
    let (mut from, mut to, mut after_space) = (0, 0, false);
    while let Some(rest @ [byte, ..]) = bytes.get(from..) {
        let (byte, space) = (*byte, space_bytes(rest));
        let is_kept = space == 0 || !after_space;
        if let Some(place) = bytes.get_mut(to) {
            *place = if space == 0 { byte } else { b' ' };
        }
        after_space = space > 0;
        from += space.max(1);
        to += usize::from(is_kept);
    }
    bytes.truncate(to);
    // Only whole characters were taken out.
    String::from_utf8(bytes).unwrap_or_default()
}

/// How many bytes the white space takes that a text begins with, none if there is none.
fn space_bytes(text: &[u8]) -> usize {
    match text {
        [byte, ..] if is_ascii_space(*byte) => 1,
        [0xc2, 0x85 | 0xa0, ..] => 2,
        [0xe1, 0x9a, 0x80, ..] => 3,
        [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf, ..] => 3,
        [0xe2, 0x81, 0x9f, ..] => 3,
        [0xe3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

/// As `char::is_whitespace`, which counts one more byte than ASCII's own name for it.
fn is_ascii_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn trimmed(mut text: String) -> String {
    text.truncate(text.trim_end().len());
    let start = text.len() - text.trim_start().len();
    text.drain(..start);
    text
}

// === impl Form ===

impl Form {
    /// The text in this form.
    fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::Nfc => ComposingNormalizerBorrowed::new_nfc().normalize(text),
            Self::Nfkc => ComposingNormalizerBorrowed::new_nfkc().normalize(text),
            Self::Nfd => DecomposingNormalizerBorrowed::new_nfd().normalize(text),
            Self::Nfkd => DecomposingNormalizerBorrowed::new_nfkd().normalize(text),
        }
    }

    /// The same, if it is another one.
    fn change(self, text: &str) -> Option<String> {
        match self.apply(text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(changed) => Some(changed),
        }
    }

    /// The text taken apart, without marks that combine, and put together again where the
    /// form is not one of texts taken apart.
    #[inline(never)]
    fn without_accents(self, text: &str) -> String {
        let (apart, is_composed) = match self {
            Self::None | Self::Nfc => (DecomposingNormalizerBorrowed::new_nfd(), true),
            Self::Nfkc => (DecomposingNormalizerBorrowed::new_nfkd(), true),
            Self::Nfd => (DecomposingNormalizerBorrowed::new_nfd(), false),
            Self::Nfkd => (DecomposingNormalizerBorrowed::new_nfkd(), false),
        };
        let mut letters = String::new();
        in_parts(text, |part, plain| {
            letters.clear();
            // Nothing fails to be written into a `String`.
            let _ = apart.normalize_to(part, &mut letters);
            add_without_marks(&letters, is_composed, plain);
        })
    }
}

/// Adds letters that are taken apart, without marks that combine.
#[inline(never)]
fn add_without_marks(letters: &str, is_composed: bool, plain: &mut String) {
    let combining = CanonicalCombiningClassMapBorrowed::new();
    let before = plain.len();
    plain.extend(
        letters
            .chars()
            .filter(|letter| combining.get_u8(*letter) == 0),
    );
    let added = plain.get(before..).unwrap_or_default();
    if is_composed && !added.is_ascii() {
        let apart = added.to_owned();
        plain.truncate(before);
        let _ = ComposingNormalizerBorrowed::new_nfc().normalize_to(&apart, plain);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn white_space_is_that_of_the_standard_library() {
        for letter in '\0'..=char::MAX {
            let text = letter.to_string();
            let expected = letter.is_whitespace().then_some(text.len());
            assert_eq!(
                space_bytes(text.as_bytes()),
                expected.unwrap_or(0),
                "{letter:?}"
            );
        }
    }

    #[test]
    fn small_letters_are_those_of_the_standard_library() {
        for letter in '\0'..=char::MAX {
            for text in [letter.to_string(), format!("a{letter}")] {
                let lowered = lowered(&text).unwrap_or_else(|| text.clone());
                assert_eq!(lowered, text.to_lowercase(), "{letter:?}");
            }
        }
    }

    /// Letters that do something: marks, letters with marks, capitals that become two, spaces.
    fn letter() -> impl Strategy<Value = char> {
        prop_oneof![
            any::<char>(),
            proptest::char::range('\u{300}', '\u{36f}'),
            proptest::char::range('\u{c0}', '\u{24f}'),
            proptest::sample::select(vec!['a', 'e', ' ', '\t', '\u{a0}', '\u{130}', '\u{3a3}']),
        ]
    }

    proptest! {
        #[test]
        fn texts_change_as_whole_ones_do(letters in prop::collection::vec(letter(), 0..12)) {
            let text: String = letters.into_iter().collect();
            prop_assert_eq!(lowered(&text).unwrap_or_else(|| text.clone()), text.to_lowercase());
            let mut words: String = text.split(char::is_whitespace).fold(
                String::new(),
                |words, word| match word {
                    "" if words.ends_with(' ') => words,
                    word => words + word + " ",
                },
            );
            words.pop();
            let is_at_end = text.ends_with(char::is_whitespace);
            if is_at_end && !words.ends_with(' ') {
                words.push(' ');
            }
            prop_assert_eq!(collapsed(text.clone()), words);
            for (form, apart) in [
                (Form::None, Form::Nfd), (Form::Nfc, Form::Nfd), (Form::Nfd, Form::Nfd),
                (Form::Nfkc, Form::Nfkd), (Form::Nfkd, Form::Nfkd),
            ] {
                let combining = CanonicalCombiningClassMapBorrowed::new();
                let letters = apart.apply(&text).into_owned();
                let letters: String =
                    letters.chars().filter(|letter| combining.get_u8(*letter) == 0).collect();
                let expected = match form {
                    Form::Nfd | Form::Nfkd => letters,
                    _ => Form::Nfc.apply(&letters).into_owned(),
                };
                prop_assert_eq!(form.without_accents(&text), expected, "{:?}", form);
            }
        }
    }
}
