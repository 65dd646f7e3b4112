use super::*;
use proptest::prelude::*;

fn example(dimension: usize, vectors: &[f32], mask: &[i64]) -> Example {
    let rows = vectors.len() / dimension;
    Example::from_tensors([
        (
            VECTORS,
            Tensor::from_slice(&[rows, dimension], vectors).unwrap(),
        ),
        (MASK, Tensor::from_slice(&[mask.len()], mask).unwrap()),
    ])
}

fn pooled(config: &str, example: &Example) -> Result<Vec<f32>, Error> {
    let plugin = MeanPool::init(config, &Assets::none()).unwrap();
    let outputs = plugin.postprocess(example)?;
    Ok(outputs.tensor(EMBEDDING).unwrap().to_vec::<f32>().unwrap())
}

#[test]
fn masked_tokens_do_not_count() {
    let example = example(2, &[1.0, 2.0, 3.0, 4.0, 100.0, f32::NAN], &[1, 1, 0]);
    let mean = pooled(r#"{"normalise": false}"#, &example).unwrap();
    assert_eq!(mean, [2.0, 3.0]);
}

#[test]
fn a_vector_has_length_one_unless_otherwise_said() {
    let example = example(2, &[3.0, 4.0], &[1]);
    assert_eq!(pooled("", &example).unwrap(), [0.6, 0.8]);
}

#[test]
fn no_token_at_all_is_a_vector_of_zeros() {
    assert_eq!(
        pooled("", &example(2, &[3.0, 4.0], &[0])).unwrap(),
        [0.0, 0.0]
    );
    assert_eq!(pooled("", &example(2, &[], &[])).unwrap(), [0.0, 0.0]);
}

#[test]
fn a_mask_that_does_not_fit_is_the_callers_fault() {
    let error = pooled("", &example(2, &[3.0, 4.0], &[1, 1])).unwrap_err();
    assert_eq!(
        error,
        Error::InvalidInput(
            "tensor \"attention_mask\": it has 2 elements, there are 1 vectors".into()
        )
    );
    let error = pooled("", &example(1, &[3.0, 4.0], &[1, 2])).unwrap_err();
    assert_eq!(
        error,
        Error::InvalidInput("tensor \"attention_mask\": element 1 is 2, 0 or 1 is expected".into())
    );
}

#[test]
fn a_config_that_is_wrong_stops_the_load() {
    for (config, words) in [
        (r#"{"normalize": true}"#, "unknown field `normalize`"),
        (r#"{"dimension": 0}"#, "a length of at least 1"),
    ] {
        let error = MeanPool::init(config, &Assets::none()).unwrap_err();
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn the_schema_lists_the_keys_of_the_config() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../config.schema.json")).unwrap();
    let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["dimension", "normalise"]);
    let all = r#"{"normalise": false, "dimension": 3}"#;
    assert_eq!(
        Config::parse(all).unwrap(),
        Config {
            normalise: false,
            dimension: Some(3)
        }
    );
}

proptest! {
    /// The reference is the same sum in double precision, written down plainly.
    #[test]
    fn the_mean_is_the_mean(
        rows in prop::collection::vec((prop::collection::vec(-10.0f32..10.0, 13), 0i64..2), 1..40)
    ) {
        let vectors: Vec<f32> = rows.iter().flat_map(|(row, _)| row.clone()).collect();
        let mask: Vec<i64> = rows.iter().map(|(_, counts)| *counts).collect();
        let ours = mean(&vectors, 13, &mask).unwrap();
        let kept: Vec<_> = rows.iter().filter(|(_, counts)| *counts == 1).collect();
        for (at, ours) in ours.iter().enumerate() {
            let sum: f64 = kept.iter().map(|(row, _)| f64::from(row[at])).sum();
            let mean = sum / (kept.len() as f64).max(1e-9);
            prop_assert!((f64::from(*ours) - mean).abs() < 1e-4);
        }
        let mut unit = ours.clone();
        normalise(&mut unit);
        let length: f64 = unit.iter().map(|one| f64::from(*one).powi(2)).sum();
        prop_assert!(kept.is_empty() || (length - 1.0).abs() < 1e-4);
    }
}
