//! Doubles a number; of all examples at once it makes a tensor without an axis over them.

use consort_guests::{number, numbered, signature};
use consort_sdk::{
    Assets, Columns, Error, Example, Outputs, Plugin, Postprocess, Signature, Tensor,
};

struct Guest;

impl Plugin for Guest {
    fn init(_config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Postprocess for Guest {
    fn describe(&self) -> Signature {
        signature()
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        numbered(2 * number(example)?)
    }

    fn postprocess_columns(&self, columns: &Columns) -> Result<Option<Outputs>, Error> {
        let sum = columns.read::<i64>("x")?.iter().sum::<i64>();
        Ok(Some(Outputs::from([("x", Tensor::single(sum)?)])))
    }
}

consort_sdk::export!(Guest: postprocess);
