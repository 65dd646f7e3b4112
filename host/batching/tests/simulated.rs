//! The floors of the learned policy, in simulations: what `benches/batching.rs` shows.
#![expect(clippy::unwrap_used, reason = "a test may break off")]

mod simulator;

use simulator::shapes::Shape;
use simulator::{Played, Player, load, play, shapes};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

#[test]
fn it_comes_near_the_oracle_on_every_shape_and_stays() {
    let mut short = Vec::new();
    for shape in shapes::all().iter().filter(|shape| shape.slow.is_none()) {
        let played = load::saturated(shape, Player::Learned, 1_200);
        let part = played.throughput(0.5) / shape.best_rate();
        if part < 0.95 {
            short.push(format!("{}: {part:.3} of the oracle", shape.name));
        }
        let steady = played.steadiness(0.5);
        let lanes = shape.lengths.iter().collect::<BTreeSet<_>>().len();
        if steady < 0.9 / lanes as f64 {
            let name = shape.name;
            short.push(format!("{name}: {steady:.3} of the runs have one size"));
        }
    }
    assert!(short.is_empty(), "{short:#?}");
}

#[test]
fn no_batch_is_more_than_double_of_any_before() {
    for shape in shapes::all().into_iter().chain([shapes::texts()]) {
        let played = load::saturated(&shape, Player::Learned, 400);
        // By elements: what a longer example takes counts for shorter ones.
        let elements = |run: &simulator::model::Run| run.size * run.longest;
        let mut largest = shape.lengths.iter().copied().max().unwrap();
        for run in &played.runs {
            let elements = elements(run);
            assert!(
                elements <= largest * 2,
                "{}: {elements} after {largest}",
                shape.name,
            );
            largest = largest.max(elements);
        }
    }
}

#[test]
fn it_is_back_within_ten_batches_of_a_change() {
    let shape = shapes::slow_down();
    let played = load::saturated(&shape, Player::Learned, 1_200);
    let (from, to) = shape.slow.unwrap();
    let at = |time: Duration| played.runs.iter().position(|run| run.at >= time).unwrap();
    let (slow, back) = (at(from), at(to));
    let best = shape.best_rate();
    let part = |played: &Played, runs, rate: f64| played.throughput_of(runs) / rate;
    let before = part(&played, slow - 20..slow, best);
    let during = part(&played, slow + 10..back, best / 10.0);
    let after = part(&played, back + 10..played.runs.len(), best);
    for (when, part) in [("before", before), ("during", during), ("after", after)] {
        assert!(part >= 0.95, "{when}: {part:.3}");
    }
}

#[test]
fn tries_above_a_cliff_are_rare_and_their_loss_is_bounded() {
    let shape = shapes::cliff();
    let played = load::saturated(&shape, Player::Learned, 2_000);
    let above = played.runs.iter().filter(|run| run.size > 64).count();
    assert!(above <= 12, "{above} of 2,000");
}

#[test]
fn what_ran_out_of_memory_is_tried_again_ever_more_rarely() {
    let shape = shapes::little_memory();
    let played = load::saturated(&shape, Player::Learned, 4_000);
    let failed: Vec<usize> = played
        .runs
        .iter()
        .filter(|run| !run.fitted)
        .map(|run| run.size)
        .collect();
    // 512 fails; then each probe fails once at most, and most are let through never to fail.
    assert!(failed.len() <= 10, "{failed:?}");
    let part = played.throughput(0.5) / shape.best_rate();
    assert!(part >= 0.95, "{part:.3} of the oracle");
}

/// What was learned while the machine stood still makes larger batches seem too dear: no
/// try of them would be paid for, and nothing else would ever show what they cost now.
#[test]
fn costs_learned_in_a_stall_are_not_believed_for_ever() {
    let mut short = Vec::new();
    for (from, to) in [(0, 4), (1, 2), (3, 4), (1, 3), (2, 5), (5, 8)] {
        for times in [3.0, 10.0, 1_000.0] {
            let shape = shapes::stalled(from, to, times);
            let played = load::saturated(&shape, Player::Learned, 400);
            let part = played.throughput(0.5) / shape.best_rate();
            if part < 0.95 {
                short.push(format!("runs {from} to {to}, {times} times: {part:.3}"));
            }
        }
    }
    assert!(short.is_empty(), "{short:#?}");
}

/// Then the stalled size also seems to be too slow for every caller.
#[test]
fn costs_learned_in_a_stall_are_not_believed_where_callers_have_little_time() {
    let patience = Duration::from_millis(400);
    for (from, to) in [(1, 2), (2, 5)] {
        let shape = shapes::stalled(from, to, 1_000.0);
        let config = simulator::config();
        let played = load::saturated_with(&shape, Player::Learned, 400, config, Some(patience));
        // In 180 ms, not quite half of the time that callers give.
        let (best, _) = shape.best(1, 1_750);
        let part = played.throughput(0.5) / best;
        assert!(part >= 0.9, "runs {from} to {to}: {part:.3}");
        let longest = played.runs[200..].iter().map(|run| run.took).max().unwrap();
        assert!(longest <= patience / 2, "{longest:?}");
    }
}

