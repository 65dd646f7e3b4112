//! What the manifest's `config` says.

use consort_plugin_config::NumberType;
use consort_sdk::{Assets, Error};
use serde::Deserialize;

/// The name of the asset with the labels.
const LABELS: &str = "labels.txt";

/// The settings of the plugin.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name of the input.
    pub input: String,
    /// Its datatype.
    pub datatype: NumberType,
    /// What is made of each number.
    pub activation: Activation,
    /// How many classes come out.
    pub top_k: usize,
    /// What each class is called.
    pub labels: Option<Vec<String>>,
    /// The score that is not below this is sure.
    pub threshold: Option<f64>,
    /// The label of what is not sure.
    pub other: Option<String>,
}

/// From a model's number to a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// The number is the score.
    #[default]
    None,
    /// Shares that add up to 1.
    Softmax,
    /// Each by itself between 0 and 1.
    Sigmoid,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            input: "scores".to_owned(),
            datatype: NumberType::Fp32,
            activation: Activation::None,
            top_k: 1,
            labels: None,
            threshold: None,
            other: None,
        }
    }
}

impl Config {
    /// Reads the text of the manifest's `config`, and the labels in the assets.
    pub fn parse(text: &str, assets: &Assets) -> Result<Self, Error> {
        let mut config: Self = consort_plugin_config::parse(text)?;
        if assets.names().iter().any(|name| name == LABELS) {
            if config.labels.is_some() {
                return Err(Error::failed(format_args!(
                    "there are labels in `labels` and in the asset \"{LABELS}\"; one of them is \
                     expected"
                )));
            }
            config.labels = Some(consort_plugin_config::lines(&assets.text(LABELS)?));
        }
        config
            .check()
            .map_err(|what| Error::failed(format_args!("`config`: {what}")))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.datatype.is_integer() {
            return Err(
                "`datatype` is one of integers; one of \"fp16\", \"bf16\", \"fp32\" and \"fp64\" \
                 is expected"
                    .to_owned(),
            );
        }
        if self.top_k == 0 {
            return Err("`top_k` is 0, at least 1 is expected".to_owned());
        }
        let labels = self.labels.as_ref().map(Vec::len);
        if let Some(labels) = labels.filter(|labels| *labels < self.top_k) {
            return Err(format!(
                "`top_k` is {}, and there are {labels} labels",
                self.top_k
            ));
        }
        match (self.threshold, &self.other) {
            (None, Some(_)) => {
                Err("`other` is for scores below a `threshold`, and there is none".to_owned())
            }
            (_, Some(_)) if labels.is_none() => {
                Err("`other` is a label, and there are no labels".to_owned())
            }
            _ => Ok(()),
        }
    }
}
