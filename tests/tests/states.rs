//! States of streams: `state` of a model, over HTTP, in jobs, and while models change.

use consort_tests::onnx::{plus, summing, summing_whole};
use consort_tests::place::{Place, infer, numbers};
use consort_tests::server::Server;
use consort_tests::{guest, pass, run};
use serde_json::{Value, json};
use std::time::Duration;

const SUM: &str = "[model.sum]\npath = \"sum.onnx\"\nstate = { sum = \"next\" }\n";

/// A manifest that begins with a model whose sums go on.
fn place(more: &str) -> Place {
    let place = Place::new(&format!("{SUM}{more}"));
    place.write("sum.onnx", &summing(0.0, None, Some(1)));
    place
}

/// What comes of numbers that are sent with these parameters.
fn asked(server: &Server, model: &str, sent: &[f32], parameters: Value) -> (u16, Value) {
    let mut body = numbers("x", sent);
    body["parameters"] = parameters;
    infer(server, model, &body)
}

fn sums(server: &Server, model: &str, sent: &[f32], parameters: Value) -> Value {
    let (status, body) = asked(server, model, sent, parameters);
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["outputs"].as_array().unwrap().len(), 1, "{body}");
    body["outputs"][0]["data"].clone()
}

#[test]
fn a_stream_has_one_state_whoever_asks() {
    let place = place(
        "[[ensemble.e.step]]\nmodel = \"sum\"\n\
         [[ensemble.twice.step]]\nname = \"one\"\nmodel = \"sum\"\noutputs = { y = \"z\" }\n\
         [[ensemble.twice.step]]\nname = \"two\"\nensemble = \"e\"\ninputs = { x = \"z\" }\n",
    );
    let server = place.serve();
    for model in ["sum", "e", "twice"] {
        let metadata = server.get(&format!("/v2/models/{model}")).json();
        let names = |side: &str| -> Vec<Value> {
            let tensors = metadata[side].as_array().unwrap().iter();
            tensors.map(|tensor| tensor["name"].clone()).collect()
        };
        assert_eq!(names("inputs"), ["x"], "{metadata}");
        assert!(!names("outputs").contains(&json!("next")), "{metadata}");
    }
    let key = |key: &str| json!({"key": key});
    assert_eq!(
        sums(&server, "sum", &[1.0, 2.0], key("a")),
        json!([1.0, 3.0])
    );
    assert_eq!(sums(&server, "e", &[4.0], key("a")), json!([7.0]));
    assert_eq!(sums(&server, "sum", &[5.0], key("b")), json!([5.0]));
    // 1 + 7 = 8, and 8 + 8.
    let (status, body) = asked(&server, "twice", &[1.0], key("a"));
    assert_eq!(status, 200, "{body}");
    assert_eq!(sums(&server, "e", &[0.0], key("a")), json!([16.0]));
    let versioned = server.request(
        "POST",
        "/v2/models/sum/versions/1/infer",
        &[],
        json!({"inputs": numbers("x", &[1.0])["inputs"], "parameters": key("a")})
            .to_string()
            .as_bytes(),
    );
    assert_eq!(versioned.json()["outputs"][0]["data"], json!([17.0]));
}

