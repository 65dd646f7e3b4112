//! What the plugin is told to do, checked at load.

use consort_sdk::Error;
use serde::Deserialize;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The model that says which way up a line is.
    pub angle_model: String,
    /// The model that reads.
    pub text_model: String,
    /// The height that both take lines in.
    pub height: usize,
    /// The width that the first takes them in.
    pub angle_width: usize,
    /// How sure it must be that a line is upside down.
    pub angle_threshold: f32,
    /// How many lines go to a model at once.
    pub group: usize,
    /// How sure a line must be to be one.
    pub text_score: f32,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            angle_model: "angle".to_owned(),
            text_model: "text".to_owned(),
            height: 48,
            angle_width: 192,
            angle_threshold: 0.9,
            group: 6,
            text_score: 0.5,
        }
    }
}

impl Config {
    /// Reads the manifest's `config`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let config: Self = serde_json::from_str(text)
            .map_err(|error| Error::failed(format_args!("`config`: {error}")))?;
        for (key, value) in [
            ("height", config.height),
            ("angle_width", config.angle_width),
            ("group", config.group),
        ] {
            if value == 0 {
                return Err(Error::failed(format_args!(
                    "`config`: `{key}` is 0, at least 1 is expected"
                )));
            }
        }
        Ok(config)
    }
}
