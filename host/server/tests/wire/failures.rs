//! What clients see of failures behind the wire.

use crate::client::{Reply, Server};
use crate::fake::KINDS;
use consort_inference::{FailureKind, Fault};
use consort_server::status::Code;

async fn fail(server: &Server, rows: &[i32]) -> Reply {
    let body = format!(
        r#"{{"inputs": [{{"name": "x", "datatype": "INT32", "shape": [{}, 1], "data": {rows:?}}}]}}"#,
        rows.len()
    );
    server.infer("fail", body).await
}

#[tokio::test]
async fn each_kind_has_its_status() {
    let server = Server::start().await;
    for (index, kind) in KINDS.into_iter().enumerate() {
        let reply = fail(&server, &[index as i32 + 1]).await;
        let code = Code::of(kind);
        let error = reply.error(code.http().as_u16());
        let is_hidden = code == Code::Internal;
        assert_eq!(
            error.contains("preprocess \"picky\": it cannot be"),
            !is_hidden,
            "{error}"
        );
        let names_fault = error.contains(&format!("fault: {}", kind.fault()));
        assert_eq!(names_fault, kind.fault() != Fault::Client, "{error}");
        let may_retry = matches!(kind, FailureKind::QueueFull | FailureKind::Unavailable);
        assert_eq!(
            reply.headers.contains_key("retry-after"),
            may_retry,
            "{kind}"
        );
    }
}

#[tokio::test]
async fn defects_of_the_host_are_not_shown() {
    let server = Server::start().await;
    let internal = KINDS
        .iter()
        .position(|kind| *kind == FailureKind::Internal)
        .unwrap();
    for row in [internal as i32 + 1, -1] {
        let reply = fail(&server, &[row]).await;
        let error = reply.error(500);
        assert!(
            !error.contains("secret") && !error.contains("panic"),
            "{error}"
        );
        assert!(error.starts_with("internal error (fault: host)"), "{error}");
    }
}

#[tokio::test]
async fn a_panic_leaves_the_connection_alive() {
    let server = Server::start().await;
    let mut client = server.h1().await;
    let body = r#"{"inputs": [{"name": "x", "datatype": "INT32", "shape": [1, 1], "data": [-1]}]}"#;
    let path = "/v2/models/fail/infer";
    let reply = client.send(hyper::Method::POST, path, &[], body).await;
    reply.error(500);
    let live = client
        .send(hyper::Method::GET, "/v2/health/live", &[], "")
        .await;
    assert_eq!(live.status, 200);
}

#[tokio::test]
async fn one_failed_row_fails_the_request_and_is_named() {
    let server = Server::start().await;
    let well = fail(&server, &[0, 0, 0]).await.ok();
    assert_eq!(well["outputs"][0]["data"], serde_json::json!([0, 0, 0]));
    let reply = fail(&server, &[0, 0, 3, 0]).await;
    reply.refused(
        500,
        "row 2 of 4 failed, so the request has no answer: preprocess \"picky\"",
    );
    // The first failure gives the status.
    let reply = fail(&server, &[0, 1, 3, 0, 3]).await;
    reply.refused(
        400,
        "3 of 5 rows failed (rows 1, 2, 4), so the request has no answer; the first",
    );
}

#[tokio::test]
async fn a_wrong_number_of_results_is_the_hosts_fault() {
    let server = Server::start().await;
    let body =
        r#"{"inputs": [{"name": "x", "datatype": "INT32", "shape": [2, 1], "data": [1, 2]}]}"#;
    server
        .infer("miscount", body)
        .await
        .refused(500, "fault: host");
}
