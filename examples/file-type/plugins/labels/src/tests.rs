//! Tests of the labels: each way from scores to a label, properties, and the plugin.

use super::*;
use consort_sdk::Tensor;
use proptest::prelude::*;
use serde_json::{Value, json};

fn config() -> Value {
    json!({
        "target_labels_space": ["pdf", "awk", "csv", "randomtxt", "randombytes", "swift"],
        "medium_confidence_threshold": 0.5,
        "thresholds": {"csv": 0.9},
        "overwrite_map": {"randombytes": "unknown", "randomtxt": "txt"},
        "block_size": 4096,
    })
}

fn content_types() -> Value {
    json!({
        "pdf": {"mime_type": "application/pdf", "group": "document", "is_text": false},
        "awk": {"mime_type": "text/awk", "group": "code", "is_text": true},
        "csv": {"mime_type": "text/csv", "group": "code", "is_text": true},
        "randomtxt": {"mime_type": null, "group": null, "is_text": true},
        "randombytes": {"mime_type": null, "group": null, "is_text": false},
        "swift": {"mime_type": null, "group": null, "is_text": true},
        "txt": {"mime_type": "text/plain", "group": "text", "is_text": true},
        "unknown": {"mime_type": "application/octet-stream", "group": "unknown", "is_text": false},
    })
}

fn init(config: &Value, content_types: &Value) -> Result<FileLabels, Error> {
    let assets = Assets::from_pairs([
        ("config.json", config.to_string()),
        ("content_types.json", content_types.to_string()),
    ]);
    FileLabels::init("", &assets)
}

fn plugin() -> FileLabels {
    init(&config(), &content_types()).unwrap()
}

fn label(scores: [f32; 6]) -> String {
    let plugin = plugin();
    let verdict = plugin.table().verdict(&scores).unwrap();
    verdict.content_type.label.clone()
}

#[test]
fn the_highest_score_counts() {
    assert_eq!(label([0.1, 0.7, 0.2, 0.0, 0.0, 0.0]), "awk");
    assert_eq!(label([0.1, 0.1, 0.1, 0.0, 0.0, 0.7]), "swift");
}

#[test]
fn of_equal_scores_the_first_counts() {
    assert_eq!(label([0.5, 0.5, 0.0, 0.0, 0.0, 0.0]), "pdf");
    assert_eq!(label([0.0, 0.5, 0.0, 0.0, 0.0, 0.5]), "awk");
}

