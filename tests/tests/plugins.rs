//! The shipped plugins for texts and rows through the binary: a manifest, lines in, predictions
//! out. What each of them computes is tested beside it.

use consort_tests::onnx;
use consort_tests::place::{Place, infer};
use consort_tests::{root, shipped};
use serde_json::{Value, json};
use std::fs;

/// The shipped plugin of that name, and more of its keys.
fn plugin(name: &str, keys: &str) -> String {
    let path = shipped(name);
    format!("[plugin.{name}]\npath = {path:?}\n{keys}\n")
}

/// An ensemble of one plugin.
fn alone(name: &str, keys: &str) -> Place {
    let step = format!("[[ensemble.e.step]]\nplugin = \"{name}\"\n");
    let place = Place::new(&(plugin(name, keys) + &step));
    place.write("labels.txt", "rouge\r\nvert\nbleu\n".as_bytes());
    place
}

/// A line of input for each row, its key the row's place.
fn lines(rows: &[Value]) -> Vec<Value> {
    let rows = rows.iter().enumerate();
    rows.map(|(at, row)| json!({"key": at.to_string(), "inputs": row}))
        .collect()
}

/// Keys, and the outputs or the kind of error, its step and its message.
fn told(lines: &[Value]) -> Vec<(String, Value)> {
    let told = |line: &Value| {
        let key = line["key"].as_str().unwrap_or_default().to_owned();
        let what = match &line["outputs"] {
            Value::Null => {
                let error = &line["error"];
                json!([error["kind"], error["step"], error["message"]])
            }
            outputs => outputs.clone(),
        };
        (key, what)
    };
    lines.iter().map(told).collect()
}

/// A word becomes a column, the column a number that the model has learned, and what the model
/// says of it a label.
#[test]
fn all_four_around_a_model() {
    let plugins = [
        plugin(
            "text-normalise",
            "config = { form = \"nfkc\", lowercase = true, strip_accents = true, trim = true, \
             elements = 1 }",
        ),
        plugin(
            "one-hot",
            "config = { inputs = [{ name = \"text\", asset = \"words\" }], unknown = \"zeros\" }\n\
             assets = { words = \"words.txt\" }",
        ),
        plugin(
            "standardise",
            "assets = { \"scaler.json\" = \"scaler.json\" }",
        ),
        plugin(
            "scores",
            "config = { input = \"y\", activation = \"sigmoid\", labels = [\"red\"], \
             threshold = 0.5, other = \"not red\" }",
        ),
    ];
    let steps = "[model.one]\npath = \"one.onnx\"\n\
        [[ensemble.e.step]]\nplugin = \"text-normalise\"\n\
        [[ensemble.e.step]]\nplugin = \"one-hot\"\n\
        [[ensemble.e.step]]\nplugin = \"standardise\"\n\
        [[ensemble.e.step]]\nmodel = \"one\"\n\
        [[ensemble.e.step]]\nplugin = \"scores\"\n";
    let place = Place::new(&(plugins.concat() + steps));
    place.write("one.onnx", &onnx::plus(1.0));
    place.write("words.txt", "red\n".as_bytes());
    place.write("scaler.json", br#"{"mean_": [0.5], "scale_": [0.25]}"#);

    let texts = ["  RED\u{a0}", "mauve", "re\u{301}d", "", "\u{ff32}ed"];
    let rows: Vec<Value> = texts.iter().map(|text| json!({"text": text})).collect();
    let (predicted, dead) = place.predicted("e", &lines(&rows));
    assert!(dead.is_empty(), "{dead:?}");
    let red = |line: &Value| {
        let outputs = &line["outputs"];
        let score = outputs["score"].as_f64().unwrap();
        let (label, index) = (outputs["label"].as_str().unwrap(), &outputs["index"]);
        match label {
            // 1 / (1 + exp(-3)) and 1 / (1 + exp(1))
            "red" => assert!(
                (score - 0.952_574).abs() < 1e-6 && *index == json!(0),
                "{line}"
            ),
            _ => assert!(
                (score - 0.268_941).abs() < 1e-6 && *index == json!(-1),
                "{line}"
            ),
        }
        label == "red"
    };
    let red: Vec<bool> = predicted.iter().map(red).collect();
    assert_eq!(red, [true, false, true, false, true]);

    let server = place.serve();
    let body = json!({"inputs": [
        {"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": ["Red", "blue"]},
    ]});
    let (status, body) = infer(&server, "e", &body);
    assert_eq!(status, 200, "{body}");
    let outputs = body["outputs"].as_array().unwrap();
    let label = outputs
        .iter()
        .find(|output| output["name"] == "label")
        .unwrap();
    assert_eq!(label["data"], json!(["red", "not red"]), "{body}");
}

#[test]
fn texts_of_all_lengths_and_what_is_none() {
    let place = alone(
        "text-normalise",
        "config = { lowercase = true, collapse_whitespace = true, trim = true, \
         bytes_max = 12000000 }",
    );
    // 10 MB.
    let long = "Ärger  ".repeat(1_250_000);
    let rows = [
        json!({"text": [" A\tB "]}),
        json!({"text": [""]}),
        json!({"text": [long]}),
        json!({"text": ["X", "", " Y"]}),
        json!({"text": ["x".repeat(12_000_001)]}),
        json!({"text": ["last"]}),
    ];
    let (predicted, dead) = place.predicted("e", &lines(&rows));
    let error = "tensor \"text\": element 0 has 12000001 bytes, and `bytes_max` in the plugin's \
                 configuration allows 12000000";
    let error = json!(["invalid_argument", "text-normalise", error]);
    assert_eq!(told(&dead), [("4".to_owned(), error)]);
    let ours = told(&predicted);
    let keys: Vec<&str> = ours.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["0", "1", "2", "3", "5"]);
    assert_eq!(ours[0].1, json!({"text": "a b"}));
    assert_eq!(ours[1].1, json!({"text": ""}));
    let text = ours[2].1["text"].as_str().unwrap();
    assert_eq!(text.len(), 7 * 1_250_000 - 1);
    assert!(text.starts_with("ärger ärger ") && text.ends_with("ärger"));
    assert_eq!(ours[3].1, json!({"text": ["x", "", "y"]}));
}

