//! Shadows: copies that nobody waits for.

use crate::{place, run};
use consort_tests::place::{Place, infer, metric, numbers};
use consort_tests::server::Server;
use consort_tests::{guest, until};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

#[test]
fn a_shadow_changes_nothing_and_a_fallback_waits_for_a_failure() {
    let place = place(
        "[[ensemble.e.step]]\nmodel = \"one\"\nshadow = { to = \"ten\" }\nfallback = \"hundred\"\n",
    );
    assert_eq!(run(&place, 1)[0].0, 1.0);
}

/// How many copies had that outcome.
fn copies(server: &Server, step: &str, outcome: &str) -> f64 {
    let series = "consort_shadow_examples_total";
    metric(
        server,
        &format!("{series}{{step=\"{step}.shadow\",outcome=\"{outcome}\"}}"),
    )
}

/// Serves `one` with a shadow, and asks for rows.
fn shadowed(shadow: &str, asked: &[&[f32]]) -> Server {
    let step = "[[ensemble.e.step]]\nmodel = \"one\"\n";
    let server = place(&format!("{step}shadow = {{ {shadow} }}\n")).serve();
    for rows in asked {
        let (status, body) = infer(&server, "e", &numbers("x", rows));
        assert_eq!(status, 200, "{body}");
        let plus_one: Vec<f32> = rows.iter().map(|x| x + 1.0).collect();
        assert_eq!(body["outputs"][0]["data"], json!(plus_one));
    }
    server
}

#[test]
fn a_shadow_that_fails_is_counted_and_nobody_notices() {
    let server = shadowed("to = \"few\"", &[&[5.0], &[6.0, 7.0], &[0.0]]);
    until(|| copies(&server, "one", "failed") == 3.0);
    until(|| copies(&server, "one", "different") == 1.0);
}

#[test]
fn copies_beyond_what_may_be_under_way_are_dropped() {
    for limit in ["inflight_max = 2", "inflight_bytes_max = 23"] {
        // Rows of three take three places, and 12 bytes in and out each way.
        let server = shadowed(&format!("to = \"uno\", {limit}"), &[&[1.0, 2.0, 3.0]]);
        until(|| copies(&server, "one", "dropped") == 3.0);
        let (status, _) = infer(&server, "e", &numbers("x", &[1.0]));
        assert_eq!(status, 200);
        until(|| copies(&server, "one", "equal") == 1.0);
        assert_eq!(copies(&server, "one", "dropped"), 3.0, "{limit}");
    }
    let roomy = "to = \"uno\", inflight_max = 3, inflight_bytes_max = 24";
    let server = shadowed(roomy, &[&[1.0, 2.0, 3.0]]);
    until(|| copies(&server, "one", "equal") == 3.0);
}

#[test]
fn a_copy_that_takes_too_long_has_failed() {
    let plugin = |name: &str, guest_name: &str| {
        let limits = "limits = { wall_time_ms_max = 3600000 }";
        format!(
            "[plugin.{name}]\npath = {:?}\n{limits}\n",
            guest(guest_name)
        )
    };
    let place = Place::new(&format!(
        "{}{}[[ensemble.sleeps.step]]\nplugin = \"sleepy\"\n\
         [[ensemble.passes.step]]\nplugin = \"identity\"\nrole = \"postprocess\"\n\
         [[ensemble.e.step]]\nensemble = \"passes\"\n\
         shadow = {{ to = \"sleeps\", timeout_ms = 50 }}\n",
        plugin("sleepy", "sleep_forever"),
        plugin("identity", "identity"),
    ));
    let server = place.serve();
    let asked = Instant::now();
    let body: Value =
        json!({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [13]}]});
    let (status, body) = infer(&server, "e", &body);
    assert_eq!((status, &body["outputs"][0]["data"]), (200, &json!([13])));
    until(|| copies(&server, "passes", "failed") == 1.0);
    // Without the key it would have had half a minute.
    assert!(asked.elapsed() < Duration::from_secs(25));
}
