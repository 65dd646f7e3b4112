//! Opens the model `add_one` as often as `x` says and drops no handle; the last must work.

use consort_sdk::{Error, Model, Tensor};

fn run(x: i64) -> Result<i64, Error> {
    for _ in 0..x {
        std::mem::forget(Model::open("add_one")?);
    }
    let rows = Tensor::from_slice(&[1, 1], &[x - 1])?;
    let outputs = Model::open("add_one")?.infer([("x", rows)])?;
    Ok(outputs.tensor("x")?.element()?)
}

consort_guests::guest!(consort_guests::nothing, run);
