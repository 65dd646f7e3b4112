//! What is shown: the summary, the bar, log lines, and what a component is.

use crate::place::{Place, lines, says};
use consort_tests::python::python;
use consort_tests::server::Server;
use consort_tests::{Ran, binary, consort, guest, prepared, root, run};
use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn the_summary_says_how_it_went() {
    let place = Place::new("panics_on_marked_example", "");
    place.write("in", &(lines(11..16) + "no example\n"));
    let ran = place.run(&[
        "--input",
        "in",
        "--input-format",
        "jsonl",
        "--output",
        "out",
        "--dead-letter",
        "dead",
    ]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let row = |label: &str| {
        let row = ran
            .stderr
            .lines()
            .find(|line| line.trim_start().starts_with(label));
        row.unwrap_or_else(|| panic!("no {label:?} in:\n{}", ran.stderr))
    };
    let count = |label: &str| row(label).split_whitespace().last().unwrap().to_owned();
    assert_eq!(count("examples "), "6");
    assert_eq!(count("predictions"), "4");
    assert_eq!(count("failures"), "2");
    assert_eq!(count("read, invalid_argument"), "1");
    assert_eq!(count("postprocess, plugin_trapped"), "1");
    assert!(count("examples/s").parse::<f64>().unwrap() > 0.0);
    says(
        row("postprocess guest"),
        &[
            "5 examples",
            "1 failed",
            " ms (waiting included) a call of ",
        ],
    );
}

#[test]
fn the_summary_has_batches_and_the_time_of_each_stage() {
    let manifest = root().join("examples/file-type/consort.toml");
    prepared("examples/file-type/model/model.onnx");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "#!/bin/sh\necho hello\n".repeat(9)).unwrap();
    fs::write(folder.path().join("b"), "").unwrap();
    let mut command = consort();
    command.arg("run").arg(manifest).arg("--input");
    let ran = run(command.arg(folder.path()));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    says(
        &ran.stderr,
        &[
            "1 batches, mean size 1.0, largest 1",
            "2 examples, 1 answered, 0 failed",
        ],
    );
    for stage in [
        "preprocess features",
        "inference magika",
        "postprocess labels",
    ] {
        let row = ran.stderr.lines().find(|line| line.starts_with(stage));
        assert!(
            row.is_some_and(|row| row.contains(" ms ")),
            "{}",
            ran.stderr
        );
    }
}

/// Gives another program the environment that `consort` runs in.
fn like_consort(command: &mut Command) {
    let like = consort();
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// Runs `consort` on a terminal, and gives what the terminal got.
fn on_a_terminal(place: &Place, arguments: &[&str]) -> Ran {
    const TERMINAL: &str = "import os, pty, sys\n\
        sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut command = python();
    command.current_dir(place.path()).stdin(Stdio::null());
    command.args(["-c", TERMINAL]).arg(binary());
    command.args(["run", "consort.toml"]).args(arguments);
    like_consort(&mut command);
    run(command.env("TERM", "xterm"))
}

#[test]
fn a_bar_is_drawn_on_a_terminal_only() {
    let place = Place::new("identity", "");
    place.sizes(1..=30);
    let arguments = ["--input", "sizes", "--output", "out"];
    const ESCAPE: char = '\u{1b}';
    const CLEARED_LINE: &str = "\u{1b}[2K";
    let ran = on_a_terminal(&place, &arguments);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    says(&ran.stdout, &["examples, ", "/s", "predictions"]);
    assert!(ran.stdout.contains(CLEARED_LINE), "{}", ran.stdout);

    let ran = on_a_terminal(&place, &[&arguments[..], &["--no-progress"]].concat());
    assert!(!ran.stdout.contains(CLEARED_LINE), "{:?}", ran.stdout);
    says(&ran.stdout, &["predictions"]);

    let ran = place.run(&arguments);
    assert!(!ran.stderr.contains([ESCAPE, '\r']), "{:?}", ran.stderr);
    assert!(ran.stderr.starts_with("examples "), "{:?}", ran.stderr);
}

#[test]
fn log_lines_can_be_json_and_refusals_are_among_them() {
    let place = Place::new("panics_on_marked_example", "");
    let manifest = place.path().join("consort.toml");
    let server = Server::start_with(&manifest, |command| command.args(["--log-format", "json"]));
    let ask = |body: &str| {
        let path = "/v2/models/numbers/infer";
        server.request("POST", path, &[], body.as_bytes()).status
    };
    assert_eq!(ask("{\"inputs\":["), 400);
    let body =
        json!({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [13]}]});
    assert_eq!(ask(&body.to_string()), 500);
    let ran = server.terminate();
    let parse = |line: &str| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    };
    let lines: Vec<Value> = ran.stderr.lines().map(parse).collect();
    let with = |message: &str| {
        let found = lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("no {message:?} in:\n{}", ran.stderr))
    };
    let refused = with("request refused");
    assert_eq!(refused["status"], 400);
    assert_eq!(refused["code"], "invalid_argument");
    assert_eq!(refused["fault"], "client");
    let failed = with("request failed");
    assert_eq!(failed["status"], 500);
    assert_eq!(failed["fault"], "plugin");
    assert_eq!(failed["endpoint"], "numbers");
    with("server drained");
    // Numbers are numbers.
    assert!(with("ready")["ready_ms"].is_u64(), "{}", ran.stderr);
}

#[test]
fn inspect_names_what_is_asked_for_and_what_is_no_plugin() {
    let ran = run(consort().arg("inspect").arg(guest("opens_socket")));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    says(
        &ran.stdout,
        &[
            "capabilities  network",
            "roles         postprocess",
            " bytes\n",
            "imports\n",
            "exports\n",
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(guest("identity")).unwrap();
    for (bytes, words) in [
        (
            &b"consort = 1"[..],
            "this is not WebAssembly: it begins with \"consort",
        ),
        (
            b"\0asm\x01\0\0\0",
            "this is a core WebAssembly module, a component is expected",
        ),
        (&whole[..whole.len() / 2], "the component is truncated"),
    ] {
        let path = folder.path().join("p.wasm");
        fs::write(&path, bytes).unwrap();
        let ran = run(consort().arg("inspect").arg(&path));
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        says(&ran.stderr, &["p.wasm: ", words]);
    }
    // A component that is no plugin is shown, and said to be none.
    let path = folder.path().join("empty.wasm");
    fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
    let ran = run(consort().arg("inspect").arg(&path));
    says(
        &ran.stdout,
        &["roles         none", "note: this is no plugin: "],
    );
}
