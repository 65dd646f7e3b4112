use super::*;
use consort_sdk::ANY;

fn signature() -> Signature {
    Signature::new()
        .input("input_ids", Datatype::Int64, [ANY, ANY])
        .input("attention_mask", Datatype::Int64, [ANY, ANY])
        .output("tokens", Datatype::Fp32, [ANY, ANY, Dim::Is(2)])
        .output("sum", Datatype::Int64, [ANY, Dim::Is(1)])
}

fn pad(config: &str) -> Pad {
    Pad::init(config, &Assets::none()).unwrap()
}

fn example(ids: &[i64]) -> Example {
    let tensor = |numbers: &[i64]| Tensor::from_slice(&[numbers.len()], numbers).unwrap();
    Example::from_tensors([
        ("input_ids", tensor(ids)),
        ("attention_mask", tensor(&vec![1; ids.len()])),
    ])
}

/// Writes each id and its mask, and the sum of a row's ids, padding included.
fn echo(expected_shape: [usize; 2]) -> Model<'static> {
    Model::fake("echo", signature(), move |inputs, _args| {
        assert_eq!(inputs.tensor("input_ids")?.shape(), expected_shape);
        let ids = inputs.read::<i64>("input_ids")?;
        let mask = inputs.read::<i64>("attention_mask")?;
        let [rows, length] = expected_shape;
        let pairs: Vec<f32> = ids
            .iter()
            .zip(mask.iter())
            .flat_map(|(id, mask)| [*id as f32, *mask as f32])
            .collect();
        let sums: Vec<i64> = ids.chunks(length).map(|row| row.iter().sum()).collect();
        Ok([
            ("tokens", Tensor::from_slice(&[rows, length, 2], &pairs)?),
            ("sum", Tensor::from_slice(&[rows, 1], &sums)?),
        ]
        .into())
    })
}

#[test]
fn examples_are_padded_to_the_longest_and_cut_back() {
    let pad = pad(r#"{"values": {"input_ids": 9}}"#);
    let examples = [example(&[5]), example(&[1, 2, 3])];
    let results = pad
        .predict(&echo([2, 3]), &examples, &Args::none())
        .unwrap();
    let read = |at: usize, name: &str| {
        let outputs = results[at].as_ref().unwrap();
        outputs.tensor(name).unwrap().share().unwrap()
    };
    assert_eq!(read(0, "tokens").shape(), [1, 2]);
    assert_eq!(read(0, "tokens").to_vec::<f32>().unwrap(), [5.0, 1.0]);
    assert_eq!(
        read(1, "tokens").to_vec::<f32>().unwrap(),
        [1.0, 1.0, 2.0, 1.0, 3.0, 1.0]
    );
    // The padding was 9, twice.
    assert_eq!(read(0, "sum").to_vec::<i64>().unwrap(), [23]);
    assert_eq!(read(1, "sum").to_vec::<i64>().unwrap(), [6]);
}

#[test]
fn one_example_is_its_own_batch() {
    let results = pad("")
        .predict(&echo([1, 2]), &[example(&[4, 5])], &Args::none())
        .unwrap();
    let outputs = results[0].as_ref().unwrap();
    assert_eq!(outputs.tensor("sum").unwrap().to_vec::<i64>().unwrap(), [9]);
}

#[test]
fn the_description_is_the_models_without_its_batch_axis() {
    let description = pad(r#"{"max_batch_size": 8}"#)
        .describe(&signature())
        .unwrap();
    assert!(description.ragged);
    assert_eq!(description.max_batch_size, Some(8));
    assert_eq!(description.inputs[0].dims, Dims::from([ANY]));
    assert_eq!(description.outputs[0].dims, Dims::from([ANY, Dim::Is(2)]));
    assert_eq!(description.outputs[1].dims, Dims::from([1]));
}

#[test]
fn a_config_that_does_not_fit_the_model_is_refused() {
    for (config, words) in [
        (r#"{"values": {"ids": 1}}"#, "values names \"ids\""),
        (r#"{"split": ["logits"]}"#, "split names \"logits\""),
    ] {
        let error = pad(config).describe(&signature()).unwrap_err();
        assert!(error.message().contains(words), "{error}");
    }
    let texts = Signature::new().input("text", Datatype::Bytes, [ANY, ANY]);
    let error = pad("").describe(&texts).unwrap_err();
    assert!(error.message().contains("is BYTES"), "{error}");
    let error = Pad::init(r#"{"padding": 1}"#, &Assets::none()).unwrap_err();
    assert!(error.message().contains("unknown field"), "{error}");
}

#[test]
fn what_is_not_to_be_cut_stays_whole() {
    let pad = pad(r#"{"split": []}"#);
    let results = pad
        .predict(
            &echo([2, 2]),
            &[example(&[1]), example(&[2, 3])],
            &Args::none(),
        )
        .unwrap();
    let outputs = results[0].as_ref().unwrap();
    assert_eq!(outputs.tensor("tokens").unwrap().shape(), [2, 2]);
}

#[test]
fn the_schema_lists_the_keys_of_the_config() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../config.schema.json")).unwrap();
    let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["max_batch_size", "split", "values"]);
    let all = r#"{"max_batch_size": 2, "split": ["x"], "values": {"y": 1}}"#;
    assert!(Config::parse(all).is_ok());
}
