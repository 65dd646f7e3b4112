//! Counts to `x` by calling, `x` times, the model that its config names; for the marked
//! example it never stops. The model adds one.

use consort_guests::{MARK, number, numbered, signature};
use consort_sdk::{Assets, Error, Example, Model, Outputs, Plugin, Postprocess, Signature, Tensor};

struct Guest {
    model: String,
}

impl Plugin for Guest {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self {
            model: config.to_owned(),
        })
    }
}

impl Postprocess for Guest {
    fn describe(&self) -> Signature {
        signature()
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let x = number(example)?;
        let model = Model::open(&self.model)?;
        let mut counted = 0;
        while counted != x || x == MARK {
            let rows = Tensor::from_slice(&[1, 1], &[counted])?;
            counted = model.infer([("x", rows)])?.tensor("x")?.element()?;
        }
        numbered(counted)
    }
}

consort_sdk::export!(Guest: postprocess);
