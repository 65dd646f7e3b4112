//! The seam between policy and network: one request out, one answer or error back.

use crate::pieces::Pieces;
use bytes::Bytes;
use consort_inference::BoxFuture;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};

/// Sends one request; tries nothing twice and waits for nothing but the server.
pub(crate) trait Transport: Send + Sync {
    /// Sends it and reads the answer to its end. To drop the future gives the request up and
    /// closes its connection.
    fn send<'a>(&'a self, request: &'a Outgoing) -> BoxFuture<'a, Result<Answer, SendError>>;
}

/// A request; it can be sent again, since its body is made of shared bytes.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Pieces,
}

/// What the server answered, whatever its status.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// All of it for a success; for anything else as much as a message may need.
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    /// No connection: nothing was sent.
    #[error("no connection: {0}")]
    Connect(String),
    /// The two sides do not trust one another; another try would fare no better.
    #[error("no TLS connection: {0}")]
    Tls(String),
    /// The connection broke after something may have been sent.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The body of the answer is beyond the limit.
    #[error("the answer has more than {0} bytes, which is the limit (response_bytes_max)")]
    TooLarge(usize),
    /// The body of the answer is compressed, which nobody asked for.
    #[error("the answer is encoded as {0}, though none of that was asked for")]
    Encoded(String),
    /// A secret of the request is not to be had.
    #[error("{0}")]
    Secret(String),
}

// === impl Outgoing ===

impl Outgoing {
    /// A question without a body.
    pub(crate) fn asking(uri: Uri) -> Self {
        Self {
            method: Method::GET,
            uri,
            headers: Vec::new(),
            body: Pieces::default(),
        }
    }

    /// A body of one of the forms that are sent.
    pub(crate) fn posting(uri: Uri, content_type: &'static str, body: Pieces) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self {
            method: Method::POST,
            uri,
            headers: vec![(hyper::header::CONTENT_TYPE, content_type)],
            body,
        }
    }
}