#[test]
fn bytes_that_are_no_text() {
    let place = alone("text-normalise", "config = { trim = true }");
    let server = place.serve();
    let texts: [&[u8]; 3] = [b" good ", b"caf\xe9", b" better "];
    for (text, expected) in texts.iter().zip([Some("good"), None, Some("better")]) {
        let mut data = (text.len() as u32).to_le_bytes().to_vec();
        data.extend_from_slice(text);
        let head = json!({"inputs": [{
            "name": "text", "datatype": "BYTES", "shape": [1, 1],
            "parameters": {"binary_data_size": data.len()},
        }]})
        .to_string();
        let body = [head.as_bytes(), &data].concat();
        let length = head.len().to_string();
        let headers = [("Inference-Header-Content-Length", length.as_str())];
        let response = server.request("POST", "/v2/models/e/infer", &headers, &body);
        match expected {
            Some(text) => assert_eq!(response.json()["outputs"][0]["data"], json!([text])),
            None => {
                assert_eq!(response.status, 400);
                let message = response.json()["error"].to_string();
                for part in ["text-normalise", "element 0 is not UTF-8 text"] {
                    assert!(message.contains(part), "{message}");
                }
            }
        }
    }
}

/// What comes of three rows, of which the second fails with that error.
fn second_fails(place: &Place, rows: [Value; 3], kind: &str, message: &str) -> [Value; 2] {
    let (predicted, dead) = place.predicted("e", &lines(&rows));
    let [(key, error)] = &told(&dead)[..] else {
        panic!("{predicted:?} {dead:?}");
    };
    assert_eq!(key, "1");
    assert_eq!(error[0], kind, "{error}");
    assert!(error[2].as_str().unwrap().contains(message), "{error}");
    let predicted = told(&predicted);
    let keys: Vec<&str> = predicted.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["0", "2"]);
    [predicted[0].1.clone(), predicted[1].1.clone()]
}

#[test]
fn rows_that_fail_leave_their_neighbours() {
    let place = alone(
        "one-hot",
        "config = { inputs = [{ name = \"n\", datatype = \"int64\", categories = [1, 2] }] }",
    );
    let rows = [json!({"n": 2}), json!({"n": 3}), json!({"n": 1})];
    let message = "tensor \"n\": 3 is none of the 2 categories";
    let vectors = second_fails(&place, rows, "invalid_argument", message);
    assert_eq!(
        vectors,
        [json!({"x": [0.0, 1.0]}), json!({"x": [1.0, 0.0]})]
    );

    let place = alone(
        "standardise",
        "config = { mean = [1, 2], deviation = [1, 2], datatype = \"fp64\" }",
    );
    let rows = [
        json!({"x": [1, 6]}),
        json!({"x": [1e308, 0]}),
        json!({"x": [2, 2]}),
    ];
    let message = "tensor \"x\": element 0 is 1e308: too large to be scaled";
    let scaled = second_fails(&place, rows, "invalid_argument", message);
    assert_eq!(scaled, [json!({"x": [0.0, 2.0]}), json!({"x": [1.0, 0.0]})]);
}

