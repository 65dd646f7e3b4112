//! One connection: HTTP/1.1 or HTTP/2 with prior knowledge, and when it is closed.

use crate::http::App;
use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tower::ServiceExt;

/// Bytes of a request's head on HTTP/2.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// Headers of a request on HTTP/1.
const HEADERS_MAX: usize = 100;
/// How often an HTTP/2 connection is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// What a connection is doing.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    has_had_request: bool,
    under_way: usize,
    /// Since when nothing is under way.
    idle_since: Instant,
    /// Responses that the client is reading, and since when.
    responses: HashMap<u64, Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// Nothing has been under way for too long.
    Idle,
    /// A response has not been read for too long.
    Stalled,
}

/// Runs an HTTP/2 connection's streams. They end with the connection: the last clone to
/// go aborts what still runs.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<JoinSet<()>>>);

/// Serves a connection until it closes, is idle or stalled for too long, or `draining`
/// says that it should end after what is under way.
pub(crate) async fn serve(
    stream: TcpStream,
    app: Arc<App>,
    router: Router,
    mut draining: watch::Receiver<bool>,
) {
    let config = &app.config;
    let activity = Arc::new(Activity::new());
    let service = service_fn({
        let activity = activity.clone();
        move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(activity.clone());
            router.clone().oneshot(request.map(Body::new))
        }
    });
    let mut builder = Builder::new(Streams::default());
    // A connection's time without a request is watched below, for both versions alike.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.streams_max)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut looks = tokio::time::interval(look_interval(&app));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_ending = false;
    loop {
        tokio::select! {
            served = connection.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            _ = draining.wait_for(|draining| *draining), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = looks.tick() => match activity.verdict(&app) {
                Verdict::Keep => {}
                Verdict::Idle if !is_ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                Verdict::Idle => return,
                Verdict::Stalled => {
                    tracing::info!("connection dropped: a response was not read in time");
                    return;
                }
            },
        }
    }
}

/// Often enough that a limit is kept to a quarter.
fn look_interval(app: &App) -> Duration {
    let config = &app.config;
    let shortest = config
        .header_read_timeout
        .min(config.idle_timeout)
        .min(config.response_timeout);
    (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(5))
}

// === impl Activity ===

impl Activity {
    fn new() -> Self {
        Self(Mutex::new(State {
            has_had_request: false,
            under_way: 0,
            idle_since: Instant::now(),
            responses: HashMap::new(),
        }))
    }

    pub(crate) fn request_begins(&self) {
        self.with(|state| {
            state.has_had_request = true;
            state.under_way += 1;
        });
    }

    pub(crate) fn response_begins(&self, request: u64) {
        self.with(|state| state.responses.insert(request, Instant::now()));
    }

    pub(crate) fn request_ends(&self, request: u64) {
        self.with(|state| {
            state.responses.remove(&request);
            state.under_way = state.under_way.saturating_sub(1);
            state.idle_since = Instant::now();
        });
    }

    fn verdict(&self, app: &App) -> Verdict {
        let config = &app.config;
        self.with(|state| {
            let idle_max = if state.has_had_request {
                config.idle_timeout
            } else {
                config.header_read_timeout
            };
            if state.under_way == 0 && state.idle_since.elapsed() >= idle_max {
                return Verdict::Idle;
            }
            let is_stalled = |began: &Instant| began.elapsed() >= config.response_timeout;
            if state.responses.values().any(is_stalled) {
                return Verdict::Stalled;
            }
            Verdict::Keep
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // No change panics half-way, so a poisoned lock still guards a whole state.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Streams ===

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while streams.try_join_next().is_some() {}
        streams.spawn(async move {
            stream.await;
        });
    }
}
