//! From a model's numbers to what a person reads: the best classes, their scores and labels.
//!
//! It looks at one row of numbers, one a class, and at nothing else of the model.

mod best;
mod config;

pub use best::{ScoreError, Scored, best};
pub use config::{Activation, Config};

use consort_plugin_config::of_type;
use consort_sdk::{
    ANY, Assets, Datatype, Dim, Error, Example, Outputs, Plugin, Postprocess, Signature, Tensor,
};

/// The output with the labels.
const LABEL: &str = "label";
/// The output with the scores.
const SCORE: &str = "score";
/// The output with the numbers of the classes.
const INDEX: &str = "index";
/// The number of no class.
const NO_CLASS: i64 = -1;

/// The plugin.
#[derive(Debug)]
pub struct Scores {
    config: Config,
}

consort_sdk::export!(Scores: postprocess);

// === impl Scores ===

impl Plugin for Scores {
    fn init(config: &str, assets: &Assets) -> Result<Self, Error> {
        let config = Config::parse(config, assets)?;
        Ok(Self { config })
    }
}

impl Postprocess for Scores {
    fn describe(&self) -> Signature {
        let config = &self.config;
        let classes = config.labels.as_ref().map_or(ANY, |all| Dim::Is(all.len()));
        let signature =
            Signature::new().input(&config.input, config.datatype.datatype(), [classes]);
        let found = match (config.threshold, &config.other) {
            (Some(_), None) => ANY,
            _ => Dim::Is(config.top_k),
        };
        let signature = match config.labels {
            Some(_) => signature.output(LABEL, Datatype::Bytes, [found]),
            None => signature,
        };
        signature
            .output(SCORE, Datatype::Fp32, [found])
            .output(INDEX, Datatype::Int64, [found])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let config = &self.config;
        let found = self
            .best(example)
            .map_err(|error| error.within(format_args!("tensor \"{}\"", config.input)))?;
        // In the precision of what comes out, so that 0.7 is not below 0.7.
        let is_sure = |one: &Scored| {
            let least = config.threshold.map(|least| least as f32);
            least.is_none_or(|least| one.score as f32 >= least)
        };
        let found: Vec<Scored> = match config.other {
            Some(_) => found,
            None => found.into_iter().filter(is_sure).collect(),
        };
        let shape = [found.len()];
        let scores: Vec<f32> = found.iter().map(|one| one.score as f32).collect();
        let index = |one: &Scored| match is_sure(one) {
            true => i64::try_from(one.index).unwrap_or(NO_CLASS),
            false => NO_CLASS,
        };
        let indices: Vec<i64> = found.iter().map(index).collect();
        let outputs = Outputs::from([
            (SCORE, Tensor::from_vec(&shape, scores)?),
            (INDEX, Tensor::from_vec(&shape, indices)?),
        ]);
        let Some(labels) = &config.labels else {
            return Ok(outputs);
        };
        let label = |one: &Scored| match is_sure(one) {
            true => labels.get(one.index),
            false => config.other.as_ref(),
        };
        let labels = found
            .iter()
            .map(|one| label(one).map_or("", String::as_str));
        Ok(outputs.with(LABEL, Tensor::from_byte_strings(&shape, labels)?))
    }
}

impl Scores {
    /// The best classes. What is wrong with the numbers is the model's fault.
    fn best(&self, example: &Example) -> Result<Vec<Scored>, Error> {
        let config = &self.config;
        let tensor = example.tensor(&config.input)?;
        let classes = tensor.element_count();
        if let Some(labels) = config
            .labels
            .as_ref()
            .filter(|labels| labels.len() != classes)
        {
            return Err(Error::failed(format_args!(
                "there are {} labels, and the model has {classes} classes",
                labels.len()
            )));
        }
        of_type!(config.datatype, T => {
            best::<T>(&tensor.read::<T>()?, config.activation, config.top_k)
        })
        .map_err(Error::failed)
    }
}

#[cfg(test)]
mod tests;
