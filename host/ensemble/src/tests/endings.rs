//! How the way of an example ends: by an answer, a failure, a deadline, or because nobody
//! waits any more.

use super::sketch::sketch;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn an_answer_ends_the_example_and_what_nobody_else_needs() {
    let play = sketch(
        "plugin gate: x -> g | 1ms answers 3 -> label
         model slow: x -> y | 9ms
         plugin post: y g -> label",
    )
    .unwrap();
    // Alone, the slow model is abandoned as soon as the gate has answered.
    assert_eq!(play.run(&[3]).await, ["label=-3 by gate:1"]);
    tokio::task::yield_now().await;
    assert_eq!(play.elapsed(), 1);
    assert_eq!(play.log.lines(), ["gate [0] 0-1", "slow abandoned at 1"]);
    // With company, it runs on for the other.
    assert_eq!(
        play.run(&[3, 4]).await,
        ["label=-3 by gate:1", "label=8 by slow:1"]
    );
    assert_eq!(
        play.log.lines()[2..],
        ["post [1] 10-10", "slow [0 1] 1-10", "slow abandoned at 1"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_its_example_only_and_at_once() {
    let play = sketch(
        "plugin pre: text -> x
         model left: x -> l | 1ms fails 3
         model right: x -> r | 9ms
         plugin join: l r -> y",
    )
    .unwrap();
    assert_eq!(play.run(&[3]).await, ["left: model_failed"]);
    assert_eq!(play.elapsed(), 1);
    assert_eq!(
        play.run(&[2, 3]).await,
        ["y=4 by right:1", "left: model_failed"]
    );
}

#[tokio::test(start_paused = true)]
async fn of_two_ends_the_first_counts() {
    let play = sketch(
        "plugin pre: text -> x
         model left: x -> l | 2ms fails 3
         model right: x -> r | 1ms full 3
         plugin join: l r -> y",
    )
    .unwrap();
    assert_eq!(play.run(&[3]).await, ["right: queue_full"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_an_error_of_the_request_and_no_wait() {
    let play = sketch(
        "plugin pre: text -> x
         model left: x -> l | full 3
         model right: x -> r | 60000ms
         plugin join: l r -> y",
    )
    .unwrap();
    assert_eq!(play.run(&[3]).await, ["left: queue_full"]);
    assert_eq!(play.elapsed(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_after_the_deadline_on_any_branch() {
    let play = sketch(
        "plugin pre: text -> x | 1ms
         model left: x -> l | 2ms
         model late: l -> m | 1ms
         model right: x -> r | 6ms
         plugin join: m r -> y",
    )
    .unwrap();
    let results = play.run_call(&[1], play.deadline(2)).await;
    assert_eq!(results, ["late: deadline_exceeded"]);
    // The other branch is abandoned with it.
    assert_eq!(play.elapsed(), 3);
    tokio::task::yield_now().await;
    assert_eq!(
        play.log.lines(),
        ["left [0] 1-3", "pre [0] 0-1", "right abandoned at 3"]
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_takes_every_step_along() {
    let play = sketch(
        "plugin pre: text -> x | 1ms
         model left: x -> l | 5ms
         model right: x -> r | 6ms
         plugin join: l r -> y",
    )
    .unwrap();
    let patience = Duration::from_millis(3);
    let left = tokio::time::timeout(patience, play.run(&[1, 2])).await;
    assert!(left.is_err());
    tokio::task::yield_now().await;
    assert_eq!(
        play.log.lines(),
        [
            "left abandoned at 3",
            "pre [0 1] 0-1",
            "right abandoned at 3"
        ]
    );
    assert_eq!(play.ensemble.inflight(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_panics_beside_others_fails_its_own_examples() {
    let play = sketch(
        "out y l
         plugin pre: text -> x
         model left: x -> l | panics 3 optional
         model right: x -> y | +1",
    )
    .unwrap();
    assert_eq!(
        play.run(&[2, 3]).await,
        [
            "y=3 by right:1, without left (internal)",
            "y=4 by right:1, without left (internal)",
        ]
    );
    assert_eq!(play.run(&[2]).await, ["y=3 l=2 by right:1"]);
}
