//! Uses what every component may: clocks, a short sleep, random numbers, standard output.

#![expect(clippy::disallowed_methods, reason = "a guest has no tokio")]
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

consort_guests::guest!(consort_guests::nothing, |x| {
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    assert!(begun.elapsed() >= Duration::from_millis(2));
    assert!(SystemTime::now() > SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let seeds: HashSet<u64> = (0..8).map(|_| RandomState::new().hash_one(x)).collect();
    assert!(seeds.len() > 1);
    println!("on standard output");
    eprint!("on standard error, unfinished");
    assert_eq!(std::env::args().count(), 0);
    assert_eq!(std::env::vars().count(), 0);
    Ok(x)
});
