//! `handler =`: a guest in the role model-handler around a real model.

use consort_tests::place::{Place, infer};
use consort_tests::server::Server;
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

/// What the model behind the glue makes of 1, 2, 3, and which version says that it did.
fn answered(server: &Server) -> (Value, String) {
    let ids = json!([{"name": "ids", "datatype": "INT64", "shape": [1, 3], "data": [1, 2, 3]}]);
    let (status, body) = infer(server, "bert", &json!({"inputs": ids}));
    assert_eq!(status, 200, "{body}");
    let mut outputs = body["outputs"].as_array().unwrap().iter();
    let doubled = outputs.find(|output| output["name"] == "doubled").unwrap();
    let made_by = body["parameters"]["model_id"].as_str().unwrap();
    (doubled["data"].clone(), made_by.to_owned())
}

#[test]
fn an_update_answers_through_the_glue() {
    let glue = format!(
        "[plugin.glue]\npath = {:?}\nmodels = [\"bert\"]\n",
        guest("token_glue")
    );
    let place = Place::new(&format!(
        "[server]\nadmin = true\n{glue}\
         [model.bert]\npath = \"bert.onnx\"\nhandler = \"glue\"\nversion = \"3\"\n"
    ));
    place.write("bert.onnx", &onnx::tokens());
    let server = place.serve();
    let first = (json!([2, 4, 6]), "bert:3".to_owned());
    assert_eq!(answered(&server), first);
    let call = |call: &str| server.post(&format!("/v2/repository/models/bert/{call}"), "");

    place.replace("bert.onnx", &onnx::squared_tokens());
    let loaded = call("load");
    assert_eq!(loaded.status, 200, "{}", loaded.text());
    let version = loaded.json()["model_version"].as_str().unwrap().to_owned();
    let second = (json!([1, 4, 9]), format!("bert:{version}"));
    assert_eq!(answered(&server), second);

    // A model that the glue cannot serve does not take the place of one that it can.
    place.replace("bert.onnx", &onnx::plus(1.0));
    let failed = call("load");
    assert_eq!(failed.status, 500, "{}", failed.text());
    assert_eq!(answered(&server), second);

    assert_eq!(call("rollback").status, 200);
    assert_eq!(answered(&server), first);
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
