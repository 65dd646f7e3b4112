//! Panics in `init`.

#![expect(clippy::panic, reason = "that is what it is for")]

use consort_sdk::Error;

fn init(config: &str) -> Result<(), Error> {
    panic!("cannot start with \"{config}\"");
}

consort_guests::guest!(init, Ok);
