//! The example `ab`: each of its ensembles against what scikit-learn says of the same rows.

use consort_tests::{consort, prepared, root, run};
use serde_json::Value;
use std::fs;
use std::path::Path;

const MODELS: &str = "examples/tabular/model";
const ROWS: usize = 150;
/// How far probabilities may be apart.
const TOLERANCE: f64 = 1e-5;

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let read = |line| serde_json::from_str(line).unwrap();
    text.lines().map(read).collect()
}

/// What an ensemble makes of the rows, in their order.
fn predicted(ensemble: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.jsonl");
    let mut command = consort();
    command
        .arg("run")
        .arg(root().join("examples/ab/consort.toml"));
    command.args(["--ensemble", ensemble, "--ordered", "--input"]);
    command.arg(prepared(format!("{MODELS}/iris.jsonl")));
    let ran = run(command.arg("--output").arg(&output));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let lines = lines(&output);
    assert_eq!(lines.len(), ROWS);
    lines
}

/// What scikit-learn says of the rows by one model.
fn expected(model: &str) -> Vec<Value> {
    lines(&prepared(format!("{MODELS}/{model}.expected.jsonl")))
}

fn probabilities(line: &Value) -> Vec<f64> {
    let numbers = line["probabilities"].as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().unwrap()).collect()
}

fn check(at: usize, ours: &Value, theirs: &Value) {
    assert_eq!(ours["label"], theirs["label"], "row {at}");
    let pairs = probabilities(ours).into_iter().zip(probabilities(theirs));
    for (ours, theirs) in pairs {
        assert!(
            (ours - theirs).abs() <= TOLERANCE,
            "row {at}: {ours}, {theirs}"
        );
    }
}

#[test]
fn each_row_is_answered_by_the_arm_it_names() {
    let (regression, forest) = (expected("iris"), expected("iris_forest"));
    let mut arms = [0, 0];
    for (at, line) in predicted("ab").iter().enumerate() {
        let arm = line["arms"]["variant"].as_str().unwrap();
        assert_eq!(line["model_id"], format!("{arm}:1"));
        let (place, theirs) = match arm {
            "regression" => (0, &regression[at]),
            _ => (1, &forest[at]),
        };
        arms[place] += 1;
        check(at, &line["outputs"], theirs);
    }
    // Keys are spread by chance, but always in the same way.
    assert!(arms[0] > 110 && arms[1] > 3, "{arms:?}");
}

#[test]
fn the_dear_model_is_asked_where_the_cheap_one_is_unsure() {
    let (regression, forest) = (expected("iris"), expected("iris_forest"));
    let mut asked = 0;
    for (at, line) in predicted("cascade").iter().enumerate() {
        let sure = probabilities(&regression[at])
            .into_iter()
            .fold(0.0, f64::max);
        let theirs = match sure < 0.8 {
            true => &forest[at],
            false => &regression[at],
        };
        asked += usize::from(sure < 0.8);
        check(at, &line["outputs"], theirs);
    }
    assert!(asked > 10 && asked < ROWS, "{asked}");
}

#[test]
fn three_vote_and_their_probabilities_are_averaged() {
    let of = ["iris", "iris_forest", "iris_neighbours"].map(expected);
    let mut torn = 0;
    for (at, line) in predicted("jury").iter().enumerate() {
        let labels: Vec<_> = of.iter().map(|model| &model[at]["label"]).collect();
        let votes = |label: &Value| labels.iter().filter(|other| **other == label).count();
        let most = labels
            .iter()
            .copied()
            .max_by_key(|label| votes(label))
            .unwrap();
        let ours = &line["outputs"];
        assert_eq!(ours["label"], *most, "row {at}");
        torn += usize::from(votes(most) < 3);
        let each = of.each_ref().map(|model| probabilities(&model[at]));
        for (class, ours) in probabilities(ours).into_iter().enumerate() {
            let mean = each.iter().map(|each| each[class]).sum::<f64>() / 3.0;
            assert!((ours - mean).abs() <= TOLERANCE, "row {at}: {ours}, {mean}");
        }
    }
    assert!(torn > 0, "they always agree, which shows nothing");
}

#[test]
fn a_shadow_changes_no_answer() {
    let theirs = expected("iris");
    for (at, line) in predicted("shadowed").iter().enumerate() {
        assert_eq!(line["model_id"], "regression:1");
        check(at, &line["outputs"], &theirs[at]);
    }
}
