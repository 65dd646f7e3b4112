//! Calls a model that nobody granted.

use consort_sdk::{Model, Tensor};

consort_guests::guest!(consort_guests::nothing, |x| {
    let model = Model::open("secret\u{1b}[31m")?;
    let outputs = model.infer([("x", Tensor::from_slice(&[1, 1], &[x])?)])?;
    Ok(outputs.tensor("x")?.element()?)
});
