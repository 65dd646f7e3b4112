//! Outputs that are sequences of maps or of tensors, told in tensors.

use crate::support::{config, floats, load, predict, row, try_predict, unbatched};
use consort_inference::{ModelHandler, PredictError, Tensor, Tensors};
use consort_onnx::OnnxHandler;
use proptest::prelude::*;

fn outputs(handler: &OnnxHandler) -> Vec<String> {
    let specs = handler.signature().outputs.iter();
    specs.map(|spec| format!("{} {spec}", spec.name)).collect()
}

fn numbers(prediction: &Tensors, name: &str) -> Vec<f32> {
    prediction.tensor(name).unwrap().to_vec().unwrap()
}

fn x(elements: &[f32]) -> Tensors {
    row([("x", floats(&[elements.len()], elements))])
}

#[test]
fn maps_of_whole_numbers_are_values_and_keys() {
    let handler = load(&config("map_output"));
    assert_eq!(outputs(&handler), ["maps FP32 [2]", "maps_keys INT64 [2]"]);
    let predictions = predict(&handler, vec![x(&[0.25, 0.75]), x(&[1.0, 0.0])]);
    assert_eq!(numbers(&predictions[0], "maps"), [0.25, 0.75]);
    assert_eq!(numbers(&predictions[1], "maps"), [1.0, 0.0]);
    for prediction in &predictions {
        let keys = prediction.tensor("maps_keys").unwrap();
        assert_eq!(keys.to_vec::<i64>().unwrap(), [0, 1]);
    }
}

#[test]
fn maps_of_texts_come_in_the_order_of_their_keys() {
    let handler = load(&config("string_map"));
    assert_eq!(outputs(&handler), ["maps FP32 [3]", "maps_keys BYTES [3]"]);
    // The model's own order is virginica, setosa, versicolor.
    let prediction = predict(&handler, vec![x(&[0.7, 0.1, 0.2])]).remove(0);
    let keys = prediction.tensor("maps_keys").unwrap();
    assert_eq!(
        keys.byte_strings().unwrap(),
        ["setosa", "versicolor", "virginica"]
    );
    assert_eq!(numbers(&prediction, "maps"), [0.1, 0.2, 0.7]);
}

#[test]
fn without_a_batch_axis_all_maps_are_one_tensor() {
    let handler = load(&unbatched("string_map"));
    assert_eq!(
        outputs(&handler),
        ["maps FP32 [-1, 3]", "maps_keys BYTES [3]"]
    );
    let whole = row([("x", floats(&[2, 3], &[1., 2., 3., 4., 5., 6.]))]);
    let prediction = predict(&handler, vec![whole]).remove(0);
    assert_eq!(prediction.tensor("maps").unwrap().shape(), [2, 3]);
    assert_eq!(numbers(&prediction, "maps"), [2., 3., 1., 5., 6., 4.]);
    // No map, no keys: less than the three that the model promises.
    let error = try_predict(&handler, vec![row([("x", floats(&[0, 3], &[]))])]).unwrap_err();
    assert!(matches!(error, PredictError::Contract(_)), "{error:?}");
}

#[test]
fn a_sequence_gives_each_example_a_tensor() {
    let handler = load(&config("split_output"));
    assert_eq!(outputs(&handler), ["rows FP32 [1, -1]"]);
    let predictions = predict(&handler, vec![x(&[1.0, 2.0]), x(&[3.0, 4.0])]);
    assert_eq!(predictions[0].tensor("rows").unwrap().shape(), [1, 2]);
    assert_eq!(numbers(&predictions[0], "rows"), [1.0, 2.0]);
    assert_eq!(numbers(&predictions[1], "rows"), [3.0, 4.0]);

    let handler = load(&unbatched("split_output"));
    assert_eq!(outputs(&handler), ["rows FP32 [-1, 1, -1]"]);
    let whole = row([("x", floats(&[2, 2], &[1., 2., 3., 4.]))]);
    let prediction = predict(&handler, vec![whole]).remove(0);
    assert_eq!(prediction.tensor("rows").unwrap().shape(), [2, 1, 2]);
    assert_eq!(numbers(&prediction, "rows"), [1., 2., 3., 4.]);
}

#[test]
fn a_sequence_of_another_length_than_the_batch_breaks_the_contract() {
    let handler = load(&config("sequence_output"));
    let error = try_predict(&handler, vec![x(&[1.0, 2.0]); 3]).unwrap_err();
    assert_eq!(
        error,
        PredictError::Contract(
            "output \"pieces\" has 1 rows for a batch of 3 examples; if the model does not give \
             one row for each example, write batching = \"off\""
                .into()
        )
    );
}

#[test]
fn predictions_outlive_the_handler_and_its_other_outputs() {
    let handler = load(&config("split_output"));
    let rows: Vec<Tensor> = predict(&handler, vec![x(&[1.0]), x(&[2.0])])
        .iter()
        .map(|prediction| prediction.tensor("rows").unwrap().clone())
        .collect();
    drop(handler);
    assert_eq!(rows[1].to_vec::<f32>().unwrap(), [2.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_example_gets_its_own_map(values in proptest::collection::vec(any::<[i16; 3]>(), 1..40)) {
        let handler = load(&config("string_map"));
        let rows = values.iter().map(|row| x(&row.map(f32::from))).collect();
        let predictions = predict(&handler, rows);
        for ([virginica, setosa, versicolor], prediction) in values.iter().zip(&predictions) {
            let expected = [setosa, versicolor, virginica].map(|&value| f32::from(value));
            prop_assert_eq!(numbers(prediction, "maps"), expected);
        }
    }
}
