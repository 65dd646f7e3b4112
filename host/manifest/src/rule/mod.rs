//! What a key's value may be. A rule reads a value, and describes itself: for messages,
//! for the JSON Schema and for the reference. One table of keys, four uses.

pub(crate) mod collection;
pub(crate) mod either;
pub(crate) mod free;
pub(crate) mod number;
pub(crate) mod real;
pub(crate) mod sequence;
pub(crate) mod text;
pub(crate) mod words;

use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use crate::json::Json;
use crate::place::{Located, Place};
use crate::report::Report;
use crate::section::Doc;

/// The longest name that a path in a message shows whole.
const PATH_PART_CHARS_MAX: usize = 48;
/// The longest string that a message repeats.
const SHOWN_CHARS_MAX: usize = 40;

/// A value in the text, about to be read.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    /// The keys that lead to it: `model.magika.replicas`.
    pub(crate) path: &'a str,
    /// The last of those keys.
    pub(crate) name: &'a Located<String>,
    pub(crate) value: &'a Spanned<DeValue<'a>>,
    /// Whether it is an element of an array, which has no key of its own.
    pub(crate) item: bool,
}

/// How a rule presents itself.
pub(crate) trait Describe {
    /// A phrase that follows "must be": `a whole number from 1 to 256`.
    fn wanted(&self) -> String;

    /// A value that is right, as TOML.
    fn sample(&self) -> String;

    /// A JSON Schema of it.
    fn schema(&self) -> Json;

    /// How a key with such a value is written, for whoever left it out.
    fn written(&self, _path: &str, key: &str) -> String {
        format!("{key} = {}", self.sample())
    }

    /// The words there are and what each means, if it is a choice of words.
    fn words(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The keys inside, if it is a table of keys, and how its header is written.
    fn nested(&self, _header: &str) -> Option<(String, Doc)> {
        None
    }
}

/// What reads a value.
pub(crate) trait Rule: Describe {
    type Value;

    /// Reads a value, or says what is wrong with it and returns none.
    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Self::Value>;
}

// === impl Found ===

impl Found<'_> {
    pub(crate) fn place(&self, report: &Report) -> Place {
        report.place(self.value.span().into())
    }

    /// How the key is written with another value.
    pub(crate) fn with(&self, value: &str) -> String {
        if self.item {
            value.to_owned()
        } else {
            format!("{} = {value}", key_text(&self.name.value))
        }
    }

    /// Says that the value is not what `rule` wants, because it `is` something else.
    /// Returns none, for the reader to return.
    pub(crate) fn refuse<R: Rule, T>(&self, rule: &R, is: &str, report: &mut Report) -> Option<T> {
        let message = format!("`{}` must be {}, but {is}", self.path, rule.wanted());
        let place = self.place(report);
        let help = match self.mended(rule, report) {
            Some(mended) => format!("write {}", self.with(&mended)),
            None => format!("write for example {}", self.with(&rule.sample())),
        };
        report.wrong(place, message, help);
        None
    }

    /// As [`refuse`](Self::refuse), when it is a value of the wrong type.
    pub(crate) fn refuse_type<R: Rule, T>(&self, rule: &R, report: &mut Report) -> Option<T> {
        self.refuse(rule, &format!("is {}", shown(self.value.get_ref())), report)
    }

    /// What was probably meant: the value with or without quotes, or as the only
    /// element of an array, whichever the rule accepts.
    fn mended<R: Rule>(&self, rule: &R, report: &Report) -> Option<String> {
        let (raw, quoted) = match self.value.get_ref() {
            DeValue::String(text) => (text.to_string(), toml_text(text)),
            DeValue::Integer(number) => (number.to_string(), toml_text(&number.to_string())),
            DeValue::Float(number) => (number.to_string(), toml_text(&number.to_string())),
            DeValue::Boolean(flag) => (flag.to_string(), toml_text(&flag.to_string())),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return None,
        };
        if raw.chars().count() > SHOWN_CHARS_MAX || raw.is_empty() {
            return None;
        }
        let in_array = match self.value.get_ref() {
            DeValue::String(_) => format!("[{quoted}]"),
            _ => format!("[{raw}]"),
        };
        let mut tries = [raw, quoted, in_array].into_iter();
        tries.find(|text| {
            let accepts = |report: &mut Report| {
                let value = DeValue::parse(text).ok()?;
                let value = &value;
                rule.read(Found { value, ..*self }, report)
            };
            report.accepts(accepts) == Some(true)
        })
    }
}

/// A value as a message names it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.is_empty() => "an empty string".to_owned(),
        DeValue::String(text) => {
            let short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            let dots = if short.len() < text.len() { "..." } else { "" };
            format!("the string {}{dots}", toml_text(&short))
        }
        DeValue::Integer(number) => format!("the number {}", shortened(&number.to_string())),
        DeValue::Float(number) => format!("the number {}", shortened(number.as_str())),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The number of a TOML integer in any base. One that is too long to read is as large,
/// or as small, as can be.
pub(crate) fn integer(number: &DeInteger<'_>) -> i128 {
    let saturated = if number.as_str().starts_with('-') {
        i128::MIN
    } else {
        i128::MAX
    };
    i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(saturated)
}

/// A text with its quotes, as TOML (and JSON) writes it.
pub(crate) fn toml_text(text: &str) -> String {
    Json::text(text).compact()
}

/// A key as TOML writes it: bare, or with quotes.
pub(crate) fn key_text(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !key.is_empty() && key.bytes().all(bare) {
        shortened(key)
    } else {
        toml_text(&shortened(key))
    }
}

/// The path of a key inside the table at `path`.
pub(crate) fn join(path: &str, key: &str) -> String {
    let key = key_text(key);
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

fn shortened(text: &str) -> String {
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(PATH_PART_CHARS_MAX).collect();
    if chars.next().is_some() {
        short.push_str("...");
    }
    short
}

/// A table's keys and values in the order of the text, whatever order its map keeps.
pub(crate) fn by_place<'a>(
    table: &'a DeTable<'a>,
) -> Vec<(&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    keys
}
