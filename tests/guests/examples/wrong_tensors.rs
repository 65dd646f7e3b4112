//! Returns other tensors than it promises, in as many ways as there are; or tells how many examples it
//! has seen.

use consort_guests::{number, signature};
use consort_sdk::{Assets, Error, Example, Outputs, Plugin, Postprocess, Signature, Tensor};
use std::sync::atomic::{AtomicI64, Ordering};

/// Examples that this instance has seen.
static SEEN: AtomicI64 = AtomicI64::new(0);

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
        let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
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
            8 => Outputs::from([("x", Tensor::single(seen)?)]),
            _ => Outputs::from([("x", x()?)]),
        })
    }
}

consort_sdk::export!(Promises: postprocess);