#[test]
fn a_low_score_leaves_text_or_unknown() {
    assert_eq!(label([0.49, 0.0, 0.0, 0.0, 0.0, 0.0]), "unknown");
    assert_eq!(label([0.0, 0.49, 0.0, 0.0, 0.0, 0.0]), "txt");
    assert_eq!(label([0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), "unknown");
}

#[test]
fn a_label_has_its_own_threshold() {
    assert_eq!(label([0.0, 0.0, 0.89, 0.0, 0.0, 0.0]), "txt");
    assert_eq!(label([0.0, 0.0, 0.91, 0.0, 0.0, 0.0]), "csv");
}

#[test]
fn thresholds_are_compared_in_double_precision() {
    // The f32 next to 0.9 is 0.89999998, which is below 0.9.
    assert_eq!(label([0.0, 0.0, 0.9, 0.0, 0.0, 0.0]), "txt");
    assert_eq!(label([0.0, 0.0, 0.9f32.next_up(), 0.0, 0.0, 0.0]), "csv");
    assert_eq!(label([0.5, 0.0, 0.0, 0.0, 0.0, 0.0]), "pdf");
    assert_eq!(
        label([0.5f32.next_down(), 0.0, 0.0, 0.0, 0.0, 0.0]),
        "unknown"
    );
}

#[test]
fn overwritten_labels_stay_overwritten() {
    assert_eq!(label([0.0, 0.0, 0.0, 0.9, 0.0, 0.0]), "txt");
    assert_eq!(label([0.0, 0.0, 0.0, 0.0, 0.9, 0.0]), "unknown");
    assert_eq!(label([0.0, 0.0, 0.0, 0.2, 0.0, 0.0]), "txt");
    assert_eq!(label([0.0, 0.0, 0.0, 0.0, 0.2, 0.0]), "unknown");
}

#[test]
fn a_low_score_asks_the_overwritten_label_whether_it_is_text() {
    let mut config = config();
    config["overwrite_map"] = json!({"pdf": "awk"});
    let plugin = init(&config, &content_types()).unwrap();
    let verdict = plugin
        .table()
        .verdict(&[0.3, 0.0, 0.0, 0.0, 0.0, 0.0])
        .unwrap();
    assert_eq!(verdict.content_type.label, "txt");
    // The threshold stays that of the model's own label.
    config["thresholds"] = json!({"pdf": 0.2, "awk": 0.9});
    let plugin = init(&config, &content_types()).unwrap();
    let verdict = plugin
        .table()
        .verdict(&[0.3, 0.0, 0.0, 0.0, 0.0, 0.0])
        .unwrap();
    assert_eq!(verdict.content_type.label, "awk");
}

proptest! {
    #[test]
    fn the_answer_follows_from_the_best_score(
        scores in prop::array::uniform6(prop::sample::select(vec![0.0f32, 0.3, 0.5, 0.7, 0.95]))
    ) {
        let (config, types) = (config(), content_types());
        let highest = scores.iter().copied().fold(f32::MIN, f32::max);
        let index = scores.iter().position(|score| *score == highest).unwrap();
        let model = config["target_labels_space"][index].as_str().unwrap();
        let output = config["overwrite_map"][model].as_str().unwrap_or(model);
        let threshold = config["thresholds"][model].as_f64().unwrap_or(0.5);
        let expected = match (f64::from(highest) >= threshold, &types[output]["is_text"]) {
            (true, _) => output,
            (false, Value::Bool(true)) => "txt",
            (false, _) => "unknown",
        };

        let plugin = plugin();
        let verdict = plugin.table().verdict(&scores).unwrap();
        prop_assert_eq!(&*verdict.content_type.label, expected);
        prop_assert_eq!(verdict.score, highest);
    }
}

#[test]
fn the_plugin_writes_what_it_describes() {
    let plugin = plugin();
    let signature = plugin.describe();
    assert_eq!(signature.inputs.len(), 1);
    assert_eq!(signature.inputs[0].dims, [6].into());
    let scores = Tensor::from_slice(&[6], &[0.0f32, 0.0, 0.0, 0.0, 0.0, 0.75]).unwrap();
    let outputs = plugin
        .postprocess(&Example::from_tensors([("target_label", scores)]))
        .unwrap();
    let made: Vec<_> = outputs
        .tensors()
        .map(|(name, tensor)| (name.to_owned(), tensor.datatype(), tensor.shape().into()))
        .collect();
    let promised: Vec<_> = signature
        .outputs
        .into_iter()
        .map(|spec| (spec.name, spec.datatype, spec.dims))
        .collect();
    assert_eq!(made, promised);
    let text = |name| outputs.tensor(name).unwrap().text().unwrap();
    assert_eq!(text("label"), "swift");
    assert_eq!(text("mime_type"), "text/plain");
    assert_eq!(text("group"), "unknown");
    assert_eq!(
        outputs.tensor("score").unwrap().element::<f32>().unwrap(),
        0.75
    );
}

#[test]
fn scores_that_fit_no_label_are_refused() {
    let plugin = plugin();
    for (scores, message) in [
        (
            vec![0.5f32; 5],
            "tensor \"target_label\": there are 5 scores, 6 are expected, \
             one for each of `target_labels_space`",
        ),
        (
            vec![f32::NAN; 6],
            "tensor \"target_label\": a score is not a number",
        ),
    ] {
        let scores = Tensor::from_slice(&[scores.len()], &scores).unwrap();
        let example = Example::from_tensors([("target_label", scores)]);
        let error = plugin.postprocess(&example).unwrap_err();
        assert_eq!(error, Error::InvalidInput(message.into()));
    }
}

#[test]
fn bad_assets_stop_the_load() {
    for (key, value, message) in [
        (
            "target_labels_space",
            json!([]),
            "`target_labels_space` is empty",
        ),
        (
            "target_labels_space",
            json!(["pdf", "awk", "pdf"]),
            "`target_labels_space` has \"pdf\" twice, at 0 and 2",
        ),
        (
            "thresholds",
            json!({"png": 0.5}),
            "`thresholds` has \"png\", which is not in `target_labels_space`",
        ),
        (
            "overwrite_map",
            json!({"png": "pdf"}),
            "`overwrite_map` has \"png\", which is not in `target_labels_space`",
        ),
        (
            "thresholds",
            json!({"csv": 90}),
            "`thresholds`: \"csv\" is 90, 0 to 1 is expected",
        ),
        (
            "medium_confidence_threshold",
            json!(-0.5),
            "`medium_confidence_threshold` is -0.5, 0 to 1 is expected",
        ),
    ] {
        let mut config = config();
        config[key] = value;
        let error = init(&config, &content_types()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("asset \"config.json\": {message}")
        );
    }
    for (key, value, message) in [
        (
            "overwrite_map",
            json!({"pdf": "png"}),
            "asset \"content_types.json\" has no entry \"png\", which `overwrite_map` uses",
        ),
        (
            "target_labels_space",
            json!(["pdf", "awk", "csv", "randomtxt", "randombytes", "png"]),
            "asset \"content_types.json\" has no entry \"png\", which `target_labels_space` uses",
        ),
    ] {
        let mut config = config();
        config[key] = value;
        let error = init(&config, &content_types()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let mut types = content_types();
    types.as_object_mut().unwrap().remove("txt");
    let error = init(&config(), &types).unwrap_err().to_string();
    assert!(error.contains("has no entry \"txt\""), "{error}");
    let error = FileLabels::init("x", &Assets::none())
        .unwrap_err()
        .to_string();
    assert!(error.contains("takes no `config`"), "{error}");
}
