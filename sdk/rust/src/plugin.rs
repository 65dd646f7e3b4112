//! The traits that an author implements.

use crate::{
    Args, Assets, Columns, Description, Error, Example, HandlerDescription, Model, Outcome,
    Outputs, Signature,
};

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

    /// Prepares all examples of a call at once, where their inputs are of equal shapes: each
    /// output has a first axis over the examples too. Override it beside
    /// [`preprocess`](Self::preprocess) where an example is so little work (rows of a table,
    /// say) that handing it in and out costs more.
    ///
    /// `None`, the default, and an error: the examples are prepared one by one, so that one
    /// which is wrong fails alone, and one that can be answered is.
    fn preprocess_columns(&self, columns: &Columns) -> Result<Option<Outputs>, Error> {
        let _ = columns;
        Ok(None)
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

    /// Finishes all examples of a call at once, as [`Preprocess::preprocess_columns`] prepares
    /// them.
    fn postprocess_columns(&self, columns: &Columns) -> Result<Option<Outputs>, Error> {
        let _ = columns;
        Ok(None)
    }
}

/// The role around a model: collates examples into what the model reads, calls it, and
/// splits what it wrote. [`collate`](crate::collate) does both on the host.
///
/// ```
/// use consort_sdk::{
///     ANY, Args, Assets, Datatype, Error, Example, HandlerDescription, Model, ModelHandler,
///     Outputs, Plugin, Signature, Tensor, collate,
/// };
///
/// /// Pads lists of tokens to the longest, with a mask.
/// struct Tokens;
///
/// impl Plugin for Tokens {
///     fn init(_config: &str, _assets: &Assets) -> Result<Self, Error> {
///         Ok(Self)
///     }
/// }
///
/// impl ModelHandler for Tokens {
///     fn describe(&self, _model: &Signature) -> Result<HandlerDescription, Error> {
///         Ok(HandlerDescription::new()
///             .input("ids", Datatype::Int64, [ANY])
///             .output("scores", Datatype::Fp32, [2])
///             .ragged())
///     }
///
///     fn predict(
///         &self,
///         model: &Model,
///         examples: &[Example],
///         args: &Args,
///     ) -> Result<Vec<Result<Outputs, Error>>, Error> {
///         let lists = examples.iter().map(|example| example.tensor("ids"));
///         let ids = collate::stack_padded(&lists.collect::<Result<Vec<_>, _>>()?, 0i64, Datatype::Int64)?;
///         let mask = ids.mask.ok_or_else(|| Error::failed("there is no mask"))?;
///         let inputs = [("input_ids", ids.tensor), ("attention_mask", mask)];
///         let outputs = model.infer_with(inputs, args)?;
///         let scores = collate::split(outputs.tensor("logits")?)?;
///         let each = |scores| Ok(Outputs::from([("scores", scores)]));
///         Ok(scores.into_iter().map(each).collect())
///     }
/// }
///
/// consort_sdk::export!(Tokens: model_handler);
///
/// // A unit test needs no model: this one answers with the number of tokens, twice.
/// let signature = Signature::new()
///     .input("input_ids", Datatype::Int64, [ANY, ANY])
///     .input("attention_mask", Datatype::Int64, [ANY, ANY]);
/// let model = Model::fake("bert", signature, |inputs, _args| {
///     let shape = inputs.tensor("attention_mask")?.shape();
///     let mask = inputs.read::<i64>("attention_mask")?;
///     let counts = mask.chunks(shape[1]).map(|row| row.iter().sum::<i64>() as f32);
///     let scores: Vec<f32> = counts.flat_map(|count| [count, count]).collect();
///     Ok([("logits", Tensor::from_slice(&[shape[0], 2], &scores)?)].into())
/// });
/// let example = |ids: &[i64]| {
///     let ids = Tensor::from_slice(&[ids.len()], ids)?;
///     Ok::<_, Error>(Example::from_tensors([("ids", ids)]))
/// };
/// let examples = [example(&[5])?, example(&[1, 2, 3])?];
/// let results = Tokens.predict(&model, &examples, &Args::none())?;
/// let second = results.into_iter().nth(1).unwrap()?;
/// assert_eq!(*second.tensor("scores").unwrap().read::<f32>()?, [3.0, 3.0]);
/// # Ok::<(), Error>(())
/// ```
pub trait ModelHandler: Plugin {
    /// What this role is around a model, given what one call of the model takes and gives
    /// (its batch axis included, if it has one). Called once after `init` for each granted
    /// model. An error says why it is none for that model.
    fn describe(&self, model: &Signature) -> Result<HandlerDescription, Error>;

