//! Against scikit-learn's OneHotEncoder, by the fixtures that `reference/make.py` wrote, and
//! flaws.

use super::*;
use consort_sdk::Outputs;
use serde_json::{Value, json};

/// What scikit-learn makes of rows.
const FIXTURES: &str = include_str!("../tests/fixtures/scikit_learn.jsonl");

const COLOURS: &str =
    r#"{"inputs": [{"name": "colour", "categories": ["red", "green"]}], "unknown": "error"}"#;

fn run<const N: usize>(config: &str, tensors: [(&str, Tensor); N]) -> Result<Outputs, Error> {
    let plugin = OneHot::init(config, &Assets::none())?;
    match plugin.preprocess(&Example::from_tensors(tensors))? {
        Outcome::Forward(outputs) => Ok(outputs),
        Outcome::Answer(_) => Err(Error::failed("it answered")),
    }
}

fn vector(outputs: &Outputs, name: &str) -> Vec<f32> {
    outputs.tensor(name).unwrap().to_vec().unwrap()
}

fn text(text: impl AsRef<[u8]>) -> Tensor {
    Tensor::single_bytes(text).unwrap()
}

#[test]
fn rows_are_as_scikit_learn_has_them() {
    let mut lines = FIXTURES.lines();
    let categories: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let mut count = 0;
    for line in lines {
        let case: Value = serde_json::from_str(line).unwrap();
        let config = json!({
            "unknown": case["unknown"],
            "inputs": [
                {"name": "text", "categories": categories["texts"]},
                {"name": "number", "datatype": "int64", "categories": categories["integers"]},
            ],
        });
        let tensors = [
            ("text", text(case["row"][0].as_str().unwrap())),
            (
                "number",
                Tensor::single(case["row"][1].as_i64().unwrap()).unwrap(),
            ),
        ];
        let outputs = run(&config.to_string(), tensors);
        match serde_json::from_value::<Option<Vec<f32>>>(case["vector"].clone()).unwrap() {
            Some(expected) => assert_eq!(vector(&outputs.unwrap(), "x"), expected, "{line}"),
            None => assert!(matches!(outputs, Err(Error::InvalidInput(_))), "{line}"),
        }
        count += 1;
    }
    assert!(count > 40, "{count}");
}

#[test]
fn what_is_not_known_fails_or_has_no_one_or_one_of_its_own() {
    let colour = |name: &str| [("colour", text(name))];
    assert_eq!(
        run(COLOURS, colour("blue")).unwrap_err(),
        Error::InvalidInput("tensor \"colour\": \"blue\" is none of the 2 categories".into())
    );
    for (unknown, known, other) in [
        ("zeros", vec![0.0, 1.0], vec![0.0, 0.0]),
        ("other", vec![0.0, 1.0, 0.0], vec![0.0, 0.0, 1.0]),
    ] {
        let config = COLOURS.replace("error", unknown);
        let outputs = run(&config, colour("green")).unwrap();
        assert_eq!(vector(&outputs, "x"), known);
        let outputs = run(&config, [("colour", text(b"\xff\xed\xa0\x80"))]).unwrap();
        assert_eq!(vector(&outputs, "x"), other);
    }
}

#[test]
fn an_unknown_category_is_shown_by_its_start() {
    let error = run(COLOURS, [("colour", text("ä\n".repeat(1000)))]).unwrap_err();
    assert!(error.message().len() < 400, "{error}");
    assert!(
        error.message().ends_with("... is none of the 2 categories"),
        "{error}"
    );
    let error = run(COLOURS, [("colour", text(b"caf\xe9"))]).unwrap_err();
    assert!(error.message().contains("\"caf\u{fffd}\""), "{error}");
}

#[test]
fn inputs_are_joined_or_have_outputs_of_their_own() {
    let config = r#"{"output": "both", "unknown": "zeros", "inputs": [
        {"name": "a", "categories": ["p", "q"]},
        {"name": "b", "categories": [3, 1], "datatype": "uint8", "output": "own", "unknown": "other"},
        {"name": "c", "categories": [0, 1], "datatype": "bool"}
    ]}"#;
    let tensors = [
        ("a", text("q")),
        ("b", Tensor::single(2u8).unwrap()),
        ("c", Tensor::single(true).unwrap()),
    ];
    let outputs = run(config, tensors).unwrap();
    assert_eq!(vector(&outputs, "both"), [0.0, 1.0, 0.0, 1.0]);
    assert_eq!(vector(&outputs, "own"), [0.0, 0.0, 1.0]);
    let plugin = OneHot::init(config, &Assets::none()).unwrap();
    assert_eq!(
        plugin.describe(),
        Description::new()
            .input("a", Datatype::Bytes, [1])
            .input("b", Datatype::Uint8, [1])
            .input("c", Datatype::Bool, [1])
            .forwards("own", Datatype::Fp32, [3])
            .forwards("both", Datatype::Fp32, [4])
    );
}

#[test]
fn every_type_of_integers_is_read() {
    fn check<T: Element>(name: &str, number: T) {
        let config = format!(
            r#"{{"inputs": [{{"name": "n", "datatype": "{name}", "categories": [1, 2]}}]}}"#
        );
        let outputs = run(&config, [("n", Tensor::single(number).unwrap())]).unwrap();
        assert_eq!(vector(&outputs, "x"), [0.0, 1.0], "{name}");
    }
    check("uint8", 2u8);
    check("uint16", 2u16);
    check("uint32", 2u32);
    check("uint64", 2u64);
    check("int8", 2i8);
    check("int16", 2i16);
    check("int32", 2i32);
    check("int64", 2i64);
}

