//! `runtime = "remote"` against a second Consort, which is killed and comes back.

use consort_tests::place::{Place, infer, metric, numbers};
use consort_tests::server::Server;
use consort_tests::{http, onnx, until};
use std::net::SocketAddr;

/// A Consort that serves `near`: one more than what it gets.
fn behind() -> Place {
    let place = Place::new("[model.near]\npath = \"near.onnx\"\nversion = \"7\"\n");
    place.write("near.onnx", &onnx::plus(1.0));
    place
}

/// A model there, by that name here.
fn far(name: &str, address: SocketAddr, keys: &str) -> String {
    format!(
        "[model.{name}]\nruntime = \"remote\"\nurl = \"http://{address}\"\n\
         remote_name = \"near\"\nretry_backoff_ms = 5\n{keys}\n"
    )
}

fn tries(server: &Server, model: &str, outcome: &str) -> f64 {
    let labels = format!("{{model=\"{model}\",version=\"1\",outcome=\"{outcome}\"}}");
    metric(server, &format!("consort_remote_requests_total{labels}"))
}

fn of_model(server: &Server, family: &str, model: &str) -> f64 {
    metric(
        server,
        &format!("{family}{{model=\"{model}\",version=\"1\"}}"),
    )
}

fn held_back(server: &Server, model: &str, reason: &str) -> f64 {
    let labels = format!("{{model=\"{model}\",version=\"1\",reason=\"{reason}\"}}");
    metric(server, &format!("consort_remote_held_back_total{labels}"))
}

#[test]
fn a_second_consort_that_is_killed_and_comes_back() {
    let place = behind();
    let manifest = place.path().join("consort.toml");
    let back = place.serve();
    let address = back.address;
    let front = Place::new(&format!(
        "{}{}{}",
        far(
            "hasty",
            address,
            "retries_max = 2\nbreaker_failures_max = 3\nbreaker_open_ms = 50\nthrottle_overload_ratio = 1000.0"
        ),
        far(
            "patient",
            address,
            "retries_max = 100\nbreaker_failures_max = 1000000\nthrottle_overload_ratio = 1000.0"
        ),
        far(
            "shy",
            address,
            "retries_max = 0\nbreaker_failures_max = 1000000\nthrottle_overload_ratio = 1.0"
        ),
    ));
    let front = front.serve();
    let ask = |model: &str| infer(&front, model, &numbers("x", &[1.0, 2.0, -3.5]));

    for model in ["hasty", "patient", "shy"] {
        let (status, body) = ask(model);
        assert_eq!(status, 200, "{body}");
        assert_eq!(
            body["outputs"][0]["data"],
            serde_json::json!([2.0, 3.0, -2.5])
        );
        assert_eq!(body["model_name"], model);
        assert!(tries(&front, model, "answered") >= 1.0);
        assert_eq!(of_model(&front, "consort_remote_retries_total", model), 0.0);
    }

    drop(back);
    // Two retries, which fail as well: three failures in a row open the breaker.
    let (status, body) = ask("hasty");
    assert_eq!(status, 503, "{body}");
    let message = body["error"].as_str().unwrap_or_default();
    assert!(message.contains(&address.to_string()), "{message}");
    assert_eq!(
        of_model(&front, "consort_remote_retries_total", "hasty"),
        2.0
    );
    assert_eq!(tries(&front, "hasty", "unreachable"), 3.0);
    assert_eq!(
        of_model(&front, "consort_remote_breaker_state", "hasty"),
        2.0
    );
    // Where nothing is answered, more and more is held back before it is sent, for as long
    // as its caller has time.
    let mut hurried = numbers("x", &[1.0]);
    hurried["parameters"] = serde_json::json!({"timeout": 100_000});
    for _ in 0..20 {
        let (status, body) = infer(&front, "shy", &hurried);
        assert_eq!(status, 503, "{body}");
    }
    assert!(tries(&front, "shy", "unreachable") < 20.0);
    assert!(held_back(&front, "shy", "throttle") > 0.0);
    // Whoever has more time waits, and the time is counted.
    hurried["parameters"] = serde_json::json!({"timeout": 1_500_000});
    until(|| {
        infer(&front, "shy", &hurried);
        of_model(&front, "cumulativeThrottlingSeconds_total", "shy") > 0.0
    });

    // A caller who waits while the server is away.
    let (front_address, body) = (front.address, numbers("x", &[40.0]).to_string());
    let waiting = std::thread::spawn(move || {
        let path = "/v2/models/patient/infer";
        http::request(front_address, "POST", path, &[], body.as_bytes())
    });
    until(|| of_model(&front, "consort_remote_retries_total", "patient") >= 3.0);
    let again = Server::start_at(&manifest, address);
    let waited = waiting.join().unwrap().unwrap();
    assert_eq!(waited.status, 200, "{}", waited.text());
    assert_eq!(
        waited.json()["outputs"][0]["data"],
        serde_json::json!([41.0])
    );

    // The breaker lets a call through after its time, and closes when that is answered.
    until(|| ask("hasty").0 == 200);
    assert_eq!(
        of_model(&front, "consort_remote_breaker_state", "hasty"),
        0.0
    );
    drop(again);
}

#[test]
fn a_server_that_is_not_there_at_the_start_is_a_problem_with_a_place() {
    let back = behind().serve();
    let address = back.address;
    drop(back);
    let keys = "retries_max = 0\nconnect_timeout_ms = 1000";
    let front = Place::new(&far("far", address, keys));
    front.refused(&[&address.to_string(), " --> consort.toml:4:7\n"]);
}
