//! Passes its numbers on, in both roles, without reading them.

use consort_sdk::{
    Assets, Datatype, Description, Error, Example, Outcome, Outputs, Plugin, Postprocess,
    Preprocess, Signature,
};

struct Identity;

impl Plugin for Identity {
    fn init(_config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self)
    }
}

fn pass(example: &Example) -> Result<Outputs, Error> {
    Ok(Outputs::from([("x", example.tensor("x")?.share()?)]))
}

impl Preprocess for Identity {
    fn describe(&self) -> Description {
        Description::new()
            .input("x", Datatype::Int64, [1])
            .forwards("x", Datatype::Int64, [1])
    }

    fn preprocess(&self, example: &Example) -> Result<Outcome, Error> {
        pass(example).map(Outcome::Forward)
    }
}

impl Postprocess for Identity {
    fn describe(&self) -> Signature {
        consort_guests::signature()
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        pass(example)
    }
}

consort_sdk::export!(Identity: preprocess, postprocess);
