//! One compiled model from many threads at the same time.

use crate::support::{
    assert_close, mlp, mlp_row, plain, predict, probabilities, row, try_predict, tuned,
};
use consort_inference::{ModelHandler, PredictError, Tensor};
use std::thread;

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn runs_side_by_side_do_not_meet() {
    for config in [plain(), tuned()] {
        let handler = mlp(&config);
        let expected: Vec<Vec<f32>> = (0..16)
            .map(|index| probabilities(&predict(&handler, vec![mlp_row(index)])[0]))
            .collect();
        thread::scope(|scope| {
            for thread in 0..8 {
                let (handler, expected) = (&handler, &expected);
                scope.spawn(move || {
                    for round in 0..50 {
                        let count = 1 + (thread + round) % 5;
                        let rows = (0..count).map(|at| (thread + round + at) % 16);
                        let batch = predict(handler, rows.clone().map(mlp_row).collect());
                        for (row, prediction) in rows.zip(&batch) {
                            // In BF16 a batch of another size may round otherwise.
                            assert_close(&probabilities(prediction), &expected[row], 1e-2);
                        }
                    }
                });
            }
        });
    }
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn a_refused_batch_leaves_those_beside_it_alone() {
    let handler = mlp(&tuned());
    let right = probabilities(&predict(&handler, vec![mlp_row(3)])[0]);
    thread::scope(|scope| {
        let handler = &handler;
        scope.spawn(move || {
            for _ in 0..50 {
                let wrong = Tensor::from_slice(vec![15], &[0f32; 15]).unwrap();
                let error = try_predict(handler, vec![row([("x", wrong)])]).unwrap_err();
                assert!(matches!(error, PredictError::InvalidInput(_)), "{error:?}");
            }
        });
        for _ in 0..50 {
            let ours = probabilities(&predict(handler, vec![mlp_row(3)])[0]);
            assert_close(&ours, &right, 1e-6);
        }
    });
    assert_eq!(handler.batch_hints().max_batch_size, None);
}
