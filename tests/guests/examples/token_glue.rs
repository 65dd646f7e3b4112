//! A model handler: pads lists of tokens to the longest with a mask, calls the model, and
//! cuts what it wrote for each token back to the lists' lengths.

use consort_sdk::{
    ANY, Args, Assets, Datatype, Error, Example, HandlerDescription, Model, ModelHandler, Outputs,
    Plugin, Signature, Tensor, collate,
};

struct Tokens;

impl Plugin for Tokens {
    fn init(_config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl ModelHandler for Tokens {
    fn describe(&self, model: &Signature) -> Result<HandlerDescription, Error> {
        let reads = |name: &str| {
            let found = model.inputs.iter().find(|spec| spec.name == name);
            found.is_some_and(|spec| spec.dims.0 == [ANY, ANY])
        };
        if !reads("input_ids") || !reads("attention_mask") {
            return Err(Error::failed("the model reads no tokens"));
        }
        Ok(HandlerDescription::new()
            .input("ids", Datatype::Int64, [ANY])
            .output("doubled", Datatype::Int64, [ANY])
            .output("count", Datatype::Int64, [0; 0])
            .max_batch_size(64)
            .preferred_batch_sizes([8, 32])
            .ragged())
    }

    fn predict(
        &self,
        model: &Model,
        examples: &[Example],
        args: &Args,
    ) -> Result<Vec<Result<Outputs, Error>>, Error> {
        let lists = examples.iter().map(|example| example.tensor("ids"));
        let lists: Vec<&Tensor> = lists.collect::<Result<_, _>>()?;
        let lengths: Vec<usize> = lists.iter().map(|ids| ids.element_count()).collect();
        let ids = collate::stack_padded(&lists, 0i64, Datatype::Int64)?;
        let mask = ids.mask.ok_or_else(|| Error::failed("there is no mask"))?;
        let inputs = [("attention_mask", mask), ("input_ids", ids.tensor)];
        let outputs = model.infer_with(inputs, args)?;
        let doubled = collate::split_to(outputs.tensor("doubled")?, &lengths)?;
        let counts = collate::split(outputs.tensor("count")?)?;
        let each = |(doubled, count)| Ok(Outputs::from([("doubled", doubled), ("count", count)]));
        Ok(doubled.into_iter().zip(counts).map(each).collect())
    }
}

consort_sdk::export!(Tokens: model_handler);
