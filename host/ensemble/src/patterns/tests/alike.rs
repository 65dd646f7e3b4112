//! What is refused before anything runs, all at once.

use super::fake::{fake, fake_of, member, metrics, plus, spec};
use crate::patterns::*;
use consort_inference::{Datatype, Tensors};
use std::sync::Arc;
use std::time::Duration;

fn text<T>(made: Result<T, PatternError>) -> String {
    match made {
        Ok(_) => "made".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_split_says_what_differs_between_its_arms() {
    let other = fake_of(
        "b",
        vec![spec("x", Datatype::Fp32, &[1])],
        vec![spec("z", Datatype::Int64, &[1])],
        |_| Ok(Tensors::new()),
    );
    let arm = |weight, member| SplitArm { weight, member };
    let config = SplitConfig {
        name: "ab".into(),
        arms: vec![arm(1, plus("a", 1)), arm(0, member(&Arc::new(other)))],
        sticky: Sticky::No,
    };
    assert_eq!(
        text(Split::new(config, &metrics())),
        "the split \"ab\" cannot be made:\n  \
         - the weight of \"b\" is not above zero; leave the member out instead\n  \
         - the input \"x\" is INT64 [1] in \"a\" and FP32 [1] in \"b\"; give all the same\n  \
         - \"a\" has the output \"y\" and \"b\" has not; give all the same\n  \
         - \"b\" has the output \"z\" and \"a\" has not; give all the same"
    );
}

#[test]
fn a_split_without_arms_is_none() {
    let config = SplitConfig {
        name: "ab".into(),
        arms: vec![],
        sticky: Sticky::Key,
    };
    let error = text(Split::new(config, &metrics()));
    assert!(error.contains("0 members"), "{error}");
}

#[test]
fn rules_work_on_some_datatypes_only() {
    let voter = |member| Voter {
        weight: 1.0,
        member,
    };
    for (rule, made) in [
        (Rule::Vote, true),
        (Rule::Average, false),
        (Rule::Any, false),
    ] {
        let error = text(Combine::new(CombineConfig {
            name: "c".into(),
            members: vec![voter(plus("a", 1)), voter(plus("b", 2))],
            rules: Combined::Each(vec![("y".into(), rule)]),
            members_min: None,
        }));
        let expected = format!("\"{}\" does not work on the output \"y\"", rule.as_str());
        assert!(
            if made {
                error == "made"
            } else {
                error.contains(&expected)
            },
            "{error}"
        );
    }
}

#[test]
fn canaries_and_for_each_refuse_settings_that_mean_nothing() {
    let error = text(Canary::new(
        CanaryConfig {
            name: "c".into(),
            base: plus("a", 1),
            canary: plus("b", 1),
            percent: f64::NAN,
            sticky: Sticky::No,
            window: 0,
            errors_max_percent: -1.0,
        },
        &metrics(),
    ));
    for key in ["`percent`", "`window`", "`errors_max_percent`"] {
        assert!(error.contains(key), "{error}");
    }
    let config = ForEachConfig::new("each", fake("a", Ok), vec!["crop".into()]);
    let error = text(ForEach::new(config));
    assert!(
        error.contains("no input \"crop\"; there are: \"x\""),
        "{error}"
    );
}

#[test]
fn a_state_is_one_tensor_of_a_fixed_size() {
    let body = fake_of(
        "rnn",
        vec![
            spec("h", Datatype::Fp32, &[2]),
            spec("c", Datatype::Fp32, &[-1]),
        ],
        vec![
            spec("hn", Datatype::Fp64, &[2]),
            spec("cn", Datatype::Fp32, &[-1]),
        ],
        |_| Ok(Tensors::new()),
    );
    let pairs = [("h", "hn"), ("c", "cn"), ("d", "cn")];
    let pairs = pairs.map(|(input, output)| (input.into(), output.into()));
    let config = StatefulConfig {
        idle: Duration::from_secs(1),
        bytes_max: 4,
        ..StatefulConfig::new("rnn", Arc::new(body), pairs.to_vec())
    };
    let error = text(Stateful::new(config, &metrics()));
    for part in [
        "the state \"h\" is FP32 [2], and \"hn\" is FP64 [2]",
        "the state \"c\" is FP32 [-1]; it begins with zeros",
        "there is no input \"d\"",
        "\"cn\" is named twice",
        "takes 8 bytes; `state_bytes_max` is 4",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_case_must_be_a_value_of_its_tensor() {
    let case = |value: &str| Case {
        value: value.into(),
        member: plus("a", 1),
    };
    let config = RouteConfig {
        name: "r".into(),
        tensor: "x".into(),
        spec: None,
        cases: vec![case("one")],
        default: None,
    };
    let error = text(Route::new(config, &metrics()));
    assert!(error.contains("INT64 [1] and never \"one\""), "{error}");
}
