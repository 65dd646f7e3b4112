//! Steps that run on some examples only, and steps that examples can do without.

use super::sketch::sketch;

#[tokio::test(start_paused = true)]
async fn a_cascade_asks_the_dear_model_only_where_the_cheap_one_is_unsure() {
    let play = sketch(
        "model cheap: x -> y | 1ms
         model dear: x -> y | 9ms +100 when y < 3
         plugin post: y -> label",
    )
    .unwrap();
    assert_eq!(
        play.run(&[1, 5, 2, 7]).await,
        [
            "label=101 by dear:1",
            "label=5 by cheap:1",
            "label=102 by dear:1",
            "label=7 by cheap:1",
        ]
    );
    // Where the cheap one is sure of everything, the dear one does not run at all.
    assert_eq!(play.run(&[6]).await, ["label=6 by cheap:1"]);
    assert_eq!(
        play.log.lines(),
        [
            "cheap [0 1 2 3] 0-1",
            "cheap [0] 10-11",
            "dear [0 2] 1-10",
            "post [0 1 2 3] 10-10",
            "post [0] 11-11",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_optional_step_leaves_a_gap_where_it_fails() {
    let play = sketch(
        "out y extra dressed
         model m: x -> y | +1
         model spice: x -> extra | fails 3 optional
         plugin dress: extra -> dressed | +5",
    )
    .unwrap();
    assert_eq!(
        play.run(&[2, 3]).await,
        [
            "y=3 extra=2 dressed=7 by spice:1",
            "y=4 by m:1, without spice (model_failed)",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_optional_step_that_fails_leaves_what_was_there_before() {
    let play = sketch(
        "model m: x -> y | +1
         model better: x -> y | +100 fails 3 optional
         plugin post: y -> label",
    )
    .unwrap();
    assert_eq!(
        play.run(&[2, 3]).await,
        [
            "label=102 by better:1",
            "label=4 by m:1, without better (model_failed)",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_optional_step_with_a_condition_leaves_a_gap_where_it_does_not_hold() {
    let play = sketch(
        "out y extra
         model m: x -> y | +1
         model spice: x -> extra | when x > 5 optional",
    )
    .unwrap();
    assert_eq!(
        play.run(&[2, 9]).await,
        [
            "y=3 by m:1, without spice (skipped)",
            "y=10 extra=9 by spice:1"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_condition_on_what_is_absent_does_not_hold() {
    let play = sketch(
        "model m: x -> y | +1
         model score: x -> s | fails 3 optional
         model dear: x -> y | +100 when s > 0",
    )
    .unwrap();
    assert_eq!(
        play.run(&[2, 3]).await,
        [
            "y=102 by dear:1",
            "y=4 by m:1, without score (model_failed)"
        ]
    );
}

#[test]
fn what_is_left_where_a_step_is_passed_by_must_fit_too() {
    let error = sketch(
        "in x
         model m: x -> y
         model n: y -> z | when x > 1",
    );
    assert_eq!(
        error.err().unwrap(),
        "step \"n\": its condition may pass an example by, and nothing before it gives the tensor \
         \"z\", which is needed"
    );
}
