//! Refuses its config.

use consort_sdk::Error;

consort_guests::guest!(
    |config| Err(Error::failed(format!(
        "the config \"{config}\" will not do\u{1b}[1m"
    ))),
    Ok
);
