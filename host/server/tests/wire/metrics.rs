//! What `/metrics` shows.

use crate::client::Server;
use hyper::Method;

#[tokio::test]
async fn requests_are_counted_by_endpoint_and_status() {
    let server = Server::start().await;
    let body = r#"{"inputs": [{"name": "x", "datatype": "INT8", "shape": [1, 1], "data": [1]}]}"#;
    let mut client = server.h1().await;
    let path = "/v2/models/echo_int8/infer";
    let mut sent = 0;
    for body in [body, body, "{}"] {
        client.send(Method::POST, path, &[], body).await;
        sent += body.len();
    }
    server.get("/v2/health/live").await;
    let infer = r#"route="infer",endpoint="echo_int8""#;
    let well = format!(r#"consort_server_requests_total{{{infer},status="200"}} 2"#);
    let text = server.metrics_with(&well).await;
    for line in [
        format!(r#"consort_server_requests_total{{{infer},status="400"}} 1"#),
        r#"consort_server_requests_total{route="live",endpoint="_none",status="200"} 1"#.to_owned(),
        format!("consort_server_request_duration_seconds_count{{{infer}}} 3"),
        format!("consort_server_request_body_bytes_total{{{infer}}} {sent}"),
        // This very request.
        "consort_server_requests_inflight 1".to_owned(),
        "# UNIT consort_server_request_duration_seconds seconds".to_owned(),
        "# EOF".to_owned(),
    ] {
        assert!(
            text.contains(&format!("{line}\n")),
            "{line} is not in\n{text}"
        );
    }
    let answered = format!("consort_server_response_body_bytes_total{{{infer}}} ");
    let bytes = text
        .lines()
        .find_map(|line| line.strip_prefix(&answered))
        .unwrap();
    assert!(bytes.parse::<u64>().unwrap() > 100, "{bytes}");
    let reply = server.get("/metrics").await;
    assert!(
        reply
            .header("content-type")
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
}

#[tokio::test]
async fn made_up_names_make_no_labels() {
    let server = Server::start().await;
    for index in 0..20 {
        server.get(&format!("/v2/models/made_up_{index}")).await;
        server.get(&format!("/made/up/{index}")).await;
    }
    let unknown = r#"consort_server_requests_total{route="model_metadata",endpoint="_unknown",status="404"} 20"#;
    let text = server.metrics_with(unknown).await;
    let path =
        r#"consort_server_requests_total{route="_unknown",endpoint="_none",status="404"} 20"#;
    assert!(text.contains(path), "{text}");
    assert!(
        !text.contains("made_up") && !text.contains("made/up"),
        "{text}"
    );
}