#[test]
fn batches_stay_short_enough_for_the_time_that_callers_give() {
    let shape = shapes::bursts();
    let patience = Duration::from_millis(800);
    let config = simulator::config();
    let played = load::saturated_with(&shape, Player::Learned, 400, config, Some(patience));
    let settled = &played.runs[100..];
    let longest = settled.iter().map(|run| run.took).max().unwrap();
    assert!(longest <= patience / 2, "{longest:?}");
    // And no shorter than they have to be.
    let (best, _) = shape.best(1, 600);
    let part = played.throughput(0.5) / best;
    assert!(part >= 0.9, "{part:.3}");
}

#[test]
fn calls_wait_hardly_longer_than_with_an_oracle() {
    let mut long = Vec::new();
    let shapes = shapes::all();
    for shape in shapes.iter().filter(|shape| shape.slow.is_none()) {
        let p99 = |player| load::open(shape, player, 0.7).latency_ms(0.99);
        let (learned, oracle) = (p99(Player::Learned), p99(Player::Oracle));
        if learned > oracle * 1.5 {
            long.push(format!(
                "{}: p99 {learned:.0} ms, oracle {oracle:.0} ms",
                shape.name
            ));
        }
    }
    let shape = shapes::bursts();
    let p99 = |player| load::bursts(&shape, player).latency_ms(0.99);
    let (learned, oracle) = (p99(Player::Learned), p99(Player::Oracle));
    if learned > oracle * 1.25 {
        long.push(format!(
            "bursts: p99 {learned:.0} ms, oracle {oracle:.0} ms"
        ));
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// Callers that send one example, wait for the answer and send the next a while later.
fn in_turn(callers: u64, calls: usize) -> Played {
    let flat = &shapes::long();
    play(
        flat,
        Player::Learned,
        simulator::config(),
        |batcher, _| async move {
            let mut sent = JoinSet::new();
            for caller in 0..callers {
                let batcher = batcher.clone();
                sent.spawn(async move {
                    let mut latencies = Vec::new();
                    for _ in 0..calls {
                        sleep(Duration::from_millis(1 + caller % 8)).await;
                        let began = Instant::now();
                        let example = vec![simulator::model::example(1)];
                        batcher.infer(example, Default::default()).await;
                        latencies.push(began.elapsed());
                    }
                    latencies
                });
            }
            let latencies = sent.join_all().await;
            latencies.into_iter().flatten().collect()
        },
    )
}

#[test]
fn a_lone_caller_never_waits() {
    let played = in_turn(1, 200);
    assert_eq!(played.latency_ms(1.0), 50.0);
}

/// The mean of plays that differ in their noise.
fn efficiency(shape: &Shape, player: Player, examples: usize) -> f64 {
    let seeds = 1..=16;
    let plays = seeds.clone().map(|seed| {
        let shape = Shape {
            seed,
            ..shape.clone()
        };
        load::finite(&shape, player, examples).efficiency(&shape)
    });
    plays.sum::<f64>() / seeds.count() as f64
}

/// Each length has a kind, and no kind has runs enough to learn by itself what the noise hides.
#[test]
fn many_lengths_are_learned_together() {
    let part = efficiency(&shapes::texts(), Player::Learned, 1_800);
    assert!(part >= 0.96, "{part:.3} of the oracle");
}

/// Where a batch does not cost what its elements say, each length finds out for itself.
#[test]
fn lengths_that_cost_otherwise_learn_alone() {
    const LENGTHS: &[usize] = &[16, 24, 32, 64, 128, 256];
    type Cost = fn(usize, usize) -> f64;
    let costs: [(&'static str, Cost); 3] = [
        ("by rows", |n, _| 10.0 + 0.1 * n as f64),
        ("by the square of the length", |n, longest| {
            4.0 + (n * longest * longest) as f64 / 4096.0
        }),
        ("in steps of rows", |n, _| 10.0 * n.div_ceil(64) as f64),
    ];
    let mut short = Vec::new();
    for (name, cost_ms) in costs {
        let shape = Shape {
            name,
            cost_ms,
            lengths: LENGTHS,
            ..shapes::long()
        };
        let played = load::saturated(&shape, Player::Learned, 1_200);
        let part = played.latter(0.5).efficiency(&shape);
        if part < 0.93 {
            short.push(format!("{name}: {part:.3} of the oracle"));
        }
    }
    assert!(short.is_empty(), "{short:#?}");
}

/// What a slowdown does to some lengths it does to all.
#[test]
fn a_slowdown_is_believed_of_all_lengths() {
    let shape = Shape {
        slow: Some((Duration::from_secs(6), Duration::from_secs(90))),
        ..shapes::texts()
    };
    let part = efficiency(&shape, Player::Learned, 3_600);
    assert!(part >= 0.965, "{part:.3} of the oracle");
}
