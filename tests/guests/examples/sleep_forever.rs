//! Sleeps on the marked example for longer than anyone waits.

use consort_guests::MARK;
use std::time::Duration;

consort_guests::guest!(consort_guests::nothing, |x| {
    if x == MARK {
        std::thread::sleep(Duration::from_secs(1 << 40));
    }
    Ok(x)
});
