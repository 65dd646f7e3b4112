//! Returns other tensors than it promises, in as many ways as there are.

use consort_guests::{number, signature};
use consort_sdk::{Assets, Error, Example, Outputs, Plugin, Postprocess, Signature, Tensor};

struct Promises;

impl Plugin for Promises {
    fn init(_config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Postprocess for Promises {
    fn describe(&self) -> Signature {
        signature()
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let x = || Tensor::single(0i64);
        Ok(match number(example)? {
            1 => Outputs::from([("x", Tensor::from_slice(&[2], &[0i64, 0])?)]),
            2 => Outputs::from([("x", Tensor::single(0f32)?)]),
            3 => Outputs::from([("y", x()?)]),
            4 => Outputs::from([("x", x()?), ("y", x()?)]),
            5 => Outputs::from([("x", x()?), ("x", x()?)]),
            6 => Outputs::new(),
            7 => {
                let more = (0..1_000).map(|at| Ok((format!("y{at}"), x()?)));
                let more = more.collect::<Result<Vec<_>, Error>>()?;
                [("x".to_owned(), x()?)].into_iter().chain(more).collect()
            }
            _ => Outputs::from([("x", x()?)]),
        })
    }
}

consort_sdk::export!(Promises: postprocess);
