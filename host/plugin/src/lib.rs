//! consort-plugin.
