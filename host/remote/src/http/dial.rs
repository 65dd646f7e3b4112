//! Makes connections: names, TCP and TLS within one limit of time.

use consort_inference::BoxFuture;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

/// Dials one server.
#[derive(Clone)]
pub(super) struct Dial {
    connector: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// It took too long.
    #[error("not made within {0:?} (connect_timeout)")]
    Timeout(Duration),
    /// The two sides do not trust one another, or have no way of talking in common.
    #[error("{0}")]
    Tls(rustls::Error),
    /// Anything else: no such name, nobody listens, no route.
    #[error("{}", chain(.0.as_ref()))]
    Failed(Box<dyn Error + Send + Sync>),
}

// === impl Dial ===

impl Dial {
    pub(super) fn new(tls: rustls::ClientConfig, timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        Self {
            connector: HttpsConnector::from((http, tls)),
            timeout,
        }
    }
}

impl Service<Uri> for Dial {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Self::Response, DialError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        self.connector.poll_ready(cx).map_err(DialError::Failed)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = self.timeout;
        let dialled = self.connector.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(timeout, dialled).await {
                Ok(dialled) => dialled.map_err(DialError::of),
                Err(_) => Err(DialError::Timeout(timeout)),
            }
        })
    }
}

// === impl DialError ===

impl DialError {
    fn of(error: Box<dyn Error + Send + Sync>) -> Self {
        match tls_cause(error.as_ref()) {
            Some(cause) => Self::Tls(cause.clone()),
            None => Self::Failed(error),
        }
    }
}

/// The error of TLS itself, wherever it was wrapped into.
fn tls_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(cause) = error.downcast_ref() {
            return Some(cause);
        }
        // The source of an I/O error is that of the error inside, which would be passed over.
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    None
}

/// An error with all its causes, as one line; a cause that repeats its effect is left out.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = error.source();
    }
    text
}
