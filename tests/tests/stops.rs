//! Plugins that misbehave, runs that are interrupted, servers that are told to stop: what
//! is done is kept, the rest is said, and the neighbours go on.

use consort_tests::server::Server;
use consort_tests::{Ran, consort, run};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An ensemble of one plugin, which reads a number and writes a number.
fn manifest(folder: &Path, guest: &str, limits: &str) -> PathBuf {
    let plugin = consort_tests::guest(guest);
    let text = format!(
        "consort = 1\n[plugin.guest]\npath = {plugin:?}\n[[ensemble.numbers.step]]\nplugin = \"guest\"\n\
         role = \"postprocess\"\n[plugin.guest.limits]\n{limits}\n"
    );
    let path = folder.join("consort.toml");
    fs::write(&path, text).unwrap();
    path
}

fn numbers(folder: &Path, numbers: impl Iterator<Item = i64>) -> PathBuf {
    let lines: String = numbers
        .map(|x| format!("{}\n", json!({"key": format!("n{x}"), "inputs": {"x": x}})))
        .collect();
    let path = folder.join("in.jsonl");
    fs::write(&path, lines).unwrap();
    path
}

fn job(folder: &Path, manifest: &Path, input: &Path) -> (Ran, Vec<Value>, Vec<Value>) {
    let (output, dead) = (folder.join("out.jsonl"), folder.join("dead.jsonl"));
    let mut command = consort();
    command.arg("run").arg(manifest).arg("--input").arg(input);
    command
        .arg("--output")
        .arg(&output)
        .arg("--dead-letter")
        .arg(&dead);
    let ran = run(&mut command);
    let lines = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    (ran, lines(&output), lines(&dead))
}

/// The number on which the guests misbehave.
const MARK: i64 = 13;

#[test]
fn a_plugin_that_traps_on_one_example_only() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest(folder.path(), "panics_on_marked_example", "");
    let input = numbers(folder.path(), 0..100);
    let (ran, predicted, dead) = job(folder.path(), &manifest, &input);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert_eq!(predicted.len(), 99);
    let [letter] = dead.as_slice() else {
        panic!("{dead:?}")
    };
    assert_eq!(letter["key"], format!("n{MARK}"));
    assert_eq!(letter["error"]["stage"], "postprocess");
    assert_eq!(letter["error"]["kind"], "plugin_trapped");
    let message = letter["error"]["message"].as_str().unwrap();
    assert!(
        message.len() < 5000 && !message.contains('\u{1b}'),
        "{message}"
    );
}

#[test]
fn a_plugin_that_never_ends_is_stopped_and_the_others_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest(folder.path(), "loop_forever", "call_time_ms_max = 200");
    let input = numbers(folder.path(), 10..17);
    let (ran, predicted, dead) = job(folder.path(), &manifest, &input);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert_eq!((predicted.len(), dead.len()), (6, 1), "{dead:?}");
    assert_eq!(dead[0]["error"]["kind"], "plugin_limit");
    let message = dead[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("call_time_ms_max"), "{message}");
}

#[test]
fn a_request_says_whose_fault_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&manifest(folder.path(), "panics_on_marked_example", ""));
    let ask = |rows: &[i64]| {
        let body = json!({"inputs": [{"name": "x", "datatype": "INT64", "shape": [rows.len(), 1], "data": rows}]});
        server.request(
            "POST",
            "/v2/models/numbers/infer",
            &[],
            body.to_string().as_bytes(),
        )
    };
    let response = ask(&[MARK]);
    assert_eq!(response.status, 500, "{}", response.text());
    let error = response.json()["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("plugin") && error.contains("guest"),
        "{error}"
    );
    assert_eq!(ask(&[1, 2, 3]).status, 200);
}

#[test]
fn ctrl_c_keeps_what_is_done_and_says_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest(folder.path(), "identity", "");
    let output = folder.path().join("out.jsonl");
    let mut command = consort();
    command
        .arg("run")
        .arg(&manifest)
        .args(["--input", "-", "--output"])
        .arg(&output);
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for x in 0..20 {
        writeln!(
            stdin,
            "{}",
            json!({"key": format!("n{x}"), "inputs": {"x": x}})
        )
        .unwrap();
    }
    stdin.flush().unwrap();
    // The input stays open: without the interrupt the job would wait for ever.
    consort_tests::until(|| {
        fs::read_to_string(&output)
            .unwrap_or_default()
            .lines()
            .count()
            == 20
    });
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let ran = Ran::from(child.wait_with_output().unwrap());
    drop(stdin);
    assert_eq!(ran.status, 130, "{}", ran.stderr);
    assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 20);
}

#[test]
fn a_drain_finishes_what_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&manifest(
        folder.path(),
        "loop_forever",
        "call_time_ms_max = 3000",
    ));
    let address = server.address;
    let body =
        json!({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [MARK]}]})
            .to_string();
    let asking = std::thread::spawn(move || {
        consort_tests::http::request(
            address,
            "POST",
            "/v2/models/numbers/infer",
            &[],
            body.as_bytes(),
        )
    });
    consort_tests::until(|| {
        server
            .get("/metrics")
            .text()
            .contains("consort_plugin_instances 1")
    });
    server.signal_terminate();
    let response = asking
        .join()
        .unwrap()
        .expect("the request under way is answered");
    assert_eq!(response.status, 500, "{}", response.text());
    assert!(
        response.text().contains("call_time_ms_max"),
        "{}",
        response.text()
    );
    let ran = server.wait();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("finished=1"), "{}", ran.stderr);
}

#[test]
fn help_is_for_newcomers() {
    for (arguments, words) in [
        (
            &["--help"][..],
            &["consort run", "consort serve", "manifest"][..],
        ),
        (&["run", "--help"], &["--dead-letter", "Exit status"]),
        (&["serve", "--help"], &["--listen"]),
    ] {
        let ran = run(consort().args(arguments));
        assert_eq!(ran.status, 0);
        assert!(
            words.iter().all(|word| ran.stdout.contains(word)),
            "{}",
            ran.stdout
        );
    }
}
