//! Several made one: averages, votes, any and all, a quorum.

use crate::{lines, message, place, run, y, ys};
use consort_tests::place::{infer, numbers};
use serde_json::{Value, json};

#[test]
fn an_average_is_weighed() {
    let place = place(
        "[[ensemble.e.step]]\ncombine = \"average\"\nof = [\"one\", \"ten\"]\nweights = [2, 1]\n",
    );
    assert_eq!(run(&place, 1), [(4.0, Value::Null)]);
}

#[test]
fn most_votes_win_then_the_weight_then_the_first() {
    let vote = |keys: &str| {
        let place = place(&format!(
            "[[ensemble.e.step]]\ncombine = \"vote\"\n{keys}\n"
        ));
        ys(&place, &[0.0, 5.0])
    };
    assert_eq!(vote("of = [\"ten\", \"one\", \"uno\"]"), [1.0, 6.0]);
    assert_eq!(vote("of = [\"ten\", \"one\"]"), [10.0, 15.0]);
    let weighed = vote("of = [\"ten\", \"one\"]\nweights = [1, 1.5]");
    assert_eq!(weighed, [1.0, 6.0]);
}

#[test]
fn any_and_all_are_for_booleans() {
    let told = |word: &str| {
        let place = place(&format!(
            "[[ensemble.e.step]]\ncombine = \"{word}\"\nof = [\"over_0\", \"over_5\"]\n"
        ));
        let (predicted, dead) = place.predicted("e", &lines(&[-1.0, 3.0, 7.0]));
        assert!(dead.is_empty(), "{dead:?}");
        let told = predicted.iter().map(|line| line["outputs"]["y"].clone());
        told.collect::<Vec<Value>>()
    };
    assert_eq!(told("any"), [json!(false), json!(true), json!(true)]);
    assert_eq!(told("all"), [json!(false), json!(false), json!(true)]);
    place("[[ensemble.e.step]]\ncombine = \"any\"\nof = [\"one\", \"ten\"]\n")
        .refused(&["only booleans are true or false: write \"vote\""]);
}

#[test]
fn a_quorum_may_do_and_who_failed_is_told() {
    let step = "[[ensemble.e.step]]\nname = \"jury\"\ncombine = \"vote\"\n\
                of = [\"one\", \"uno\", \"few\"]\n";
    let all = place(step);
    let (predicted, dead) = all.predicted("e", &lines(&[0.0, 5.0]));
    assert_eq!((predicted.len(), y(&predicted[0])), (1, 1.0));
    assert_eq!((dead.len(), &dead[0]["error"]["step"]), (1, &json!("few")));
    let told = "2 of the 3 members of \"jury\" succeeded and members_min is 3";
    assert!(message(&dead[0]).contains(told), "{dead:?}");

    let quorum = place(&format!("{step}members_min = 2\n"));
    let (predicted, dead) = quorum.predicted("e", &lines(&[0.0, 5.0]));
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!([y(&predicted[0]), y(&predicted[1])], [1.0, 6.0]);
    assert_eq!(predicted[0]["partial"], Value::Null);
    assert_eq!(predicted[1]["partial"][0]["step"], "few", "{predicted:?}");
    let (status, body) = infer(&quorum.serve(), "e", &numbers("x", &[5.0]));
    assert_eq!((status, &body["outputs"][0]["data"]), (200, &json!([6.0])));
    let partial = body["parameters"]["partial"].as_str().unwrap();
    assert!(partial.contains("few"), "{partial}");
}
