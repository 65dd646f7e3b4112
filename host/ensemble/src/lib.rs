//! consort-ensemble.
