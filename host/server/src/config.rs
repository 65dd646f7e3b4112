//! The limits of the server. Every one has a name and a default.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How the server listens and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The address for [`crate::bind`].
    pub listen: SocketAddr,
    /// The largest request body, compressed and decompressed alike.
    pub body_bytes_max: usize,
    /// All request bodies that are held at once, with what is decoded from them and the
    /// answers that have not been read yet.
    pub held_bytes_max: usize,
    /// Inference requests under way at once; more are refused with 503.
    pub inflight_max: usize,
    /// Rows of one inference request.
    pub rows_max: usize,
    /// How deep JSON may nest.
    pub json_depth_max: usize,
    /// Members of one gzip body.
    pub gzip_members_max: usize,
    /// Open connections; more are refused with 503.
    pub connections_max: usize,
    /// Streams under way at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// How long a new connection may take to send the head of its first request.
    pub header_read_timeout: Duration,
    /// How long a connection may stay open without a request under way.
    pub idle_timeout: Duration,
    /// From the head of a request to its answer, the upload of the body included. A
    /// request's own `timeout` can only shorten it.
    pub request_timeout: Duration,
    /// How long a client may take to read a response.
    pub response_timeout: Duration,
    /// How long requests under way may take to finish after shutdown begins.
    pub drain_timeout: Duration,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
            body_bytes_max: 64 << 20,
            held_bytes_max: 1 << 30,
            inflight_max: 1024,
            rows_max: 8192,
            json_depth_max: 100,
            gzip_members_max: 1024,
            connections_max: 4096,
            streams_max: 256,
            header_read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            request_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
