//! One vector for a text: the mean of the vectors of its tokens, without those that a mask
//! leaves out, scaled to length 1 if wanted.
//!
//! It never pads and never looks at more than one example.

mod pool;

pub use pool::{MaskError, mean, normalise};

use consort_sdk::{
    ANY, Assets, Datatype, Dim, Error, Example, Outputs, Plugin, Postprocess, Signature, Tensor,
};
use serde::Deserialize;

/// The input that holds a vector a token.
const VECTORS: &str = "last_hidden_state";
/// The input that says which tokens count.
const MASK: &str = "attention_mask";
/// The output.
const EMBEDDING: &str = "embedding";

/// What the manifest's `config` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether the mean is scaled to length 1.
    #[serde(default = "yes")]
    pub normalise: bool,
    /// The length of each vector, where it is to be checked.
    pub dimension: Option<usize>,
}

/// The plugin.
#[derive(Debug)]
pub struct MeanPool {
    config: Config,
}

consort_sdk::export!(MeanPool: postprocess);

fn yes() -> bool {
    true
}

// === impl Config ===

impl Config {
    /// Reads the text of the manifest's `config`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let config: Self = serde_json::from_str(text)
            .map_err(|error| Error::failed(format!("config: {error}")))?;
        if config.dimension == Some(0) {
            return Err(Error::failed(
                "config: dimension is 0, a length of at least 1 is expected",
            ));
        }
        Ok(config)
    }
}

// === impl MeanPool ===

impl Plugin for MeanPool {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        let config = Config::parse(config)?;
        Ok(Self { config })
    }
}

impl Postprocess for MeanPool {
    fn describe(&self) -> Signature {
        let dimension = self.config.dimension.map_or(ANY, Dim::from);
        Signature::new()
            .input(VECTORS, Datatype::Fp32, [ANY, dimension])
            .input(MASK, Datatype::Int64, [ANY])
            .output(EMBEDDING, Datatype::Fp32, [dimension])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let shape = example.tensor(VECTORS)?.shape();
        let &[_, dimension] = shape.as_slice() else {
            return Err(Error::invalid_input(format!(
                "tensor \"{VECTORS}\" has {} axes, a vector a token is expected",
                shape.len()
            )));
        };
        let vectors = example.read::<f32>(VECTORS)?;
        let mask = example.read::<i64>(MASK)?;
        let mut embedding = mean(&vectors, dimension, &mask)
            .map_err(|error| Error::invalid_input(format!("tensor \"{MASK}\": {error}")))?;
        if self.config.normalise {
            normalise(&mut embedding);
        }
        let embedding = Tensor::from_vec(&[dimension], embedding)?;
        Ok(Outputs::from([(EMBEDDING, embedding)]))
    }
}

#[cfg(test)]
mod tests;
