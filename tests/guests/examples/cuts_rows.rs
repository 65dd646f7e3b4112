//! Gives back the first of its rows, without having read any.

use consort_sdk::{ANY, Assets, Datatype, Error, Example, Outputs, Plugin, Postprocess, Signature};

struct Guest;

impl Plugin for Guest {
    fn init(_config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Postprocess for Guest {
    fn describe(&self) -> Signature {
        Signature::new()
            .input("rows", Datatype::Fp32, [ANY, ANY])
            .output("row", Datatype::Fp32, [ANY, ANY])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let row = example.tensor("rows")?.rows(0..1)?;
        Ok(Outputs::from([("row", row)]))
    }
}

consort_sdk::export!(Guest: postprocess);
