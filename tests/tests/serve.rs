//! The server as its clients see it: Open Inference Protocol v2, drain, metrics.

use consort_tests::python::python;
use consort_tests::server::Server;
use consort_tests::{prepared, root, run};
use serde_json::{Value, json};
use std::path::PathBuf;

fn manifest() -> PathBuf {
    prepared("examples/file-type/components/file_type_features.wasm");
    prepared("examples/file-type/model/model.onnx");
    root().join("examples/file-type/consort.toml")
}

fn file_request(contents: &[&str]) -> Value {
    let rows = contents.len();
    let bytes = |name: &str| json!({"name": name, "datatype": "BYTES", "shape": [rows, 1], "data": contents});
    let sizes: Vec<usize> = contents.iter().map(|content| content.len()).collect();
    let size = json!({"name": "size", "datatype": "INT64", "shape": [rows, 1], "data": sizes});
    json!({"id": "r1", "inputs": [bytes("head"), bytes("tail"), size]})
}

fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let response = server.request(
        "POST",
        path,
        &[("Content-Type", "application/json")],
        body.to_string().as_bytes(),
    );
    (response.status, response.json())
}

fn output<'a>(response: &'a Value, name: &str) -> &'a Value {
    let outputs = response["outputs"]
        .as_array()
        .unwrap_or_else(|| panic!("{response}"));
    outputs
        .iter()
        .find(|output| output["name"] == name)
        .unwrap_or_else(|| panic!("{response}"))
}

#[test]
fn the_protocol_answers_as_its_clients_expect() {
    let server = Server::start(&manifest());
    assert_eq!(server.get("/v2/health/live").status, 200);
    assert_eq!(server.get("/v2/health/ready").status, 200);
    assert_eq!(server.get("/v2").json()["name"], "consort");
    assert_eq!(server.get("/v2/models/file-type/ready").status, 200);

    let metadata = server.get("/v2/models/file-type").json();
    assert_eq!(metadata["name"], "file-type");
    let inputs = metadata["inputs"].as_array().unwrap();
    let names: Vec<&str> = inputs
        .iter()
        .filter_map(|input| input["name"].as_str())
        .collect();
    assert_eq!(names, ["head", "tail", "size"]);
    assert_eq!(inputs[0]["shape"], json!([-1, 1]));
    let model = server.get("/v2/models/magika").json();
    assert_eq!(model["inputs"][0]["shape"], json!([-1, 2048]));

    let script = "#!/bin/sh\nset -eu\nfor name in *.txt; do\n  echo \"$name\"\ndone\n".repeat(4);
    let (status, response) = post(
        &server,
        "/v2/models/file-type/infer",
        &file_request(&["", "short", &script]),
    );
    assert_eq!(status, 200, "{response}");
    assert_eq!(response["id"], "r1");
    assert_eq!(
        output(&response, "label")["data"],
        json!(["empty", "txt", "shell"])
    );
    assert_eq!(output(&response, "label")["shape"], json!([3, 1]));
    assert_eq!(
        output(&response, "mime_type")["data"][2],
        "text/x-shellscript"
    );

    let ran = server.terminate();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[test]
fn the_model_behind_the_ensemble_answers_by_itself() {
    let server = Server::start(&manifest());
    let row = vec![256; 2048];
    let body = json!({"inputs": [{"name": "bytes", "datatype": "INT32", "shape": [1, 2048], "data": row}]});
    let (status, response) = post(&server, "/v2/models/magika/infer", &body);
    assert_eq!(status, 200, "{response}");
    let data = output(&response, "target_label")["data"]
        .as_array()
        .unwrap();
    let sum: f64 = data.iter().filter_map(Value::as_f64).sum();
    assert_eq!(data.len(), 214);
    assert!((sum - 1.0).abs() < 1e-3, "probabilities add to {sum}");
}

#[test]
fn a_bad_request_says_what_is_wrong() {
    let server = Server::start(&manifest());
    let good = file_request(&["x"]);
    let mut missing = good.clone();
    missing["inputs"].as_array_mut().unwrap().pop();
    let mut extra = good.clone();
    extra["inputs"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "mask", "datatype": "BOOL", "shape": [1, 1], "data": [true]}));
    let mut datatype = good.clone();
    datatype["inputs"][2]["datatype"] = json!("FP32");
    let mut shape = good.clone();
    shape["inputs"][2]["shape"] = json!([1, 2]);
    shape["inputs"][2]["data"] = json!([1, 2]);
    let mut count = good.clone();
    count["inputs"][2]["data"] = json!([1, 2]);
    for (what, body, status, words) in [
        ("malformed", "{\"inputs\": [".to_owned(), 400, &["JSON"][..]),
        (
            "missing input",
            missing.to_string(),
            400,
            &["\"size\"", "missing"],
        ),
        ("extra input", extra.to_string(), 400, &["\"mask\""]),
        (
            "datatype",
            datatype.to_string(),
            400,
            &["\"size\"", "FP32", "INT64"],
        ),
        ("shape", shape.to_string(), 400, &["\"size\""]),
        ("element count", count.to_string(), 400, &["\"size\"", "2"]),
    ] {
        let response = server.request("POST", "/v2/models/file-type/infer", &[], body.as_bytes());
        let error = response.json()["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert_eq!(response.status, status, "{what}: {error}");
        assert!(
            words.iter().all(|word| error.contains(word)),
            "{what}: {error}"
        );
    }
    let (status, response) = post(&server, "/v2/models/nobody/infer", &good);
    assert_eq!(
        (
            status,
            response["error"].as_str().unwrap().contains("nobody")
        ),
        (404, true)
    );
    for length in ["-1", "999999", "many"] {
        let headers = [("Inference-Header-Content-Length", length)];
        let response = server.request(
            "POST",
            "/v2/models/file-type/infer",
            &headers,
            good.to_string().as_bytes(),
        );
        assert_eq!(response.status, 400, "{length}: {}", response.text());
        assert!(
            response.text().contains(length.trim_start_matches('-')),
            "{length}: {}",
            response.text()
        );
    }
    let oversize = [("Content-Length", "99999999999")];
    assert_eq!(
        server
            .request("POST", "/v2/models/file-type/infer", &oversize, b"")
            .status,
        413
    );
}

