//! Panics when it is asked to describe itself, or lists one name twice.

use consort_guests::{number, numbered, signature};
use consort_sdk::{Assets, Datatype, Error, Example, Outputs, Plugin, Postprocess, Signature};

struct Shy {
    panics: bool,
}

impl Plugin for Shy {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self {
            panics: config == "panic",
        })
    }
}

impl Postprocess for Shy {
    fn describe(&self) -> Signature {
        assert!(!self.panics, "I would rather not say");
        signature().output("x", Datatype::Fp32, [1])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        numbered(number(example)?)
    }
}

consort_sdk::export!(Shy: postprocess);
