//! Never returns from `init`.

consort_guests::guest!(
    |config| loop {
        std::hint::black_box(config);
    },
    Ok
);
