//! Text from what a CTC model wrote: greedy decoding by a dictionary in the asset
//! `dictionary`, a symbol a line, and the mean of the symbols' scores.

use consort_plugin_ctc::{Dictionary, Line};
use consort_sdk::{
    ANY, Assets, Datatype, Error, Example, Outputs, Plugin, Postprocess, Signature, Tensor,
};
use serde::Deserialize;

/// The asset's name.
const DICTIONARY: &str = "dictionary";

/// What the plugin is told to do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name of the tensor of scores: a row for each place.
    pub scores: String,
    /// The number of the blank.
    pub blank: usize,
    /// Whether one more symbol, a space, follows after the dictionary's last.
    pub space: bool,
}

/// The plugin.
#[derive(Debug)]
pub struct CtcDecode {
    config: Config,
    dictionary: Dictionary,
}

consort_sdk::export!(CtcDecode: postprocess);

// === impl CtcDecode ===

impl Plugin for CtcDecode {
    fn init(config: &str, assets: &Assets) -> Result<Self, Error> {
        let config = Config::parse(config)?;
        let lines = assets.text(DICTIONARY)?;
        let dictionary = Dictionary::new(&lines, config.blank, config.space)
            .map_err(|error| Error::failed(format_args!("asset \"{DICTIONARY}\": {error}")))?;
        Ok(Self { config, dictionary })
    }
}

impl Postprocess for CtcDecode {
    fn describe(&self) -> Signature {
        let symbols = self.dictionary.len();
        Signature::new()
            .input(&self.config.scores, Datatype::Fp32, [ANY, symbols.into()])
            .output("text", Datatype::Bytes, [1])
            .output("score", Datatype::Fp32, [1])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let name = &self.config.scores;
        let scores = example.read::<f32>(name)?;
        let Line { text, score } = self
            .dictionary
            .decode(&scores)
            .map_err(|error| Error::invalid_input(format_args!("tensor \"{name}\": {error}")))?;
        Ok(Outputs::from([
            ("text", Tensor::single_bytes(text)?),
            ("score", Tensor::single(score)?),
        ]))
    }
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            scores: "scores".to_owned(),
            blank: 0,
            space: false,
        }
    }
}

impl Config {
    /// Reads the manifest's `config`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|error| Error::failed(format_args!("`config`: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(config: &str) -> Result<CtcDecode, Error> {
        CtcDecode::init(config, &Assets::from_pairs([(DICTIONARY, "a\nb\nc")]))
    }

    #[test]
    fn a_line_is_read() {
        let plugin = plugin(r#"{"scores": "y", "space": true}"#).unwrap();
        let scores = [
            0.1f32, 0.0, 0.9, 0.0, 0.0, //
            0.9, 0.1, 0.0, 0.0, 0.0, //
            0.1, 0.0, 0.7, 0.0, 0.2, //
            0.1, 0.0, 0.2, 0.0, 0.8,
        ];
        let scores = Tensor::from_slice(&[4, 5], &scores).unwrap();
        let outputs = plugin
            .postprocess(&Example::from_tensors([("y", scores)]))
            .unwrap();
        assert_eq!(outputs.tensor("text").unwrap().text().unwrap(), "bb ");
        let score = outputs.tensor("score").unwrap().element::<f32>().unwrap();
        assert!((score - 0.8).abs() < 1e-6);
    }

    #[test]
    fn flaws_are_named() {
        let error = plugin(r#"{"blank": 9}"#).unwrap_err();
        assert_eq!(
            error.message(),
            "asset \"dictionary\": the blank is symbol 9, and there are 4"
        );
        assert!(
            plugin(r#"{"spaces": true}"#)
                .unwrap_err()
                .message()
                .contains("unknown field")
        );
        assert!(CtcDecode::init("", &Assets::none()).is_err());
    }
}
