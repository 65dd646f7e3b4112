//! Every path besides inference.

use crate::client::Server;
use crate::fake::FakeCatalog;
use consort_server::Config;
use hyper::Method;
use serde_json::json;

#[tokio::test]
async fn the_server_says_what_it_is() {
    let server = Server::start().await;
    for path in ["/v2", "/v2/"] {
        let reply = server.get(path).await;
        assert_eq!(reply.header("content-type"), "application/json");
        let expected = json!({
            "name": "consort",
            "version": env!("CARGO_PKG_VERSION"),
            "extensions": ["binary_tensor_data", "model_configuration", "sequence"],
        });
        assert_eq!(reply.ok(), expected);
    }
}

#[tokio::test]
async fn health_is_empty_when_well() {
    let server = Server::start().await;
    for path in [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/add_one/ready",
        "/v2/models/add_one/versions/1/ready",
        "/v2/models/add%5Fone/ready",
    ] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, ""), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_ready_says_so() {
    let catalog = FakeCatalog::new().with_unready();
    let server = Server::serving(Config::default(), catalog).await;
    assert_eq!(server.get("/v2/health/live").await.status, 200);
    let reply = server.get("/v2/health/ready").await;
    reply.refused(
        503,
        "the server is not ready: \"unready\" cannot answer yet",
    );
    assert_eq!(reply.header("retry-after"), "1");
    let reply = server.get("/v2/models/unready/ready").await;
    reply.refused(503, "model \"unready\" is not ready");
    server
        .infer("unready", "{}")
        .await
        .refused(503, "model \"unready\" is not ready");
    assert_eq!(server.get("/v2/models/add_one/ready").await.status, 200);
}

#[tokio::test]
async fn metadata_has_the_batch_axis() {
    let server = Server::start().await;
    let expected = json!({
        "name": "add_one",
        "versions": ["1"],
        "platform": "fake",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [-1, 4]},
            {"name": "sum", "datatype": "FP32", "shape": [-1, 1]},
        ],
    });
    assert_eq!(server.get("/v2/models/add_one").await.ok(), expected);
    assert_eq!(
        server.get("/v2/models/add_one/versions/1").await.ok(),
        expected
    );
    let ragged = server.get("/v2/models/ragged").await.ok();
    assert_eq!(ragged["outputs"][0]["shape"], json!([-1, -1]));
    let whole = server.get("/v2/models/whole/versions/7").await.ok();
    assert_eq!(whole["inputs"][0]["shape"], json!([2, 2]));
    assert_eq!(whole["versions"], json!(["7"]));
}

#[tokio::test]
async fn configuration_is_as_clients_read_it() {
    let server = Server::start().await;
    let expected = json!({
        "name": "describe",
        "platform": "fake",
        "backend": "",
        "max_batch_size": 8192,
        "input": [
            {"name": "text", "data_type": "TYPE_STRING", "dims": [1]},
            {"name": "offset", "data_type": "TYPE_INT64", "dims": [1]},
        ],
        "output": [
            {"name": "label", "data_type": "TYPE_STRING", "dims": [1]},
            {"name": "length", "data_type": "TYPE_INT64", "dims": [1]},
        ],
    });
    assert_eq!(
        server.get("/v2/models/describe/config").await.ok(),
        expected
    );
    let whole = server.get("/v2/models/whole/versions/7/config").await.ok();
    assert_eq!(whole["max_batch_size"], 0);
}

