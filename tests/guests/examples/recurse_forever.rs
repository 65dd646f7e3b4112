//! Calls itself until the stack is full, or as often as a large number says.

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

/// Calls itself `x` times.
fn count(x: i64) -> i64 {
    match black_box(x) {
        0 => 0,
        x => 1 + black_box(count(x - 1)),
    }
}

consort_guests::guest!(consort_guests::nothing, |x| {
    Ok(match x {
        MARK => recurse(x),
        1000.. => count(x),
        _ => x,
    })
});
