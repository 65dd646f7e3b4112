//! What goes round every request: its id, its place in the metrics, its log line, and
//! the count of what is under way until the last byte of its response is handed over.

use super::{App, panic, route_label};
use crate::connection::Activity;
use crate::drain::End;
use crate::metrics::{Label, NO_ENDPOINT, RequestRecord, Status, UNKNOWN_ENDPOINT};
use crate::refusal::Refusal;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Extensions, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use consort_inference::Fault;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use tokio::time::Instant;

/// The header that carries a request's id, by which the log can be searched.
const REQUEST_ID: HeaderName = HeaderName::from_static("consort-request-id");

/// The most bytes of a response that are handed over at once; so a client that does not
/// read is seen to hold its response.
const FRAME_BYTES_MAX: usize = 64 << 10;

/// What becomes known of a request on its way.
#[derive(Debug, Default)]
pub(super) struct Scope {
    endpoint: OnceLock<Label>,
    received: AtomicU64,
}

/// One request under way; it ends when this is dropped.
struct UnderWay {
    app: Arc<App>,
    activity: Option<Arc<Activity>>,
    scope: Arc<Scope>,
    id: u64,
    route: &'static str,
    started: Instant,
    status: Option<u16>,
    sent: u64,
    is_complete: bool,
}

/// A response's body, which knows when it has been handed over.
struct TrackedBody {
    body: Body,
    /// The rest of a frame that is handed over in parts.
    rest: Bytes,
    under_way: UnderWay,
}

pub(super) async fn track(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut under_way = UnderWay::begin(app, &request);
    let is_head = request.method() == Method::HEAD;
    request.extensions_mut().insert(under_way.scope.clone());
    let mut response = match panic::catch(next.run(request)).await {
        Ok(response) => response,
        Err(message) => Refusal::internal(format!("panic: {message}")).into_response(),
    };
    if let Some(refusal) = response.extensions_mut().remove::<Arc<Refusal>>() {
        under_way.log(&refusal);
    }
    if let Ok(id) = HeaderValue::from_str(&format!("{:016x}", under_way.id)) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    under_way.responds(response.status().as_u16());
    if is_head || response.body().is_end_stream() {
        under_way.is_complete = true;
    }
    let tracked = |body| {
        Body::new(TrackedBody {
            body,
            rest: Bytes::new(),
            under_way,
        })
    };
    response.map(tracked)
}

// === impl Scope ===

impl Scope {
    pub(super) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get()
    }

    /// The request is to this endpoint, which exists.
    pub(super) fn names_endpoint(&self, name: &str) {
        self.endpoint.get_or_init(|| Label(name.into()));
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.store(bytes as u64, Ordering::Relaxed);
    }
}

// === impl UnderWay ===

impl UnderWay {
    fn begin(app: Arc<App>, request: &Request) -> Self {
        let activity = request.extensions().get::<Arc<Activity>>().cloned();
        let matched = request.extensions().get::<MatchedPath>();
        let route = route_label(matched.map(MatchedPath::as_str));
        let id = app.next_request.fetch_add(1, Ordering::Relaxed);
        app.drain.request_begins();
        app.metrics.inflight.inc();
        if let Some(activity) = &activity {
            activity.request_begins();
        }
        Self {
            app,
            activity,
            scope: Arc::default(),
            id,
            route,
            started: Instant::now(),
            status: None,
            sent: 0,
            is_complete: false,
        }
    }

    fn responds(&mut self, status: u16) {
        self.status = Some(status);
        if let Some(activity) = &self.activity {
            activity.response_begins(self.id);
        }
    }

    fn endpoint(&self) -> Label {
        let names_model = matches!(
            self.route,
            "infer" | "model_ready" | "model_config" | "model_metadata"
        );
        let otherwise = if names_model {
            UNKNOWN_ENDPOINT
        } else {
            NO_ENDPOINT
        };
        let named = self.scope.endpoint.get().cloned();
        named.unwrap_or_else(|| Label(otherwise.into()))
    }

    /// One line for a refusal. Nothing in it comes from a request's content.
    fn log(&self, refusal: &Refusal) {
        let request_id = format_args!("{:016x}", self.id);
        let (code, fault) = (refusal.code(), refusal.fault());
        let (route, endpoint) = (self.route, self.endpoint());
        let (status, detail) = (code.http().as_u16(), refusal.log().unwrap_or_default());
        let code = code.as_str();
        match fault {
            Fault::Client => tracing::info!(
                %request_id, route, endpoint = &*endpoint.0, status, code, %fault, detail,
                "request refused"
            ),
            Fault::Plugin | Fault::Model | Fault::Host => tracing::warn!(
                %request_id, route, endpoint = &*endpoint.0, status, code, %fault, detail,
                "request failed"
            ),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let end = self.app.drain.request_ends(self.is_complete);
        self.app.metrics.inflight.dec();
        if let Some(activity) = &self.activity {
            activity.request_ends(self.id);
        }
        let status = match (end, self.status) {
            (End::Finished, Some(status)) => Status::Http(status),
            (End::CutOff, _) => Status::CutOff,
            (End::Finished | End::Abandoned, _) => Status::Abandoned,
        };
        self.app.metrics.record(RequestRecord {
            route: self.route,
            endpoint: self.endpoint(),
            status,
            duration: self.started.elapsed(),
            request_bytes: self.scope.received.load(Ordering::Relaxed),
            response_bytes: self.sent,
        });
    }
}

// === impl TrackedBody ===

impl TrackedBody {
    /// Hands over the next part of what is there.
    fn hand_over(&mut self) -> Frame<Bytes> {
        let part = self.rest.split_to(self.rest.len().min(FRAME_BYTES_MAX));
        self.under_way.sent += part.len() as u64;
        self.under_way.is_complete = self.is_end_stream();
        Frame::data(part)
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.hand_over())));
        }
        match Pin::new(&mut self.body).poll_frame(task) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.under_way.is_complete = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    self.rest = data;
                    Poll::Ready(Some(Ok(self.hand_over())))
                }
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
