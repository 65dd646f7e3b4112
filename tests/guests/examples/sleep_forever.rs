//! Sleeps on the marked example for longer than anyone waits.

#![expect(clippy::disallowed_methods, reason = "a guest has no tokio")]

use consort_guests::MARK;
use std::time::Duration;

consort_guests::guest!(consort_guests::nothing, |x| {
    if x == MARK {
        std::thread::sleep(Duration::from_secs(1 << 40));
    }
    Ok(x)
});
