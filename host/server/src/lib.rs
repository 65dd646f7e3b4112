//! consort-server.
