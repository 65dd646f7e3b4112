//! Against SciPy and NumPy, by the fixtures that `reference/make.py` wrote, and flaws.

use super::*;
use consort_sdk::{Element, F16};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What SciPy makes of rows of numbers.
const FIXTURES: &str = include_str!("../tests/fixtures/scipy.jsonl");

fn run_on(config: &str, assets: &Assets, numbers: Tensor) -> Result<Outputs, Error> {
    let plugin = Scores::init(config, assets)?;
    plugin.postprocess(&Example::from_tensors([("scores", numbers)]))
}

fn run<T: Element>(config: &str, numbers: &[T]) -> Result<Outputs, Error> {
    let numbers = Tensor::from_slice(&[numbers.len()], numbers)?;
    run_on(config, &Assets::none(), numbers)
}

fn scores(outputs: &Outputs) -> Vec<f32> {
    outputs.tensor("score").unwrap().to_vec().unwrap()
}

fn indices(outputs: &Outputs) -> Vec<i64> {
    outputs.tensor("index").unwrap().to_vec().unwrap()
}

fn labels(outputs: &Outputs) -> Vec<String> {
    let labels = outputs.tensor("label").unwrap().byte_strings().unwrap();
    let labels = labels.texts().unwrap();
    labels.into_iter().map(str::to_owned).collect()
}

fn bits(value: &Value) -> Vec<u64> {
    let words = value.as_str().unwrap().split(' ');
    words
        .map(|word| u64::from_str_radix(word, 16).unwrap())
        .collect()
}

/// Equal, or two neighbours: both sides round a sum of their own order.
fn is_near(one: f32, other: f32) -> bool {
    one == other || one.to_bits().abs_diff(other.to_bits()) <= 1
}

