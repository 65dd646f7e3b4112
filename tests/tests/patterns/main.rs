//! Patterns of ensembles through the binary: a manifest, lines in, predictions out. The models
//! add a number or look one up, so that each output says who made it.

mod choosing;
mod combining;
mod fanning;
mod flowing;
mod following;
mod nested;

use consort_tests::onnx;
use consort_tests::place::Place;
use serde_json::{Value, json};

/// The models of the tests. `few` knows what to say to 0, 1 and 2, and fails on more; `over_0`
/// and `over_5` say whether a number is.
fn models() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("one", onnx::plus(1.0)),
        ("uno", onnx::plus(1.0)),
        ("ten", onnx::plus(10.0)),
        ("hundred", onnx::plus(100.0)),
        ("few", onnx::lookup(&[0.5, 1.5, 2.5])),
        ("over_0", onnx::above(0.0)),
        ("over_5", onnx::above(5.0)),
        ("tokens", onnx::tokens()),
        ("twice", onnx::twice()),
    ]
}

/// The models that the text speaks of, and the text.
fn place(text: &str) -> Place {
    let quoted =
        |name: &str| text.contains(&format!("\"{name}\"")) || text.contains(&format!("{name} ="));
    let models: Vec<_> = models()
        .into_iter()
        .filter(|(name, _)| quoted(name))
        .collect();
    let keys = "replicas = 1\nthreads = 1\n";
    let model = |(name, _): &(&str, _)| format!("[model.{name}]\npath = \"{name}.onnx\"\n{keys}");
    let tables: String = models.iter().map(model).collect();
    let place = Place::new(&format!("{tables}{text}"));
    for (name, bytes) in models {
        place.write(&format!("{name}.onnx"), &bytes);
    }
    place
}

/// A line for each number, with keys of their own.
fn lines(numbers: &[f64]) -> Vec<Value> {
    let line = |(at, x): (usize, &f64)| json!({"key": format!("k{at}"), "inputs": {"x": [x]}});
    numbers.iter().enumerate().map(line).collect()
}

fn y(line: &Value) -> f64 {
    let value = &line["outputs"]["y"];
    value.as_f64().or_else(|| value[0].as_f64()).unwrap()
}

/// What `consort run` makes of lines whose `x` is 0.
fn run(place: &Place, count: usize) -> Vec<(f64, Value)> {
    let (predicted, dead) = place.predicted("e", &lines(&vec![0.0; count]));
    assert!(dead.is_empty(), "{dead:?}");
    predicted
        .iter()
        .map(|line| (y(line), line["arms"].clone()))
        .collect()
}

/// The `y` of each line, where none may fail.
fn ys(place: &Place, numbers: &[f64]) -> Vec<f64> {
    let (predicted, dead) = place.predicted("e", &lines(numbers));
    assert!(dead.is_empty(), "{dead:?}");
    predicted.iter().map(y).collect()
}

/// The message of a dead letter.
fn message(letter: &Value) -> &str {
    letter["error"]["message"].as_str().unwrap()
}
