//! Each limit is reached once.

use crate::client::{LENGTH, Server};
use axum::body::Body;
use bytes::Bytes;
use consort_server::Config;
use hyper::Method;
use hyper::body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

const INFER: &str = "/v2/models/echo_bytes/infer";

fn slow(millis: i64) -> String {
    format!(
        r#"{{"inputs": [{{"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [{millis}]}}]}}"#
    )
}

/// A body of unknown length, in parts.
struct Parts(Vec<Bytes>);

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop().map(|part| Ok(Frame::data(part))))
    }
}

fn small_bodies() -> Config {
    Config {
        body_bytes_max: 10_000,
        ..Config::default()
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let server = Server::with(small_bodies()).await;
    let reply = server.post(INFER, &[(LENGTH, "0")], vec![0; 10_000]).await;
    assert_eq!(reply.status, 200);
    let expected = "the body, decompressed, is over the limit of 10000 bytes";
    // One that is sent to the end all the same sees the refusal.
    for size in [10_001, 3_000_000] {
        let reply = server.post(INFER, &[(LENGTH, "0")], vec![0; size]).await;
        reply.refused(413, expected);
        let mut client = server.h2().await;
        let reply = client.send(Method::POST, INFER, &[(LENGTH, "0")], vec![0; size]);
        reply.await.refused(413, expected);
    }
    // Announced, but never sent.
    let head = format!("POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n");
    let answer = server.raw(&head).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(expected), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_413() {
    let server = Server::with(small_bodies()).await;
    let send = |parts: usize| {
        let server = &server;
        async move {
            let body = Body::new(Parts(vec![Bytes::from(vec![7; 1000]); parts]));
            let mut client = server.h1().await;
            client
                .send_body(Method::POST, INFER, &[(LENGTH, "0")], body)
                .await
        }
    };
    let reply = send(10).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.parts().1.len(), 10_004);
    send(11).await.refused(413, "over the limit of 10000 bytes");
}

#[tokio::test]
async fn rows_over_the_limit_are_413() {
    let config = Config {
        rows_max: 4,
        ..Config::default()
    };
    let server = Server::with(config).await;
    let ask = |rows: usize| {
        let data = vec![1; rows];
        let body = format!(
            r#"{{"inputs": [{{"name": "x", "datatype": "INT8", "shape": [{rows}, 1], "data": {data:?}}}]}}"#
        );
        server.infer("echo_int8", body)
    };
    assert_eq!(ask(4).await.status, 200);
    ask(5)
        .await
        .refused(413, "the request has 5 rows; at most 4 are allowed");
}

#[tokio::test]
async fn deep_json_is_refused() {
    let server = Server::start().await;
    for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        let body = format!(r#"{{"inputs": [], "junk": {deep}"#);
        server
            .infer("echo_int8", body)
            .await
            .refused(400, "nests deeper than 100 levels");
    }
}

#[tokio::test]
async fn requests_over_the_limit_are_503_and_health_answers_still() {
    let config = Config {
        inflight_max: 1,
        ..Config::default()
    };
    let server = Server::with(config).await;
    let mut busy = server.h1().await;
    let first = busy.request(
        Method::POST,
        "/v2/models/slow/infer",
        &[],
        slow(60_000).into(),
    );
    let first = tokio::spawn(first);
    wait_for(|| server.watch.started.load(Ordering::SeqCst) == 1).await;
    let reply = server.infer("slow", slow(1)).await;
    reply.refused(503, "1 requests are under way, which is the limit");
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(server.get("/v2/health/ready").await.status, 200);
    first.abort();
    drop(busy);
    // The abandoned request gives its permit back.
    wait_for(|| server.watch.abandoned.load(Ordering::SeqCst) == 1).await;
    assert_eq!(server.infer("slow", slow(1)).await.status, 200);
}

#[tokio::test]
async fn a_slow_upload_takes_no_place() {
    let config = Config {
        inflight_max: 1,
        ..Config::default()
    };
    let server = Server::with(config).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let part =
        format!("POST {INFER} HTTP/1.1\r\nhost: x\r\n{LENGTH}: 0\r\ncontent-length: 10\r\n\r\nabc");
    slow.write_all(part.as_bytes()).await.unwrap();
    // It has begun: it and the request that asks.
    server
        .metrics_with("consort_server_requests_inflight 2")
        .await;
    let reply = server.post(INFER, &[(LENGTH, "0")], vec![0; 10]).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn held_bytes_over_the_limit_are_503() {
    let config = Config {
        held_bytes_max: 10_000,
        ..Config::default()
    };
    let server = Server::with(config).await;
    let reply = server.post(INFER, &[(LENGTH, "0")], vec![0; 20_000]).await;
    reply.refused(503, "over the limit of 10000; try again later");
    let reply = server.post(INFER, &[(LENGTH, "0")], vec![0; 5_000]).await;
    assert_eq!(reply.status, 200);
}

/// A client that does not read its answer holds memory; it is counted until it leaves.
#[tokio::test]
async fn an_answer_that_is_not_read_is_held() {
    let config = Config {
        held_bytes_max: 40_000_000,
        ..Config::default()
    };
    let server = Server::with(config).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let size = 30_000_000;
    let head = format!(
        "POST {INFER} HTTP/1.1\r\nhost: x\r\n{LENGTH}: 0\r\ncontent-length: {size}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![7; size]).await.unwrap();
    // The answer begins to arrive, and then waits for its reader.
    stream.read_u8().await.unwrap();
    let reply = server.post(INFER, &[(LENGTH, "0")], vec![0; 10]).await;
    reply.refused(503, "over the limit of 40000000; try again later");
    drop(stream);
    for _ in 0..500 {
        let reply = server.post(INFER, &[(LENGTH, "0")], vec![0; 10]).await;
        if reply.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the memory was not given back");
}

/// A few bytes on the wire, a long name in the request, and none of it in the answer.
#[tokio::test]
async fn a_request_is_not_sent_back_in_a_refusal() {
    let server = Server::start().await;
    let long = "n".repeat(1_000_000);
    let named = |name: &str, datatype: &str| {
        format!(
            r#"{{"inputs": [{{"name": "{name}", "datatype": "{datatype}", "shape": [1, 1], "data": [1]}}]}}"#
        )
    };
    let bodies = [
        named(&long, "INT8"),
        named("x", &long),
        format!(r#"{{"inputs": "{long}"}}"#),
    ];
    for body in bodies {
        let reply = server.infer("echo_int8", body).await;
        let bytes = reply.error(400).len();
        assert!(bytes < 20_000, "{bytes} bytes");
    }
}

#[tokio::test]
async fn connections_over_the_limit_are_503() {
    let config = Config {
        connections_max: 2,
        ..Config::default()
    };
    let server = Server::with(config).await;
    let (mut first, _second) = (server.h1().await, server.h1().await);
    assert_eq!(first.send(Method::GET, "/v2", &[], "").await.status, 200);
    let mut third = TcpStream::connect(server.address).await.unwrap();
    let mut answer = String::new();
    third.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("content-length: {}\r\n", body.len())),
        "{head}"
    );
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(
        json["error"]
            .as_str()
            .unwrap()
            .starts_with("too many connections"),
        "{json}"
    );
    drop(first);
    // Room again: the next request comes through.
    let mut client = reconnect(&server).await;
    assert_eq!(client.send(Method::GET, "/v2", &[], "").await.status, 200);
}

/// Connects until the server takes the connection.
async fn reconnect(server: &Server) -> crate::client::Client {
    for _ in 0..500 {
        let mut client = server.h1().await;
        let request = client.request(Method::GET, "/v2/health/live", &[], Body::empty());
        if request.await.is_ok_and(|response| response.status() == 200) {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no connection became free");
}

#[tokio::test]
async fn a_request_over_its_time_is_503() {
    let config = Config {
        request_timeout: Duration::from_millis(500),
        ..Config::default()
    };
    let server = Server::with(config).await;
    let reply = server.infer("slow", slow(60_000)).await;
    reply.refused(503, "\"slow\" had no answer before the request's deadline");
    assert_eq!(server.watch.abandoned.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_may_shorten_its_time_but_not_lengthen_it() {
    let with_timeout = |micros: u64| {
        slow(60_000).replacen(
            '{',
            &format!(r#"{{"parameters": {{"timeout": {micros}}}, "#),
            1,
        )
    };
    let server = Server::start().await;
    let started = Instant::now();
    server
        .infer("slow", with_timeout(50_000))
        .await
        .refused(503, "before the request's deadline");
    assert!(started.elapsed() < Duration::from_secs(20));
    let config = Config {
        request_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let server = Server::with(config).await;
    for micros in [60_000_000, u64::MAX] {
        let reply = server.infer("slow", with_timeout(micros)).await;
        reply.refused(503, "before the request's deadline");
    }
    let wrong = slow(1).replacen('{', r#"{"parameters": {"timeout": "1"}, "#, 1);
    server
        .infer("slow", wrong)
        .await
        .refused(400, "parameter \"timeout\": a whole number");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let config = Config {
        request_timeout: Duration::from_millis(100),
        ..Config::default()
    };
    let server = Server::with(config).await;
    let part = format!("POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc");
    let answer = server.raw(&part).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        answer.contains("the body did not arrive before the request's deadline"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let config = Config {
        header_read_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_secs(600),
        ..Config::default()
    };
    let server = Server::with(config).await;
    // Nothing, part of a head, part of HTTP/2's preface, a preface and no request.
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for said in ["", "GET /v2 HTTP/1.1\r\nhost: x\r\n", "PRI * HT", preface] {
        let started = Instant::now();
        server.raw(said).await;
        assert!(started.elapsed() >= Duration::from_millis(190), "{said:?}");
    }
    // One that has had a request may be idle for longer.
    let mut client = server.h1().await;
    assert_eq!(client.send(Method::GET, "/v2", &[], "").await.status, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(client.send(Method::GET, "/v2", &[], "").await.status, 200);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let config = Config {
        idle_timeout: Duration::from_millis(100),
        ..Config::default()
    };
    let server = Server::with(config).await;
    let answer = server
        .raw("GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_response_that_is_not_read_is_dropped() {
    let config = Config {
        response_timeout: Duration::from_millis(300),
        ..Config::default()
    };
    let server = Server::with(config).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let size = 30_000_000;
    let head = format!(
        "POST {INFER} HTTP/1.1\r\nhost: x\r\n{LENGTH}: 0\r\ncontent-length: {size}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![7; size]).await.unwrap();
    let line = r#"consort_server_requests_total{route="infer",endpoint="echo_bytes",status="abandoned"} 1"#;
    server.metrics_with(line).await;
}

#[tokio::test]
async fn a_client_that_leaves_abandons_its_work() {
    let server = Server::start().await;
    for (count, mut client) in [server.h1().await, server.h2().await]
        .into_iter()
        .enumerate()
    {
        let request = client.request(
            Method::POST,
            "/v2/models/slow/infer",
            &[],
            slow(60_000).into(),
        );
        let request = tokio::spawn(request);
        wait_for(|| server.watch.started.load(Ordering::SeqCst) == count + 1).await;
        request.abort();
        drop(client);
        wait_for(|| server.watch.abandoned.load(Ordering::SeqCst) == count + 1).await;
    }
    let line =
        r#"consort_server_requests_total{route="infer",endpoint="slow",status="abandoned"} 2"#;
    server.metrics_with(line).await;
}

/// Waits for something that happens soon after what was done.
pub(crate) async fn wait_for(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), waiting)
        .await
        .expect("it happens");
}
