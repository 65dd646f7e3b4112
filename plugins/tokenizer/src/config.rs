//! What the manifest's `config` says.

use consort_sdk::Error;
use serde::Deserialize;

/// The settings of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The most tokens of a text, special ones included.
    #[serde(default = "max_length")]
    pub max_length: usize,
    /// Whether the special tokens that the rules put around a text are added.
    #[serde(default = "special_tokens")]
    pub special_tokens: bool,
    /// The most bytes of a text that are looked at to find its tokens.
    #[serde(default = "text_bytes_max")]
    pub text_bytes_max: usize,
    /// What comes out.
    #[serde(default = "outputs")]
    pub outputs: Vec<Output>,
}

/// A tensor of one number a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Which token it is.
    InputIds,
    /// 1 for each: there is no padding.
    AttentionMask,
    /// Which text it belongs to.
    TokenTypeIds,
}

fn max_length() -> usize {
    512
}

fn special_tokens() -> bool {
    true
}

fn text_bytes_max() -> usize {
    1 << 20
}

fn outputs() -> Vec<Output> {
    vec![
        Output::InputIds,
        Output::AttentionMask,
        Output::TokenTypeIds,
    ]
}

// === impl Config ===

impl Config {
    /// Reads the text of the manifest's `config`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let config: Self = serde_json::from_str(text)
            .map_err(|error| Error::failed(format!("config: {error}")))?;
        if config.text_bytes_max == 0 {
            return Err(Error::failed(
                "config: text_bytes_max is 0, at least 1 is expected",
            ));
        }
        if config.outputs.is_empty() {
            return Err(Error::failed(
                "config: outputs is empty, at least one of \"input_ids\", \"attention_mask\" and \
                 \"token_type_ids\" is expected",
            ));
        }
        for (at, output) in config.outputs.iter().enumerate() {
            if config
                .outputs
                .iter()
                .skip(at + 1)
                .any(|later| later == output)
            {
                return Err(Error::failed(format!(
                    "config: outputs names \"{}\" twice",
                    output.name()
                )));
            }
        }
        Ok(config)
    }
}

// === impl Output ===

impl Output {
    /// The name of the tensor.
    pub fn name(self) -> &'static str {
        match self {
            Self::InputIds => "input_ids",
            Self::AttentionMask => "attention_mask",
            Self::TokenTypeIds => "token_type_ids",
        }
    }
}
