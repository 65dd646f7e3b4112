//! Patterns of ensembles through the binary: a manifest, lines in, predictions out. The models
//! add a number, so that each output says who made it.

use consort_tests::onnx;
use consort_tests::place::{Place, infer, numbers};
use serde_json::{Value, json};

/// Models that add 1, 10 and 100, one that cannot be run on what it is given, and the text.
fn place(text: &str) -> Place {
    let model = |name: &str| format!("[model.{name}]\npath = \"{name}.onnx\"\n");
    let models = ["one", "ten", "hundred"].map(model).concat();
    let place = Place::new(&format!("{models}{text}"));
    for (name, number) in [("one", 1.0), ("ten", 10.0), ("hundred", 100.0)] {
        place.write(&format!("{name}.onnx"), &onnx::plus(number));
    }
    place
}

fn lines(count: usize) -> Vec<Value> {
    let line = |at| json!({"key": format!("k{at}"), "inputs": {"x": [0.0]}});
    (0..count).map(line).collect()
}

fn y(line: &Value) -> f64 {
    let value = &line["outputs"]["y"];
    value.as_f64().or_else(|| value[0].as_f64()).unwrap()
}

/// What `consort run` makes of lines whose `x` is 0.
fn run(place: &Place, count: usize) -> Vec<(f64, Value)> {
    let (predicted, dead) = place.predicted("e", &lines(count));
    assert!(dead.is_empty(), "{dead:?}");
    predicted
        .iter()
        .map(|line| (y(line), line["arms"].clone()))
        .collect()
}

#[test]
fn an_ensemble_is_a_step_of_another() {
    let place = place(
        "[[ensemble.inside.step]]\nmodel = \"one\"\noutputs = { y = \"x\" }\n\
         [[ensemble.inside.step]]\nmodel = \"ten\"\n\
         [[ensemble.e.step]]\nensemble = \"inside\"\noutputs = { y = \"x\" }\n\
         [[ensemble.e.step]]\nmodel = \"hundred\"\n",
    );
    assert_eq!(run(&place, 2), [(111.0, Value::Null), (111.0, Value::Null)]);
}

#[test]
fn a_split_keeps_a_key_on_its_arm_and_says_which() {
    let place = place(
        "[[ensemble.e.step]]\nname = \"ab\"\nsplit = { one = 50, ten = 50 }\nsticky = \"key\"\n",
    );
    let first = run(&place, 200);
    assert_eq!(first, run(&place, 200));
    for (y, arms) in &first {
        let arm = if *y == 1.0 { "one" } else { "ten" };
        assert_eq!(arms, &json!({"ab": arm}));
    }
    let ones = first.iter().filter(|(y, _)| *y == 1.0).count();
    assert!((50..150).contains(&ones), "{ones} of 200");
}

#[test]
fn an_average_is_weighed() {
    let place = place(
        "[[ensemble.e.step]]\ncombine = \"average\"\nof = [\"one\", \"ten\"]\nweights = [2, 1]\n",
    );
    assert_eq!(run(&place, 1), [(4.0, Value::Null)]);
}

#[test]
fn a_cascade_asks_the_dear_model_only_where_the_cheap_one_is_unsure() {
    let place = place(
        "[[ensemble.e.step]]\nmodel = \"one\"\n\
         [[ensemble.e.step]]\nmodel = \"hundred\"\nwhen = { tensor = \"y\", above = 5 }\n",
    );
    let line = |x: f64| json!({"key": "k", "inputs": {"x": [x]}});
    let (predicted, dead) = place.predicted("e", &[line(0.0), line(7.0)]);
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!([y(&predicted[0]), y(&predicted[1])], [1.0, 107.0]);
}

#[test]
fn a_shadow_changes_nothing_and_a_fallback_waits_for_a_failure() {
    let place = place(
        "[[ensemble.e.step]]\nmodel = \"one\"\nshadow = { to = \"ten\" }\nfallback = \"hundred\"\n",
    );
    assert_eq!(run(&place, 1)[0].0, 1.0);
}

#[test]
fn the_same_over_http() {
    let place = place(
        "[[ensemble.e.step]]\nmodel = \"one\"\noutputs = { y = \"x\" }\n\
         [[ensemble.e.step]]\nname = \"ab\"\nsplit = { one = 1, ten = 1 }\n",
    );
    let server = place.serve();
    let (status, body) = infer(&server, "e", &numbers("x", &[0.0]));
    assert_eq!(status, 200, "{body}");
    // The arms are in the answer's parameters, as a text of JSON: one object a row.
    let arms = body["parameters"]["arms"].as_str().unwrap_or_default();
    let arms: Value = serde_json::from_str(arms).unwrap();
    let expected = match arms[0]["ab"].as_str() {
        Some("one") => 2.0,
        Some("ten") => 11.0,
        _ => panic!("no arm in {body}"),
    };
    assert_eq!(body["outputs"][0]["data"], json!([expected]), "{body}");
}

#[test]
fn circles_and_wrong_parts_are_refused_with_their_place() {
    place("[[ensemble.e.step]]\nensemble = \"f\"\n[[ensemble.f.step]]\nfallback = \"e\"\nmodel = \"one\"\n")
        .refused(&["the ensemble \"e\" runs \"f\", which runs \"e\" again", "consort.toml:"]);
    place("[[ensemble.e.step]]\ncombine = { z = \"vote\" }\nof = [\"one\", \"ten\"]\n")
        .refused(&["step \"combine\"", "\"z\""]);
}

#[test]
fn a_graph_is_drawn() {
    let place = place("[[ensemble.e.step]]\nname = \"ab\"\nsplit = { one = 90, ten = 10 }\n");
    let mut command = place.command("graph");
    let drawn = consort_tests::run(command.args(["e", "--format", "svg"]));
    assert_eq!(drawn.status, 0, "{}", drawn.stderr);
    for part in ["<svg", "split ab", "model one", "x FP32"] {
        assert!(drawn.stdout.contains(part), "{part}: {}", drawn.stdout);
    }
}