#[test]
fn what_a_model_writes_is_no_score() {
    let scores = plugin(
        "scores",
        "config = { input = \"y\", activation = \"softmax\" }",
    );
    let steps = "[model.huge]\npath = \"huge.onnx\"\n\
        [[ensemble.e.step]]\nmodel = \"huge\"\n\
        [[ensemble.e.step]]\nplugin = \"scores\"\n";
    let place = Place::new(&(scores + steps));
    place.write("huge.onnx", &onnx::plus(3e38));
    let rows = [json!({"x": [0]}), json!({"x": [3e38]}), json!({"x": [1]})];
    let message = "tensor \"y\": the model's number for class 0 is infinite";
    let scored = second_fails(&place, rows, "plugin_failed", message);
    assert_eq!(
        scored,
        [
            json!({"score": 1.0, "index": 0}),
            json!({"score": 1.0, "index": 0})
        ]
    );
}

#[test]
fn the_best_come_first() {
    let place = alone(
        "scores",
        "config = { activation = \"softmax\", top_k = 2 }\n\
         assets = { \"labels.txt\" = \"labels.txt\" }",
    );
    let rows = [json!({"scores": [1, 3, 3]}), json!({"scores": [0, 0]})];
    let (predicted, dead) = place.predicted("e", &lines(&rows));
    let outputs = &predicted[0]["outputs"];
    assert_eq!(outputs["label"], json!(["vert", "bleu"]));
    assert_eq!(outputs["index"], json!([1, 2]));
    let message = dead[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("the shape is FP32 [3]"), "{message}");
}

#[test]
fn tokens_of_bpe_and_unigram() {
    let fixtures = root().join("plugins/tokenizer/tests/fixtures");
    let expected = fs::read_to_string(fixtures.join("expected.jsonl")).unwrap();
    for rules in ["bpe", "unigram"] {
        let path = fixtures.join(format!("{rules}.json"));
        let keys = format!(
            "config = {{ max_length = 64, outputs = [\"input_ids\"] }}\n\
             assets = {{ \"tokenizer.json\" = {path:?} }}"
        );
        let cases = expected
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let cases: Vec<Value> = cases
            .filter(|case: &Value| case["rules"] == rules && case["max_length"] == 64)
            .collect();
        let text = |case: &Value| {
            let times = case["times"].as_u64().unwrap() as usize;
            json!({"text": case["text"].as_str().unwrap().repeat(times)})
        };
        let rows: Vec<Value> = cases.iter().map(text).collect();
        let (predicted, dead) = alone("tokenizer", &keys).predicted("e", &lines(&rows));
        assert!(dead.is_empty(), "{dead:?}");
        assert_eq!(predicted.len(), cases.len());
        for (line, case) in predicted.iter().zip(&cases) {
            let ids = match &line["outputs"]["input_ids"] {
                Value::Array(ids) => ids.clone(),
                // One element is written without brackets.
                id => vec![id.clone()],
            };
            assert_eq!(json!(ids), case["ids"], "{}", case["text"]);
        }
    }
}

#[test]
fn flaws_of_a_configuration_are_told_with_their_plugin() {
    for (name, keys, words) in [
        (
            "text-normalise",
            "config = { form = \"NFC\" }",
            "`form`: unknown variant `NFC`",
        ),
        ("scores", "config = { top_n = 3 }", "unknown field `top_n`"),
        (
            "scores",
            "config = { top_k = 4 }\nassets = { \"labels.txt\" = \"labels.txt\" }",
            "`top_k` is 4, and there are 3 labels",
        ),
        (
            "standardise",
            "config = { mean = [1, 2], deviation = [1, 0] }",
            "`deviation` for column 1 is 0",
        ),
        (
            "one-hot",
            "config = { inputs = [{ name = \"n\", categories = [true] }] }",
            "`inputs[0].categories[0]`: invalid type: boolean `true`, expected a text or an",
        ),
    ] {
        alone(name, keys).refused(&[&name.replace('-', "_"), words, "consort.toml:"]);
    }
}

#[test]
fn labels_are_held_against_the_models_classes() {
    let scores = plugin(
        "scores",
        "config = { input = \"y\", labels = [\"a\", \"b\"] }",
    );
    let steps = "[model.one]\npath = \"one.onnx\"\n\
        [[ensemble.e.step]]\nmodel = \"one\"\n\
        [[ensemble.e.step]]\nplugin = \"scores\"\n";
    let place = Place::new(&(scores + steps));
    place.write("one.onnx", &onnx::plus(1.0));
    place.refused(&["step \"scores\"", "has shape [1], [2] is expected"]);
}
