//! Tensors in, tensors out.

use crate::support::{
    assert_close, floats, load, mlp, mlp_expected, mlp_row, onnx_fixture, pass_through, plain,
    predict, probabilities, row, try_predict, tuned, unbatched,
};
use bytes::Bytes;
use consort_inference::{Datatype, ModelHandler, PredictError, Tensor};
use consort_wasi_nn::{ModelSource, OpenVinoHandler};

/// OpenVINO may compute in `BF16` where nothing is asked for.
const LOOSE: f32 = 1e-2;

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn the_classifier_gives_what_was_computed_without_a_runtime() {
    for (config, tolerance) in [(plain(), LOOSE), (tuned(), 1e-6)] {
        let handler = mlp(&config);
        let expected = mlp_expected();
        let rows = (0..expected.len()).map(mlp_row).collect();
        for (prediction, expected) in predict(&handler, rows).iter().zip(&expected) {
            assert_close(&probabilities(prediction), expected, tolerance);
        }
        assert_eq!(handler.platform(), "openvino");
        assert!(handler.model_byte_size() > 21_772);
    }
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn an_onnx_file_is_served_as_it_is() {
    let path = onnx_fixture("mlp.onnx");
    for (config, tolerance) in [(plain(), LOOSE), (tuned(), 1e-6)] {
        let source = ModelSource::File(&path);
        let handler = OpenVinoHandler::load(&crate::support::library(), source, &config).unwrap();
        assert_eq!(handler.signature(), mlp(&config).signature());
        let prediction = predict(&handler, vec![mlp_row(1)]);
        assert_close(
            &probabilities(&prediction[0]),
            &mlp_expected()[1],
            tolerance,
        );
    }
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn a_row_is_the_same_alone_and_in_a_batch_of_any_size() {
    let handler = mlp(&tuned());
    for count in [1, 2, 7, 33, 2] {
        let batch = predict(&handler, (0..count).map(mlp_row).collect());
        for (index, prediction) in batch.iter().enumerate() {
            let alone = predict(&handler, vec![mlp_row(index)]);
            assert_close(&probabilities(prediction), &probabilities(&alone[0]), 1e-6);
        }
    }
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn every_served_datatype_passes_bit_for_bit() {
    let types = [
        ("u8", Datatype::Uint8),
        ("i32", Datatype::Int32),
        ("i64", Datatype::Int64),
        ("f16", Datatype::Fp16),
        ("bf16", Datatype::Bf16),
        ("f32", Datatype::Fp32),
        ("f64", Datatype::Fp64),
    ];
    for config in [plain(), tuned()] {
        for (element, datatype) in types {
            let handler = load(&pass_through(&[("x", element, "?,3")]), &config);
            let size = datatype.size_bytes().unwrap();
            // Small whole numbers and no odd floats: 0, 1 and 2 in each type.
            let one = |value: u8| -> Vec<u8> {
                match datatype {
                    Datatype::Fp16 => {
                        let bits: [u16; 3] = [0x0000, 0x3c00, 0x4000];
                        bits[usize::from(value)].to_le_bytes().to_vec()
                    }
                    Datatype::Bf16 => {
                        let bits = f32::from(value).to_bits() >> 16;
                        (bits as u16).to_le_bytes().to_vec()
                    }
                    Datatype::Fp32 => f32::from(value).to_le_bytes().to_vec(),
                    Datatype::Fp64 => f64::from(value).to_le_bytes().to_vec(),
                    _ => {
                        let mut bytes = vec![0; size];
                        bytes[0] = value;
                        bytes
                    }
                }
            };
            let rows: Vec<_> = [[0, 1, 2], [2, 0, 1]]
                .iter()
                .map(|values| {
                    let data: Vec<u8> = values.iter().flat_map(|&value| one(value)).collect();
                    Tensor::new(datatype, vec![3], Bytes::from(data)).unwrap()
                })
                .collect();
            let batch = rows.iter().map(|x| row([("x", x.clone())])).collect();
            for (prediction, x) in predict(&handler, batch).iter().zip(&rows) {
                assert_eq!(prediction.tensor("x_out"), Some(x), "{element}");
            }
        }
    }
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn inputs_and_outputs_keep_their_names_in_whatever_order_they_come() {
    let graph = pass_through(&[("b", "f32", "?,2"), ("a", "f32", "?,2"), ("c", "i64", "?")]);
    for config in [plain(), tuned()] {
        let handler = load(&graph, &config);
        let (a, b) = (floats(&[2], &[1.0, 2.0]), floats(&[2], &[3.0, 4.0]));
        let c = Tensor::from_slice(vec![], &[5i64]).unwrap();
        let given = row([("c", c.clone()), ("a", a.clone()), ("b", b.clone())]);
        let prediction = predict(&handler, vec![given]).remove(0);
        for (name, tensor) in [("a_out", &a), ("b_out", &b), ("c_out", &c)] {
            assert_eq!(prediction.tensor(name), Some(tensor), "{name}");
        }
    }
}

/// An output that is an input unchanged is where a context that is used again reads and
/// writes what it no longer owns; each run here has values of its own, to tell.
#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn runs_of_changing_lengths_leave_nothing_behind() {
    for config in [plain(), tuned()] {
        let handler = load(&pass_through(&[("x", "f32", "?,?")]), &config);
        for run in 0..400_u16 {
            let length = [3, 1, 5, 64][usize::from(run % 4)];
            let x = floats(&[length], &vec![f32::from(run); length]);
            let prediction = predict(&handler, vec![row([("x", x.clone())])]);
            let given = prediction[0].tensor("x_out").unwrap();
            assert_eq!(given.to_vec::<f32>(), x.to_vec::<f32>(), "run {run}");
        }
    }
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn without_a_batch_axis_an_example_is_the_whole_input() {
    let handler = load(&pass_through(&[("x", "f32", "2,?")]), &unbatched());
    let x = floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let prediction = predict(&handler, vec![row([("x", x.clone())])]);
    assert_eq!(prediction[0].tensor("x_out"), Some(&x));
    assert_eq!(handler.batch_hints().max_batch_size, Some(1));
    let two = vec![row([("x", x.clone())]), row([("x", x)])];
    assert!(matches!(
        try_predict(&handler, two),
        Err(PredictError::Failed(_))
    ));
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn what_does_not_fit_is_refused_and_the_handler_goes_on() {
    let handler = load(&pass_through(&[("x", "f32", "1..4,?")]), &tuned());
    assert_eq!(handler.batch_hints().max_batch_size, Some(4));
    let short = row([("x", floats(&[1, 1], &[1.0]))]);
    let ints = row([("x", Tensor::from_slice(vec![1], &[1i32]).unwrap())]);
    let empty = row([("x", floats(&[0], &[]))]);
    let other = row([("y", floats(&[1], &[1.0]))]);
    for wrong in [short, ints, empty, other] {
        let error = try_predict(&handler, vec![wrong]).unwrap_err();
        assert!(matches!(error, PredictError::InvalidInput(_)), "{error:?}");
    }
    let good = || row([("x", floats(&[1], &[1.0]))]);
    let many = try_predict(&handler, (0..5).map(|_| good()).collect()).unwrap_err();
    assert!(matches!(many, PredictError::Failed(_)), "{many:?}");
    assert_eq!(predict(&handler, (0..4).map(|_| good()).collect()).len(), 4);
}
