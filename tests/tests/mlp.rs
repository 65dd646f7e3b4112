//! A small classifier with both roles in one plugin, over the wire and as a job, against
//! probabilities that were computed without ONNX Runtime.

use consort_tests::server::Server;
use consort_tests::{consort, guest, root, run};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What the plugin undoes: `x = (measurement - MEAN) / DEVIATION`.
const MEAN: f64 = 0.5;
const DEVIATION: f64 = 2.0;

fn manifest(folder: &Path) -> PathBuf {
    let plugin = guest("mlp");
    let text = format!(
        "consort = 1\n\
         [model.mlp]\npath = {:?}\nreplicas = 2\n\
         [plugin.mlp]\npath = {plugin:?}\nconfig = \"setosa versicolor virginica\"\n\
         [[ensemble.iris.step]]\nplugin = \"mlp\"\nname = \"standardise\"\nrole = \"preprocess\"\n\
         [[ensemble.iris.step]]\nmodel = \"mlp\"\n\
         [[ensemble.iris.step]]\nplugin = \"mlp\"\nname = \"best\"\nrole = \"postprocess\"\n",
        root().join("host/onnx/fixtures/mlp.onnx")
    );
    let path = folder.join("consort.toml");
    fs::write(&path, text).unwrap();
    path
}

/// The rows of which `make.py` computed the classes.
fn measurements(row: usize) -> Vec<f64> {
    let x = |i: usize| ((7 * row + 3 * i) % 16) as f64 / 8.0 - 1.0;
    (0..16).map(|i| x(i) * DEVIATION + MEAN).collect()
}

fn expected() -> Vec<(&'static str, f64)> {
    let text = fs::read_to_string(root().join("host/onnx/fixtures/mlp_expected.txt")).unwrap();
    let labels = ["setosa", "versicolor", "virginica"];
    let best = |line: &str| {
        let row = line
            .split_whitespace()
            .map(|number| number.parse::<f64>().unwrap());
        labels
            .into_iter()
            .zip(row)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap()
    };
    text.lines().map(best).collect()
}

#[test]
fn rows_of_one_request_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&manifest(folder.path()));
    let rows: Vec<Vec<f64>> = (0..3).map(measurements).collect();
    let body = json!({"inputs": [{"name": "measurements", "datatype": "FP32", "shape": [3, 16], "data": rows}]});
    let response = server.request(
        "POST",
        "/v2/models/iris/infer",
        &[],
        body.to_string().as_bytes(),
    );
    assert_eq!(response.status, 200, "{}", response.text());
    let answer = response.json();
    let data = |name: &str| -> Vec<Value> {
        let outputs = answer["outputs"].as_array().unwrap();
        let output = outputs
            .iter()
            .find(|output| output["name"] == name)
            .unwrap();
        output["data"].as_array().unwrap().clone()
    };
    for (row, (label, probability)) in expected().into_iter().enumerate() {
        assert_eq!(data("label")[row], label);
        let ours = data("probability")[row].as_f64().unwrap();
        assert!(
            (ours - probability).abs() < 1e-5,
            "row {row}: {ours}, expected {probability}"
        );
    }
}

#[test]
fn a_job_keeps_keys_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.jsonl");
    let output = folder.path().join("out.jsonl");
    let line = |row: usize| json!({"key": format!("k{row}"), "inputs": {"measurements": measurements(row % 3)}});
    let lines: Vec<String> = (0..3000).map(|row| line(row).to_string()).collect();
    fs::write(&input, lines.join("\n")).unwrap();
    let mut command = consort();
    command
        .arg("run")
        .arg(manifest(folder.path()))
        .arg("--ordered");
    let ran = run(command
        .arg("--input")
        .arg(&input)
        .arg("--output")
        .arg(&output));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let expected = expected();
    let text = fs::read_to_string(&output).unwrap();
    assert_eq!(text.lines().count(), 3000);
    for (row, line) in text.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["key"], format!("k{row}"));
        assert_eq!(line["outputs"]["label"], expected[row % 3].0);
        assert_eq!(line["model_id"], "mlp:1");
    }
}
