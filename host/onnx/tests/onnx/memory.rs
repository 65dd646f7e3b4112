//! One copy of the weights.

use crate::child;
#[cfg(target_os = "linux")]
use crate::support::{config, floats, load, predict, row};
#[cfg(target_os = "linux")]
use consort_inference::ModelHandler;

const WEIGHTS_MIB: u64 = 64;

/// What the process holds in memory.
#[cfg(target_os = "linux")]
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

/// Runs a model of 64 MiB from one thread, then from eight at the same time.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn child_runs_replicas() {
    let handler = load(&config("big_weights"));
    let run = || {
        let example = row([("x", floats(&[4096], &[1.0; 4096]))]);
        let y = predict(&handler, vec![example])[0]
            .tensor("y")
            .unwrap()
            .to_vec::<f32>()
            .unwrap();
        assert_eq!(y, [2048.0; 4096]);
    };
    run();
    // The file is tiny; the weights are made when it is loaded.
    assert!(
        handler.model_byte_size() >= WEIGHTS_MIB << 20,
        "{}",
        handler.model_byte_size()
    );
    let one = resident_mib();
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                (0..4).for_each(|_| run());
            });
        }
    });
    child::say(format_args!("{one} {}", resident_mib()));
}

#[cfg(target_os = "linux")]
#[test]
fn replicas_share_the_weights() {
    let said = child::run("memory::child_runs_replicas", &[]).concat();
    let numbers: Vec<u64> = said
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    let (one, eight) = (numbers[0], numbers[1]);
    println!("weights {WEIGHTS_MIB} MiB; resident {one} MiB with one run, {eight} MiB with eight");
    assert!(
        one >= WEIGHTS_MIB,
        "the weights are not in memory: {one} MiB"
    );
    // Not even one more copy.
    assert!(
        eight < one + WEIGHTS_MIB / 2,
        "{one} MiB became {eight} MiB"
    );
}
