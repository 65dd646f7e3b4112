//! Accepting connections, and ending in order.

use crate::admission::Admission;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::connection;
use crate::drain::{Drain, Drained};
use crate::http::{self, App};
use crate::metrics::Metrics;
use prometheus_client::registry::Registry;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long the server waits before it accepts again when it cannot (for want of file
/// descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long requests that were cut off may take to be dropped.
const CUT_TIME_MAX: Duration = Duration::from_secs(1);

/// What a connection over the limit is told.
const REFUSED: &str =
    "{\"error\":\"too many connections are open; try again later, or use fewer\"}";

/// Why the server cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; give another address, or end what listens there"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// Listens on [`Config::listen`].
pub async fn bind(config: &Config) -> Result<TcpListener, ServeError> {
    let address = config.listen;
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Bind { address, source })
}

/// Serves until `shutdown` is ready, then drains: no connection is accepted any more,
/// readiness is off, and requests under way may finish within
/// [`Config::drain_timeout`]. What is left then is cut off and counted.
///
/// Dropping the future cuts everything off at once.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    catalog: Arc<dyn Catalog>,
    metrics: Metrics,
    registry: Arc<Registry>,
    shutdown: impl Future<Output = ()>,
) -> Result<Drained, ServeError> {
    let app = Arc::new(App {
        admission: Admission::new(config.inflight_max, config.held_bytes_max),
        config,
        catalog,
        metrics,
        registry,
        drain: Drain::default(),
        // Ids of this start are not those of the last.
        next_request: AtomicU64::new(RandomState::new().hash_one(0)),
    });
    let (begin_draining, draining) = watch::channel(false);
    let mut connections = JoinSet::new();
    accept(&app, listener, &mut connections, &draining, shutdown).await;

    app.drain.begin();
    begin_draining.send_replace(true);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    if timeout(app.config.drain_timeout, all_closed).await.is_err() {
        app.drain.cut();
        connections.shutdown().await;
    }
    // Dropped connections drop their requests a moment later.
    let _ = timeout(CUT_TIME_MAX, app.drain.idle()).await;
    let drained = app.drain.outcome();
    tracing::info!(
        finished = drained.finished,
        cut_off = drained.cut_off,
        "server drained"
    );
    Ok(drained)
}

async fn accept(
    app: &Arc<App>,
    listener: TcpListener,
    connections: &mut JoinSet<()>,
    draining: &watch::Receiver<bool>,
    shutdown: impl Future<Output = ()>,
) {
    let router = http::router(app.clone());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if connections.len() >= app.config.connections_max => {
                refuse(app, stream);
            }
            Ok((stream, _)) => {
                let (app, router, draining) = (app.clone(), router.clone(), draining.clone());
                connections.spawn(async move {
                    let gauge = app.metrics.connections.clone();
                    gauge.inc();
                    let _open = OnDrop(move || {
                        gauge.dec();
                    });
                    // Answers are small and awaited: they must not wait for more.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "connection ended");
                        return;
                    }
                    connection::serve(stream, app, router, draining).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted for now");
                tokio::select! {
                    () = &mut shutdown => return,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}

/// Turns a connection away. It is not waited for: the text fits any send buffer, and
/// where it does not, the closed connection says as much.
fn refuse(app: &App, stream: TcpStream) {
    app.metrics.connections_refused.inc();
    tracing::warn!(
        connections_max = app.config.connections_max,
        "connection refused: the limit is reached"
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{REFUSED}",
        REFUSED.len()
    );
    let _ = stream.try_write(answer.as_bytes());
}

/// Does something when dropped, be it by the end or by an abort.
struct OnDrop<F: FnMut()>(F);

// === impl OnDrop ===

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config {
            listen: first.local_addr().unwrap(),
            ..Config::default()
        };
        let error = bind(&config).await.unwrap_err().to_string();
        let expected = format!("cannot listen on {}: ", config.listen);
        assert!(error.starts_with(&expected), "{error}");
    }
}
