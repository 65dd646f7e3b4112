//! One of several: splits, canaries, routes, fallbacks.

use crate::{lines, message, place, run, y};
use consort_tests::place::numbers;
use consort_tests::server::Server;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn a_split_keeps_a_key_on_its_arm_and_says_which() {
    let place = place(
        "[[ensemble.e.step]]\nname = \"ab\"\nsplit = { one = 50, ten = 50 }\nsticky = \"key\"\n",
    );
    let first = run(&place, 200);
    assert_eq!(first, run(&place, 200));
    for (y, arms) in &first {
        let arm = if *y == 1.0 { "one" } else { "ten" };
        assert_eq!(arms, &json!({"ab": arm}));
    }
    let ones = first.iter().filter(|(y, _)| *y == 1.0).count();
    assert!((50..150).contains(&ones), "{ones} of 200");
}

/// What the ensemble `e` makes of 0 for a user.
fn asked_by(server: &Server, user: usize) -> i64 {
    let user = format!("user {user}");
    let (path, body) = ("/v2/models/e/infer", numbers("x", &[0.0]).to_string());
    let response = server.request("POST", path, &[("X-User", &user)], body.as_bytes());
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["outputs"][0]["data"][0].as_f64().unwrap() as i64
}

#[test]
fn a_header_keeps_a_user_on_an_arm_over_http() {
    for step in [
        "split = { one = 50, ten = 50 }\nsticky = \"header:X-User\"\n",
        "model = \"one\"\ncanary = { to = \"ten\", percent = 50, sticky = \"header:X-User\" }\n",
    ] {
        let server = place(&format!("[[ensemble.e.step]]\n{step}")).serve();
        let ask = |user| asked_by(&server, user);
        let first: Vec<i64> = (0..40).map(ask).collect();
        for _ in 0..2 {
            assert_eq!(first, (0..40).map(ask).collect::<Vec<_>>(), "{step}");
        }
        let arms: BTreeSet<i64> = first.into_iter().collect();
        assert_eq!(arms, BTreeSet::from([1, 10]), "{step}");
    }
}

#[test]
fn an_arm_that_always_fails_is_named_and_the_others_are_well() {
    let place = place("[[ensemble.e.step]]\nsplit = { one = 50, few = 50 }\nsticky = \"key\"\n");
    let (predicted, dead) = place.predicted("e", &lines(&[5.0; 100]));
    assert_eq!(predicted.len() + dead.len(), 100);
    assert!((25..75).contains(&dead.len()), "{}", dead.len());
    for line in &predicted {
        assert_eq!((y(line), &line["arms"]["split"]), (6.0, &json!("one")));
    }
    for letter in &dead {
        let error = &letter["error"];
        assert_eq!(error["step"], "few", "{letter}");
        assert_eq!(error["kind"], "model_failed", "{letter}");
        assert!(message(letter).contains("out of data bounds"), "{letter}");
    }
}

/// What is counted of a canary on examples that it always fails: whether it runs, and how
/// often it stopped.
fn canary(keys: &str) -> (u64, u64) {
    let place = place(&format!(
        "[[ensemble.e.step]]\nmodel = \"one\"\ncanary = {{ to = \"few\", {keys} }}\n"
    ));
    let metrics = ["--metrics", "metrics.json"];
    let (predicted, dead, ran) = place.ran("e", &lines(&[5.0; 200]), &metrics);
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(predicted.len(), 200);
    assert!(predicted.iter().all(|line| y(line) == 6.0));
    let told = fs::read_to_string(place.path().join("metrics.json")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let value = |name: &str| told["families"][name][0]["value"].as_f64();
    let count = |name| value(name).unwrap_or_default() as u64;
    let (running, stops) = (
        count("consort_canary_running"),
        count("consort_canary_stops"),
    );
    let said = ran.stderr.contains("the canary failed too often");
    assert_eq!(said, stops == 1, "{}", ran.stderr);
    (running, stops)
}

#[test]
fn a_canary_that_fails_stops_and_nobody_notices() {
    assert_eq!(
        canary("percent = 50, window = 10, errors_max_percent = 10"),
        (0, 1)
    );
    // A hundred of a hundred may fail, or nobody takes it, or the window is too long to tell.
    assert_eq!(
        canary("percent = 50, window = 10, errors_max_percent = 100"),
        (1, 0)
    );
    assert_eq!(
        canary("percent = 0.01, window = 1, errors_max_percent = 0"),
        (1, 0)
    );
    assert_eq!(
        canary("percent = 50, window = 10000, errors_max_percent = 10"),
        (1, 0)
    );
}

#[test]
fn a_route_goes_by_a_text_and_refuses_what_it_does_not_know() {
    let line = |lang: &str| json!({"key": lang, "inputs": {"x": [0.0], "lang": [lang]}});
    let input = ["de", "fr", "it", "de"].map(line);
    let step = "[[ensemble.e.step]]\nroute = \"lang\"\ncases = { de = \"one\", fr = \"ten\" }\n";
    let (predicted, dead) = place(step).predicted("e", &input);
    assert_eq!(
        predicted.iter().map(y).collect::<Vec<_>>(),
        [1.0, 10.0, 1.0]
    );
    assert_eq!(predicted[1]["arms"], json!({"route": "ten"}));
    assert_eq!((dead.len(), &dead[0]["key"]), (1, &json!("it")));
    assert_eq!(dead[0]["error"]["kind"], "invalid_argument");
    let told = "no way is for \"it\" in \"lang\"; there are: de, fr";
    assert_eq!(message(&dead[0]), told);

    let (predicted, dead) = place(&format!("{step}default = \"hundred\"\n")).predicted("e", &input);
    assert!(dead.is_empty(), "{dead:?}");
    let ys: Vec<f64> = predicted.iter().map(y).collect();
    assert_eq!(ys, [1.0, 10.0, 100.0, 1.0]);
}

#[test]
fn a_fallback_takes_what_fails_and_nothing_else() {
    let place = place("[[ensemble.e.step]]\nmodel = \"few\"\nfallback = \"hundred\"\n");
    let (predicted, dead) = place.predicted("e", &lines(&[1.0, 5.0, 2.0]));
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(
        predicted.iter().map(y).collect::<Vec<_>>(),
        [1.5, 105.0, 2.5]
    );
    let arms: Vec<&Value> = predicted.iter().map(|line| &line["arms"]).collect();
    let taken = json!({"few.fallback": "hundred"});
    assert_eq!(arms, [&Value::Null, &taken, &Value::Null]);
}

#[test]
fn a_fallback_that_fails_too_is_told_beside_the_first() {
    let place = place(
        "[[ensemble.again.step]]\nmodel = \"few\"\n\
         [[ensemble.e.step]]\nmodel = \"few\"\nfallback = \"again\"\n",
    );
    let (predicted, dead) = place.predicted("e", &lines(&[1.0, 5.0]));
    assert_eq!((predicted.len(), dead.len()), (1, 1));
    let told = message(&dead[0]);
    assert!(
        told.contains("; the fallback \"again\" failed too: "),
        "{told}"
    );
}
