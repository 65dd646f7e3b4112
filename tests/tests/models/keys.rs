//! `[model-map]`: a model for each key.

use consort_tests::onnx;
use consort_tests::place::Place;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn line(key: &str) -> Value {
    json!({"key": key, "inputs": {"x": 0.0}})
}

/// What each key's example got added, and by which model.
fn by_key(lines: &[Value]) -> BTreeMap<String, (f64, String)> {
    let entry = |line: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let added = line["outputs"]["y"].as_f64().unwrap();
        (text(&line["key"]), (added, text(&line["model_id"])))
    };
    lines.iter().map(entry).collect()
}

#[test]
fn keys_patterns_files_and_the_default_each_find_their_model() {
    let model = |name: &str| format!("[model.{name}]\npath = \"{name}.onnx\"\n");
    let names = ["one", "two", "rest"];
    let text = names.map(model).concat();
    let place = Place::new(&format!(
        "{text}[model-map.m]\nkeys = {{ berlin = \"one\", \"b*\" = \"two\" }}\n\
         path = \"cities/{{key}}.onnx\"\ntemplate = \"rest\"\ndefault = \"rest\"\n"
    ));
    for (number, name) in names.iter().enumerate() {
        place.write(&format!("{name}.onnx"), &onnx::plus(1.0 + number as f32));
    }
    place.write("cities/rome.onnx", &onnx::plus(50.0));
    let keys = ["berlin", "bern", "rome", "oslo"];
    let input: Vec<Value> = keys.map(line).to_vec();
    let (predicted, dead) = place.predicted("m", &input);
    assert!(dead.is_empty(), "{dead:?}");
    let found = by_key(&predicted);
    let added = |key: &str| found[key].0;
    // The key itself, then a pattern, then a file, then the default.
    assert_eq!(keys.map(added), [1.0, 2.0, 50.0, 3.0]);
    assert!(found["berlin"].1.starts_with("one:"), "{found:?}");
    assert!(found["bern"].1.starts_with("two:"), "{found:?}");
    assert!(found["oslo"].1.starts_with("rest:"), "{found:?}");
    // No key leads out of the folder, whatever it says.
    let (_, dead) = place.predicted("m", &[line("../one")]);
    let outside = dead.first().map(|dead| dead["error"]["message"].clone());
    assert!(outside.is_none_or(|message| message.as_str().unwrap().contains("../one")));
}

#[test]
fn a_key_without_a_model_is_an_error_of_its_example_alone() {
    let place =
        Place::new("[model.one]\npath = \"one.onnx\"\n[model-map.m]\nkeys = { a = \"one\" }\n");
    place.write("one.onnx", &onnx::plus(1.0));
    let (predicted, dead) = place.predicted("m", &[line("a"), line("b"), line("a")]);
    assert_eq!(predicted.len(), 2);
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["key"], "b");
    assert_eq!(dead[0]["error"]["kind"], "not_found");
    let message = dead[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains('b') && message.contains('m'), "{message}");
}

#[test]
fn files_of_keys_stay_within_the_budget_of_bytes() {
    let bytes = onnx::plus(0.0).len();
    // Room for about three of the files at a time, as they are on disk.
    let place = Place::new(&format!(
        "[registry]\nmodel_bytes_max = {}\n[model.t]\npath = \"t.onnx\"\nreplicas = 1\nthreads = 1\n\
         [model-map.m]\npath = \"files/{{key}}.onnx\"\ntemplate = \"t\"\n",
        bytes * 3
    ));
    place.write("t.onnx", &onnx::plus(0.0));
    for number in 0..12 {
        place.write(&format!("files/k{number}.onnx"), &onnx::plus(number as f32));
    }
    let input: Vec<Value> = (0..36).map(|n| line(&format!("k{}", n % 12))).collect();
    let options = ["--metrics", "metrics.json"];
    let (predicted, dead, ran) = place.ran("m", &input, &options);
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(predicted.len(), 36, "{}", ran.stderr);
    for (n, line) in predicted.iter().enumerate() {
        assert_eq!(line["outputs"]["y"], (n % 12) as f64, "{line}");
    }
}
