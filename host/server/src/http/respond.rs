//! Responses: JSON bodies, bodies in pieces, and refusals.

use super::coding;
use crate::admission::Charge;
use crate::refusal::Refusal;
use crate::status::Code;
use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// When a client that was refused for lack of room may come back, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

#[derive(Serialize)]
struct ErrorJson<'a> {
    error: &'a str,
}

/// A body in pieces, none of which is copied. What it takes is counted until it has been
/// sent or given up: a client that does not read it holds memory.
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
    _charge: Charge,
}

/// A JSON response.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<Response, Refusal> {
    let body =
        serde_json::to_vec(value).map_err(|error| Refusal::internal(format!("JSON: {error}")))?;
    Ok(([(CONTENT_TYPE, JSON)], body).into_response())
}

/// `200 OK` with nothing in it, as health checks answer.
pub(super) fn empty() -> Response {
    StatusCode::OK.into_response()
}

// === impl Refusal ===

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = ErrorJson {
            error: self.message(),
        };
        let body = serde_json::to_vec(&error).unwrap_or_default();
        let mut response = (self.code().http(), [(CONTENT_TYPE, JSON)], body).into_response();
        let headers = response.headers_mut();
        if self.code().is_retryable() {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if self.code() == Code::UnsupportedEncoding {
            headers.insert(ACCEPT_ENCODING, coding::SUPPORTED);
        }
        // For the log line, which is written where the request's id is known.
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

// === impl Pieces ===

impl Pieces {
    /// A body, and the account of the request that it answers: an output may be a part of
    /// the request's own memory.
    pub(super) fn body(pieces: Vec<Bytes>, mut charge: Charge) -> Body {
        charge.hold(pieces.iter().map(Bytes::len).sum());
        Body::new(Self {
            pieces: pieces.into(),
            _charge: charge,
        })
    }
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes: usize = self.pieces.iter().map(Bytes::len).sum();
        SizeHint::with_exact(bytes as u64)
    }
}
