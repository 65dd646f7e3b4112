//! Looks at the model `add_one` while it is loaded. With the config `keep` it keeps the
//! handle for later calls, with `call` it tries to call it.

use consort_sdk::{Error, Model, Tensor};
use std::cell::OnceCell;

thread_local! {
    static MODEL: OnceCell<Model<'static>> = const { OnceCell::new() };
}

fn one(model: &Model, x: i64) -> Result<i64, Error> {
    let outputs = model.infer([("x", Tensor::from_slice(&[1, 1], &[x])?)])?;
    Ok(outputs.tensor("x")?.element()?)
}

fn init(config: &str) -> Result<(), Error> {
    let model = Model::open("add_one")?;
    if model.signature().inputs.len() != 1 || !model.has_batch_axis() {
        return Err(Error::failed("this is another model"));
    }
    if config == "call" {
        one(&model, 1)?;
    }
    if config == "keep" {
        MODEL.with(|kept| drop(kept.set(model)));
    }
    Ok(())
}

consort_guests::guest!(init, |x| {
    MODEL.with(|kept| match kept.get() {
        Some(model) => one(model, x),
        None => one(&Model::open("add_one")?, x),
    })
});
