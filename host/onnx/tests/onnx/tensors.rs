//! What goes in and what comes out.

use crate::support::{config, floats, load, mlp_row, predict, row, try_predict, unbatched};
use bytes::{Bytes, BytesMut};
use consort_inference::{Datatype, ModelHandler, PredictError, Tensor, Tensors};
use proptest::prelude::*;

/// Two elements of each datatype, different for each row.
fn two_of(datatype: Datatype, row: u8) -> Tensor {
    match datatype {
        Datatype::Bytes => {
            let texts = [
                "zwölf\0Boxkämpfer".repeat(usize::from(row)),
                format!("row {row}"),
            ];
            Tensor::from_byte_strings(vec![2], texts).unwrap()
        }
        Datatype::Bool => Tensor::from_slice(vec![2], &[row == 0, row == 1]).unwrap(),
        _ => {
            let size = datatype.size_bytes().unwrap();
            // Any bits are a number; those of the floats are small, and no NaN.
            let bytes = (0..2 * size)
                .map(|i| (i as u8) * 7 + row)
                .collect::<Vec<u8>>();
            Tensor::new(datatype, vec![2], bytes.into()).unwrap()
        }
    }
}

fn every_type(row: u8) -> Tensors {
    let named = Datatype::ALL.map(|datatype| {
        let name = format!("in_{}", datatype.as_str().to_lowercase());
        (name.into(), two_of(datatype, row))
    });
    Tensors::from_named(named).unwrap()
}

#[test]
fn every_datatype_goes_in_and_comes_out_unchanged() {
    let handler = load(&config("every_type"));
    assert_eq!(handler.signature().inputs.len(), Datatype::ALL.len());
    for (spec, datatype) in handler.signature().inputs.iter().zip(Datatype::ALL) {
        assert_eq!(spec.to_string(), format!("{datatype} [2]"));
    }
    for count in [1, 3] {
        let predictions = predict(&handler, (0..count).map(every_type).collect());
        for (row, prediction) in (0..count).zip(&predictions) {
            for datatype in Datatype::ALL {
                let name = format!("out_{}", datatype.as_str().to_lowercase());
                assert_eq!(
                    prediction.tensor(&name),
                    Some(&two_of(datatype, row)),
                    "{name}"
                );
                assert_eq!(
                    prediction.tensor(&name).unwrap().data(),
                    two_of(datatype, row).data()
                );
            }
        }
    }
}

#[test]
fn the_classifier_says_what_was_computed_elsewhere() {
    let handler = load(&config("mlp"));
    let expected = include_str!("../../fixtures/mlp_expected.txt").lines();
    let predictions = predict(&handler, (0..3).map(mlp_row).collect());
    for (line, prediction) in expected.zip(&predictions) {
        let actual = prediction
            .tensor("probabilities")
            .unwrap()
            .to_vec::<f32>()
            .unwrap();
        let expected: Vec<f32> = line
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        assert_eq!(actual.len(), expected.len());
        for (actual, expected) in actual.iter().zip(&expected) {
            assert!((actual - expected).abs() < 1e-6, "{actual} {expected}");
        }
    }
}

#[test]
fn a_number_for_each_example_is_a_scalar() {
    let handler = load(&config("scalar_per_example"));
    assert_eq!(handler.signature().inputs[0].to_string(), "FP32 []");
    let rows = [1.5, -2.0].map(|x| row([("x", floats(&[], &[x]))]));
    let predictions = predict(&handler, rows.to_vec());
    let values = predictions
        .iter()
        .map(|p| p.tensor("y").unwrap().to_vec::<f32>().unwrap());
    assert_eq!(values.collect::<Vec<_>>(), [[-1.5], [2.0]]);
}

#[test]
fn an_axis_may_be_empty() {
    let handler = load(&config("two_by_two"));
    let empty = || row([("a", floats(&[0, 2], &[])), ("b", floats(&[0, 2], &[]))]);
    for count in [1, 2] {
        for prediction in predict(&handler, vec![empty(); count]) {
            assert_eq!(prediction.tensor("sum").unwrap().shape(), [0, 2]);
            assert_eq!(
                prediction.tensor("a_is_greater").unwrap().datatype(),
                Datatype::Bool
            );
        }
    }
    let strings = load(&config("strings"));
    let none = Tensor::from_byte_strings(vec![0], [""; 0]).unwrap();
    let prediction = predict(&strings, vec![row([("text", none)])]);
    assert_eq!(prediction[0].tensor("same").unwrap().shape(), [0]);
}

#[test]
fn without_a_batch_axis_an_example_is_the_whole_input() {
    let handler = load(&unbatched("scalar_input"));
    assert_eq!(handler.signature().inputs[1].to_string(), "FP32 []");
    assert_eq!(handler.batch_hints().max_batch_size, Some(1));
    let example = row([
        ("x", floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0])),
        ("factor", floats(&[], &[10.0])),
    ]);
    let prediction = predict(&handler, vec![example]);
    let y = prediction[0].tensor("y").unwrap();
    assert_eq!(
        (y.shape(), y.to_vec::<f32>().unwrap()),
        (&[2, 2][..], vec![10.0, 20.0, 30.0, 40.0])
    );
    let four = load(&unbatched("fixed_four"));
    let prediction = predict(&four, vec![row([("x", floats(&[4, 4], &[1.0; 16]))])]);
    assert_eq!(
        prediction[0].tensor("y").unwrap().to_vec::<f32>().unwrap(),
        [-1.0; 16]
    );
}

