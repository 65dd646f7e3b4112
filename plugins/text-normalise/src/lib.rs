//! Texts in one form, for tokenizers and lookups that would take equal texts for different
//! ones. What is done is in [`Config`], and in which order in [`Normaliser`].
//!
//! It knows no language: what depends on one (Turkish letters, German umlauts) is not done.

mod config;
mod normalise;

pub use config::{Config, Form, Invalid};
pub use normalise::{Normaliser, TextError};

use consort_sdk::{
    ANY, Assets, Datatype, Description, Dim, Error, Example, Outcome, Outputs, Plugin, Preprocess,
    Tensor,
};

/// The plugin.
#[derive(Debug)]
pub struct TextNormalise {
    config: Config,
    normaliser: Normaliser,
}

consort_sdk::export!(TextNormalise: preprocess);

// === impl TextNormalise ===

impl Plugin for TextNormalise {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        let config = Config::parse(config)?;
        let normaliser = Normaliser::new(&config);
        Ok(Self { config, normaliser })
    }
}

impl Preprocess for TextNormalise {
    fn describe(&self) -> Description {
        let elements = self.config.elements.map_or(ANY, Dim::Is);
        Description::new()
            .input(&self.config.input, Datatype::Bytes, [elements])
            .forwards(&self.config.output, Datatype::Bytes, [elements])
    }

    fn preprocess(&self, example: &Example) -> Result<Outcome, Error> {
        let input = &self.config.input;
        let texts = example.byte_strings(input)?;
        let texts = texts.iter().enumerate().map(|(at, text)| {
            self.normaliser.apply(text).map_err(|error| {
                Error::invalid_input(format_args!("tensor \"{input}\": element {at} {error}"))
            })
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let texts = Tensor::from_byte_strings(&[texts.len()], texts.iter().map(|text| &**text))?;
        Ok(Outcome::Forward(
            Outputs::new().with(self.config.output.clone(), texts),
        ))
    }
}

#[cfg(test)]
mod tests;
