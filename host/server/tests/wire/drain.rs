//! How the server ends.

use crate::client::Server;
use crate::limits::wait_for;
use axum::body::to_bytes;
use consort_server::{Config, Drained};
use hyper::Method;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Work that waits for the test.
const UNTIL_RELEASED: i64 = -1;

const SLOW: &str = "/v2/models/slow/infer";

fn slow(millis: i64) -> String {
    format!(
        r#"{{"inputs": [{{"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [{millis}]}}]}}"#
    )
}

#[tokio::test]
async fn requests_under_way_are_finished() {
    let mut server = Server::start().await;
    let (mut one, mut two, _idle) = (server.h1().await, server.h2().await, server.h1().await);
    let pending = [
        one.request(Method::POST, SLOW, &[], slow(UNTIL_RELEASED).into()),
        two.request(Method::POST, SLOW, &[], slow(UNTIL_RELEASED).into()),
        two.request(Method::POST, SLOW, &[], slow(UNTIL_RELEASED).into()),
    ]
    .map(tokio::spawn);
    wait_for(|| server.watch.started.load(Ordering::SeqCst) == 3).await;
    server.begin_shutdown();
    // No connection is accepted any more: the drain has begun.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.watch.release();
    for response in pending {
        let response = response.await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        assert!(
            !to_bytes(response.into_body(), usize::MAX)
                .await
                .unwrap()
                .is_empty()
        );
    }
    let expected = Drained {
        finished: 3,
        cut_off: 0,
    };
    assert_eq!(server.drained().await, expected);
}

#[tokio::test]
async fn what_takes_too_long_is_cut_off_and_counted() {
    let config = Config {
        drain_timeout: Duration::from_millis(1500),
        ..Config::default()
    };
    let mut server = Server::with(config).await;
    let (mut one, mut two) = (server.h1().await, server.h2().await);
    let long = [
        one.request(Method::POST, SLOW, &[], slow(60_000).into()),
        two.request(Method::POST, SLOW, &[], slow(60_000).into()),
        two.request(Method::POST, SLOW, &[], slow(60_000).into()),
    ]
    .map(tokio::spawn);
    let short = tokio::spawn(two.request(Method::POST, SLOW, &[], slow(UNTIL_RELEASED).into()));
    wait_for(|| server.watch.started.load(Ordering::SeqCst) == 4).await;
    let started = Instant::now();
    server.begin_shutdown();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.watch.release();
    assert_eq!(short.await.unwrap().unwrap().status(), 200);
    for response in long {
        assert!(response.await.unwrap().is_err());
    }
    let watch = server.watch.clone();
    let expected = Drained {
        finished: 1,
        cut_off: 3,
    };
    assert_eq!(server.drained().await, expected);
    assert_eq!(watch.abandoned.load(Ordering::SeqCst), 3);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_idle_server_ends_at_once() {
    let mut server = Server::start().await;
    let mut client = server.h1().await;
    assert_eq!(client.send(Method::GET, "/v2", &[], "").await.status, 200);
    let started = Instant::now();
    server.begin_shutdown();
    let expected = Drained {
        finished: 0,
        cut_off: 0,
    };
    assert_eq!(server.drained().await, expected);
    assert!(started.elapsed() < Duration::from_secs(10));
}
