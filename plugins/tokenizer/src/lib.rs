//! Texts become tokens, by the rules of a `tokenizer.json`: WordPiece, BPE and Unigram alike.
//!
//! The file is parsed once, in `init`, and is in the picture that calls start from. A long text
//! is not tokenised beyond what its first `max_length` tokens need. Nothing is padded here: that
//! is for whoever makes batches.

mod config;
mod encode;

pub use config::Config;
pub use encode::{EncodeError, Encoder, Tokens};

use consort_sdk::{
    ANY, Assets, Datatype, Description, Error, Example, Outcome, Outputs, Plugin, Preprocess,
    Tensor,
};

/// The input.
const TEXT: &str = "text";
/// The name of the asset with the rules.
const RULES: &str = "tokenizer.json";

/// The plugin.
#[derive(Debug)]
pub struct Tokenize {
    config: Config,
    encoder: Encoder,
}

consort_sdk::export!(Tokenize: preprocess);

// === impl Tokenize ===

impl Plugin for Tokenize {
    fn init(config: &str, assets: &Assets) -> Result<Self, Error> {
        let config = Config::parse(config)?;
        let rules = assets.read(RULES)?;
        let encoder = Encoder::new(&rules, &config)
            .map_err(|error| error.within(format_args!("asset \"{RULES}\"")))?;
        Ok(Self { config, encoder })
    }
}

impl Preprocess for Tokenize {
    fn describe(&self) -> Description {
        let description = Description::new().input(TEXT, Datatype::Bytes, [1]);
        let outputs = self.config.outputs.iter();
        outputs.fold(description, |description, output| {
            description.forwards(output.name(), Datatype::Int64, [ANY])
        })
    }

    fn preprocess(&self, example: &Example) -> Result<Outcome, Error> {
        let text = example.byte_string(TEXT)?;
        let text = text
            .text()
            .map_err(|error| Error::from(error).within(format_args!("tensor \"{TEXT}\"")))?;
        let tokens = self.encoder.encode(text).map_err(|error| match error {
            EncodeError::TooLong { .. } => {
                Error::invalid_input(format!("tensor \"{TEXT}\": {error}"))
            }
            EncodeError::Tokenizer(_) => Error::failed(error),
        })?;
        let mut outputs = Outputs::new();
        for output in &self.config.outputs {
            let elements = tokens.of(*output);
            let tensor = Tensor::from_slice(&[elements.len()], elements)?;
            outputs = outputs.with(output.name(), tensor);
        }
        Ok(Outcome::Forward(outputs))
    }
}
