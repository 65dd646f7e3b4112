//! What fails when it runs, and as what.

use crate::support::{config, floats, load, predict, row, try_predict, unbatched};
use consort_inference::{ModelHandler, PredictError, Tensor};

#[test]
fn an_output_with_other_rows_than_the_batch_breaks_the_contract() {
    let handler = load(&config("doubles_batch"));
    let example = || row([("x", floats(&[3], &[1.0; 3]))]);
    let error = try_predict(&handler, vec![example(); 3]).unwrap_err();
    assert_eq!(
        error,
        PredictError::Contract(
            "output \"twice\" has 6 rows for a batch of 3 examples; if the model does not give \
             one row for each example, write batching = \"off\""
                .into()
        )
    );
}

#[test]
fn a_value_that_the_model_refuses_fails_and_the_next_succeeds() {
    let handler = load(&config("gather"));
    let index = |index: i64| row([("index", Tensor::from_slice(vec![1], &[index]).unwrap())]);
    for _ in 0..2 {
        let error = try_predict(&handler, vec![index(0), index(4)]).unwrap_err();
        let PredictError::Failed(message) = &error else {
            panic!("{error:?}");
        };
        assert!(
            message.contains("idx=4") && !message.contains('\n'),
            "{message}"
        );
        let predictions = predict(&handler, vec![index(0), index(3)]);
        let values = predictions
            .iter()
            .map(|p| p.tensor("value").unwrap().to_vec::<f32>().unwrap());
        assert_eq!(values.collect::<Vec<_>>(), [[10.0], [40.0]]);
    }
}

#[test]
fn a_failed_allocation_is_told_from_other_failures() {
    let handler = load(&unbatched("fills_memory"));
    let size = |size: i64| row([("size", Tensor::from_slice(vec![1], &[size]).unwrap())]);
    let error = try_predict(&handler, vec![size(1 << 48)]).unwrap_err();
    assert!(matches!(error, PredictError::OutOfMemory(_)), "{error:?}");
    let error = try_predict(&handler, vec![size(-1)]).unwrap_err();
    assert!(matches!(error, PredictError::Failed(_)), "{error:?}");
    let prediction = predict(&handler, vec![size(5)]);
    assert_eq!(
        prediction[0].tensor("y").unwrap().to_vec::<f32>().unwrap(),
        [0.0; 5]
    );
}

#[test]
fn examples_that_do_not_fit_the_signature_are_the_callers_fault() {
    let handler = load(&config("mlp"));
    let error = |tensor| try_predict(&handler, vec![tensor]).unwrap_err();
    assert_eq!(
        error(row([("x", floats(&[15], &[0.0; 15]))])),
        PredictError::InvalidInput("tensor \"x\" has shape [15], [16] is expected".into())
    );
    assert_eq!(
        error(row([("z", floats(&[16], &[0.0; 16]))])),
        PredictError::InvalidInput("tensor \"x\" is missing; FP32 [16] is expected".into())
    );
    let double = Tensor::from_slice(vec![16], &[0f64; 16]).unwrap();
    assert_eq!(
        error(row([("x", double)])),
        PredictError::InvalidInput("tensor \"x\" is FP64, FP32 is expected".into())
    );
}

#[test]
fn a_model_of_one_row_says_so_and_takes_one() {
    let handler = load(&config("fixed_one"));
    assert_eq!(handler.batch_hints().max_batch_size, Some(1));
    assert_eq!(handler.signature().inputs[0].to_string(), "FP32 [4]");
    let example = || row([("x", floats(&[4], &[1.0; 4]))]);
    let prediction = predict(&handler, vec![example()]);
    assert_eq!(
        prediction[0].tensor("y").unwrap().to_vec::<f32>().unwrap(),
        [-1.0; 4]
    );
    let error = try_predict(&handler, vec![example(); 2]).unwrap_err();
    assert_eq!(
        error,
        PredictError::Failed(
            "model \"fixed_one\" takes batches of 1, and was given one of 2".into()
        )
    );
    assert_eq!(load(&config("mlp")).batch_hints().max_batch_size, None);
}
