//! What is held in memory: one copy of the weights, and nothing that is done with.

use crate::child;
#[cfg(target_os = "linux")]
use crate::support::{config, floats, load, mlp_row, predict, row, try_predict};
#[cfg(target_os = "linux")]
use consort_inference::{ModelHandler, Tensor};

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

/// Runs models often: numbers, strings, failures, and models loaded anew.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn child_runs_often() {
    let (strings, gather) = (load(&config("strings")), load(&config("gather")));
    let text = || Tensor::from_byte_strings(vec![2], ["a".repeat(1000), "b".repeat(2000)]).unwrap();
    let index = |index: i64| row([("index", Tensor::from_slice(vec![1], &[index]).unwrap())]);
    let mut after_a_tenth = 0;
    for round in 0..2000 {
        for _ in 0..10 {
            predict(
                &strings,
                vec![row([("text", text())]), row([("text", text())])],
            );
            predict(&gather, vec![index(1)]);
            predict(&gather, vec![index(1), index(2)]);
            assert!(try_predict(&gather, vec![index(9)]).is_err());
        }
        if round % 20 == 0 {
            let mlp = load(&config("mlp"));
            predict(&mlp, vec![mlp_row(round), mlp_row(round + 1)]);
        }
        if round == 200 {
            after_a_tenth = resident_mib();
        }
    }
    child::say(format_args!("{after_a_tenth} {}", resident_mib()));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_behind_by_runs() {
    let said = child::run("memory::child_runs_often", &[]).concat();
    let numbers: Vec<u64> = said
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    let (before, after) = (numbers[0], numbers[1]);
    println!("resident {before} MiB after 2,000 rounds, {after} MiB after 20,000");
    // What goes through in between is over 200 MiB.
    assert!(after < before + 16, "{before} MiB became {after} MiB");
}
