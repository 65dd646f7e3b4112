//! Who calls: more than can be served, a part of it at random times, or bursts and a trickle.

use super::model::{Chance, Model, example};
use super::shapes::Shape;
use super::{Played, Player, config, play};
use consort_batching::{Batcher, Config};
use consort_inference::{Call, Example};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Callers of the saturating load, and the examples of each of their calls: three of the
/// largest batches are always under way.
const CALLERS: usize = 192;
const CALL_SIZE: usize = 64;
/// Calls of a job that are under way.
const JOB_CALLS: usize = 8;
/// Calls of the other loads.
const CALLS: usize = 12_000;

/// The examples of a call, by turns of all lengths.
fn examples(shape: &Shape, count: usize, first: usize) -> Vec<Example> {
    let of_each: Vec<Example> = shape
        .lengths
        .iter()
        .map(|length| example(*length))
        .collect();
    of_each
        .iter()
        .cycle()
        .skip(first % of_each.len())
        .take(count)
        .cloned()
        .collect()
}

/// More than can be served, until the model has run so often.
pub(crate) fn saturated(shape: &Shape, player: Player, runs: usize) -> Played {
    saturated_with(shape, player, runs, config(), None)
}

/// The same with other settings, and a time that each caller gives.
pub(crate) fn saturated_with(
    shape: &Shape,
    player: Player,
    runs: usize,
    config: Config,
    patience: Option<Duration>,
) -> Played {
    play(shape, player, config, |batcher, model| async move {
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let (batcher, model) = (batcher.clone(), model.clone());
            let examples = examples(&shape.clone(), CALL_SIZE, number);
            callers.spawn(async move {
                while model.run_count() < runs {
                    let deadline = patience.map(|patience| (Instant::now() + patience).into_std());
                    let call = Call {
                        deadline,
                        ..Call::default()
                    };
                    batcher.infer(examples.clone(), call).await;
                }
            });
        }
        // The first caller that sees the end ends it for all.
        callers.join_next().await;
        callers.shutdown().await;
        Vec::new()
    })
}

/// So many examples, in calls of which some are always under way: a job.
pub(crate) fn finite(shape: &Shape, player: Player, count: usize) -> Played {
    play(shape, player, config(), |batcher, _| async move {
        let mut calls = JoinSet::new();
        for first in (0..count).step_by(CALL_SIZE) {
            if calls.len() >= JOB_CALLS {
                calls.join_next().await;
            }
            let batcher = batcher.clone();
            let examples = examples(shape, CALL_SIZE.min(count - first), first);
            calls.spawn(async move {
                batcher.infer(examples, Call::default()).await;
            });
        }
        calls.join_all().await;
        Vec::new()
    })
}

/// So much (a part) of the best rate, in calls at random times.
pub(crate) fn open(shape: &Shape, player: Player, part: f64) -> Played {
    let rate = shape.best_rate() * part;
    // At most two calls a millisecond, for the clock has no finer steps.
    let size = (rate / 2_000.0).ceil().max(1.0) as usize;
    let mut chance = Chance::new(3);
    let mut at = 0.0;
    let calls = (0..CALLS).map(|_| {
        at -= (1.0 - chance.part()).ln() * size as f64 / rate;
        (Duration::from_secs_f64(at), size)
    });
    timed(shape, player, calls.collect())
}

/// Every second a burst of 200 calls within 20 ms, and an example every 37 ms between.
pub(crate) fn bursts(shape: &Shape, player: Player) -> Played {
    let seconds = CALLS as u64 / 230;
    let ms = Duration::from_millis;
    let second = |second: u64| {
        let burst = (0..200).map(|call| ms(call / 10));
        let trickle = (0..27).map(|call| ms(call * 37));
        let calls = burst.chain(trickle);
        calls
            .map(move |at| (ms(second * 1_000) + at, 1))
            .collect::<Vec<_>>()
    };
    let mut calls: Vec<_> = (0..seconds).flat_map(second).collect();
    calls.sort();
    timed(shape, player, calls)
}

/// Calls at given times, each of so many examples.
fn timed(shape: &Shape, player: Player, calls: Vec<(Duration, usize)>) -> Played {
    play(
        shape,
        player,
        config(),
        |batcher: Batcher, _: Arc<Model>| async move {
            let began = Instant::now();
            let mut sent = JoinSet::new();
            let all = calls.len();
            for (number, (at, size)) in calls.into_iter().enumerate() {
                sleep_until(began + at).await;
                let batcher = batcher.clone();
                let examples = examples(shape, size, number);
                sent.spawn(async move {
                    let arrived = Instant::now();
                    batcher.infer(examples, Call::default()).await;
                    (number, arrived.elapsed())
                });
            }
            // The first part of the calls is for learning.
            let answered = sent.join_all().await;
            let late = answered.into_iter().filter(|(number, _)| *number > all / 3);
            late.map(|(_, latency)| latency).collect()
        },
    )
}
