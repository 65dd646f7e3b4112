//! Rules that stand alone: the manifest's own version, and a plugin's free-form `config`.

use toml::de::DeValue;

use super::{Describe, Found, Rule};
use crate::json::Json;
use crate::report::Report;

/// The only version of the manifest's format that this code reads.
pub(crate) const FORMAT_VERSION: i128 = 1;

/// The version of the manifest's format.
pub(crate) struct FormatVersion;

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
