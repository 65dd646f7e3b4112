//! Panics on the marked example, with a message made to confuse terminals.

use consort_guests::MARK;

consort_guests::guest!(consort_guests::nothing, |x| {
    assert_ne!(
        x,
        MARK,
        "I do not like it\u{1b}[2J {}",
        "at all ".repeat(10_000)
    );
    Ok(x)
});
