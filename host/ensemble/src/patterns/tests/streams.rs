//! States of streams: whose, in which order, for how long and how many.

use super::fake::{Fake, example, fake_of, metrics, spec, tell, tensors_of, told, value};
use crate::Step;
use crate::patterns::*;
use consort_inference::{Call, Datatype, Example, FailureKind, TenantId};
use futures_util::future::join;
use std::sync::Arc;
use std::time::Duration;

/// Adds `x` to the sum so far; 13 fails, 14 finds no room.
fn summing() -> Arc<Fake> {
    let number = |name| spec(name, Datatype::Int64, &[1]);
    let (inputs, outputs) = (
        vec![number("x"), number("sum")],
        vec![number("y"), number("next")],
    );
    Arc::new(fake_of("sum", inputs, outputs, |tensors| {
        let x = value(tensors, "x");
        let sum = x + value(tensors, "sum");
        match x {
            13 => Err(FailureKind::ModelFailed),
            14 => Err(FailureKind::QueueFull),
            _ => Ok(tensors_of(&[("y", sum), ("next", sum)])),
        }
    }))
}

fn stateful(body: &Arc<Fake>, keys_max: usize) -> Stateful {
    let pairs = vec![("sum".into(), "next".into())];
    let config = StatefulConfig {
        idle: Duration::from_secs(60),
        keys_max,
        ..StatefulConfig::new("sum", body.clone(), pairs)
    };
    Stateful::new(config, &metrics()).unwrap()
}

