//! One session, many threads.

use crate::support::{config, load, mlp_row, predict, row};
use consort_inference::{Tensor, Tensors};
use consort_onnx::{Config, OnnxHandler};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[expect(
    clippy::disallowed_methods,
    reason = "threads really run here, on no paused clock"
)]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn many_threads_get_the_right_answers_from_one_handler() {
    for threads in [1, 2] {
        let handler = load(&Config {
            threads,
            ..config("mlp")
        });
        let rows = |thread: usize, round: usize| -> Vec<Tensors> {
            (0..=(thread + round) % 5)
                .map(|i| mlp_row(thread + 3 * round + i))
                .collect()
        };
        // What a row gives by itself, from this thread only. Rows repeat after 16.
        let alone: Vec<Vec<f32>> = (0..16)
            .map(|i| probabilities(&predict(&handler, vec![mlp_row(i)])[0]))
            .collect();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (handler, alone) = (&handler, &alone);
                scope.spawn(move || {
                    for round in 0..200 {
                        let predictions = predict(handler, rows(thread, round));
                        for (i, prediction) in predictions.iter().enumerate() {
                            let expected = &alone[(thread + 3 * round + i) % 16];
                            for (actual, expected) in probabilities(prediction).iter().zip(expected)
                            {
                                assert!((actual - expected).abs() < 1e-6, "{actual} {expected}");
                            }
                        }
                    }
                });
            }
        });
    }
}

fn probabilities(prediction: &Tensors) -> Vec<f32> {
    prediction
        .tensor("probabilities")
        .unwrap()
        .to_vec()
        .unwrap()
}

/// Runs the loop so many times; returns how long it took.
fn run_loop(handler: &OnnxHandler, count: i64) -> Duration {
    let started = now();
    let example = row([("count", Tensor::from_slice(vec![], &[count]).unwrap())]);
    let prediction = predict(handler, vec![example]);
    let total = prediction[0]
        .tensor("total")
        .unwrap()
        .to_vec::<f32>()
        .unwrap();
    assert_eq!(total, [count as f32]);
    started.elapsed()
}

#[test]
fn a_long_run_does_not_keep_short_ones_waiting() {
    // Were runs to take turns, a short run begun during the long one would take as long as
    // what is left of it. Whatever the machine's load, the longest of many short runs that lie
    // side by side is then nearly as long as the long one; running beside it, it is far from it.
    let handler = load(&config("loop"));
    let samples = (0..5).map(|_| run_loop(&handler, 50_000));
    let quickest = samples.min().unwrap_or_default().as_secs_f64() / 50_000.0;
    // About a second; below 2^24, so that a float can count it.
    let long_count = ((1.0 / quickest) as i64).clamp(50_000, 16_000_000);
    let (running, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let long = scope.spawn(|| {
            running.store(true, Ordering::SeqCst);
            let took = run_loop(&handler, long_count);
            done.store(true, Ordering::SeqCst);
            took
        });
        while !running.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let (mut shorts, mut longest_short) = (0, Duration::ZERO);
        while !done.load(Ordering::SeqCst) {
            longest_short = longest_short.max(run_loop(&handler, 10));
            shorts += 1;
        }
        let long = long.join().unwrap();
        println!("one run of {long:?}, beside it {shorts} runs of at most {longest_short:?}");
        assert!(shorts >= 3, "{shorts} runs beside one of {long:?}");
        assert!(
            longest_short < long / 2,
            "{longest_short:?} beside {long:?}"
        );
    });
}
