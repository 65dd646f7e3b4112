//! Rules that stand alone: the manifest's own version, a plugin's free-form `config`, and
//! arguments of a run.

use toml::de::DeValue;

use super::{Describe, Found, Rule};
use crate::json::Json;
use crate::report::Report;

/// The only version of the manifest's format that this code reads.
pub(crate) const FORMAT_VERSION: i128 = 1;

/// The version of the manifest's format.
pub(crate) struct FormatVersion;

/// The value of an argument that a step gives to its plugin or model.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number, neither infinite nor NaN.
    Float(f64),
    /// A text.
    Text(String),
}

/// An [`Argument`].
pub(crate) struct Scalar;

/// Any value: a text stays as it is, everything else becomes JSON.
pub(crate) struct Anything;

// === impl FormatVersion ===

impl Describe for FormatVersion {
    fn wanted(&self) -> String {
        format!("{FORMAT_VERSION}, the format that this version of Consort reads")
    }

    fn sample(&self) -> String {
        FORMAT_VERSION.to_string()
    }

    fn schema(&self) -> Json {
        Json::object([("const", Json::Int(FORMAT_VERSION))])
    }
}

impl Rule for FormatVersion {
    type Value = i128;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<i128> {
        match found.value.get_ref() {
            DeValue::Integer(number) if super::integer(number) == FORMAT_VERSION => {
                Some(FORMAT_VERSION)
            }
            _ => found.refuse_type(self, report),
        }
    }
}

// === impl Anything ===

impl Describe for Anything {
    fn wanted(&self) -> String {
        "a text, or a value that can be written as JSON".to_owned()
    }

    fn sample(&self) -> String {
        "{ threshold = 0.5 }".to_owned()
    }

    fn schema(&self) -> Json {
        Json::object([])
    }
}

impl Rule for Anything {
    type Value = String;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<String> {
        if let DeValue::String(text) = found.value.get_ref() {
            return Some(text.to_string());
        }
        let mut right = true;
        let json = Json::from_toml(found.value, 0, &mut |place, why| {
            right = false;
            let message = format!("`{}` becomes JSON, but this value {why}", found.path);
            report.wrong(place, message, "write it as a text, in quotes");
        });
        right.then(|| json.compact())
    }
}

// === impl Scalar ===

impl Describe for Scalar {
    fn wanted(&self) -> String {
        "true, false, a number or a text".to_owned()
    }

    fn sample(&self) -> String {
        "0.5".to_owned()
    }

    fn schema(&self) -> Json {
        let kinds = ["boolean", "number", "string"];
        let kind = |kind| Json::object([("type", Json::text(kind))]);
        Json::object([("oneOf", Json::List(kinds.map(kind).into()))])
    }
}

impl Rule for Scalar {
    type Value = Argument;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Argument> {
        let read = match found.value.get_ref() {
            DeValue::Boolean(flag) => Some(Argument::Bool(*flag)),
            DeValue::String(text) => Some(Argument::Text(text.to_string())),
            DeValue::Integer(number) => i64::try_from(super::integer(number))
                .ok()
                .map(Argument::Int),
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok();
                number
                    .filter(|number: &f64| number.is_finite())
                    .map(Argument::Float)
            }
            _ => None,
        };
        if read.is_none() {
            return found.refuse_type(self, report);
        }
        read
    }
}