#[test]
fn categories_may_come_from_an_asset() {
    let assets = Assets::from_pairs([("colours", "red\r\ngreen\n"), ("numbers", "10\n-2\n")]);
    let config = r#"{"inputs": [
        {"name": "colour", "asset": "colours"},
        {"name": "number", "asset": "numbers", "datatype": "int32"}
    ]}"#;
    let plugin = OneHot::init(config, &assets).unwrap();
    let tensors = [
        ("colour", text("green")),
        ("number", Tensor::single(-2i32).unwrap()),
    ];
    match plugin.preprocess(&Example::from_tensors(tensors)).unwrap() {
        Outcome::Forward(outputs) => assert_eq!(vector(&outputs, "x"), [0.0, 1.0, 0.0, 1.0]),
        Outcome::Answer(_) => panic!("it answered"),
    }
    for (name, lines, expected) in [
        (
            "numbers",
            "1\nx",
            "input \"number\": category 1 is \"x\"; an integer is expected",
        ),
        ("numbers", "", "input \"number\": there are no categories"),
        (
            "numbers",
            "1\n2\n01",
            "input \"number\": category 2 is 1, which is there before",
        ),
        (
            "other",
            "",
            "input \"number\": there is no asset \"numbers\"; the names are",
        ),
    ] {
        let assets = Assets::from_pairs([("colours", "red"), (name, lines)]);
        let error = OneHot::init(config, &assets).unwrap_err();
        assert!(error.message().starts_with(expected), "{error}");
    }
}

#[test]
fn flaws_of_the_configuration_are_named() {
    for (config, expected) in [
        ("", "`config`: missing field `inputs`"),
        (r#"{"inputs": []}"#, "`config`: `inputs` is empty"),
        (r#"{"inputs": [], "x": 1}"#, "`config`: unknown field `x`"),
        (r#"{"inputs": {}}"#, "`config`: `inputs`: invalid type: map"),
        (
            r#"{"inputs": [{"name": 1}]}"#,
            "`config`: `inputs[0].name`: invalid type: integer `1`",
        ),
        (
            r#"{"inputs": [{"name": "a", "categories": ["b", 1.5]}]}"#,
            "`config`: `inputs[0].categories[1]`: invalid type: floating point `1.5`, expected a \
             text or an integer",
        ),
        (
            r#"{"inputs": [{"name": "a", "categories": [1]}]}"#,
            "input \"a\": category 0 is 1; a text is expected, or a `datatype` of integers",
        ),
        (
            r#"{"inputs": [{"name": "a", "categories": ["b"], "datatype": "int8"}]}"#,
            "input \"a\": category 0 is \"b\"; an integer is expected",
        ),
        (
            r#"{"inputs": [{"name": "a", "categories": [1], "datatype": "fp32"}]}"#,
            "`config`: `inputs[0].datatype`: it is \"fp32\"; \"bytes\", \"bool\" or a type of",
        ),
        (
            r#"{"inputs": [{"name": "a", "categories": ["b", "c", "b"]}]}"#,
            "input \"a\": category 2 is \"b\", which is there before",
        ),
        (
            r#"{"inputs": [{"name": "a", "categories": []}]}"#,
            "input \"a\": there are no categories",
        ),
        (
            r#"{"inputs": [{"name": "a"}]}"#,
            "input \"a\": either `categories` or `asset`",
        ),
        (
            r#"{"inputs": [{"name": "a", "asset": "b"}]}"#,
            "input \"a\": there is no asset \"b\"",
        ),
        (
            r#"{"inputs": [{"name": "a", "categories": ["b"]}, {"name": "a", "categories": ["b"]}]}"#,
            "`config`: `inputs` names \"a\" twice",
        ),
        (
            r#"{"inputs": [{"name": "a", "categories": ["b"], "output": "x"}]}"#,
            "`config`: `inputs` has two outputs \"x\"",
        ),
        (
            r#"{"inputs": [], "unknown": "none"}"#,
            "`config`: `unknown`: unknown variant `none`",
        ),
    ] {
        let error = OneHot::init(config, &Assets::none()).unwrap_err();
        assert!(error.message().starts_with(expected), "{error}");
    }
}

#[test]
fn all_rows_at_once_are_as_one_by_one() {
    let config = r#"{"unknown": "zeros", "inputs": [
        {"name": "colour", "categories": ["red", "green"]},
        {"name": "size", "datatype": "int64", "categories": [1, 2, 3], "output": "sizes"},
        {"name": "flag", "datatype": "bool", "categories": [0, 1]}
    ]}"#;
    let plugin = OneHot::init(config, &Assets::none()).unwrap();
    let rows = [("red", 2, true), ("blue", 9, false), ("green", 1, false)];
    let examples = rows.map(|(colour, size, flag)| {
        Example::from_tensors([
            ("colour", text(colour)),
            ("size", Tensor::single::<i64>(size).unwrap()),
            ("flag", Tensor::single(flag).unwrap()),
        ])
    });
    let columns = Columns::stack(&examples).unwrap();
    let together = plugin.preprocess_columns(&columns).unwrap().unwrap();
    for (name, width) in [("x", 4), ("sizes", 3)] {
        let each = examples
            .iter()
            .flat_map(|example| match plugin.preprocess(example) {
                Ok(Outcome::Forward(outputs)) => vector(&outputs, name),
                other => panic!("{other:?}"),
            });
        assert_eq!(together.tensor(name).unwrap().shape(), [3, width]);
        assert_eq!(vector(&together, name), each.collect::<Vec<_>>());
    }
}
