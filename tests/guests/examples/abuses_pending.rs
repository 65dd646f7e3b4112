//! Does with calls under way what its config says, and nobody should. Its model `a` reads a
//! number `x` and gives another.

use consort_guests::{MARK, number, numbered, signature};
use consort_sdk::{
    Args, Assets, Ensemble, Error, Example, Model, Outputs, Pending, Plugin, Signature, Tensor,
    wait_any,
};
use std::cell::RefCell;

std::thread_local! {
    static KEPT: RefCell<Vec<Pending>> = const { RefCell::new(Vec::new()) };
}

struct Guest {
    what: String,
}

fn begin() -> Result<Pending, Error> {
    Model::open("a")?.submit_example(Example::from_tensors([("x", Tensor::single(1i64)?)]))
}

impl Plugin for Guest {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        if config == "submits in init" {
            drop(begin()?);
        }
        Ok(Self {
            what: config.to_owned(),
        })
    }
}

impl Ensemble for Guest {
    fn describe(&self) -> Signature {
        signature()
    }

    fn run(&self, example: &Example, _args: &Args) -> Result<Outputs, Error> {
        let x = number(example)?;
        match self.what.as_str() {
            "submits until the limit" => {
                let mut calls = Vec::new();
                let refusal = loop {
                    match begin() {
                        Ok(call) => calls.push(call),
                        Err(error) => break error,
                    }
                };
                if x == MARK {
                    return Err(refusal);
                }
                // One less, and there is room for another.
                drop(calls.pop());
                calls.push(begin()?);
                numbered(calls.len() as i64)
            }
            "submits for ever" => loop {
                drop(begin()?);
            },
            "drops them" => {
                for _ in 0..x {
                    drop(begin()?);
                }
                numbered(x)
            }
            "waits for none" => {
                let calls: Result<Vec<Pending>, Error> = (0..x).map(|_| begin()).collect();
                std::mem::forget(calls?);
                numbered(x)
            }
            "waits for an empty list" => {
                let place = wait_any(&Vec::<Pending>::new())?;
                numbered(place as i64)
            }
            "waits for one many times" => {
                let call = begin()?;
                let place = wait_any(vec![&call; usize::try_from(x).unwrap_or_default()])?;
                numbered(place as i64)
            }
            "panics" => {
                let _calls = [begin()?, begin()?];
                assert_ne!(x, MARK, "this one again");
                numbered(x)
            }
            "loops" => {
                let _call = begin()?;
                loop {
                    std::hint::black_box(x);
                }
            }
            "never asks for the answers" => {
                let mut calls = Vec::new();
                for _ in 0..x {
                    calls.push(begin()?);
                    wait_any(calls.last())?;
                }
                let mut given = 0;
                for call in calls {
                    assert!(call.is_done());
                    given += i64::from(call.wait().is_ok());
                }
                numbered(given)
            }
            "keeps them for the next call" => {
                let kept = KEPT.with_borrow(Vec::len);
                let call = begin()?;
                KEPT.with_borrow_mut(|calls| calls.push(call));
                numbered(kept as i64)
            }
            "holds rows" => {
                let rows = Tensor::from_slice(
                    &[usize::try_from(x).unwrap_or_default(), 1],
                    &vec![0i64; usize::try_from(x).unwrap_or_default()],
                )?;
                let model = Model::open("a")?;
                let _first = model.submit([("x", rows.share()?)])?;
                let _second = model.submit([("x", rows)])?;
                numbered(x)
            }
            "gives another tensor" => Ok(Outputs::from([("y", Tensor::single(x)?)])),
            other => Err(Error::failed(format_args!("\"{other}\" is nothing I do"))),
        }
    }

    fn run_many(&self, examples: &[Example], args: &Args) -> Vec<Result<Outputs, Error>> {
        let mut results: Vec<_> = examples
            .iter()
            .map(|example| self.run(example, args))
            .collect();
        if self.what == "loses a result" {
            results.pop();
        }
        results
    }
}

consort_sdk::export!(Guest: ensemble);
