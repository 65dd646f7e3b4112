//! consort-sdk.
