//! A model handler that does wrong what its config says.

use consort_guests::{MARK, number, numbered};
use consort_sdk::{
    Args, Assets, Datatype, Error, Example, HandlerDescription, Model, ModelHandler, Outputs,
    Plugin, Signature, Tensor,
};

struct Wrong {
    what: String,
}

impl Plugin for Wrong {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self {
            what: config.to_owned(),
        })
    }
}

impl ModelHandler for Wrong {
    fn describe(&self, _model: &Signature) -> Result<HandlerDescription, Error> {
        let description = HandlerDescription::new()
            .input("x", Datatype::Int64, [1])
            .output("x", Datatype::Int64, [1]);
        match self.what.as_str() {
            "refuses to describe" => Err(Error::failed("not with this model\u{1b}[1m")),
            "describes a batch of nothing" => Ok(description.max_batch_size(0)),
            "describes falling sizes" => Ok(description.preferred_batch_sizes([8, 4])),
            "describes a tensor twice" => Ok(description.output("x", Datatype::Int64, [1])),
            _ => Ok(description),
        }
    }

    fn predict(
        &self,
        model: &Model,
        examples: &[Example],
        args: &Args,
    ) -> Result<Vec<Result<Outputs, Error>>, Error> {
        let mut results: Vec<_> = examples
            .iter()
            .map(|example| numbered(number(example)?))
            .collect();
        match self.what.as_str() {
            "loses a result" => drop(results.pop()),
            "adds a result" => results.push(numbered(0)),
            "gives another tensor" => {
                results.truncate(examples.len() - 1);
                results.push(Ok(Outputs::from([("y", Tensor::single(1i64)?)])));
            }
            "gives more tensors" => {
                let twice = [("x", Tensor::single(1i64)?), ("x", Tensor::single(1i64)?)];
                results.truncate(examples.len() - 1);
                results.push(Ok(Outputs::from(twice)));
            }
            "refuses the batch" => return Err(Error::invalid_input("I will not")),
            "refuses the marked example" => {
                for (result, example) in results.iter_mut().zip(examples) {
                    if number(example)? == MARK {
                        *result = Err(Error::failed("not this one"));
                    }
                }
            }
            "panics at the marked example" => {
                for example in examples {
                    assert_ne!(number(example)?, MARK, "this one again");
                }
            }
            "loops" => loop {
                std::hint::black_box(args);
            },
            "passes on what the model says" => {
                let rows = Tensor::from_slice(&[1, 1], &[0i64])?;
                model.infer_with([("x", rows)], args)?;
            }
            _ => {}
        }
        Ok(results)
    }
}

consort_sdk::export!(Wrong: model_handler);
