//! `--trace`: where the time of a call went, as pictures and in Chrome's form.

use consort_tests::place::{Place, infer, numbers};
use consort_tests::server::Server;
use consort_tests::{onnx, run, until};
use serde_json::{Value, json};

/// Two models in a row, behind a pattern.
fn place() -> Place {
    let place = Place::new(
        "[model.one]\npath = \"one.onnx\"\n[model.ten]\npath = \"ten.onnx\"\n\
         [[ensemble.e.step]]\nname = \"first\"\nmodel = \"one\"\noutputs = { y = \"x\" }\n\
         [[ensemble.e.step]]\nname = \"both\"\ncombine = \"average\"\nof = [\"one\", \"ten\"]\n",
    );
    place.write("one.onnx", &onnx::plus(1.0));
    place.write("ten.onnx", &onnx::plus(10.0));
    place
}

/// Names and kinds in the order of their begin, and what lies in time inside the first.
fn told(trace: &Value) -> Vec<(String, String)> {
    let events = trace["traceEvents"].as_array().unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let whole = number(&events[0]["dur"]);
    for event in events {
        let (begin, took) = (number(&event["ts"]), number(&event["dur"]));
        assert!(begin >= 0.0 && begin + took <= whole + 1.0, "{event}");
    }
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let named = events.iter();
    named
        .map(|event| (text(&event["name"]), text(&event["cat"])))
        .collect()
}

fn trace(place: &Place) -> Value {
    let text = std::fs::read(place.path().join("traces/e-000001.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Files appear when the call is over, written beside it.
fn files(place: &Place, count: usize) -> Vec<String> {
    let folder = place.path().join("traces");
    let names = || {
        let entries = std::fs::read_dir(&folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    until(|| names().len() >= count);
    names()
}

#[test]
fn a_jobs_first_calls_are_shown_step_by_step() {
    let place = place();
    let line = json!({"key": "k", "inputs": {"x": [1.0]}});
    place.write("in.jsonl", format!("{line}\n").repeat(3_000).as_bytes());
    let mut command = place.command("run");
    command.args([
        "--ensemble",
        "e",
        "--input",
        "in.jsonl",
        "--output",
        "out.jsonl",
    ]);
    let ran = run(command.args(["--trace", "traces", "--trace-calls", "2"]));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let names = files(&place, 4);
    let expected = [
        "e-000001.json",
        "e-000001.svg",
        "e-000002.json",
        "e-000002.svg",
    ];
    assert_eq!(names, expected);
    let told = told(&trace(&place));
    let has = |name: &str, kind: &str| told.contains(&(name.to_owned(), kind.to_owned()));
    assert_eq!(told[0], ("e".to_owned(), "request".to_owned()));
    assert!(has("first", "model") && has("ten", "model"), "{told:?}");
    assert!(
        has("the queue", "queue") && has("a batch", "batch"),
        "{told:?}"
    );
    let picture = place.path().join("traces/e-000001.svg");
    let picture = std::fs::read_to_string(picture).unwrap();
    assert!(
        picture.starts_with("<svg") && picture.contains(">first <"),
        "{picture}"
    );
}

#[test]
fn a_server_traces_as_many_requests_as_it_is_told() {
    let place = place();
    let server = Server::start_with(&place.path().join("consort.toml"), |command| {
        let folder = place.path().join("traces");
        command
            .arg("--trace")
            .arg(folder)
            .args(["--trace-calls", "1"])
    });
    for _ in 0..2 {
        let (status, _) = infer(&server, "e", &numbers("x", &[1.0, 2.0]));
        assert_eq!(status, 200);
    }
    assert_eq!(files(&place, 2), ["e-000001.json", "e-000001.svg"]);
    assert_eq!(
        trace(&place)["traceEvents"][0]["args"]["detail"],
        "2 examples"
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_said_before_anything_runs() {
    let place = place();
    place.write("in.jsonl", b"");
    place.write("traces", b"a file");
    let mut command = place.command("run");
    command.args([
        "--ensemble",
        "e",
        "--input",
        "in.jsonl",
        "--trace",
        "traces/here",
    ]);
    let ran = run(&mut command);
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("traces/here") && ran.stderr.contains("--trace"),
        "{}",
        ran.stderr
    );
}
