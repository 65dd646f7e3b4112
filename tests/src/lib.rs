//! consort-tests.
