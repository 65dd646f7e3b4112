//! consort-registry.
