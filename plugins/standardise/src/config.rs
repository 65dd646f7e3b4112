//! What the manifest's `config` says, and what was measured.

use consort_plugin_config::{Column, NumberType};
use consort_sdk::{Assets, Error};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// The name of the asset with what was measured.
const SCALER: &str = "scaler.json";

/// The settings of the plugin.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name of the input.
    pub input: String,
    /// Its datatype.
    pub datatype: NumberType,
    /// The name of the output.
    pub output: String,
    /// Its datatype.
    pub to: Precision,
    /// How many axes an example has; the last is that of the columns.
    pub axes: usize,
    /// What is taken off.
    pub mean: Option<Column>,
    /// What it is then divided by.
    pub deviation: Option<Column>,
    /// What becomes of NaN.
    #[serde(deserialize_with = "missing")]
    pub missing: Missing,
}

/// The datatype of what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    Fp32,
    /// Double precision.
    Fp64,
}

/// What becomes of NaN.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Missing {
    /// The example fails, by its caller's fault.
    #[default]
    Error,
    /// It stays NaN.
    Keep,
    /// This stands for it, before the mean is taken off.
    Value(Column),
}

/// What was measured, as scikit-learn's `StandardScaler` calls it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scaler {
    #[serde(alias = "mean_")]
    mean: Option<Column>,
    #[serde(alias = "scale", alias = "scale_")]
    deviation: Option<Column>,
    /// The square of the deviation, but for columns of one value: the deviation decides.
    #[serde(rename = "var_", default)]
    _variances: IgnoredAny,
    #[serde(rename = "n_samples_seen_", default)]
    _samples: IgnoredAny,
    #[serde(rename = "n_features_in_", default)]
    _columns: IgnoredAny,
    #[serde(rename = "feature_names_in_", default)]
    _names: IgnoredAny,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            input: "x".to_owned(),
            datatype: NumberType::Fp32,
            output: "x".to_owned(),
            to: Precision::Fp32,
            axes: 1,
            mean: None,
            deviation: None,
            missing: Missing::Error,
        }
    }
}

impl Config {
    /// Reads the text of the manifest's `config`, and what was measured in the assets.
    pub fn parse(text: &str, assets: &Assets) -> Result<Self, Error> {
        let mut config: Self = consort_plugin_config::parse(text)?;
        if config.axes == 0 {
            return Err(Error::failed(
                "`config`: `axes` is 0, at least 1 is expected",
            ));
        }
        let is_measured = config.mean.is_some() || config.deviation.is_some();
        let whose = if assets.names().iter().any(|name| name == SCALER) {
            if is_measured {
                return Err(Error::failed(format_args!(
                    "`mean` and `deviation` are in `config` and in the asset \"{SCALER}\"; one of \
                     them is expected"
                )));
            }
            let text = assets.text(SCALER)?;
            let scaler: Scaler = consort_plugin_config::parse_asset(SCALER, &text)?;
            config.mean = scaler.mean;
            config.deviation = scaler.deviation;
            format!("asset \"{SCALER}\"")
        } else {
            "`config`".to_owned()
        };
        config.check().map_err(|error| error.within(whose))?;
        Ok(config)
    }

    /// How many columns there are, if any key says so.
    pub fn columns(&self) -> Option<usize> {
        self.counts().find_map(|(_, count)| count)
    }

    fn counts(&self) -> impl Iterator<Item = (&'static str, Option<usize>)> {
        let missing = match &self.missing {
            Missing::Value(value) => value.count(),
            Missing::Error | Missing::Keep => None,
        };
        let count = |column: &Option<Column>| column.as_ref().and_then(Column::count);
        [
            ("mean", count(&self.mean)),
            ("deviation", count(&self.deviation)),
            ("missing", missing),
        ]
        .into_iter()
    }

    fn check(&self) -> Result<(), Error> {
        if self.mean.is_none() && self.deviation.is_none() {
            return Err(Error::failed(format_args!(
                "there is neither `mean` nor `deviation`; they are expected in `config` or in the \
                 asset \"{SCALER}\""
            )));
        }
        let finite = |number: f64| number.is_finite();
        if let Some(mean) = &self.mean {
            mean.check("mean", "a finite number", finite)?;
        }
        if let Some(deviation) = &self.deviation {
            deviation.check("deviation", "a finite number above 0", |number| {
                number.is_finite() && number > 0.0
            })?;
        }
        if let Missing::Value(value) = &self.missing {
            value.check("missing", "a finite number", finite)?;
        }
        let counts = self.counts().filter_map(|(key, count)| Some((key, count?)));
        let counts: Vec<_> = counts.collect();
        for pair in counts.windows(2) {
            if let [(one, columns), (other, others)] = pair
                && columns != others
            {
                return Err(Error::failed(format_args!(
                    "`{one}` has {columns} columns and `{other}` has {others}"
                )));
            }
        }
        Ok(())
    }
}

/// Reads `"error"`, `"keep"`, a number, or a number for each column.
fn missing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Missing, D::Error> {
    use serde::de::Error as _;
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(word) => match word.as_str() {
            "error" => Ok(Missing::Error),
            "keep" => Ok(Missing::Keep),
            _ => Err(D::Error::custom(format_args!(
                "it is {word:?}; \"error\", \"keep\", a number or a list of numbers is expected"
            ))),
        },
        value => Column::deserialize(value)
            .map(Missing::Value)
            .map_err(D::Error::custom),
    }
}
