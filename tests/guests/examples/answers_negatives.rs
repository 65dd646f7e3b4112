//! Answers negative numbers by itself, forwards others, refuses 0 and fails on 1. Told
//! so by its config, it answers although it promises no answers.

use consort_guests::{number, numbered};
use consort_sdk::{Assets, Datatype, Description, Error, Example, Outcome, Plugin, Preprocess};

struct Answers {
    promised: bool,
}

impl Plugin for Answers {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self {
            promised: config != "promise nothing",
        })
    }
}

impl Preprocess for Answers {
    fn describe(&self) -> Description {
        let description = Description::new()
            .input("x", Datatype::Int64, [1])
            .forwards("x", Datatype::Int64, [1]);
        if self.promised {
            description.answers("x", Datatype::Int64, [1])
        } else {
            description
        }
    }

    fn preprocess(&self, example: &Example) -> Result<Outcome, Error> {
        match number(example)? {
            x @ ..0 => numbered(x * 2).map(Outcome::Answer),
            0 => Err(Error::invalid_input("zero is not accepted\u{1b}[31m")),
            1 => Err(Error::failed("one is too much for me")),
            x => numbered(x).map(Outcome::Forward),
        }
    }
}

consort_sdk::export!(Answers: preprocess);