#[test]
fn short_and_long_binary_bodies_are_refused_with_the_count() {
    let server = Server::start(&manifest());
    let header = json!({"inputs": [{"name": "bytes", "datatype": "INT32", "shape": [1, 2048],
        "parameters": {"binary_data_size": 8192}}]})
    .to_string();
    let length = header.len().to_string();
    let headers = [("Inference-Header-Content-Length", length.as_str())];
    for (blob, word) in [(8192 - 12, "12"), (8192 + 5, "5")] {
        let mut body = header.clone().into_bytes();
        body.resize(header.len() + blob, 0);
        let response = server.request("POST", "/v2/models/magika/infer", &headers, &body);
        assert_eq!(response.status, 400, "{}", response.text());
        assert!(response.text().contains(word), "{}", response.text());
    }
    let mut body = header.clone().into_bytes();
    body.resize(header.len() + 8192, 0);
    assert_eq!(
        server
            .request("POST", "/v2/models/magika/infer", &headers, &body)
            .status,
        200
    );
}

#[test]
fn metrics_carry_beams_names() {
    let server = Server::start(&manifest());
    let text = "fn main() { println!(\"hello\"); }\n".repeat(10);
    assert_eq!(
        post(
            &server,
            "/v2/models/file-type/infer",
            &file_request(&[&text])
        )
        .0,
        200
    );
    let metrics = server.get("/metrics").text();
    for name in [
        "num_inferences_total{",
        "inference_request_batch_size_bucket{",
        "inference_request_batch_byte_size_bucket{",
        "inference_batch_latency_micro_secs_bucket{",
        "model_byte_size",
        "load_model_latency_milli_secs",
        "consort_step_duration_seconds_bucket{",
        "consort_examples_total{",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    assert!(metrics.contains("tenant=\"default\""), "{metrics}");
}

#[test]
fn the_unmodified_triton_client_passes() {
    let server = Server::start(&manifest());
    let script = root().join("tests/clients/tritonclient_http.py");
    let ran = run(python().arg(script).arg(server.address.to_string()).args([
        "--model",
        "magika",
        "--ensemble",
        "file-type",
    ]));
    assert_eq!(ran.status, 0, "{}\n{}", ran.stdout, ran.stderr);
}
