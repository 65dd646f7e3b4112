//! Against scikit-learn's StandardScaler, by the fixtures that `reference/make.py` wrote, and
//! flaws.

use super::*;
use consort_plugin_config::Column;
use consort_sdk::F16;
use serde_json::{Value, json};

/// What scikit-learn makes of rows.
const FIXTURES: &str = include_str!("../tests/fixtures/scikit_learn.jsonl");

fn run(config: &str, numbers: Tensor) -> Result<Tensor, Error> {
    run_with(config, &Assets::none(), numbers)
}

fn run_with(config: &str, assets: &Assets, numbers: Tensor) -> Result<Tensor, Error> {
    let plugin = Standardise::init(config, assets)?;
    match plugin.preprocess(&Example::from_tensors([("x", numbers)]))? {
        Outcome::Forward(outputs) => Ok(outputs.tensor("x").unwrap().share()?),
        Outcome::Answer(_) => Err(Error::failed("it answered")),
    }
}

fn row<T: Element>(numbers: &[T]) -> Tensor {
    Tensor::from_slice(&[numbers.len()], numbers).unwrap()
}

fn words(value: &Value) -> Vec<&str> {
    let text = value.as_str().unwrap();
    text.split(' ').filter(|word| !word.is_empty()).collect()
}

fn bits(value: &Value) -> Vec<u64> {
    let bits = |word| u64::from_str_radix(word, 16).unwrap();
    words(value).into_iter().map(bits).collect()
}

fn doubles(value: &Value) -> Vec<f64> {
    bits(value).into_iter().map(f64::from_bits).collect()
}

/// The tensor of a case.
fn tensor(case: &Value) -> Tensor {
    fn integers<T: Element + std::str::FromStr<Err: std::fmt::Debug>>(
        shape: &[usize],
        value: &Value,
    ) -> Tensor {
        let numbers = words(value).into_iter().map(|word| word.parse().unwrap());
        Tensor::from_vec::<T>(shape, numbers.collect()).unwrap()
    }
    fn floats<T: Element>(shape: &[usize], value: &Value, from: impl Fn(u64) -> T) -> Tensor {
        let numbers = bits(value).into_iter().map(from);
        Tensor::from_vec(shape, numbers.collect()).unwrap()
    }
    let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
    let (shape, numbers) = (&shape, &case["numbers"]);
    match case["datatype"].as_str().unwrap() {
        "uint8" => integers::<u8>(shape, numbers),
        "uint16" => integers::<u16>(shape, numbers),
        "uint32" => integers::<u32>(shape, numbers),
        "uint64" => integers::<u64>(shape, numbers),
        "int16" => integers::<i16>(shape, numbers),
        "int32" => integers::<i32>(shape, numbers),
        "int64" => integers::<i64>(shape, numbers),
        "fp16" => floats(shape, numbers, |bits| F16(bits as u16)),
        "fp32" => floats(shape, numbers, |bits| f32::from_bits(bits as u32)),
        "fp64" => floats(shape, numbers, f64::from_bits),
        other => panic!("{other}"),
    }
}

/// What the plugin makes of a case. Mean and deviation are set as they are: JSON's decimals are
/// read to the last bit but one.
fn scaled<T: Element>(case: &Value, to: Precision) -> Result<Vec<T>, Error> {
    let column = |key: &str| Some(Column::Each(doubles(&case[key])));
    let missing = match case["missing"].as_str() {
        Some(_) => Missing::Keep,
        None => Missing::Error,
    };
    let config = Config {
        datatype: serde_json::from_value(case["datatype"].clone()).unwrap(),
        to,
        ..Config::default()
    };
    let plugin = Standardise {
        config,
        scale: Scale::new(column("mean"), column("scale"), missing),
        columns: doubles(&case["mean"]).len().into(),
    };
    match plugin.preprocess(&Example::from_tensors([("x", tensor(case))]))? {
        Outcome::Forward(outputs) => Ok(outputs.tensor("x").unwrap().to_vec()?),
        Outcome::Answer(_) => Err(Error::failed("it answered")),
    }
}

