//! Models that are loaded, unloaded, updated and taken back by calls, and warmed up on
//! examples of the manifest: through the binary.

use consort_tests::http::Response;
use consort_tests::server::Server;
use consort_tests::{consort, http, onnx, run};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A manifest with the model `add` in `add.onnx`, which adds 1.
fn place(model: &str, more: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), 1.0);
    let manifest = folder.path().join("consort.toml");
    let text = format!(
        "consort = 1\n[model.add]\npath = \"add.onnx\"\nreplicas = 1\nthreads = 1\n{model}\n{more}\n"
    );
    fs::write(&manifest, text).unwrap();
    (folder, manifest)
}

/// Replaces the model's file as a whole.
fn put(folder: &Path, number: f32) {
    put_bytes(folder, &onnx::plus(number));
}

fn put_bytes(folder: &Path, bytes: &[u8]) {
    fs::write(folder.join("new"), bytes).unwrap();
    fs::rename(folder.join("new"), folder.join("add.onnx")).unwrap();
}

fn infer(server: &Server) -> Response {
    let body = json!({"inputs": [
        {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [5.0]}
    ]});
    server.post("/v2/models/add/infer", &body.to_string())
}

/// What the model makes of 5, and what it says made it.
fn answer(server: &Server) -> (f64, String) {
    let response = infer(server);
    assert_eq!(response.status, 200, "{}", response.text());
    let json = response.json();
    let made_by = json["parameters"]["model_id"].as_str().unwrap();
    let y = json["outputs"][0]["data"][0].as_f64().unwrap();
    (y, made_by.to_owned())
}

fn call(server: &Server, call: &str) -> (u16, Value) {
    let response = server.post(&format!("/v2/repository/models/add/{call}"), "");
    (response.status, response.json())
}

#[test]
fn a_model_is_updated_taken_back_and_unloaded() {
    let (folder, manifest) = place("", "[server]\nadmin = true");
    let server = Server::start(&manifest);
    assert_eq!(answer(&server), (6.0, "add:1".to_owned()));

    put(folder.path(), 2.0);
    let (status, loaded) = call(&server, "load");
    assert_eq!(
        (status, &loaded["changed"]),
        (200, &json!(true)),
        "{loaded}"
    );
    let second = format!("add:{}", loaded["model_version"].as_str().unwrap());
    assert_eq!(answer(&server), (7.0, second.clone()));
    let (status, again) = call(&server, "load");
    assert_eq!((status, &again["changed"]), (200, &json!(false)), "{again}");

    put_bytes(folder.path(), b"no model");
    let (status, failed) = call(&server, "load");
    assert_eq!(status, 500);
    let error = failed["error"].as_str().unwrap();
    assert!(
        error.contains("what answered before answers still"),
        "{error}"
    );
    assert_eq!(answer(&server), (7.0, second));

    let (status, back) = call(&server, "rollback");
    assert_eq!(
        (status, &back["model_version"]),
        (200, &json!("1")),
        "{back}"
    );
    assert_eq!(answer(&server), (6.0, "add:1".to_owned()));

    assert_eq!(call(&server, "unload").0, 200);
    let response = infer(&server);
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(server.get("/v2/models/add/ready").status, 503);
    let index = server.post("/v2/repository/index", "").json();
    assert_eq!(index[0]["state"], "UNAVAILABLE");
    assert_eq!(
        server.get("/v2/health/ready").status,
        200,
        "it is missing on purpose"
    );

    put(folder.path(), 3.0);
    assert_eq!(call(&server, "load").0, 200);
    assert_eq!(answer(&server).0, 8.0);
    let response = server.post("/v2/repository/models/other/load", "");
    assert_eq!(response.status, 404, "{}", response.text());
    let metrics = server.get("/metrics").text();
    assert!(
        metrics.contains("consort_model_updates_total{model=\"add\",result=\"rolled_back\"} 1")
    );
    let ran = server.terminate();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[test]
fn nothing_is_changed_without_leave() {
    let (_folder, manifest) = place("", "");
    let server = Server::start(&manifest);
    let (status, refused) = call(&server, "load");
    assert_eq!(status, 403);
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("admin = true in [server]"), "{error}");
}

#[test]
fn calls_that_change_models_may_have_an_address_of_their_own() {
    let more = "[server]\nadmin = true\nadmin_listen = \"127.0.0.1:0\"";
    let (folder, manifest) = place("", more);
    let server = Server::start(&manifest);
    let apart = server.other_address();
    assert_ne!(apart, server.address);
    put(folder.path(), 2.0);
    assert_eq!(call(&server, "load").0, 403);
    let path = "/v2/repository/models/add/load";
    let response = http::request(apart, "POST", path, &[], b"").unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(answer(&server).0, 7.0);
    let ran = server.terminate();
    assert_eq!(ran.status, 0, "{}", ran.stderr);

    let (_folder, manifest) = place("", "[server]\nadmin_listen = \"127.0.0.1:0\"");
    let ran = run(consort().arg("check").arg(&manifest));
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("has no effect unless admin = true"),
        "{}",
        ran.stderr
    );
}

#[test]
fn warm_up_rows_are_run_at_the_start_and_before_each_update() {
    let model = "warm_up = \"rows.jsonl\"\nupdate_check = \"finite\"";
    let (folder, manifest) = place(model, "[server]\nadmin = true");
    let rows = folder.path().join("rows.jsonl");
    fs::write(&rows, "{\"inputs\": {\"x\": 1}}\n{\"x\": [2]}\n").unwrap();
    let server = Server::start(&manifest);
    put(folder.path(), f32::INFINITY);
    let (status, failed) = call(&server, "load");
    assert_eq!(status, 500);
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("holds NaN or infinity"), "{error}");
    assert_eq!(answer(&server).0, 6.0);
    put(folder.path(), 2.0);
    fs::write(&rows, "{\"x\": [2, 3]}\n").unwrap();
    let (status, failed) = call(&server, "load");
    let error = failed["error"].as_str().unwrap();
    assert_eq!(status, 500, "{error}");
    assert!(error.contains("rows.jsonl: line 1"), "{error}");
    fs::write(&rows, "{\"x\": 2}\n").unwrap();
    assert_eq!(call(&server, "load").0, 200);
    assert_eq!(answer(&server).0, 7.0);
}

#[test]
fn wrong_warm_up_rows_are_shown_with_their_place() {
    let (folder, manifest) = place("warm_up = \"rows.jsonl\"", "");
    let check = || run(consort().arg("check").arg(&manifest));
    let missing = check();
    assert_eq!(missing.status, 2);
    assert!(
        missing.stderr.contains("rows.jsonl cannot be read"),
        "{}",
        missing.stderr
    );
    fs::write(folder.path().join("rows.jsonl"), "\n{\"z\": 1}\n").unwrap();
    let wrong = check();
    assert_eq!(wrong.status, 2);
    for word in [
        "consort.toml:6:",
        "rows.jsonl: line 2",
        "\"z\" is not expected",
    ] {
        assert!(wrong.stderr.contains(word), "{word}: {}", wrong.stderr);
    }
    fs::write(folder.path().join("rows.jsonl"), "{\"x\": 1}\n").unwrap();
    let right = check();
    assert_eq!(right.status, 0, "{}", right.stderr);
}
