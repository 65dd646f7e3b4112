//! Which examples keep company in a batch, and what the batch tells of them.

use super::stage::{Fake, MS, Stage, all_ok, example_of, examples, told};
use crate::{BatchWeight, Config};
use consort_inference::{ArgValue, Call, InferenceArgs, Priority, TenantId};
use std::time::Duration;
use tokio::time::Instant;

fn config(max_batch_size: usize) -> Config {
    Config {
        max_batch_size: Some(max_batch_size),
        ..Config::default()
    }
}

fn args(value: i64) -> InferenceArgs {
    [("k".into(), ArgValue::Int(value))].into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn only_equal_arguments_share_a_batch_and_reach_the_model() {
    let stage = Stage::new(Fake::new().takes(MS * 10), config(8));
    let call = |value| Call {
        args: args(value),
        ..Call::default()
    };
    let blocker = stage.send(examples([100])).await;
    let mut sent = Vec::new();
    for (id, value) in [(0, 1), (1, 2), (2, 1), (3, 2)] {
        sent.push(stage.call(examples([id]), call(value)).await);
    }
    for (id, sent) in (0..).zip(sent) {
        assert_eq!(told(&sent.await.unwrap()), all_ok([id]));
    }
    blocker.await.unwrap();
    assert_eq!(stage.fake.batches(), [vec![100], vec![0, 2], vec![1, 3]]);
    let told: Vec<_> = stage.fake.runs().into_iter().map(|run| run.args).collect();
    assert_eq!(told, [InferenceArgs::new(), args(1), args(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_one_tenant_says_whose_it_is() {
    let fake = Fake::new().takes(MS * 10).of_one_tenant();
    let stage = Stage::new(fake, config(8));
    let mixed: Vec<_> = [(0, "a"), (1, "b"), (2, "a"), (3, "b")]
        .map(|(id, tenant)| example_of(tenant, id, 1))
        .into();
    assert_eq!(told(&stage.infer(mixed).await), all_ok(0..4));
    assert_eq!(stage.fake.batches(), [[0, 2], [1, 3]]);
    let whose: Vec<_> = stage
        .fake
        .runs()
        .into_iter()
        .map(|run| run.tenant)
        .collect();
    let tenant = |name: &str| Some(name.parse::<TenantId>().unwrap());
    assert_eq!(whose, [tenant("a"), tenant("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_several_tenants_is_nobodys() {
    let stage = Stage::new(Fake::new(), config(8));
    let mixed = vec![example_of("a", 0, 1), example_of("b", 1, 1)];
    assert_eq!(told(&stage.infer(mixed).await), all_ok(0..2));
    assert_eq!(stage.fake.runs()[0].tenant, None);
}

#[tokio::test(start_paused = true)]
async fn like_lengths_share_a_ragged_batch() {
    let stage = Stage::new(Fake::new().takes(MS * 10).ragged(), config(8));
    let lengths = [3, 123, 4, 5, 128, 8];
    let mixed: Vec<_> = (0..)
        .zip(lengths)
        .map(|(id, n)| example_of("a", id, n))
        .collect();
    assert_eq!(told(&stage.infer(mixed).await), all_ok(0..6));
    assert_eq!(stage.fake.batches(), [vec![0, 2], vec![1, 4], vec![3, 5]]);
    // 7 of 8 elements, 251 of 256 and 13 of 16 are no padding.
    let waste = stage.metric("consort_padding_waste_ratio_sum").unwrap();
    let expected = 1.0 / 8.0 + 5.0 / 256.0 + 3.0 / 16.0;
    assert!((waste - expected).abs() < 1e-9, "{waste}");
}

#[tokio::test(start_paused = true)]
async fn buckets_of_lengths_can_be_written() {
    let config = Config {
        shape_buckets: vec![10, 200],
        ..config(8)
    };
    let stage = Stage::new(Fake::new().takes(MS * 10).ragged(), config);
    // Within a call the shorter go first.
    let lengths = [3, 100, 10, 11];
    let mixed: Vec<_> = (0..)
        .zip(lengths)
        .map(|(id, n)| example_of("a", id, n))
        .collect();
    assert_eq!(told(&stage.infer(mixed).await), all_ok(0..4));
    assert_eq!(stage.fake.batches(), [[0, 2], [3, 1]]);
}

#[tokio::test(start_paused = true)]
async fn higher_priority_goes_first_within_a_tenant_only() {
    let stage = Stage::new(Fake::new().takes(MS * 10), config(2));
    let blocker = stage.send(examples([100])).await;
    let mut sent = Vec::new();
    for (id, tenant, priority) in [
        (0, "a", 0),
        (1, "a", -3),
        (2, "a", 5),
        (3, "a", 0),
        (4, "b", -100),
    ] {
        let call = Call {
            priority: Priority(priority),
            ..Call::default()
        };
        sent.push(stage.call(vec![example_of(tenant, id, 1)], call).await);
    }
    for (id, sent) in (0..).zip(sent) {
        assert_eq!(told(&sent.await.unwrap()), all_ok([id]));
    }
    blocker.await.unwrap();
    let batches = stage.fake.batches();
    assert_eq!(batches[1..], [vec![2, 4], vec![0, 3], vec![1]]);
}

#[tokio::test(start_paused = true)]
async fn weight_bounds_a_batch_and_what_is_too_heavy_runs_alone() {
    let config = Config {
        batch_weight: BatchWeight::Length {
            input: "x".into(),
            axis: 0,
        },
        max_batch_weight: Some(10),
        ..config(8)
    };
    let stage = Stage::new(Fake::new().ragged(), config);
    // All of one bucket.
    let mixed: Vec<_> = (0..5).map(|id| example_of("a", id, 5)).collect();
    assert_eq!(told(&stage.infer(mixed).await), all_ok(0..5));
    assert_eq!(stage.fake.batches(), [vec![0, 1], vec![2, 3], vec![4]]);
    let heavy = vec![example_of("a", 7, 100), example_of("a", 8, 90)];
    assert_eq!(told(&stage.infer(heavy).await), all_ok(7..9));
    assert_eq!(stage.fake.batches()[3..], [[7], [8]]);
}

#[tokio::test(start_paused = true)]
async fn bytes_bound_a_batch() {
    let config = Config {
        max_batch_bytes: 30,
        ..config(8)
    };
    let stage = Stage::new(Fake::new(), config);
    assert_eq!(told(&stage.infer(examples(0..5)).await), all_ok(0..5));
    assert_eq!(stage.fake.batches(), [vec![0, 1, 2], vec![3, 4]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_knows_when_nobody_waits_for_it_any_more() {
    let config = Config {
        default_timeout: None,
        ..config(8)
    };
    let stage = Stage::new(Fake::new().takes(MS * 10), config);
    let now = Instant::now();
    let _blocker = stage.send(examples([100])).await;
    let early = stage.send_by(examples([0]), Some(MS * 200)).await;
    let late = stage.send_by(examples([1]), Some(MS * 300)).await;
    assert_eq!(told(&early.await.unwrap()), all_ok([0]));
    assert_eq!(told(&late.await.unwrap()), all_ok([1]));
    let _blocker = stage.send(examples([101])).await;
    let some = stage.send_by(examples([2]), Some(MS * 200)).await;
    let ever = stage.send(examples([3])).await;
    assert_eq!(told(&some.await.unwrap()), all_ok([2]));
    assert_eq!(told(&ever.await.unwrap()), all_ok([3]));
    let deadlines: Vec<_> = stage
        .fake
        .runs()
        .into_iter()
        .map(|run| run.deadline)
        .collect();
    let latest = Some((now + Duration::from_millis(300)).into_std());
    assert_eq!(deadlines, [None, latest, None, None]);
}

#[tokio::test(start_paused = true)]
async fn preferred_sizes_are_kept_to_by_the_fixed_policy() {
    let config = Config {
        preferred_batch_sizes: vec![2, 4],
        ..config(8)
    };
    let stage = Stage::new(Fake::new().takes(MS * 10), config);
    assert_eq!(told(&stage.infer(examples(0..7)).await), all_ok(0..7));
    assert_eq!(
        stage.fake.batches(),
        [vec![0, 1, 2, 3], vec![4, 5], vec![6]]
    );
}