#[test]
fn rows_are_as_scikit_learn_has_them() {
    let mut count = 0;
    for line in FIXTURES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let expected = doubles(&case["scaled"]);
        let wide = scaled::<f64>(&case, Precision::Fp64).unwrap();
        assert_eq!(wide.len(), expected.len());
        for (scaled, expected) in wide.iter().zip(&expected) {
            assert!(
                scaled.to_bits() == expected.to_bits() || scaled.is_nan() && expected.is_nan(),
                "{scaled} {expected} {line}"
            );
        }
        match scaled::<f32>(&case, Precision::Fp32) {
            Ok(scaled) => {
                for (scaled, expected) in scaled.iter().zip(&expected) {
                    let expected = *expected as f32;
                    assert!(*scaled == expected || scaled.is_nan() && expected.is_nan());
                }
            }
            Err(error) => {
                assert!(error.message().contains("too large"), "{error}");
                let is_finite = |number: &f64| (*number as f32).is_finite();
                assert!(!expected.iter().all(is_finite), "{line}");
            }
        }
        count += 1;
    }
    assert!(count > 15, "{count}");
}

#[test]
fn one_number_stands_for_all_columns() {
    let config = r#"{"mean": 2, "deviation": 4, "datatype": "int64"}"#;
    let scaled = run(config, row(&[2i64, 6, -2])).unwrap();
    assert_eq!(*scaled.read::<f32>().unwrap(), [0.0, 1.0, -1.0]);
    let scaled = run(config, row::<i64>(&[])).unwrap();
    assert_eq!(scaled.shape(), [0]);
    let scaled = run(r#"{"mean": [1, 2]}"#, row(&[1f32, 4.0])).unwrap();
    assert_eq!(*scaled.read::<f32>().unwrap(), [0.0, 2.0]);
}

#[test]
fn what_is_missing_fails_or_has_a_value() {
    let gap = || row(&[1.0f32, f32::NAN, 3.0]);
    let config = r#"{"mean": [1, 1, 1], "deviation": 2}"#;
    assert_eq!(
        run(config, gap()).unwrap_err(),
        Error::InvalidInput(
            "tensor \"x\": element 1 is NaN; a number is expected, or `missing` in the plugin's \
             configuration"
                .into()
        )
    );
    for (missing, expected) in [("5", 2.0), ("[0, 9, 0]", 4.0)] {
        let config = config.replace('}', &format!(r#", "missing": {missing}}}"#));
        let scaled = run(&config, gap()).unwrap();
        assert_eq!(*scaled.read::<f32>().unwrap(), [0.0, expected, 1.0]);
    }
    let config = config.replace('}', r#", "missing": "keep"}"#);
    let scaled = run(&config, gap()).unwrap().to_vec::<f32>().unwrap();
    assert!(scaled[1].is_nan() && scaled[2] == 1.0);
}

#[test]
fn what_cannot_be_scaled_is_the_callers_fault() {
    let config = r#"{"mean": [0, 0], "deviation": 1e-30, "missing": 0}"#;
    for (numbers, expected) in [
        (
            vec![0.0, f32::INFINITY],
            "element 1 is infinite; a finite number is expected",
        ),
        (
            vec![1e30, 0.0],
            "element 0 is 1.0000000150474662e30: too large to be scaled",
        ),
        (
            vec![1.0],
            "there are 1 columns, and mean and deviation are of 2",
        ),
        (
            vec![],
            "there are 0 columns, and mean and deviation are of 2",
        ),
    ] {
        let error = run(config, row(&numbers)).unwrap_err();
        assert_eq!(
            error,
            Error::InvalidInput(format!("tensor \"x\": {expected}"))
        );
    }
}

#[test]
fn flaws_of_the_configuration_are_named() {
    for (config, expected) in [
        ("", "there is neither `mean` nor `deviation`"),
        (r#"{"std": 1}"#, "`config`: unknown field `std`"),
        (
            r#"{"mean": "a"}"#,
            "`config`: `mean`: invalid type: string \"a\", expected a number or a list of numbers",
        ),
        (
            r#"{"mean": [1, "a"]}"#,
            "`config`: `mean[1]`: invalid type: string \"a\"",
        ),
        (
            r#"{"deviation": 0}"#,
            "`config`: `deviation` is 0; a finite number above 0 is expected",
        ),
        (
            r#"{"deviation": [1, 0]}"#,
            "`config`: `deviation` for column 1 is 0; a finite",
        ),
        (
            r#"{"deviation": -1}"#,
            "`deviation` is -1; a finite number above 0",
        ),
        (
            r#"{"mean": [1, 2], "deviation": [1, 2, 3]}"#,
            "`config`: `mean` has 2 columns and `deviation` has 3",
        ),
        (
            r#"{"deviation": [1, 2], "missing": [1]}"#,
            "`deviation` has 2 columns and `missing` has 1",
        ),
        (
            r#"{"mean": 1, "missing": "drop"}"#,
            "`config`: `missing`: it is \"drop\"; \"error\", \"keep\", a number",
        ),
        (
            r#"{"mean": 1, "datatype": "bool"}"#,
            "`config`: `datatype`: unknown variant `bool`",
        ),
        (
            r#"{"mean": 1, "to": "fp16"}"#,
            "`config`: `to`: unknown variant `fp16`",
        ),
        (r#"{"mean": 1, "axes": 0}"#, "`config`: `axes` is 0"),
    ] {
        let error = Standardise::init(config, &Assets::none()).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
}

#[test]
fn the_asset_may_be_as_scikit_learn_calls_it() {
    let scaler = json!({
        "mean_": [1, 2], "scale_": [2, 0.5], "var_": [4, 0.25], "n_samples_seen_": 3,
        "n_features_in_": 2, "feature_names_in_": ["a", "b"],
    });
    for scaler in [scaler, json!({"mean": [1, 2], "deviation": [2, 0.5]})] {
        let assets = Assets::from_pairs([("scaler.json", scaler.to_string())]);
        let scaled = run_with("", &assets, row(&[3f32, 3.0])).unwrap();
        assert_eq!(*scaled.read::<f32>().unwrap(), [1.0, 2.0]);
    }
    let assets = Assets::from_pairs([("scaler.json", r#"{"mean_": null, "scale_": [2]}"#)]);
    let scaled = run_with("", &assets, row(&[3f32])).unwrap();
    assert_eq!(*scaled.read::<f32>().unwrap(), [1.5]);
}

#[test]
fn flaws_of_the_asset_are_named() {
    for (scaler, expected) in [
        (
            r#"{"mean_": [1], "scale_": [0]}"#,
            "asset \"scaler.json\": `deviation` for column 0 is 0",
        ),
        (
            r#"{"mean": 1, "std": 2}"#,
            "asset \"scaler.json\": unknown field `std`",
        ),
        (
            r#"{"mean_": null}"#,
            "asset \"scaler.json\": there is neither",
        ),
        (r#"{"mean_": [1,"#, "asset \"scaler.json\": "),
    ] {
        let assets = Assets::from_pairs([("scaler.json", scaler)]);
        let error = Standardise::init("", &assets).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
    let assets = Assets::from_pairs([("scaler.json", r#"{"mean": 1}"#)]);
    let error = Standardise::init(r#"{"mean": 1}"#, &assets).unwrap_err();
    assert!(error.message().contains("one of them"), "{error}");
}

#[test]
fn the_description_follows_the_configuration() {
    let config = r#"{"mean": [1, 2], "axes": 2, "datatype": "uint8", "to": "fp64", "output": "y"}"#;
    let plugin = Standardise::init(config, &Assets::none()).unwrap();
    assert_eq!(
        plugin.describe(),
        Description::new()
            .input("x", Datatype::Uint8, [ANY, Dim::Is(2)])
            .forwards("y", Datatype::Fp64, [ANY, Dim::Is(2)])
    );
}

#[test]
fn all_rows_at_once_are_as_one_by_one() {
    let plugin = Standardise::init(r#"{"mean": [1, 2], "deviation": [2, 4]}"#, &Assets::none());
    let plugin = plugin.unwrap();
    let rows = [[1f32, 2.0], [5.0, -2.0], [0.5, 0.25]];
    let examples = rows.map(|numbers| Example::from_tensors([("x", row(&numbers))]));
    let columns = Columns::stack(&examples).unwrap();
    let outputs = plugin.preprocess_columns(&columns).unwrap().unwrap();
    let together = outputs.tensor("x").unwrap();
    assert_eq!(together.shape(), [3, 2]);
    let each = examples
        .iter()
        .flat_map(|example| match plugin.preprocess(example) {
            Ok(Outcome::Forward(outputs)) => outputs.tensor("x").unwrap().to_vec::<f32>().unwrap(),
            other => panic!("{other:?}"),
        });
    assert_eq!(together.to_vec::<f32>().unwrap(), each.collect::<Vec<_>>());

    let wrong = [[1f32, 2.0], [f32::NAN, 0.0]].map(|numbers| row(&numbers));
    let wrong = wrong.map(|numbers| Example::from_tensors([("x", numbers)]));
    let columns = Columns::stack(&wrong).unwrap();
    assert!(plugin.preprocess_columns(&columns).is_err());
}
