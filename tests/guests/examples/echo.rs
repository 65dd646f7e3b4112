//! Says what it was given: its config, its assets, the example's key and text.

use consort_sdk::{
    Assets, Datatype, Error, Example, Outputs, Plugin, Postprocess, Signature, Tensor,
};

struct Echo {
    known: String,
}

impl Plugin for Echo {
    fn init(config: &str, assets: &Assets) -> Result<Self, Error> {
        let mut known = config.to_owned();
        for name in assets.names() {
            known += &format!(" {name}={}", assets.text(&name)?);
        }
        if let Err(error) = assets.read("no such\u{7} file") {
            known += &format!(" [{error}]");
        }
        Ok(Self { known })
    }
}

impl Postprocess for Echo {
    fn describe(&self) -> Signature {
        Signature::new()
            .input("text", Datatype::Bytes, [1])
            .output("text", Datatype::Bytes, [1])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let text = format!(
            "{} key={:?} text={}",
            self.known,
            example.key(),
            example.text("text")?
        );
        Ok(Outputs::from([("text", Tensor::single_bytes(text)?)]))
    }
}

consort_sdk::export!(Echo: postprocess);
