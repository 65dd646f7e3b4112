//! One request and its answer, whose size is limited.

use super::dial::{Dial, DialError, chain};
use super::tls;
use crate::address::Address;
use crate::config::Config;
use crate::error::ConnectReason;
use crate::pieces::Pieces;
use crate::secrets::Secrets;
use crate::transport::{Answer, Outgoing, SendError, Transport};
use bytes::{Bytes, BytesMut};
use consort_inference::BoxFuture;
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error as _;
use std::future::poll_fn;
use std::pin::Pin;
use tokio::time::Instant;

/// Bytes of the body of an error that are read, for its message.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// Sends requests to one server over kept connections.
pub(crate) struct HttpTransport {
    client: Client<Dial, Pieces>,
    secrets: Secrets,
    response_bytes_max: usize,
}

// === impl HttpTransport ===

impl HttpTransport {
    /// Reads files of certificates and secrets, and blocks for that time; connects to nothing
    /// yet.
    pub(crate) fn open(config: &Config, address: &Address) -> Result<Self, ConnectReason> {
        let secrets = Secrets::read(config, Instant::now()).map_err(ConnectReason::Secret)?;
        let is_exposed = !address.is_tls() && !address.is_loopback();
        if is_exposed && !secrets.is_empty() && !config.cleartext_secrets {
            return Err(ConnectReason::Cleartext {
                url: address.as_str().to_owned(),
            });
        }
        let tls = if address.is_tls() {
            tls::client_config(&config.tls, address.as_str())?
        } else {
            tls::no_trust()?
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_timeout)
            .pool_max_idle_per_host(config.idle_connections_max)
            .build(Dial::new(tls, config.connect_timeout));
        Ok(Self {
            client,
            secrets,
            response_bytes_max: config.response_bytes_max,
        })
    }

    async fn exchange(&self, outgoing: &Outgoing) -> Result<Answer, SendError> {
        let secrets = self.secrets.values(Instant::now()).await;
        let secrets = secrets.map_err(SendError::Secret)?;
        let mut request = Request::new(outgoing.body.clone());
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = outgoing.uri.clone();
        let headers = request.headers_mut();
        let agent = concat!("consort/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.extend(outgoing.headers.iter().cloned());
        headers.extend(secrets);
        let response = self.client.request(request).await;
        let (parts, body) = response.map_err(|error| send_error(&error))?.into_parts();
        let body = if parts.status.is_success() {
            if let Some(encoding) = parts.headers.get(CONTENT_ENCODING)
                && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
            {
                let encoding = crate::text::excerpt(encoding.as_bytes());
                return Err(SendError::Encoded(encoding));
            }
            read(body, self.response_bytes_max).await?
        } else {
            if parts.status == StatusCode::UNAUTHORIZED {
                self.secrets.refused();
            }
            read_head(body, ERROR_BYTES_MAX).await
        };
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

impl Transport for HttpTransport {
    fn send<'a>(&'a self, request: &'a Outgoing) -> BoxFuture<'a, Result<Answer, SendError>> {
        Box::pin(self.exchange(request))
    }
}

/// All of a body, if it is within the limit.
async fn read(mut body: Incoming, bytes_max: usize) -> Result<Bytes, SendError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(SendError::TooLarge(bytes_max));
    }
    let mut whole = BytesMut::with_capacity(announced);
    while let Some(frame) = next_data(&mut body).await {
        let data = frame.map_err(|error| SendError::Broken(chain(&error)))?;
        if data.len() > bytes_max - whole.len() {
            return Err(SendError::TooLarge(bytes_max));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// The start of a body; one that breaks off ends there.
async fn read_head(mut body: Incoming, bytes_max: usize) -> Bytes {
    let mut head = BytesMut::new();
    while head.len() < bytes_max
        && let Some(Ok(data)) = next_data(&mut body).await
    {
        head.extend_from_slice(&data);
    }
    head.truncate(bytes_max);
    head.freeze()
}

/// The next bytes of a body; trailers are passed over.
async fn next_data(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => return Some(Ok(data)),
            Ok(Err(_)) => {}
            Err(error) => return Some(Err(error)),
        }
    }
}

fn send_error(error: &Error) -> SendError {
    let mut next = error.source();
    while let Some(cause) = next {
        match cause.downcast_ref::<DialError>() {
            Some(DialError::Tls(cause)) => return SendError::Tls(cause.to_string()),
            Some(cause) => return SendError::Connect(cause.to_string()),
            None => next = cause.source(),
        }
    }
    if error.is_connect() {
        return SendError::Connect(chain(error));
    }
    SendError::Broken(error.source().map_or_else(|| chain(error), chain))
}
