//! The network: connections, TLS, requests and answers over HTTP/1.1.
//!
//! hyper's own client is used and nothing above it: no redirect is followed, no encoding is
//! undone, no proxy is read from the environment, no cookie is kept.

mod client;
mod dial;
mod tls;

pub(crate) use client::HttpTransport;
