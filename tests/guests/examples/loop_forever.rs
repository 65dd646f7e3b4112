//! Never returns from the marked example.

use consort_guests::MARK;

consort_guests::guest!(consort_guests::nothing, |x| {
    while std::hint::black_box(x) == MARK {}
    Ok(x)
});