#[test]
fn a_single_aligned_row_is_copied_neither_in_nor_out() {
    let handler = load(&config("pass_through"));
    let x = floats(&[2], &[1.0, 2.0]);
    let address = x.data().as_ptr();
    let prediction = predict(&handler, vec![row([("x", x)])]);
    // The model hands its input through: what comes out is the request's own memory, which
    // the prediction keeps alive, although the request is gone.
    let through = prediction[0].tensor("x").unwrap();
    assert_eq!(through.data().as_ptr(), address);
    assert_eq!(through.to_vec::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn a_row_that_is_not_aligned_is_copied_and_understood() {
    let handler = load(&config("pass_through"));
    for offset in 0..4 {
        let mut data = BytesMut::zeroed(offset);
        data.extend_from_slice(floats(&[2], &[1.0, 2.0]).data());
        let data = data.freeze().slice(offset..);
        let aligned = data.as_ptr().addr().is_multiple_of(4);
        let address = data.as_ptr();
        let x = Tensor::new(Datatype::Fp32, vec![2], data).unwrap();
        let prediction = predict(&handler, vec![row([("x", x)])]);
        let through = prediction[0].tensor("x").unwrap();
        assert_eq!(through.data().as_ptr() == address, aligned);
        assert_eq!(through.to_vec::<f32>().unwrap(), [1.0, 2.0]);
    }
}

#[test]
fn rows_of_an_output_share_its_memory() {
    let handler = load(&config("two_by_two"));
    let example = || {
        row([
            ("a", floats(&[3, 2], &[1.0; 6])),
            ("b", floats(&[3, 2], &[2.0; 6])),
        ])
    };
    let predictions = predict(&handler, vec![example(); 4]);
    let addresses: Vec<usize> = predictions
        .iter()
        .map(|prediction| prediction.tensor("sum").unwrap().data().as_ptr().addr())
        .collect();
    assert!(
        addresses.windows(2).all(|pair| pair[1] - pair[0] == 24),
        "{addresses:?}"
    );
}

#[test]
fn predictions_outlive_the_handler() {
    let handler = load(&config("pass_through"));
    let predictions = predict(&handler, vec![row([("x", floats(&[2], &[1.0, 2.0]))])]);
    drop(handler);
    // One lies in the session's arena, one is a weight of the model itself.
    assert_eq!(
        predictions[0].tensor("y").unwrap().to_vec::<f32>().unwrap(),
        [1.0, 2.0]
    );
    assert_eq!(
        predictions[0]
            .tensor("constant")
            .unwrap()
            .to_vec::<f32>()
            .unwrap(),
        [1.5, 2.5]
    );
    // On another thread, too.
    std::thread::spawn(move || drop(predictions))
        .join()
        .unwrap();
}

#[test]
fn strings_must_be_utf8() {
    let handler = load(&config("strings"));
    let bad = Tensor::from_byte_strings(vec![2], [&b"good"[..], b"ab\xff"]).unwrap();
    let good = Tensor::from_byte_strings(vec![2], ["good", ""]).unwrap();
    let error = try_predict(&handler, vec![row([("text", bad.clone())])]).unwrap_err();
    assert_eq!(
        error,
        PredictError::InvalidInput(
            "element 1 of tensor \"text\" is not UTF-8 at byte 2, and the model takes strings"
                .into()
        )
    );
    let error =
        try_predict(&handler, vec![row([("text", good)]), row([("text", bad)])]).unwrap_err();
    assert!(
        error.to_string().contains("of example 1 of the batch"),
        "{error}"
    );
}

#[test]
fn a_bool_is_0_or_1() {
    let handler = load(&config("every_type"));
    let mut example = every_type(0);
    example.insert(
        "in_bool",
        Tensor::new(Datatype::Bool, vec![2], Bytes::from_static(&[1, 2])).unwrap(),
    );
    let error = try_predict(&handler, vec![example]).unwrap_err();
    assert_eq!(
        error,
        PredictError::InvalidInput(
            "element 1 of tensor \"in_bool\" is neither 0 nor 1, and the tensor is BOOL".into()
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_example_gets_its_own_row(
        length in 1usize..5,
        seeds in proptest::collection::vec(-1000i16..1000, 1..9),
    ) {
        let handler = load(&config("two_by_two"));
        let a = |seed: i16| (0..2 * length).map(|i| f32::from(seed) + i as f32).collect::<Vec<_>>();
        let b = |seed: i16| (0..2 * length).map(|i| f32::from(seed) - 2.0 * i as f32).collect::<Vec<_>>();
        let shape = [length, 2];
        let rows = seeds.iter().map(|&seed| {
            row([("a", floats(&shape, &a(seed))), ("b", floats(&shape, &b(seed)))])
        });
        let predictions = predict(&handler, rows.collect());
        for (&seed, prediction) in seeds.iter().zip(&predictions) {
            let expected: Vec<f32> = a(seed).iter().zip(b(seed)).map(|(a, b)| a + b).collect();
            let sum = prediction.tensor("sum").unwrap();
            prop_assert_eq!(sum.shape(), shape);
            prop_assert_eq!(sum.to_vec::<f32>().unwrap(), expected);
            let greater: Vec<bool> = (0..2 * length).map(|i| i > 0).collect();
            prop_assert_eq!(prediction.tensor("a_is_greater").unwrap().to_vec::<bool>().unwrap(), greater);
        }
    }

    #[test]
    fn any_text_comes_back(texts in proptest::collection::vec(".{0,12}", 1..5), count in 1usize..4) {
        let handler = load(&config("strings"));
        let rows: Vec<Tensors> = (0..count)
            .map(|row| {
                let texts = texts.iter().map(|text| format!("{row}{text}"));
                self::row([("text", Tensor::from_byte_strings(vec![texts.len()], texts).unwrap())])
            })
            .collect();
        for (row, prediction) in rows.iter().zip(predict(&handler, rows.clone())) {
            prop_assert_eq!(prediction.tensor("same"), row.tensor("text"));
        }
    }
}
