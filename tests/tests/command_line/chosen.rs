//! What is run, and arguments that are none.

use crate::place::{Place, fed, keys, line, says};
use consort_tests::{consort, root, run};
use serde_json::{Value, json};
use std::fs;

#[test]
fn a_model_alone_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let model = root().join("host/onnx/fixtures/mlp.onnx");
    let manifest = folder.path().join("consort.toml");
    fs::write(
        &manifest,
        format!("consort = 1\n[model.mlp]\npath = {model:?}\n"),
    )
    .unwrap();
    let input = json!({"key": "a", "inputs": {"x": vec![0.0; 16]}}).to_string();
    let mut command = consort();
    command.arg("run").arg(&manifest).args(["--input", "-"]);
    let ran = fed(&mut command, &input);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let line: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(line["key"], "a");
    assert_eq!(line["model_id"], "mlp:1");
    let numbers = line["outputs"]["probabilities"].as_array().unwrap();
    let sum: f64 = numbers.iter().filter_map(Value::as_f64).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{line}");
    // A model does not say what of a file it takes.
    let mut command = consort();
    command.arg("run").arg(&manifest).arg("--input");
    let ran = run(command.arg(&manifest).args(["--input-format", "files"]));
    assert_eq!(ran.status, 2);
    says(
        &ran.stderr,
        &["add [ensemble.mlp.files]", "give the input as JSON lines"],
    );
}

#[test]
fn of_several_ensembles_one_is_chosen() {
    let more = "[[ensemble.more.step]]\nplugin = \"guest\"\nrole = \"postprocess\"\n";
    let place = Place::new("identity", more);
    place.write("in", &line(1));
    place.refused(
        &["--input", "in"],
        &["choose one with --ensemble: there are \"numbers\", \"more\""],
    );
    place.refused(
        &["--input", "in", "--ensemble", "mroe"],
        &["there is no ensemble or model \"mroe\"; there are \"numbers\", \"more\""],
    );
    let ran = place.run(&["--input", "in", "--ensemble", "more"]);
    assert_eq!((ran.status, keys(&ran.stdout)), (0, vec!["n1".to_owned()]));
}

#[test]
fn the_wrong_arguments_are_explained() {
    for (arguments, words) in [
        (&["frobnicate"][..], &["unrecognized subcommand"][..]),
        (&["run", "m.toml"], &["--input <PATH>"]),
        (&["check"], &["<MANIFEST>"]),
        (
            &["check", "m.toml", "--log", "a=b=c"],
            &["--log \"a=b=c\" is not a filter", "write a level"],
        ),
        (
            &["run", "m.toml", "-i", "x", "--input-format", "xml"],
            &["xml", "files, paths, jsonl"],
        ),
        (
            &["run", "m.toml", "-i", "x", "--limit", "many"],
            &["--limit", "many"],
        ),
        (
            &["serve", "m.toml", "--listen", "localhost"],
            &["localhost", "--listen <ADDRESS:PORT>"],
        ),
    ] {
        let ran = run(consort().args(arguments));
        assert_eq!(ran.status, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{arguments:?}: {}", ran.stdout);
        says(&ran.stderr, words);
    }
}
