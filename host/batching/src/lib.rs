//! consort-batching.
