//! Fills a table of 2,048 entries in `init` and looks into it when called; the bench
//! measures how long its instances live.

use consort_guests::{number, numbered, signature};
use consort_sdk::{Assets, Error, Example, Outputs, Plugin, Postprocess, Signature};
use std::collections::HashMap;

struct Table(HashMap<i64, String>);

impl Plugin for Table {
    fn init(_config: &str, _assets: &Assets) -> Result<Self, Error> {
        let entry = |x: i64| (x, format!("entry {x}: {}", "content ".repeat(16)));
        Ok(Self((0..2048).map(entry).collect()))
    }
}

impl Postprocess for Table {
    fn describe(&self) -> Signature {
        signature()
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let x = number(example)?;
        let entry = self.0.get(&x);
        let entry = entry.ok_or_else(|| Error::invalid_input(format!("no entry {x}")))?;
        numbered(entry.len() as i64)
    }
}

consort_sdk::export!(Table: postprocess);
