//! How a run or a server ends that is stopped.

use crate::place::{Place, interrupt, keys, lines, marked, says};
use consort_tests::http::Response;
use consort_tests::server::Server;
use consort_tests::{Ran, consort, run, until};
use serde_json::Value;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;
use std::process::Stdio;

#[test]
fn ctrl_c_among_files_loses_none() {
    let keys_of_job = "[job]\ncall_examples_max = 1\ninflight_max = 4\ncancel_grace_ms = 200\n";
    let place = Place::new("loop_forever", keys_of_job);
    place.sizes(1..=30);
    let arguments = [
        "--input",
        "sizes",
        "--output",
        "out",
        "--dead-letter",
        "dead",
    ];
    let mut command = place.command(&arguments);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let out = place.path().join("out");
    // One of them never ends, the others do.
    until(|| fs::read_to_string(&out).unwrap_or_default().lines().count() == 29);
    interrupt(&child);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.status, 130, "{}", ran.stderr);
    says(
        &ran.stderr,
        &[
            "interrupted: 1 examples in flight were given up",
            "request, cancelled",
        ],
    );
    let letter: Value = serde_json::from_str(&place.read("dead")).unwrap();
    assert_eq!(letter["key"], "sizes/13");
    assert_eq!(letter["error"]["kind"], "cancelled");
    let message = letter["error"]["message"].as_str().unwrap();
    says(
        message,
        &["the job was interrupted before the example was answered"],
    );
    assert_eq!(keys(&place.read("out")).len(), 29);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let keys_of_job = "[job]\ncall_examples_max = 1\ncancel_grace_ms = 60000\n";
    let place = Place::new("loop_forever", keys_of_job);
    place.sizes(12..=14);
    let mut command = place.command(&["--input", "sizes", "--output", "out"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let out = place.path().join("out");
    until(|| fs::read_to_string(&out).unwrap_or_default().lines().count() == 2);
    until(|| {
        if child.try_wait().unwrap().is_none() {
            interrupt(&child);
        }
        child.try_wait().unwrap().is_some()
    });
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.status, 130, "{}", ran.stderr);
    says(&ran.stderr, &["stopped at once by a second signal"]);
    assert_eq!(place.read("out").lines().count(), 2);
}

#[test]
fn a_reader_that_leaves_ends_the_run() {
    let place = Place::new("identity", "[job]\ninflight_max = 8\n");
    place.write("in", &lines(0..20_000));
    let mut command = place.command(&["--input", "in", "--input-format", "jsonl"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    drop(reader);
    assert_eq!(keys(&first).len(), 1);
    let ran = Ran::from(child.wait_with_output().unwrap());
    says(&ran.stderr, &["the reader of the output has left"]);
}

/// Asks for what never ends, and comes back when the plugin runs.
fn ask_for_ever(server: &Server) -> std::thread::JoinHandle<io::Result<Response>> {
    let address = server.address;
    let asking = std::thread::spawn(move || {
        let path = "/v2/models/numbers/infer";
        consort_tests::http::request(address, "POST", path, &[], marked().as_bytes())
    });
    until(|| {
        let metrics = server.get("/metrics").text();
        metrics.contains("consort_plugin_instances 1")
    });
    asking
}

#[test]
fn a_drain_has_a_limit() {
    let place = Place::new("loop_forever", "[server]\ndrain_timeout_ms = 300\n");
    let server = place.serve();
    let asking = ask_for_ever(&server);
    let ran = server.terminate();
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    says(
        &ran.stderr,
        &[
            "1 requests were cut off after [server] drain_timeout_ms",
            "cut_off=1",
        ],
    );
    // Nobody answered: the connection is closed, and the client knows.
    assert!(asking.join().unwrap().is_err());
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let place = Place::new("loop_forever", "[server]\ndrain_timeout_ms = 60000\n");
    let server = place.serve();
    let asking = ask_for_ever(&server);
    server.signal_terminate();
    until(|| TcpStream::connect(server.address).is_err());
    let ran = server.terminate();
    assert_eq!(ran.status, 130, "{}", ran.stderr);
    says(&ran.stderr, &["stopped at once by a second signal"]);
    assert!(asking.join().unwrap().is_err());
}

#[test]
fn an_address_in_use_is_named() {
    let place = Place::new("identity", "");
    let server = place.serve();
    let address = server.address.to_string();
    let mut command = consort();
    command.arg("serve").arg(place.path().join("consort.toml"));
    let ran = run(command.args(["--listen", &address]));
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    let message = format!("error: cannot listen on {address}: Address already in use");
    says(&ran.stderr, &[&message, "give another address"]);
    assert_eq!(server.get("/v2/health/ready").status, 200);
}
