//! An ensemble in code in the real program: it calls an ensemble of plugins and a model, over
//! the wire and as a job. What cannot work is refused with its place.

use consort_tests::server::Server;
use consort_tests::{consort, guest, root, run};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What the plugin of `iris` undoes: `x = (measurement - 0.5) / 2`.
fn measurement(x: f64) -> f64 {
    x * 2.0 + 0.5
}

/// The rows whose classes are known without ONNX Runtime.
fn row(row: usize) -> Vec<f64> {
    let x = |i: usize| ((7 * row + 3 * i) % 16) as f64 / 8.0 - 1.0;
    (0..16).map(x).collect()
}

fn labels() -> Vec<&'static str> {
    let text = fs::read_to_string(root().join("host/onnx/fixtures/mlp_expected.txt")).unwrap();
    let best = |line: &str| {
        let numbers = line
            .split_whitespace()
            .map(|number| number.parse::<f64>().unwrap());
        let labelled = ["setosa", "versicolor", "virginica"]
            .into_iter()
            .zip(numbers);
        labelled.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
    };
    text.lines().map(best).collect()
}

fn manifest(folder: &Path, more: &str) -> PathBuf {
    let text = format!(
        "consort = 1\n\
         [model.mlp]\npath = {:?}\nreplicas = 1\n\
         [plugin.mlp]\npath = {:?}\nconfig = \"setosa versicolor virginica\"\n\
         [plugin.committee]\npath = {:?}\nconfig = \"setosa versicolor virginica\"\n\
         models = [\"mlp\", \"iris\"]\n\
         [[ensemble.whole.step]]\nplugin = \"committee\"\n\
         [[ensemble.iris.step]]\nplugin = \"mlp\"\nname = \"standardise\"\nrole = \"preprocess\"\n\
         [[ensemble.iris.step]]\nmodel = \"mlp\"\n\
         [[ensemble.iris.step]]\nplugin = \"mlp\"\nname = \"best\"\nrole = \"postprocess\"\n\
         {more}",
        root().join("host/onnx/fixtures/mlp.onnx"),
        guest("mlp"),
        guest("committee"),
    );
    let path = folder.join("consort.toml");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_request_asks_an_ensemble_and_a_model_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // Fewer instances than would be needed if those who wait could take them all.
    let few = "[sandbox]\ninstances_max = 2\n";
    let server = Server::start(&manifest(folder.path(), few));
    let rows: Vec<Vec<f64>> = (0..3).map(row).collect();
    let measured = |row: &Vec<f64>| -> Vec<f64> { row.iter().copied().map(measurement).collect() };
    let measurements: Vec<Vec<f64>> = rows.iter().map(measured).collect();
    let input = |name: &str, data: &[Vec<f64>]| json!({"name": name, "datatype": "FP32", "shape": [3, 16], "data": data});
    let body = json!({"inputs": [input("measurements", &measurements), input("x", &rows)]});
    let body = body.to_string();
    let response = server.request("POST", "/v2/models/whole/infer", &[], body.as_bytes());
    assert_eq!(response.status, 200, "{}", response.text());
    let answer = response.json();
    let data = |name: &str| -> Vec<Value> {
        let mut outputs = answer["outputs"].as_array().unwrap().iter();
        let output = outputs.find(|output| output["name"] == name).unwrap();
        output["data"].as_array().unwrap().clone()
    };
    assert_eq!(data("label"), labels());
    assert_eq!(data("agreed"), [true, true, true]);
}

#[test]
fn a_job_runs_an_ensemble_in_code() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    let line = |i: usize| {
        let x = row(i % 3);
        let measured: Vec<f64> = x.iter().copied().map(measurement).collect();
        json!({"key": format!("k{i}"), "inputs": {"x": x, "measurements": measured}}).to_string()
    };
    let lines: Vec<String> = (0..300).map(line).collect();
    fs::write(&input, lines.join("\n")).unwrap();
    let mut command = consort();
    let manifest = manifest(folder.path(), "");
    command
        .arg("run")
        .arg(manifest)
        .args(["--ordered", "--ensemble", "whole"]);
    let ran = run(command
        .arg("--input")
        .arg(&input)
        .arg("--output")
        .arg(&output));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let text = fs::read_to_string(&output).unwrap();
    assert_eq!(text.lines().count(), 300);
    for (i, line) in text.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["key"], format!("k{i}"));
        assert_eq!(line["outputs"]["label"], labels()[i % 3]);
        assert_eq!(line["outputs"]["agreed"], true);
        assert_eq!(line["model_id"], "committee:1");
    }
}

#[test]
fn a_plugin_that_calls_itself_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = manifest(folder.path(), "");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("\"mlp\", \"iris\"", "\"mlp\", \"iris\", \"whole\"");
    fs::write(&path, &text).unwrap();
    let ran = run(consort().arg("check").arg(&path));
    assert_ne!(ran.status, 0);
    let told = "the plugin \"committee\" needs \"whole\", which needs the plugin \"committee\"";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let line = 1 + text
        .lines()
        .position(|line| line.contains("\"whole\""))
        .unwrap();
    assert!(
        ran.stderr.contains(&format!("consort.toml:{line}:")),
        "{}",
        ran.stderr
    );
}

#[test]
fn plugins_nested_deeper_than_there_are_instances_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = manifest(folder.path(), "[sandbox]\ninstances_max = 1\n");
    let ran = run(consort().arg("check").arg(&path));
    assert_ne!(ran.status, 0);
    let told = "1 deep; instances_max allows 0";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}