/// `a1 b2`: one added to stream a, then two to stream b.
fn rows(text: &str) -> Vec<Example> {
    let row = |word: &str| {
        let (key, x) = word.split_at(1);
        example(Some(key), tensors_of(&[("x", x.parse().unwrap())]))
    };
    text.split_whitespace().map(row).collect()
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_stream_run_one_by_one_and_streams_share_calls() {
    let body = summing();
    let step = stateful(&body, 100);
    let results = told(&step, rows("a1 a2 b10 a3 c100 b20")).await;
    assert_eq!(results, ["1", "3", "10", "6", "100", "30"]);
    assert_eq!(body.calls(), ["a b c", "a b", "a"]);
    assert_eq!(told(&step, rows("a4 c1 d1")).await, ["10", "101", "1"]);
    let names: Vec<_> = step
        .signature()
        .outputs
        .iter()
        .map(|spec| &*spec.name)
        .collect();
    assert_eq!(names, ["y"], "the state is nobody else's");
}

#[tokio::test(start_paused = true)]
async fn calls_that_share_streams_run_in_their_order() {
    let body = summing();
    let step = stateful(&body, 100);
    let (first, second) = join(told(&step, rows("a1 b1 a1")), told(&step, rows("b5 c5 a5"))).await;
    assert_eq!(
        (first, second),
        (
            ["1", "1", "2"].map(str::to_owned).to_vec(),
            ["6", "5", "7"].map(str::to_owned).to_vec(),
        )
    );
}

#[tokio::test(start_paused = true)]
async fn tenants_with_one_key_have_two_states() {
    let step = stateful(&summing(), 100);
    let mut both = rows("a1 a1");
    both[1].tenant = "other".parse().unwrap();
    assert_eq!(told(&step, both).await, ["1", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_row_leaves_the_state_as_it_was() {
    let step = stateful(&summing(), 100);
    let results = told(&step, rows("a1 a13 a2")).await;
    assert_eq!(results, ["1", "model_failed", "3"]);
}

#[tokio::test(start_paused = true)]
async fn idle_streams_begin_again_with_zeros() {
    let step = stateful(&summing(), 100);
    told(&step, rows("a1 b1")).await;
    tokio::time::advance(Duration::from_secs(40)).await;
    assert_eq!(told(&step, rows("a1")).await, ["2"]);
    tokio::time::advance(Duration::from_secs(40)).await;
    assert_eq!(told(&step, rows("a1")).await, ["3"]);
    assert_eq!(step.keys(), 1, "b is gone");
    assert_eq!(told(&step, rows("b1")).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_table_forgets_the_longest_idle_and_refuses_when_all_are_at_work() {
    let step = stateful(&summing(), 2);
    told(&step, rows("a1 b1")).await;
    told(&step, rows("a1")).await;
    assert_eq!(told(&step, rows("c1")).await, ["1"]);
    assert_eq!(
        told(&step, rows("a1")).await,
        ["3"],
        "b was idle for longer"
    );
    assert_eq!(
        told(&step, rows("x1 y1 z1 y1")).await,
        ["1", "1", "queue_full", "2"]
    );
    assert_eq!(step.keys(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_row_without_key_is_the_clients_mistake() {
    let step = stateful(&summing(), 2);
    let mut rows = rows("a1 a1 a1");
    rows[1].key = None;
    rows[2].key = Some("k".repeat(1025).into());
    assert_eq!(
        told(&step, rows).await,
        ["1", "invalid_argument", "invalid_argument"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_given_up_in_the_middle_holds_nobody_up() {
    let mut body = Arc::into_inner(summing()).unwrap();
    body.takes = Duration::from_secs(10);
    let step = stateful(&Arc::new(body), 100);
    told(&step, rows("a1")).await;
    let given_up = tokio::time::timeout(Duration::from_secs(1), told(&step, rows("a5 b5 a5")));
    let (given_up, next) = join(given_up, told(&step, rows("a2 b2"))).await;
    assert!(given_up.is_err());
    assert_eq!(next, ["3", "2"], "the old states were kept");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_stream_waits_no_longer_than_its_deadline() {
    let mut body = Arc::into_inner(summing()).unwrap();
    body.takes = Duration::from_secs(10);
    let step = stateful(&Arc::new(body), 100);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    let hurried = Call {
        deadline: Some(deadline.into_std()),
        ..Call::default()
    };
    let (first, second) = join(told(&step, rows("a1")), step.run(rows("a2"), hurried)).await;
    assert_eq!(first, ["1"]);
    let second: Vec<String> = second.into_iter().map(tell).collect();
    assert_eq!(second, ["deadline_exceeded"]);
    assert_eq!(told(&step, rows("a3")).await, ["4"]);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_asked_again_goes_back_with_what_follows_it() {
    let body = summing();
    let step = stateful(&body, 100);
    let results = told(&step, rows("a1 a14 a2 b1 a3")).await;
    let full = "queue_full";
    assert_eq!(results, ["1", full, full, "1", full]);
    assert_eq!(body.calls(), ["a b", "a"]);
    assert_eq!(told(&step, rows("a5 a2 a3")).await, ["6", "8", "11"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_forgotten_begins_anew() {
    let step = stateful(&summing(), 2);
    let forget = |key: &str| step.states()[0].forget(&TenantId::default(), &key.into());
    assert_eq!(told(&step, rows("a1 a1 b1")).await, ["1", "2", "1"]);
    forget("a");
    forget("nobody");
    assert_eq!(step.keys(), 1, "only b is left");
    assert_eq!(told(&step, rows("a5 b1")).await, ["5", "2"]);
    // There is room for one more instead, and b is still the longest idle.
    forget("a");
    assert_eq!(told(&step, rows("c1")).await, ["1"]);
    assert_eq!(told(&step, rows("b1 c1")).await, ["3", "2"]);
    assert_eq!(step.keys(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_at_work_while_its_stream_is_forgotten_goes_on() {
    let mut body = Arc::into_inner(summing()).unwrap();
    body.takes = Duration::from_secs(10);
    let step = stateful(&Arc::new(body), 100);
    let states = step.states()[0].clone();
    let forgets = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        states.forget(&TenantId::default(), &"a".into());
    };
    let (results, ()) = join(told(&step, rows("a1")), forgets).await;
    assert_eq!(results, ["1"]);
    assert_eq!(told(&step, rows("a1")).await, ["2"]);
}
