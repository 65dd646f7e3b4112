//! Split, canary, route and fallback.

use super::fake::{example, fake, member, metrics, numbered, plus, tell, tensors_of, told};
use crate::Step;
use crate::patterns::*;
use consort_inference::{Call, Datatype, FailureKind, Headers, Tensor};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn split(arms: &[(&str, u32)], sticky: Sticky) -> Split {
    let arms = arms.iter().map(|(name, weight)| SplitArm {
        weight: *weight,
        member: plus(name, 0),
    });
    let config = SplitConfig {
        name: "ab".into(),
        arms: arms.collect(),
        sticky,
    };
    Split::new(config, &metrics()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_split_calls_each_arm_once_and_keeps_the_order() {
    let (a, b) = (fake("a", Ok), fake("b", |x| Ok(-x)));
    let arms = [&a, &b].map(|arm| SplitArm {
        weight: 1,
        member: member(arm),
    });
    let metrics = metrics();
    let config = SplitConfig {
        name: "ab".into(),
        arms: arms.into(),
        sticky: Sticky::Key,
    };
    let split = Split::new(config, &metrics).unwrap();
    let values: Vec<i64> = (1..=100).collect();
    let first = told(&split, numbered(&values)).await;
    for (x, result) in values.iter().zip(&first) {
        assert!(
            *result == format!("{x} a") || *result == format!("-{x} b"),
            "{result}"
        );
    }
    assert_eq!((a.calls().len(), b.calls().len()), (1, 1));
    assert_eq!(
        told(&split, numbered(&values)).await,
        first,
        "keys stay on their arms"
    );
    let counted = ["a", "b"].map(|arm| metrics.arm_count("ab", arm, "ok"));
    assert_eq!(counted.iter().sum::<u64>(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_header_keeps_a_user_on_one_arm_whatever_the_key() {
    let split = split(&[("a", 1), ("b", 1)], Sticky::Header("x-user".into()));
    assert_eq!(split.headers(), ["x-user".into()]);
    let mut taken = BTreeMap::<String, usize>::new();
    for user in 0..64 {
        let header = ("x-user".into(), format!("user {user}").into());
        let call = Call {
            headers: Headers::from_iter([header]),
            ..Call::default()
        };
        let results = split.run(numbered(&[0; 8]), call).await;
        let arms: Vec<String> = results.into_iter().map(tell).collect();
        assert!(arms.iter().all(|arm| *arm == arms[0]), "{arms:?}");
        *taken.entry(arms[0].clone()).or_default() += 1;
    }
    assert_eq!(taken.len(), 2, "both arms are taken: {taken:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Over many keys each arm gets its weight, within five standard deviations.
    #[test]
    fn weights_hold_over_many_keys(weights in prop::collection::vec(1u32..100, 2..5), sticky: bool) {
        let names = ["a", "b", "c", "d"];
        let arms: Vec<(&str, u32)> = names.into_iter().zip(weights.iter().copied()).collect();
        let split = split(&arms, if sticky { Sticky::Key } else { Sticky::No });
        let count = 20_000;
        let clock = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let results = clock.block_on(told(&split, numbered(&vec![0; count])));
        let total = f64::from(weights.iter().sum::<u32>());
        for (name, weight) in arms {
            let share = f64::from(weight) / total;
            let taken = results.iter().filter(|result| **result == format!("0 {name}")).count();
            let expected = share * count as f64;
            let deviation = (count as f64 * share * (1.0 - share)).sqrt();
            prop_assert!((taken as f64 - expected).abs() <= 5.0 * deviation + 1.0, "{name}: {taken} of {expected}");
        }
    }
}

fn canary(base: Member, canary: Member, percent: f64, metrics: &PatternMetrics) -> Canary {
    let config = CanaryConfig {
        name: "new".into(),
        base,
        canary,
        percent,
        sticky: Sticky::Key,
        window: 20,
        errors_max_percent: 10.0,
    };
    Canary::new(config, metrics).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_fails_stops_and_callers_notice_nothing() {
    let broken = fake("v2", |_| Err(FailureKind::ModelFailed));
    let canary = canary(plus("v1", 1), member(&broken), 50.0, &metrics());
    assert_eq!(canary.state(), CanaryState::Running);
    let results = told(&canary, numbered(&[1; 100])).await;
    assert!(results.iter().all(|result| result == "2 v1"), "{results:?}");
    assert!(matches!(
        canary.state(),
        CanaryState::Stopped {
            canary_failures: 3,
            ..
        }
    ));
    told(&canary, numbered(&[1; 100])).await;
    assert_eq!(broken.calls().len(), 1, "it is not called again");
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_client_stop_no_canary_and_are_not_tried_again() {
    let base = fake("v1", Ok);
    let strict = fake("v2", |_| Err(FailureKind::InvalidArgument));
    let canary = canary(member(&base), member(&strict), 100.0, &metrics());
    let results = told(&canary, numbered(&[1; 100])).await;
    assert!(results.iter().all(|result| result == "invalid_argument"));
    assert_eq!(canary.state(), CanaryState::Running);
    assert!(base.calls().is_empty());
}

fn route(tensor_is_read: bool, default: bool) -> Route {
    let case = |value: &str, member| Case {
        value: value.into(),
        member,
    };
    let config = RouteConfig {
        name: "r".into(),
        tensor: if tensor_is_read { "x" } else { "lang" }.into(),
        spec: Some(super::fake::spec("lang", Datatype::Bytes, &[1])),
        cases: match tensor_is_read {
            true => vec![case("1", plus("one", 0)), case("-2", plus("two", 0))],
            false => vec![
                case("de", plus("german", 0)),
                case("en", plus("english", 0)),
            ],
        },
        default: default.then(|| plus("other", 0)),
    };
    Route::new(config, &metrics()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_route_goes_by_numbers_and_by_texts() {
    let by_number = route(true, true);
    let results = told(&by_number, numbered(&[1, 7, -2])).await;
    assert_eq!(results, ["1 one", "7 other", "-2 two"]);
    let by_text = route(false, false);
    let text = |text: &str| {
        let mut tensors = tensors_of(&[("x", 5)]);
        tensors.insert("lang", Tensor::from_byte_strings(vec![1], [text]).unwrap());
        example(None, tensors)
    };
    let results = by_text
        .run(["en", "fr", "de"].map(text).into(), Call::default())
        .await;
    let message = results[1].as_ref().unwrap_err().message.clone();
    assert_eq!(
        message,
        "no way is for \"fr\" in \"lang\"; there are: de, en"
    );
    let results: Vec<String> = results.into_iter().map(tell).collect();
    assert_eq!(results, ["5 english", "invalid_argument", "5 german"]);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_takes_what_may_be_mended() {
    let first = fake("first", |x| match x {
        1 => Err(FailureKind::ModelFailed),
        2 => Err(FailureKind::InvalidArgument),
        3 => Err(FailureKind::DeadlineExceeded),
        4 => Err(FailureKind::QueueFull),
        x => Ok(x),
    });
    let second = fake("second", |x| match x {
        4 => Err(FailureKind::ModelFailed),
        x => Ok(-x),
    });
    let config = FallbackConfig {
        name: "f".into(),
        first: member(&first),
        second: member(&second),
    };
    let fallback = Fallback::new(config, &metrics()).unwrap();
    let results = fallback
        .run(numbered(&[0, 1, 2, 3, 4]), Call::default())
        .await;
    let message = results[4].as_ref().unwrap_err().message.clone();
    assert_eq!(
        message,
        "as told; the fallback \"second\" failed too: as told"
    );
    let results: Vec<String> = results.into_iter().map(tell).collect();
    assert_eq!(
        results,
        [
            "0",
            "-1 second",
            "invalid_argument",
            "deadline_exceeded",
            "queue_full"
        ]
    );
    assert_eq!(second.calls(), ["1 4"]);
}
