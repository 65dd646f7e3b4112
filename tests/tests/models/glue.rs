//! `handler =`: a guest in the role model-handler around a real model.

use consort_tests::place::{Place, infer};
use consort_tests::{guest, onnx};
use serde_json::{Value, json};

/// The model behind glue that pads lists of tokens.
fn place() -> Place {
    let plugin = format!(
        "[plugin.glue]\npath = {:?}\nmodels = [\"bert\"]\n",
        guest("token_glue")
    );
    let model = "[model.bert]\npath = \"bert.onnx\"\nhandler = \"glue\"\nversion = \"3\"\n";
    let place = Place::new(&format!("{plugin}{model}"));
    place.write("bert.onnx", &onnx::tokens());
    place
}

fn tokens(length: usize) -> Vec<i64> {
    (1..=length as i64).collect()
}

#[test]
fn lists_of_unequal_length_are_padded_together_and_cut_apart() {
    let place = place();
    let line = |n: usize| json!({"key": format!("n{n}"), "inputs": {"ids": tokens(1 + n % 7)}});
    let input: Vec<Value> = (0..200).map(line).collect();
    let (predicted, dead) = place.predicted("bert", &input);
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(predicted.len(), 200);
    for (n, line) in predicted.iter().enumerate() {
        let tokens = tokens(1 + n % 7);
        let doubled: Vec<i64> = tokens.iter().map(|token| token * 2).collect();
        // A list of one element is written as the element.
        let doubled = if doubled.len() == 1 {
            json!(doubled[0])
        } else {
            json!(doubled)
        };
        assert_eq!(line["key"], format!("n{n}"));
        assert_eq!(line["outputs"]["doubled"], doubled, "{line}");
        // What the mask let through: no pad counts.
        assert_eq!(line["outputs"]["count"], tokens.len(), "{line}");
        assert_eq!(line["model_id"], "bert:3");
    }
}

#[test]
fn lists_of_several_callers_share_a_run_over_http() {
    let server = place().serve();
    let metadata = server.get("/v2/models/bert").json();
    assert_eq!(metadata["inputs"][0]["name"], "ids");
    let callers: Vec<_> = (1..=8usize)
        .map(|length| {
            let address = server.address;
            let body = json!({"inputs": [{"name": "ids", "datatype": "INT64",
                "shape": [1, length], "data": tokens(length)}]});
            std::thread::spawn(move || {
                let path = "/v2/models/bert/infer";
                let body = body.to_string();
                let post =
                    || consort_tests::http::request(address, "POST", path, &[], body.as_bytes());
                for _ in 0..20 {
                    let response = post().unwrap();
                    assert_eq!(response.status, 200, "{}", response.text());
                    let outputs = response.json()["outputs"].clone();
                    let output = |name: &str| {
                        let mut all = outputs.as_array().unwrap().iter();
                        all.find(|output| output["name"] == name).unwrap()["data"].clone()
                    };
                    assert_eq!(output("count"), json!([length]));
                    let doubled: Vec<i64> = tokens(length).iter().map(|token| token * 2).collect();
                    assert_eq!(output("doubled"), json!(doubled));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
    let wrong =
        json!({"inputs": [{"name": "tokens", "datatype": "INT64", "shape": [1, 1], "data": [1]}]});
    let (status, body) = infer(&server, "bert", &wrong);
    assert_eq!(status, 400, "{body}");
    assert!(body["error"].as_str().unwrap().contains("ids"), "{body}");
}

#[test]
fn glue_that_the_model_does_not_suit_says_so_at_load() {
    let plugin = format!(
        "[plugin.glue]\npath = {:?}\nmodels = [\"m\"]\n",
        guest("token_glue")
    );
    let place = Place::new(&format!(
        "{plugin}[model.m]\npath = \"m.onnx\"\nhandler = \"glue\"\n"
    ));
    place.write("m.onnx", &onnx::plus(1.0));
    place.refused(&["the model reads no tokens"]);
    let other = plugin.replace("token_glue", "identity");
    let place = Place::new(&format!(
        "{other}[model.m]\npath = \"m.onnx\"\nhandler = \"glue\"\n"
    ));
    place.write("m.onnx", &onnx::plus(1.0));
    place.refused(&["model-handler"]);
}
