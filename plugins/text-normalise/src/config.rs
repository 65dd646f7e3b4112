//! What the manifest's `config` says.

use consort_sdk::Error;
use serde::Deserialize;

/// The settings of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name of the input.
    pub input: String,
    /// The name of the output.
    pub output: String,
    /// How many texts an example holds; any number without it.
    pub elements: Option<usize>,
    /// The most bytes of one text.
    pub bytes_max: usize,
    /// What becomes of bytes that are not UTF-8.
    pub invalid: Invalid,
    /// Unicode's normalisation form.
    pub form: Form,
    /// Whether letters become small ones.
    pub lowercase: bool,
    /// Whether marks over and under letters are dropped.
    pub strip_accents: bool,
    /// Whether control characters other than white space are dropped.
    pub strip_control: bool,
    /// Whether white space becomes one space wherever it is.
    pub collapse_whitespace: bool,
    /// Whether white space is taken off both ends.
    pub trim: bool,
}

/// What becomes of bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Invalid {
    /// The example fails, by its caller's fault.
    #[default]
    Error,
    /// U+FFFD for each longest start of a character.
    Replace,
}

/// A normalisation form of Unicode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The text stays as it is.
    #[default]
    None,
    /// Taken apart and put together again, by canonical equivalence.
    Nfc,
    /// The same by compatibility.
    Nfkc,
    /// Taken apart, by canonical equivalence.
    Nfd,
    /// The same by compatibility.
    Nfkd,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            input: "text".to_owned(),
            output: "text".to_owned(),
            elements: None,
            bytes_max: 1 << 20,
            invalid: Invalid::Error,
            form: Form::None,
            lowercase: false,
            strip_accents: false,
            strip_control: false,
            collapse_whitespace: false,
            trim: false,
        }
    }
}

impl Config {
    /// Reads the text of the manifest's `config`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let config: Self = consort_plugin_config::parse(text)?;
        for (key, number) in [
            ("bytes_max", Some(config.bytes_max)),
            ("elements", config.elements),
        ] {
            if number == Some(0) {
                return Err(Error::failed(format_args!(
                    "`config`: `{key}` is 0, at least 1 is expected"
                )));
            }
        }
        Ok(config)
    }
}
