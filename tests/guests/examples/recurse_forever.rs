//! Calls itself until the stack is full.

use consort_guests::MARK;
use std::hint::black_box;

fn recurse(x: i64) -> i64 {
    // Never 0, but the compiler must not know; nor may it make a loop of this.
    if black_box(x) == 0 {
        0
    } else {
        1 + black_box(recurse(x))
    }
}

consort_guests::guest!(consort_guests::nothing, |x| {
    Ok(if x == MARK { recurse(x) } else { x })
});
