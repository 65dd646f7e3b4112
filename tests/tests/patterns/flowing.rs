//! What flows through an ensemble: what it takes and gives, conditions, optional steps, queues.

use crate::{lines, place, y};
use consort_tests::place::{Place, infer, metric, numbers};
use consort_tests::{http, onnx, until};
use serde_json::{Value, json};

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

/// Three models, of which the second reads a tensor that the first does not.
const STEPS: &str = "[[ensemble.e.step]]\nmodel = \"one\"\noutputs = { y = \"mid\" }\n\
    [[ensemble.e.step]]\nmodel = \"ten\"\ninputs = { x = \"more\" }\noutputs = { y = \"aside\" }\n\
    [[ensemble.e.step]]\nmodel = \"hundred\"\ninputs = { x = \"mid\" }\n";

#[test]
fn an_ensemble_takes_and_gives_what_it_says() {
    let line = json!({"key": "k", "inputs": {"x": [0.0], "more": [5.0]}});
    let keys = "[ensemble.e]\ninputs = [\"more\", \"x\"]\n";
    let told = |outputs: &str| {
        let place = place(&format!("{keys}{outputs}{STEPS}"));
        let (predicted, dead) = place.predicted("e", std::slice::from_ref(&line));
        assert!(dead.is_empty(), "{dead:?}");
        predicted[0]["outputs"].clone()
    };
    assert_eq!(told(""), json!({"y": 101.0}));
    let listed = told("outputs = [\"aside\", \"mid\"]\n");
    assert_eq!(listed, json!({"aside": 15.0, "mid": 1.0}));
    let renamed = told("outputs = { last = \"y\", first = \"mid\", asked = \"more\" }\n");
    assert_eq!(renamed, json!({"last": 101.0, "first": 1.0, "asked": 5.0}));

    let server = place(&format!("{keys}outputs = {{ last = \"y\" }}\n{STEPS}")).serve();
    let metadata = server.get("/v2/models/e").json();
    let names = |side: &str| -> Vec<Value> {
        let tensors = metadata[side].as_array().unwrap().iter();
        tensors.map(|tensor| tensor["name"].clone()).collect()
    };
    assert_eq!(names("inputs"), [json!("more"), json!("x")]);
    assert_eq!(names("outputs"), [json!("last")]);
    let number = |name: &str| numbers(name, &[1.0])["inputs"][0].clone();
    let body = json!({"inputs": [number("x"), number("more")]});
    let (status, body) = infer(&server, "e", &body);
    assert_eq!((status, &body["outputs"][0]["name"]), (200, &json!("last")));
}

#[test]
fn what_an_ensemble_cannot_take_or_give_is_refused() {
    place(STEPS).refused(&["step \"ten\": it needs a tensor \"more\""]);
    place(&format!(
        "[ensemble.e]\ninputs = [\"x\", \"more\", \"rest\"]\n{STEPS}"
    ))
    .refused(&[
        "no step reads the request's tensor \"rest\"",
        // The column, and so the element that is meant.
        ":24\n",
    ]);
    let outputs = "outputs = { last = \"z\", mid = \"mid\" }";
    place(&format!(
        "[ensemble.e]\ninputs = [\"x\", \"more\"]\n{outputs}\n{STEPS}"
    ))
    .refused(&[
        "no step gives the tensor \"z\", the output \"last\"",
        ":20\n",
        "help: the tensors there are: \"x\" (FP32 [1]), \"more\"",
    ]);
}

#[test]
fn an_optional_step_that_fails_leaves_a_gap_and_says_why() {
    let place = place(
        "[ensemble.e]\noutputs = [\"y\", \"hint\"]\n\
         [[ensemble.e.step]]\nmodel = \"few\"\noutputs = { y = \"hint\" }\noptional = true\n\
         [[ensemble.e.step]]\nmodel = \"one\"\n",
    );
    let (predicted, dead) = place.predicted("e", &lines(&[1.0, 5.0]));
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(predicted[0]["outputs"], json!({"y": 2.0, "hint": 1.5}));
    assert_eq!(predicted[0]["partial"], Value::Null);
    assert_eq!(predicted[1]["outputs"], json!({"y": 6.0}));
    assert_eq!(predicted[1]["partial"][0]["step"], "few");
    assert_eq!(predicted[1]["partial"][0]["kind"], "model_failed");

    let (status, body) = infer(&place.serve(), "e", &numbers("x", &[5.0]));
    assert_eq!(status, 200, "{body}");
    let names: Vec<&Value> = (body["outputs"].as_array().unwrap().iter())
        .map(|output| &output["name"])
        .collect();
    assert_eq!(names, [&json!("y")]);
    assert!(
        body["parameters"]["partial"]
            .as_str()
            .unwrap()
            .contains("few")
    );
}

#[test]
fn a_full_queue_in_one_step_is_an_error_of_the_request_and_never_a_hang() {
    // Batches wait for eight examples or two seconds, and five examples are too many.
    let queue = "batch_policy = \"fixed\"\nmax_batch_size = 4\nmax_queue_size = 4\n\
                 max_queue_delay_us = 2000000\nreplicas = 1\nthreads = 1\n";
    let place = Place::new(&format!(
        "[model.first]\npath = \"m.onnx\"\n[model.full]\npath = \"m.onnx\"\n{queue}\
         [[ensemble.e.step]]\nmodel = \"first\"\noutputs = {{ y = \"x\" }}\n\
         [[ensemble.e.step]]\nmodel = \"full\"\n"
    ));
    place.write("m.onnx", &onnx::plus(1.0));
    let server = place.serve();
    let address = server.address;
    let first = std::thread::spawn(move || {
        let body = numbers("x", &[1.0, 2.0, 3.0]).to_string();
        let (path, none) = ("/v2/models/e/infer", []);
        http::request(address, "POST", path, &none, body.as_bytes()).unwrap()
    });
    let waiting = "consort_queue_examples{model=\"full\",version=\"1\"}";
    until(|| metric(&server, waiting) == 3.0);
    let (status, body) = infer(&server, "e", &numbers("x", &[4.0, 5.0]));
    assert_eq!(status, 503, "{body}");
    assert!(body["error"].as_str().unwrap().contains("full"), "{body}");
    let first = first.join().unwrap();
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.json()["outputs"][0]["data"], json!([3.0, 4.0, 5.0]));
}
