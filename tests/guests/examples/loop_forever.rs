//! Never returns from the marked example.

use consort_guests::MARK;

consort_guests::guest!(consort_guests::nothing, |x| {
    while x == MARK {
        std::hint::black_box(x);
    }
    Ok(x)
});
