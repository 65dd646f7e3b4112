//! What the plugins for texts and rows share: a configuration whose flaws are named by their
//! key, values that stand for one column or for all, and numbers of a configured datatype.
//!
//! It knows no plugin, and says nothing about what a value means.

mod column;
mod number;

pub use column::Column;
pub use number::{Number, NumberType};

#[doc(hidden)]
pub use consort_sdk;

use consort_sdk::Error;
use serde::de::DeserializeOwned;

/// Reads the manifest's `config`; an empty one is that of no keys.
pub fn parse<T: DeserializeOwned>(config: &str) -> Result<T, Error> {
    let config = if config.trim().is_empty() {
        "{}"
    } else {
        config
    };
    from_json(config).map_err(|flaw| Error::failed(format_args!("`config`: {flaw}")))
}

/// Reads an asset of JSON.
pub fn parse_asset<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Error> {
    from_json(text).map_err(|flaw| Error::failed(format_args!("asset \"{name}\": {flaw}")))
}

/// The lines of an asset, a value each. The last may end without a line break, and breaks may
/// be those of Windows; empty lines are values like others.
pub fn lines(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().map(str::to_owned).collect()
}

/// Reads JSON. What is wrong begins with the key that is wrong, if it is one.
fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|flaw| {
        let path = flaw.path().to_string();
        let flaw = flaw.into_inner();
        let place = format!(" at line {} column {}", flaw.line(), flaw.column());
        let mut what = flaw.to_string();
        if flaw.is_data() {
            // The author wrote TOML, and has no such line.
            what.truncate(what.strip_suffix(&place).map_or(what.len(), str::len));
        }
        if path == "." || what.starts_with("unknown field") {
            what
        } else {
            format!("`{path}`: {what}")
        }
    })?;
    reader.end().map_err(|flaw| flaw.to_string())?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Config {
        k: usize,
        of: Vec<Part>,
        mean: Option<Column>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Part {
        name: String,
    }

    fn flaw(config: &str) -> String {
        parse::<Config>(config).unwrap_err().to_string()
    }

    #[test]
    fn nothing_is_the_configuration_without_keys() {
        for config in ["", " \n", "{}"] {
            assert_eq!(parse::<Config>(config), Ok(Config::default()));
        }
    }

    #[test]
    fn flaws_are_named_by_their_key() {
        for (config, expected) in [
            (
                r#"{"x": 1}"#,
                "`config`: unknown field `x`, expected one of `k`, `of`, `mean`",
            ),
            (
                r#"{"k": "a"}"#,
                "`config`: `k`: invalid type: string \"a\", expected usize",
            ),
            (
                r#"{"k": -1}"#,
                "`config`: `k`: invalid value: integer `-1`, expected usize",
            ),
            (
                r#"{"of": [{"name": "a"}, {"name": 2}]}"#,
                "`config`: `of[1].name`: invalid type: integer `2`, expected a string",
            ),
            (r#"{"of": [{}]}"#, "`config`: `of[0]`: missing field `name`"),
            (
                r#"{"mean": "a"}"#,
                "`config`: `mean`: invalid type: string \"a\", expected a number or a list of numbers",
            ),
            (
                r#"{"mean": [1, true]}"#,
                "`config`: `mean[1]`: invalid type: boolean `true`, expected f64",
            ),
        ] {
            assert_eq!(flaw(config), expected);
        }
        assert!(flaw("{").contains("EOF"), "{}", flaw("{"));
        assert!(flaw("{} x").contains("trailing"), "{}", flaw("{} x"));
    }

    #[test]
    fn lines_are_values() {
        assert_eq!(lines("\u{feff}a\r\n\nb"), ["a", "", "b"]);
        assert_eq!(lines("a\n"), ["a"]);
        assert!(lines("").is_empty());
    }
}
