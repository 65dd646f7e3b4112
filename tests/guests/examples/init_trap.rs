//! Panics in `init`.

use consort_sdk::Error;

fn init(config: &str) -> Result<(), Error> {
    panic!("cannot start with \"{config}\"");
}

consort_guests::guest!(init, Ok);
