//! The example `tabular`: real pipelines of scikit-learn, run by the binary on the rows that the
//! example's script wrote, against what scikit-learn itself said about them.

use consort_tests::{consort, prepared, root, run};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// How far probabilities and values may be apart; the latter relative to their size.
const TOLERANCE: f64 = 1e-5;

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let read = |line| serde_json::from_str(line).unwrap();
    text.lines().map(read).collect()
}

/// What `consort run` makes of a model's rows, and what scikit-learn made of them.
fn predictions(model: &str, rows: &str) -> Vec<(Value, Value)> {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.jsonl");
    let models = Path::new("examples/tabular/model");
    let mut command = consort();
    command
        .arg("run")
        .arg(root().join("examples/tabular/consort.toml"))
        .args(["--ensemble", model, "--ordered", "--input"])
        .arg(prepared(models.join(format!("{rows}.jsonl"))))
        .arg("--output")
        .arg(&output);
    let ran = run(&mut command);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let ours = lines(&output);
    let theirs = lines(&prepared(models.join(format!("{rows}.expected.jsonl"))));
    assert_eq!(ours.len(), theirs.len());
    for (at, line) in ours.iter().enumerate() {
        assert_eq!(line["key"], format!("{rows}-{at}"));
        assert_eq!(line["model_id"], format!("{model}:1"));
    }
    let outputs = ours.into_iter().map(|line| line["outputs"].clone());
    outputs.zip(theirs).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    let elements = value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no array"));
    elements.iter().map(|one| one.as_f64().unwrap()).collect()
}

fn check_close(at: usize, ours: &Value, theirs: &Value) {
    let (ours, theirs) = (numbers(ours), numbers(theirs));
    assert_eq!(ours.len(), theirs.len(), "row {at}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(
            (ours - theirs).abs() <= TOLERANCE,
            "row {at}: {ours}, scikit-learn has {theirs}"
        );
    }
}

/// A classifier written without ZipMap.
fn check_classifier(model: &str, rows: usize) {
    let predictions = predictions(model, model);
    assert_eq!(predictions.len(), rows);
    for (at, (ours, theirs)) in predictions.iter().enumerate() {
        assert_eq!(ours["label"], theirs["label"], "row {at}");
        check_close(at, &ours["probabilities"], &theirs["probabilities"]);
    }
    // Not a model that says the same of everything.
    let first = &predictions[0].1["label"];
    assert!(
        predictions
            .iter()
            .any(|(_, theirs)| theirs["label"] != *first)
    );
}

/// The same classifier with ZipMap: the maps come as values and keys.
fn check_zip_map(model: &str, rows: &str, keys: &Value) {
    for (at, (ours, theirs)) in predictions(model, rows).iter().enumerate() {
        assert_eq!(ours["output_label"], theirs["label"], "row {at}");
        check_close(at, &ours["output_probability"], &theirs["probabilities"]);
        assert_eq!(ours["output_probability_keys"], *keys, "row {at}");
    }
}

#[test]
fn iris_has_labels_that_are_names() {
    check_classifier("iris", 150);
}

#[test]
fn iris_with_zip_map() {
    let names = serde_json::json!(["setosa", "versicolor", "virginica"]);
    check_zip_map("iris_zipmap", "iris", &names);
}

#[test]
fn wine_has_labels_that_are_numbers() {
    check_classifier("wine", 178);
}

#[test]
fn wine_with_zip_map() {
    check_zip_map("wine_zipmap", "wine", &serde_json::json!([0, 1, 2]));
}

#[test]
fn rows_with_named_columns_of_numbers_and_texts() {
    check_classifier("cellar", 179);
}

#[test]
fn diabetes_is_a_regression() {
    let predictions = predictions("diabetes", "diabetes");
    assert_eq!(predictions.len(), 442);
    for (at, (ours, theirs)) in predictions.iter().enumerate() {
        let variable = &ours["variable"];
        let ours = variable.as_f64().unwrap_or_else(|| numbers(variable)[0]);
        let theirs = theirs["value"].as_f64().unwrap();
        assert!(
            (ours - theirs).abs() <= TOLERANCE * theirs.abs().max(1.0),
            "row {at}: {ours}, scikit-learn has {theirs}"
        );
    }
}