#[test]
fn clients_name_begin_and_end_their_streams() {
    let place = place("[model.plain]\npath = \"plain.onnx\"\n");
    place.write("plain.onnx", &plus(1.0));
    let server = place.serve();
    let config = |model: &str| server.get(&format!("/v2/models/{model}/config")).json();
    assert_eq!(config("sum")["sequence_batching"], json!({}));
    assert_eq!(config("plain").get("sequence_batching"), None);
    let extensions = server.get("/v2").json()["extensions"].clone();
    assert!(extensions.as_array().unwrap().contains(&json!("sequence")));
    let sent = |number: f32, parameters| sums(&server, "sum", &[number], parameters);
    let part = |begins: bool, ends: bool| json!({"sequence_id": 7, "sequence_start": begins, "sequence_end": ends});
    assert_eq!(sent(1.0, part(true, false)), json!([1.0]));
    assert_eq!(sent(2.0, part(false, false)), json!([3.0]));
    assert_eq!(
        sent(2.0, json!({"key": "7"})),
        json!([5.0]),
        "the same stream"
    );
    assert_eq!(sent(4.0, part(true, false)), json!([4.0]));
    assert_eq!(sent(4.0, part(false, true)), json!([8.0]));
    assert_eq!(sent(4.0, part(false, false)), json!([4.0]), "forgotten");
    let text = json!({"sequence_id": "kitchen", "key": "hall"});
    assert_eq!(sent(1.0, text), json!([1.0]));
    assert_eq!(
        sent(1.0, json!({"key": "hall"})),
        json!([2.0]),
        "the key goes before"
    );

    for nameless in [json!({}), json!({"sequence_id": 0, "sequence_start": true})] {
        let (status, body) = asked(&server, "sum", &[1.0], nameless);
        let message = body["error"].as_str().unwrap();
        assert_eq!(status, 400, "{message}");
        assert!(
            message.contains("parameter \"key\" or \"sequence_id\""),
            "{message}"
        );
    }
    let (status, body) = asked(&server, "sum", &[1.0], json!({"key": "k".repeat(2000)}));
    assert_eq!(status, 400, "{body}");
    let (status, body) = asked(&server, "plain", &[1.0], part(true, false));
    assert_eq!(status, 501, "{body}");
    let (status, body) = asked(&server, "plain", &[1.0], json!({"key": "any"}));
    assert_eq!(status, 200, "{body}");
}

/// The guest calls the model by itself; where its stream begins and ends is what its caller says.
#[test]
fn streams_go_through_an_ensemble_in_code() {
    let place = Place::new(&format!(
        "[model.sum]\npath = \"sum.onnx\"\nstate = {{ sum = \"next\" }}\n\
         [[ensemble.a.step]]\nmodel = \"sum\"\noutputs = {{ y = \"x\" }}\n\
         [plugin.code]\npath = {:?}\nconfig = \"passes on\"\nmodels = [\"a\"]\n\
         [[ensemble.e.step]]\nplugin = \"code\"\n\
         [[ensemble.twice.step]]\nname = \"one\"\nplugin = \"code\"\n\
         [[ensemble.twice.step]]\nname = \"two\"\nplugin = \"code\"\n",
        guest("code_ensemble"),
    ));
    place.write("sum.onnx", &summing_whole(0));
    let server = place.serve();
    let config = server.get("/v2/models/e/config").json();
    assert_eq!(config["sequence_batching"], json!({}));
    let sent_to = |model: &str, numbers: &[i64], parameters: Value| {
        let shape = [numbers.len(), 1];
        let x = json!({"name": "x", "datatype": "INT64", "shape": shape, "data": numbers});
        let (status, body) = infer(
            &server,
            model,
            &json!({"inputs": [x], "parameters": parameters}),
        );
        assert_eq!(status, 200, "{body}");
        body["outputs"][0]["data"].clone()
    };
    let sent = |numbers: &[i64], parameters| sent_to("e", numbers, parameters);
    let part = |begins: bool, ends: bool| json!({"sequence_id": 7, "sequence_start": begins, "sequence_end": ends});
    assert_eq!(sent(&[1, 2, 3], part(true, false)), json!([1, 3, 6]));
    assert_eq!(sent(&[4], part(false, false)), json!([10]));
    assert_eq!(sent(&[5], json!({"key": "another"})), json!([5]));
    assert_eq!(sent(&[1, 1], part(true, false)), json!([1, 2]));
    assert_eq!(sent(&[1], part(false, true)), json!([3]));
    assert_eq!(sent(&[1], part(false, false)), json!([1]), "forgotten");
    // Both steps hear the same stream: 1 and 1 more, 2 + 1 and 3 more.
    let twice = |parameters| sent_to("twice", &[1], parameters);
    assert_eq!(twice(part(true, false)), json!([2]));
    assert_eq!(twice(part(false, true)), json!([6]));
    assert_eq!(sent(&[1], part(false, false)), json!([1]), "forgotten");
}

