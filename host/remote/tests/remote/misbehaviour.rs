//! Servers that do what servers do.

use crate::fixture::{Received, Reply, Server, batch, connect, echo, numbers, ok, reply};
use consort_inference::PredictError;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Two rows for a server that answers metadata well and what is posted badly.
async fn error_of(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> PredictError {
    let server = Server::model(&[], script).await;
    let mut config = server.config();
    config.request_timeout = Duration::from_millis(500);
    config.response_bytes_max = 1 << 20;
    let model = connect(config).await.unwrap();
    let error = model
        .predict(&batch(&[[1.0, 2.0], [3.0, 4.0]]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/v2/models/m/infer"), "{error}");
    assert_eq!(server.posts().len(), 1, "{error}");
    error
}

fn output(output: serde_json::Value) -> Reply {
    ok(&json!({"outputs": [output]}))
}

macro_rules! assert_error {
    ($error:expr, $kind:ident, $($part:expr),+) => {
        match $error {
            PredictError::$kind(message) => {
                $(assert!(message.contains($part), "{message}");)+
            }
            other => panic!("{other:?} instead of {}", stringify!($kind)),
        }
    };
}

#[tokio::test]
async fn one_that_hangs() {
    assert_error!(
        error_of(|_| Reply::Hang).await,
        Unavailable,
        "request_timeout"
    );
}

#[tokio::test]
async fn one_that_drips() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
    let error = error_of(|_| Reply::Drip(head.to_vec())).await;
    assert_error!(error, Unavailable, "request_timeout");
}

#[tokio::test]
async fn one_that_closes_without_a_word() {
    let error = error_of(|_| Reply::Close(Vec::new())).await;
    assert_error!(error, Unavailable, "connection broke");
}

#[tokio::test]
async fn one_that_closes_in_mid_body() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"outputs\":";
    let error = error_of(|_| Reply::Close(half.to_vec())).await;
    assert_error!(error, Unavailable, "connection broke");
}

#[tokio::test]
async fn one_whose_length_is_too_small() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{\"outputs\":[]}";
    let error = error_of(|_| Reply::Close(cut.to_vec())).await;
    assert_error!(error, Contract, "it begins with");
}

#[tokio::test]
async fn one_that_speaks_no_http() {
    let error = error_of(|_| Reply::Close(b"220 mail ready\r\n".to_vec())).await;
    assert_error!(error, Unavailable, "connection broke");
}

#[tokio::test]
async fn one_whose_header_never_ends() {
    let error = error_of(|_| Reply::Flood(b"HTTP/1.1 200 OK\r\nx: ".to_vec())).await;
    assert_error!(error, Unavailable, "connection broke");
}

#[tokio::test]
async fn one_that_answers_anything_but_an_answer() {
    let garbage = || reply("200 OK", "", b"\xff\x00 not json\x1b[2J");
    assert_error!(error_of(move |_| garbage()).await, Contract, "\\u{1b}[2J");
    let error = error_of(|_| ok(&json!({"error": "sorry"}))).await;
    assert_error!(error, Contract, "outputs", "sorry");
    assert_error!(
        error_of(|_| reply("200 OK", "", b"")).await,
        Contract,
        "EOF"
    );
}

#[tokio::test]
async fn one_with_other_outputs_than_promised() {
    let rows = json!({"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]});
    let error = error_of(move |_| output(rows.clone())).await;
    assert_error!(error, Contract, "has shape [1, 2], [2, 2] is expected");
    let datatype = json!({"name": "y", "datatype": "INT32", "shape": [2, 2], "data": [1, 2, 3, 4]});
    let error = error_of(move |_| output(datatype.clone())).await;
    assert_error!(error, Contract, "is INT32, FP32 is expected");
    let name = json!({"name": "z", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]});
    let error = error_of(move |_| output(name.clone())).await;
    assert_error!(error, Contract, "output \"z\"");
}

#[tokio::test]
async fn one_with_an_answer_beyond_the_limit() {
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    let error = error_of(|_| Reply::Flood(announced.to_vec())).await;
    assert_error!(error, OutOfMemory, "1048576 bytes", "response_bytes_max");
    // Its length unsaid, it ends where the connection does: never.
    let endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let error = error_of(|_| Reply::Flood(endless.to_vec())).await;
    assert_error!(error, OutOfMemory, "response_bytes_max");
    let server = Server::model(&[], |_| Reply::Flood(announced.to_vec())).await;
    let model = server.connect().await;
    let error = model.predict(&batch(&[[1.0, 2.0]])).await.unwrap_err();
    assert_error!(error, Contract, "response_bytes_max");
}

#[tokio::test]
async fn one_that_compresses_unasked() {
    let error = error_of(|_| reply("200 OK", "content-encoding: gzip\r\n", b"\x1f\x8b")).await;
    assert_error!(error, Contract, "encoded as \"gzip\"");
}

#[tokio::test]
async fn one_that_sends_elsewhere() {
    let elsewhere = Server::start(echo).await;
    let location = format!("location: http://127.0.0.1:{}/\r\n", elsewhere.port());
    for status in ["301 Moved Permanently", "307 Temporary Redirect"] {
        let location = location.clone();
        let error = error_of(move |_| reply(status, &location, b"")).await;
        assert_error!(error, Failed, status, "not followed");
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn one_that_refuses() {
    let says =
        |status: &'static str| move |_: &Received| reply(status, "", br#"{"error":"bad\nthing"}"#);
    let error = error_of(says("400 Bad Request")).await;
    assert_error!(error, InvalidInput, "400 Bad Request: \"bad\\nthing\"");
    assert_error!(
        error_of(says("422 Unprocessable Entity")).await,
        InvalidInput,
        "422"
    );
    assert_error!(
        error_of(says("413 Payload Too Large")).await,
        OutOfMemory,
        "413"
    );
    assert_error!(error_of(says("401 Unauthorized")).await, Failed, "401");
    assert_error!(error_of(says("404 Not Found")).await, Failed, "404");
    assert_error!(
        error_of(says("500 Internal Server Error")).await,
        Failed,
        "500"
    );
    // A refusal of any length is read as far as it is needed.
    let error = error_of(|_| Reply::Flood(b"HTTP/1.1 500 No\r\n\r\n".to_vec())).await;
    assert_error!(error, Failed, "500", "xxx...");
}

#[tokio::test]
async fn one_that_recovers() {
    for first in [
        "429 Too Many Requests\r\nretry-after: 0",
        "503 Service Unavailable",
        "504 Gateway Timeout",
    ] {
        let calls = AtomicUsize::new(0);
        let server = Server::model(&["binary_tensor_data"], move |request| {
            match calls.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => reply(first, "", b""),
                _ => echo(request),
            }
        })
        .await;
        let model = server.connect().await;
        let rows = model.predict(&batch(&[[1.0, 2.0]])).await.unwrap();
        assert_eq!(numbers(&rows), [[1.0, 2.0]]);
        let posts = server.posts();
        assert_eq!(posts.len(), 3);
        assert!(posts.iter().all(|post| post.body == posts[0].body));
    }
}

#[tokio::test]
async fn one_that_asks_for_more_time_than_there_is() {
    let server = Server::model(&[], |_| {
        reply(
            "429 Too Many Requests",
            "retry-after: 3600\r\n",
            br#"{"error":"later"}"#,
        )
    })
    .await;
    let model = server.connect().await;
    let deadline = Instant::now() + Duration::from_secs(600);
    let batch = batch(&[[1.0, 2.0]]).with_deadline(Some(deadline.into_std()));
    let error = model.predict(&batch).await.unwrap_err();
    assert_error!(
        error,
        Unavailable,
        "no time is left to wait 3600.0 s",
        "later"
    );
    assert_eq!(server.posts().len(), 1);
}

#[tokio::test]
async fn one_that_does_not_answer_in_time_for_the_batch() {
    let server = Server::model(&[], |_| Reply::Hang).await;
    let model = server.connect().await;
    let deadline = Instant::now() + Duration::from_millis(200);
    let batch = batch(&[[1.0, 2.0]]).with_deadline(Some(deadline.into_std()));
    let error = model.predict(&batch).await.unwrap_err();
    assert_error!(error, Unavailable, "the deadline");
    server.client_left().await;
}

#[tokio::test]
async fn a_prediction_that_nobody_waits_for_is_given_up() {
    let server = Server::model(&[], |_| Reply::Hang).await;
    let model = server.connect().await;
    let batch = batch(&[[1.0, 2.0]]);
    let given_up = tokio::time::timeout(Duration::from_millis(200), model.predict(&batch)).await;
    assert!(given_up.is_err());
    // The connection is closed, so that the server can stop as well.
    server.client_left().await;
}

#[tokio::test]
async fn one_that_is_gone_opens_the_breaker() {
    let server = Server::model(&[], echo).await;
    let mut config = server.config();
    config.breaker.as_mut().unwrap().failures_max = 2;
    let model = connect(config).await.unwrap();
    model.predict(&batch(&[[1.0, 2.0]])).await.unwrap();
    let port = server.port();
    drop(server);
    // Kept connections end first; then nobody listens.
    let error = loop {
        match model.predict(&batch(&[[1.0, 2.0]])).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.to_string().contains("circuit breaker") => break error,
            Err(error) => assert_error!(error, Unavailable, "127.0.0.1"),
        }
    };
    assert_error!(error, Unavailable, &port.to_string(), "is open for");
}

#[tokio::test]
async fn requests_beyond_the_limit_are_not_sent() {
    let server = Server::model(&[], echo).await;
    let mut config = server.config();
    config.request_bytes_max = 150;
    let model = connect(config).await.unwrap();
    let rows = [[0.123_456_79, 0.123_456_79]; 8];
    let error = model.predict(&batch(&rows)).await.unwrap_err();
    assert_error!(error, OutOfMemory, "request_bytes_max");
    assert!(model.predict(&batch(&rows[..1])).await.is_ok());
    assert_eq!(server.posts().len(), 1);
    let nan = model.predict(&batch(&[[f32::NAN, 0.0]])).await.unwrap_err();
    assert_error!(nan, InvalidInput, "input \"x\": element 0", "tensor_form");
}