#[test]
fn scores_are_scipys_and_their_order_is_numpys() {
    let mut count = 0;
    for line in FIXTURES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let numbers = bits(&case["numbers"]);
        let config = json!({
            "datatype": case["datatype"],
            "activation": case["activation"],
            "top_k": numbers.len(),
        });
        let config = config.to_string();
        let outputs = match case["datatype"].as_str().unwrap() {
            "fp16" => run(
                &config,
                &numbers
                    .iter()
                    .map(|bits| F16(*bits as u16))
                    .collect::<Vec<_>>(),
            ),
            "fp32" => run(
                &config,
                &numbers
                    .iter()
                    .map(|bits| f32::from_bits(*bits as u32))
                    .collect::<Vec<_>>(),
            ),
            _ => run(
                &config,
                &numbers
                    .iter()
                    .map(|bits| f64::from_bits(*bits))
                    .collect::<Vec<_>>(),
            ),
        };
        let outputs = outputs.unwrap();
        assert_eq!(json!(indices(&outputs)), case["order"], "{line}");
        let expected = bits(&case["scores"]);
        for (score, expected) in scores(&outputs).iter().zip(&expected) {
            let expected = f32::from_bits(*expected as u32);
            assert!(is_near(*score, expected), "{score} {expected} {line}");
        }
        assert_eq!(scores(&outputs).len(), expected.len());
        count += 1;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn labels_come_from_the_configuration_or_an_asset() {
    let config = r#"{"labels": ["a", "b", "c"], "top_k": 2, "activation": "softmax"}"#;
    let outputs = run(config, &[1.0f32, 3.0, 3.0]).unwrap();
    assert_eq!(labels(&outputs), ["b", "c"]);
    assert_eq!(indices(&outputs), [1, 2]);
    let assets = Assets::from_pairs([("labels.txt", "Käse\r\n\nBrot\n")]);
    let numbers = Tensor::from_slice(&[3], &[0.5f32, 0.1, 0.7]).unwrap();
    let outputs = run_on("", &assets, numbers).unwrap();
    assert_eq!(labels(&outputs), ["Brot"]);
    let error = Scores::init(config, &assets).unwrap_err();
    assert!(error.message().contains("one of them"), "{error}");
}

#[test]
fn what_is_not_sure_is_other_or_nothing() {
    let config = r#"{"labels": ["a", "b", "c"], "top_k": 2, "threshold": 0.5}"#;
    let outputs = run(config, &[0.1f32, 0.5, 0.4]).unwrap();
    assert_eq!(
        (labels(&outputs), indices(&outputs)),
        (vec!["b".into()], vec![1])
    );
    let outputs = run(config, &[0.1f32, 0.3, 0.4]).unwrap();
    assert_eq!((labels(&outputs), scores(&outputs)), (vec![], vec![]));
    let config = config.replace('}', r#", "other": "none of them"}"#);
    let outputs = run(&config, &[0.1f32, 0.5, 0.4]).unwrap();
    assert_eq!(labels(&outputs), ["b", "none of them"]);
    assert_eq!(
        (indices(&outputs), scores(&outputs)),
        (vec![1, -1], vec![0.5, 0.4])
    );
}

#[test]
fn a_score_is_not_below_itself() {
    for score in [0.1f32, 0.3, 0.7, 0.9] {
        let outputs = run(&format!(r#"{{"threshold": {score}}}"#), &[score]).unwrap();
        assert_eq!(scores(&outputs), [score]);
    }
}

#[test]
fn what_is_no_score_is_the_models_fault() {
    for (activation, numbers, expected) in [
        (
            "none",
            vec![1.0, f32::NAN],
            "the model's number for class 1 is NaN",
        ),
        (
            "softmax",
            vec![f32::NAN, 0.0],
            "the model's number for class 0 is NaN",
        ),
        (
            "softmax",
            vec![0.0, f32::INFINITY],
            "the model's number for class 1 is infinite, and softmax has no share of it",
        ),
        (
            "softmax",
            vec![f32::NEG_INFINITY; 2],
            "the model's numbers are all minus infinity, and softmax has no shares of them",
        ),
        (
            "none",
            vec![],
            "the model has 0 classes, and `top_k` in the plugin's configuration is 1",
        ),
    ] {
        let config = format!(r#"{{"activation": "{activation}"}}"#);
        let error = run(&config, &numbers).unwrap_err();
        let expected = format!("tensor \"scores\": {expected}");
        assert_eq!(error, Error::Failed(expected));
    }
    let outputs = run(
        r#"{"activation": "sigmoid", "top_k": 2}"#,
        &[f32::INFINITY, f32::NEG_INFINITY],
    );
    assert_eq!(scores(&outputs.unwrap()), [1.0, 0.0]);
    assert_eq!(
        run(r#"{"labels": ["a", "b"]}"#, &[1.0f32, 2.0, 3.0]).unwrap_err(),
        Error::Failed(
            "tensor \"scores\": there are 2 labels, and the model has 3 classes".to_owned()
        )
    );
}

#[test]
fn flaws_of_the_configuration_are_named() {
    for (config, expected) in [
        (r#"{"softmax": true}"#, "`config`: unknown field `softmax`"),
        (
            r#"{"top_k": "3"}"#,
            "`config`: `top_k`: invalid type: string \"3\", expected usize",
        ),
        (r#"{"top_k": 0}"#, "`config`: `top_k` is 0"),
        (
            r#"{"top_k": 3, "labels": ["a"]}"#,
            "`config`: `top_k` is 3, and there are 1 labels",
        ),
        (
            r#"{"labels": ["a", 1]}"#,
            "`config`: `labels[1]`: invalid type: integer `1`",
        ),
        (
            r#"{"datatype": "int64"}"#,
            "`config`: `datatype` is one of integers",
        ),
        (
            r#"{"datatype": "bytes"}"#,
            "`config`: `datatype`: unknown variant `bytes`",
        ),
        (
            r#"{"activation": "relu"}"#,
            "`config`: `activation`: unknown variant `relu`",
        ),
        (
            r#"{"other": "x", "labels": ["a"]}"#,
            "`config`: `other` is for scores below",
        ),
        (
            r#"{"other": "x", "threshold": 1}"#,
            "`config`: `other` is a label, and",
        ),
    ] {
        let error = Scores::init(config, &Assets::none()).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
}

#[test]
fn the_description_follows_the_configuration() {
    let describe = |config: &str| Scores::init(config, &Assets::none()).unwrap().describe();
    assert_eq!(
        describe(r#"{"input": "x", "datatype": "fp64", "top_k": 2}"#),
        Signature::new()
            .input("x", Datatype::Fp64, [ANY])
            .output("score", Datatype::Fp32, [2])
            .output("index", Datatype::Int64, [2])
    );
    assert_eq!(
        describe(r#"{"labels": ["a", "b"], "threshold": 0}"#),
        Signature::new()
            .input("scores", Datatype::Fp32, [2])
            .output("label", Datatype::Bytes, [ANY])
            .output("score", Datatype::Fp32, [ANY])
            .output("index", Datatype::Int64, [ANY])
    );
}

proptest! {
    #[test]
    fn the_best_are_those_of_a_whole_sort(
        numbers in proptest::collection::vec(-3i8..4, 1..40), share in 0.0f64..1.0,
    ) {
        let numbers: Vec<f32> = numbers.into_iter().map(f32::from).collect();
        let top_k = 1 + (share * (numbers.len() - 1) as f64) as usize;
        let mut expected: Vec<i64> = (0..numbers.len() as i64).collect();
        expected.sort_by(|one, other| numbers[*other as usize].total_cmp(&numbers[*one as usize]));
        expected.truncate(top_k);
        let outputs = run(&format!(r#"{{"top_k": {top_k}}}"#), &numbers).unwrap();
        prop_assert_eq!(indices(&outputs), expected);
    }
}
