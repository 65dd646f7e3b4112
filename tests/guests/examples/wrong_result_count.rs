//! Returns one result too few, or as many too many as its config says.

use consort_guests::{number, numbered, signature};
use consort_sdk::{Assets, Error, Example, Outputs, Plugin, Postprocess, Signature};

struct Miscounts(usize);

impl Plugin for Miscounts {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self(config.parse().unwrap_or_default()))
    }
}

impl Postprocess for Miscounts {
    fn describe(&self) -> Signature {
        signature()
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        numbered(number(example)?)
    }

    fn postprocess_many(&self, examples: &[Example]) -> Vec<Result<Outputs, Error>> {
        let count = match self.0 {
            0 => examples.len().saturating_sub(1),
            more => examples.len() + more,
        };
        (0..count).map(|x| numbered(x as i64)).collect()
    }
}

consort_sdk::export!(Miscounts: postprocess);
