//! Which examples run together, and when.

use super::stage::{Fake, MS, Stage, all_ok, example_of, examples, told};
use crate::Config;

fn config(max_batch_size: usize, max_queue_delay_ms: u32) -> Config {
    Config {
        max_batch_size: Some(max_batch_size),
        max_queue_delay: Some(MS * max_queue_delay_ms),
        ..Config::default()
    }
}

/// When a run began, and what was in it.
type Began = (u128, Vec<i64>);

fn run(at_ms: u128, ids: impl IntoIterator<Item = i64>) -> Began {
    (at_ms, ids.into_iter().collect())
}

fn runs(stage: &Stage) -> Vec<Began> {
    let runs = stage.fake.runs().into_iter();
    runs.map(|run| (run.at_ms, run.ids)).collect()
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_a_lone_example_runs_at_once() {
    let stage = Stage::new(Fake::new().takes(MS * 10), config(8, 0));
    let answers = stage.infer(examples([1])).await;
    assert_eq!(told(&answers), all_ok([1]));
    assert_eq!(runs(&stage), [run(0, [1])]);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_examples_is_answered_without_a_run() {
    let stage = Stage::new(Fake::new(), config(8, 0));
    assert!(stage.infer(Vec::new()).await.is_empty());
    assert_eq!(runs(&stage), []);
}

#[tokio::test(start_paused = true)]
async fn what_arrives_during_a_run_shares_the_next_batch() {
    let stage = Stage::new(Fake::new().takes(MS * 10), config(4, 0));
    let mut sent = Vec::new();
    for id in 0..7 {
        sent.push(stage.send(examples([id])).await);
    }
    for (id, sent) in (0..).zip(sent) {
        assert_eq!(told(&sent.await.unwrap()), all_ok([id]));
    }
    let expected = [run(0, [0]), run(10, [1, 2, 3, 4]), run(20, [5, 6])];
    assert_eq!(runs(&stage), expected);
}

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_a_batch_is_spread_and_stays_in_order() {
    let stage = Stage::new(Fake::new().takes(MS), config(4, 0));
    let answers = stage.infer(examples(0..10)).await;
    assert_eq!(told(&answers), all_ok(0..10));
    let batches = [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]];
    assert_eq!(stage.fake.batches(), batches);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_wait() {
    let stage = Stage::new(Fake::new(), config(4, 50));
    let first = stage.send(examples([0, 1])).await;
    tokio::time::advance(MS * 5).await;
    let second = stage.send(examples([2, 3])).await;
    assert_eq!(told(&first.await.unwrap()), all_ok([0, 1]));
    assert_eq!(told(&second.await.unwrap()), all_ok([2, 3]));
    assert_eq!(runs(&stage), [run(5, [0, 1, 2, 3])]);
}

#[tokio::test(start_paused = true)]
async fn the_delay_counts_from_the_oldest_example() {
    let stage = Stage::new(Fake::new(), config(4, 50));
    let first = stage.send(examples([0])).await;
    tokio::time::sleep(MS * 40).await;
    let second = stage.send(examples([1])).await;
    assert_eq!(told(&first.await.unwrap()), all_ok([0]));
    assert_eq!(told(&second.await.unwrap()), all_ok([1]));
    assert_eq!(runs(&stage), [run(50, [0, 1])]);
}

#[tokio::test(start_paused = true)]
async fn an_example_that_cannot_wait_runs_at_once() {
    let stage = Stage::new(Fake::new(), config(4, 50));
    let patient = stage.send_by(examples([0]), Some(MS * 200)).await;
    tokio::time::sleep(MS * 10).await;
    let urgent = stage.send_by(examples([1]), Some(MS * 20)).await;
    assert_eq!(told(&urgent.await.unwrap()), all_ok([1]));
    assert_eq!(told(&patient.await.unwrap()), all_ok([0]));
    assert_eq!(runs(&stage), [run(10, [0, 1])]);
}

#[tokio::test(start_paused = true)]
async fn only_equal_layouts_share_a_batch_and_the_oldest_goes_first() {
    let stage = Stage::new(Fake::new().takes(MS * 10), config(8, 0));
    let blocker = stage.send(examples([100])).await;
    let mixed = [(0, 1), (1, 2), (2, 1), (3, 3), (4, 2)];
    let mixed = mixed.map(|(id, length)| example_of("default", id, length));
    assert_eq!(told(&stage.infer(mixed.into()).await), all_ok(0..5));
    blocker.await.unwrap();
    let batches = [vec![100], vec![0, 2], vec![1, 4], vec![3]];
    assert_eq!(stage.fake.batches(), batches);
}

#[tokio::test(start_paused = true)]
async fn a_rare_layout_does_not_starve() {
    let stage = Stage::new(Fake::new().takes(MS * 10), config(2, 0));
    let mut common = vec![stage.send(examples([0])).await];
    common.push(stage.send(examples([1, 2])).await);
    let rare = stage.send(vec![example_of("default", -1, 2)]).await;
    for id in 3..40 {
        common.push(stage.send(examples([id])).await);
    }
    assert_eq!(told(&rare.await.unwrap()), all_ok([-1]));
    assert_eq!(stage.fake.batches()[..3], [vec![0], vec![1, 2], vec![-1]]);
    drop(common);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_of_a_younger_layout_runs_while_an_older_one_waits() {
    let stage = Stage::new(Fake::new(), config(2, 50));
    let older = stage.send(vec![example_of("default", 0, 2)]).await;
    tokio::time::sleep(MS * 10).await;
    let younger = stage.send(examples([1, 2])).await;
    assert_eq!(told(&younger.await.unwrap()), all_ok([1, 2]));
    assert_eq!(told(&older.await.unwrap()), all_ok([0]));
    assert_eq!(runs(&stage), [run(10, [1, 2]), run(50, [0])]);
}

#[tokio::test(start_paused = true)]
async fn someone_keeps_the_alarm_when_its_keeper_goes_to_work() {
    let config = Config {
        replicas: 2,
        ..config(2, 50)
    };
    let stage = Stage::new(Fake::new().takes(MS * 500), config);
    let waiting = stage.send(vec![example_of("default", 0, 2)]).await;
    tokio::time::sleep(MS * 10).await;
    let full = stage.send(examples([1, 2])).await;
    assert_eq!(told(&waiting.await.unwrap()), all_ok([0]));
    assert_eq!(told(&full.await.unwrap()), all_ok([1, 2]));
    assert_eq!(runs(&stage), [run(10, [1, 2]), run(50, [0])]);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_due_time_replaces_the_alarm() {
    // Another layout with a deadline is due at once, although an alarm is set for later.
    let stage = Stage::new(Fake::new(), config(2, 50));
    let later = stage.send(examples([0])).await;
    tokio::time::sleep(MS * 10).await;
    let urgent = vec![example_of("default", 1, 2)];
    let urgent = stage.send_by(urgent, Some(MS * 5)).await;
    assert_eq!(told(&urgent.await.unwrap()), all_ok([1]));
    assert_eq!(told(&later.await.unwrap()), all_ok([0]));
    assert_eq!(runs(&stage), [run(10, [1]), run(50, [0])]);
}

#[tokio::test(start_paused = true)]
async fn replicas_run_side_by_side() {
    let config = Config {
        replicas: 3,
        ..config(1, 0)
    };
    let stage = Stage::new(Fake::new().takes(MS * 10), config);
    assert_eq!(told(&stage.infer(examples(0..4)).await), all_ok(0..4));
    let starts: Vec<_> = stage.fake.runs().iter().map(|run| run.at_ms).collect();
    assert_eq!(starts, [0, 0, 0, 10]);
}

#[tokio::test(start_paused = true)]
async fn the_models_own_limit_caps_the_batch() {
    let stage = Stage::new(Fake::new().hints_at(2), config(8, 50));
    assert_eq!(told(&stage.infer(examples(0..4)).await), all_ok(0..4));
    assert_eq!(runs(&stage), [run(0, [0, 1]), run(0, [2, 3])]);
    assert_eq!(stage.metric("consort_batch_size_max{"), Some(2.0));
}
