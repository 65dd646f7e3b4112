//! Ensembles in ensembles, what is refused, what is drawn.

use crate::{place, run};
use consort_tests::place::{infer, numbers};
use serde_json::{Value, json};

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
fn steps_in_a_circle_are_named() {
    place(
        "[ensemble.e]\ninputs = [\"x\"]\n[[ensemble.e.step]]\nmodel = \"hundred\"\n\
         [[ensemble.e.step]]\nmodel = \"one\"\ninputs = { x = \"b\" }\noutputs = { y = \"a\" }\n\
         [[ensemble.e.step]]\nmodel = \"ten\"\ninputs = { x = \"a\" }\noutputs = { y = \"b\" }\n",
    )
    .refused(&[
        "it waits for itself",
        "\"one\" needs \"b\" of \"ten\"",
        "\"ten\" needs \"a\" of \"one\"",
        "give one of these another name, or order the steps",
    ]);
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
