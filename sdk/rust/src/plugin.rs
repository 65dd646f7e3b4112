//! The traits that an author implements.

use crate::{Assets, Description, Error, Example, Outcome, Outputs, Signature};

/// A plugin: what `init` made, for the roles to use.
pub trait Plugin: Sized + 'static {
    /// Runs once, at load. The host then photographs the memory and starts every later
    /// call from that picture: parse tables here, not per example.
    ///
    /// `config` is the text of the manifest's `config` key (a TOML table arrives as
    /// JSON), empty when there is none. An error stops the load and is shown to the
    /// operator.
    fn init(config: &str, assets: &Assets) -> Result<Self, Error>;
}

/// The role before a model: from a request's tensors to the model's inputs.
pub trait Preprocess: Plugin {
    /// What this role reads, forwards and answers. Called once after `init`.
    fn describe(&self) -> Description;

    /// Prepares one example.
    fn preprocess(&self, example: &Example) -> Result<Outcome, Error>;

    /// Prepares several examples: exactly one result each, in order. Override it where
    /// work can be shared between examples.
    fn preprocess_many(&self, examples: &[Example]) -> Vec<Result<Outcome, Error>> {
        examples
            .iter()
            .map(|example| self.preprocess(example))
            .collect()
    }
}

/// The role after a model: from the model's outputs to an answer.
pub trait Postprocess: Plugin {
    /// What this role reads and writes. Called once after `init`.
    fn describe(&self) -> Signature;

    /// Finishes one example.
    fn postprocess(&self, example: &Example) -> Result<Outputs, Error>;

    /// Finishes several examples: exactly one result each, in order. Override it where
    /// work can be shared between examples.
    fn postprocess_many(&self, examples: &[Example]) -> Vec<Result<Outputs, Error>> {
        examples
            .iter()
            .map(|example| self.postprocess(example))
            .collect()
    }
}