    /// Predicts on a batch of one tenant's examples: exactly one result each, in order. An
    /// error as a whole fails the batch, which the host then runs again in halves until the
    /// example at fault is alone.
    fn predict(
        &self,
        model: &Model<'_>,
        examples: &[Example],
        args: &Args,
    ) -> Result<Vec<Result<Outputs, Error>>, Error>;
}

/// An ensemble in code: calls models as it sees fit, several at a time, and makes an answer
/// of theirs. The manifest grants it models, model maps and other ensembles.
///
/// ```
/// use consort_sdk::{
///     Args, Assets, Datatype, Ensemble, Error, Example, Model, Outputs, Plugin, Signature,
///     Tensor,
/// };
///
/// /// Asks a small model, and a large one as well where the small one is not sure.
/// struct Cascade;
///
/// impl Plugin for Cascade {
///     fn init(_config: &str, _assets: &Assets) -> Result<Self, Error> {
///         Ok(Self)
///     }
/// }
///
/// impl Ensemble for Cascade {
///     fn describe(&self) -> Signature {
///         Signature::new().input("x", Datatype::Fp32, [4]).output("p", Datatype::Fp32, [1])
///     }
///
///     fn run(&self, example: &Example, args: &Args) -> Result<Outputs, Error> {
///         let (small, large) = (Model::open("small")?, Model::open("large")?);
///         // Both at once: the large one's answer is often not needed, and then abandoned.
///         let second = large.submit_example_with(example.share()?, args)?;
///         let first = small.infer_example_with(example.share()?, args)?;
///         match first.tensor("p")?.element::<f32>()? {
///             0.2..0.8 => Ok(second.wait()?.into()),
///             _ => Ok(first.into()),
///         }
///     }
/// }
///
/// consort_sdk::export!(Cascade: ensemble);
///
/// // A unit test grants fake models; they read and write batches, here of one row.
/// let fake = |name: &'static str, p: f32| {
///     let signature = Signature::new().input("x", Datatype::Fp32, [1, 4]);
///     Model::fake(name, signature, move |_, _| Ok([("p", Tensor::from_slice(&[1, 1], &[p])?)].into()))
/// };
/// fake("small", 0.5).grant();
/// fake("large", 0.9).grant();
/// let example = Example::from_tensors([("x", Tensor::from_slice(&[4], &[0f32; 4])?)]);
/// let outputs = Cascade.run(&example, &Args::none())?;
/// assert_eq!(outputs.tensor("p").unwrap().element::<f32>()?, 0.9);
/// # Ok::<(), Error>(())
/// ```
pub trait Ensemble: Plugin {
    /// What this ensemble reads and writes. Called once after `init`; it may depend on what
    /// the granted models say of themselves.
    fn describe(&self) -> Signature;

    /// Answers one example. `args` are what the caller says beside the tensors; pass them on
    /// to the models that they are for.
    fn run(&self, example: &Example, args: &Args) -> Result<Outputs, Error>;

    /// Answers several examples: exactly one result each, in order. The host spreads
    /// examples over instances that run at the same time; override it where the calls to
    /// models for those of one instance are to be under way at the same time as well.
    fn run_many(&self, examples: &[Example], args: &Args) -> Vec<Result<Outputs, Error>> {
        let examples = examples.iter();
        examples.map(|example| self.run(example, args)).collect()
    }
}