#[test]
fn a_stream_that_is_idle_begins_anew() {
    let place = place("state_idle_ms = 300\n");
    let server = place.serve();
    let key = || json!({"key": "a"});
    assert_eq!(sums(&server, "sum", &[1.0, 1.0], key()), json!([1.0, 2.0]));
    pass(Duration::from_millis(400));
    assert_eq!(sums(&server, "sum", &[1.0], key()), json!([1.0]));
}

#[test]
fn beyond_the_most_streams_the_longest_idle_begins_anew() {
    // A state is four bytes.
    for keys in ["state_keys_max = 2\n", "state_bytes_max = 11\n"] {
        let place = place(keys);
        let server = place.serve();
        let sent = |key: &str| sums(&server, "sum", &[1.0], json!({"key": key}));
        assert_eq!(sent("a"), json!([1.0]));
        assert_eq!(sent("b"), json!([1.0]));
        assert_eq!(sent("a"), json!([2.0]));
        assert_eq!(sent("c"), json!([1.0]));
        assert_eq!(sent("a"), json!([3.0]));
        assert_eq!(sent("b"), json!([1.0]), "it was idle for longest");
    }
}

#[test]
fn what_does_not_fit_is_told_at_its_place() {
    place("[[ensemble.e.step]]\nmodel = \"sum\"\n").checked();
    place("state_bytes_max = 3\n").refused(&["the state of one key takes 4 bytes", ":5:19"]);
    let refused = |state: &str, sum: Option<u64>, words: &[&str]| {
        let place = Place::new(&format!(
            "[model.sum]\npath = \"sum.onnx\"\nstate = {state}\n"
        ));
        place.write("sum.onnx", &summing(0.0, None, sum));
        place.refused(words);
    };
    refused(
        "{ some = \"next\" }",
        Some(1),
        &["\"some\"", "\"x\", \"sum\"", ":4:11"],
    );
    refused(
        "{ sum = \"last\" }",
        Some(1),
        &["\"last\"", "\"next\"", ":4:17"],
    );
    refused(
        "{ sum = \"next\" }",
        Some(2),
        &["\"sum\"", "\"next\"", ":4:11"],
    );
    refused("{ sum = \"next\" }", None, &["\"sum\"", ":4:11"]);
}