#[tokio::test]
async fn the_index_lists_everything() {
    let catalog = FakeCatalog::new().with_unready();
    let server = Server::serving(Config::default(), catalog).await;
    let all = server.post("/v2/repository/index", &[], "").await.ok();
    let all = all.as_array().unwrap().clone();
    let ready = json!({"name": "add_one", "version": "1", "state": "READY", "reason": ""});
    assert_eq!(all[0], ready);
    assert_eq!(all.last().unwrap()["state"], "UNAVAILABLE");
    let some = server
        .post("/v2/repository/index", &[], r#"{"ready": true}"#)
        .await
        .ok();
    assert_eq!(some.as_array().unwrap().len(), all.len() - 1);
    let reply = server.post("/v2/repository/index", &[], "{").await;
    reply.refused(400, "malformed JSON");
    let reply = server
        .post("/v2/repository/index", &[], " ".repeat(5000))
        .await;
    reply.refused(413, "over the limit of 4096 bytes");
}

#[tokio::test]
async fn unknown_names_are_404_and_say_what_there_is() {
    let server = Server::start().await;
    for path in ["", "/ready", "/config", "/versions/1", "/versions/1/ready"] {
        let reply = server.get(&format!("/v2/models/resnet{path}")).await;
        reply.refused(
            404,
            "there is no model \"resnet\"; there are \"add_one\", \"describe\"",
        );
    }
    let infer = server.infer("resnet", "{}").await;
    infer.refused(404, "there is no model \"resnet\"");
    for path in ["", "/ready", "/config"] {
        let reply = server
            .get(&format!("/v2/models/add_one/versions/2{path}"))
            .await;
        reply.refused(
            404,
            "model \"add_one\" has no version \"2\"; its version is \"1\"",
        );
    }
    let reply = server
        .post("/v2/models/add_one/versions/2/infer", &[], "{}")
        .await;
    reply.refused(404, "has no version \"2\"");
    for path in [
        "/",
        "/v1",
        "/v2/models",
        "/v2/models/a/b",
        "/v2/health",
        "/v2/logging",
    ] {
        let reply = server.get(path).await;
        reply.refused(404, &format!("there is nothing at {path:?}"));
    }
    let long = format!("/v2/models/{}/ready", "a".repeat(3000));
    let error = server.get(&long).await.error(404);
    assert!(error.len() < 500, "{error}");
    let reply = server.get("/v2/models/%ff/ready").await;
    reply.refused(400, "not UTF-8 once its %-escapes are resolved");
    let reply = server.get("/v2/models/%22%0a/ready").await;
    reply.refused(404, r#"there is no model "\"\n""#);
}

#[tokio::test]
async fn wrong_methods_are_405_and_say_which_are_right() {
    let server = Server::start().await;
    for (method, path, allowed) in [
        (Method::POST, "/v2", "GET,HEAD"),
        (Method::DELETE, "/v2/health/live", "GET,HEAD"),
        (Method::GET, "/v2/models/add_one/infer", "POST"),
        (Method::GET, "/v2/repository/index", "POST"),
        (Method::PUT, "/metrics", "GET,HEAD"),
    ] {
        let reply = server.h1().await.send(method.clone(), path, &[], "").await;
        reply.refused(
            405,
            &format!("\"{path}\" does not take the method \"{method}\""),
        );
        assert_eq!(reply.header("allow"), allowed, "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::start().await;
    let reply = server.h1().await.send(Method::HEAD, "/v2", &[], "").await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_ne!(reply.header("content-length"), "0");
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_spoken_on_the_same_port() {
    let server = Server::start().await;
    let mut client = server.h2().await;
    let body =
        r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1,2,3,4]}]}"#;
    // Many at once on one connection.
    let path = "/v2/models/add_one/infer";
    let pending: Vec<_> = (0..50)
        .map(|_| client.request(Method::POST, path, &[], body.into()))
        .collect();
    for response in pending {
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.version(), hyper::Version::HTTP_2);
    }
    client
        .send(Method::GET, "/v2/nothing", &[], "")
        .await
        .refused(404, "there is nothing at");
    let live = client.send(Method::GET, "/v2/health/live", &[], "").await;
    assert_eq!(live.status, 200);
}

#[tokio::test]
async fn each_response_has_an_id_of_its_own() {
    let server = Server::start().await;
    let mut client = server.h1().await;
    let first = client.send(Method::GET, "/v2", &[], "").await;
    let second = client.send(Method::GET, "/nothing", &[], "").await;
    let (first, second) = (
        first.header("consort-request-id"),
        second.header("consort-request-id"),
    );
    assert_eq!(first.len(), 16);
    assert_ne!(first, second);
}
