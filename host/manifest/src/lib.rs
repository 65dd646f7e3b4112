//! consort-manifest.