#[test]
fn a_picture_shows_what_is_kept() {
    let place = place("[[ensemble.e.step]]\nmodel = \"sum\"\n");
    let mut command = place.command("graph");
    let ran = run(command.arg("e"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("keeps sum"), "{}", ran.stdout);
}

/// `count` lines of `keys` streams in turn, a one each.
fn ones(keys: usize, count: usize) -> Vec<Value> {
    let line = |at: usize| json!({"key": format!("k{}", at % keys), "inputs": {"x": 1.0}});
    (0..count).map(line).collect()
}

#[test]
fn a_job_asks_the_examples_of_a_stream_in_their_order() {
    const LINES: usize = 600;
    for (keys, examples) in [(1, 1), (3, 1), (3, 7), (200, 5)] {
        // Each call has a few lines, and many calls are under way.
        let place = place(&format!(
            "[job]\ncall_examples_max = {examples}\ninflight_max = 64\n"
        ));
        let (predicted, dead) = place.predicted("sum", &ones(keys, LINES));
        assert!(dead.is_empty(), "{dead:?}");
        assert_eq!(predicted.len(), LINES);
        for (at, line) in predicted.iter().enumerate() {
            let expected = (at / keys + 1) as f64;
            assert_eq!(line["outputs"]["y"], expected, "{keys} {examples}: {line}");
        }
    }
}

#[test]
fn a_job_keeps_the_order_though_the_queue_refuses_some() {
    const LINES: usize = 800;
    const KEYS: usize = 40;
    // Two calls fill the queue, and ten could be under way: two lines each of two streams.
    let place = place("max_queue_size = 4\nmax_batch_size = 4\n[job]\ncall_examples_max = 4\n");
    let line = |at: usize| json!({"key": (at / 2 % KEYS).to_string(), "inputs": {"x": 1.0}});
    let lines: Vec<Value> = (0..LINES).map(line).collect();
    let (predicted, dead) = place.predicted("sum", &lines);
    assert_eq!(dead.first(), None);
    assert_eq!(predicted.len(), LINES);
    for (at, line) in predicted.iter().enumerate() {
        let expected = at / (2 * KEYS) * 2 + at % 2 + 1;
        assert_eq!(line["outputs"]["y"], expected as f64, "{at}: {line}");
    }
}

#[test]
fn a_line_of_no_stream_fails_alone() {
    let place = place("");
    let mut lines = ones(1, 3);
    lines[1].as_object_mut().unwrap().remove("key");
    let (predicted, dead) = place.predicted("sum", &lines);
    assert_eq!(
        (predicted.len(), dead.len()),
        (2, 1),
        "{predicted:?} {dead:?}"
    );
    assert_eq!(predicted[1]["outputs"]["y"], 2.0);
    let message = dead[0]["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("it has no key") && message.contains("key_column"),
        "{message}"
    );
    assert_eq!(dead[0]["error"]["kind"], "invalid_argument");
}

#[test]
fn a_job_with_states_is_not_resumed() {
    let place = place("");
    place.write("in.jsonl", format!("{}\n", ones(1, 1)[0]).as_bytes());
    let mut command = place.command("run");
    let ran = run(command.args(["--resume", "--input", "in.jsonl", "--output", "out.jsonl"]));
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("keeps states of streams"),
        "{}",
        ran.stderr
    );
}

#[test]
fn warm_up_lines_need_no_state() {
    let place = place("warm_up = \"warm.jsonl\"\n");
    place.write("warm.jsonl", b"{\"x\": 1.0}\n{\"x\": 2.0}\n");
    place.checked();
    place.write("warm.jsonl", b"{\"x\": 1.0, \"sum\": 2.0}\n");
    place.refused(&["line 1", "sum"]);
}

#[test]
fn a_model_without_a_batch_axis_keeps_states_too() {
    let place = Place::new(&format!("{SUM}batching = \"off\"\n"));
    place.write("sum.onnx", &summing(0.0, Some(1), Some(1)));
    let (predicted, dead) = place.predicted(
        "sum",
        &[
            json!({"key": "a", "inputs": {"x": [[1.0]]}}),
            json!({"key": "b", "inputs": {"x": [[5.0]]}}),
            json!({"key": "a", "inputs": {"x": [[1.0]]}}),
        ],
    );
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(predicted[2]["outputs"]["y"], json!([[2.0]]));
    place.write("sum.onnx", &summing(0.0, None, Some(1)));
    place.refused(&["\"sum\"", "every axis must have a length"]);
}

#[test]
fn an_update_goes_on_from_the_states() {
    let place = place("[server]\nadmin = true\n");
    let server = place.serve();
    let sent = |number: f32| sums(&server, "sum", &[number], json!({"key": "a"}));
    assert_eq!(sent(1.0), json!([1.0]));
    place.replace("sum.onnx", &summing(100.0, None, Some(1)));
    let load = |body: &str| {
        server.request(
            "POST",
            "/v2/repository/models/sum/load",
            &[],
            body.as_bytes(),
        )
    };
    let loaded = load(r#"{"parameters": {"version": "2"}}"#);
    assert_eq!(loaded.status, 200, "{}", loaded.text());
    assert_eq!(sent(1.0), json!([102.0]));
    let metadata = server.get("/v2/models/sum").json();
    assert_eq!(metadata["versions"], json!(["2"]));
    // Another state is another model: it is refused, and the old one goes on.
    place.replace("sum.onnx", &summing(0.0, None, Some(2)));
    let loaded = load("");
    assert_ne!(loaded.status, 200);
    assert_eq!(sent(1.0), json!([203.0]));
}
