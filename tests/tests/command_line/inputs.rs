//! Inputs and outputs: what is read, what is written where, and that nothing is lost.

use crate::place::{Place, fed, keys, line, lines, says};
use consort_tests::{consort, prepared, root, run};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

#[test]
fn paths_are_read_from_a_file_or_standard_input() {
    let place = Place::new("identity", "");
    place.sizes(1..=3);
    let list = "sizes/03\nsizes/nothing\n\nsizes/01\n";
    place.write("list.txt", list);
    let format = ["--input-format", "paths", "--ordered", "--input"];
    let dead = ["--dead-letter", "dead.jsonl"];
    for input in ["list.txt", "-"] {
        let mut command = place.command(&format);
        let ran = fed(command.arg(input).args(dead), list);
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert_eq!(
            ran.stdout,
            "{\"key\": \"sizes/03\", \"outputs\": {\"x\": 3}, \"model_id\": \"guest:1\"}\n\
             {\"key\": \"sizes/01\", \"outputs\": {\"x\": 1}, \"model_id\": \"guest:1\"}\n"
        );
        let letter: Value = serde_json::from_str(&place.read("dead.jsonl")).unwrap();
        assert_eq!(letter["key"], "sizes/nothing");
        assert_eq!(letter["error"]["stage"], "read");
        assert_eq!(letter["error"]["kind"], "unreadable");
        let message = letter["error"]["message"].as_str().unwrap();
        says(
            message,
            &["cannot read \"sizes/nothing\"", "No such file or directory"],
        );
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    let place = Place::new("identity", "");
    place.sizes(1..=2);
    let made = Command::new("mkfifo")
        .arg(place.path().join("sizes/fifo"))
        .status();
    assert!(made.unwrap().success());
    for (target, link) in [
        ("/dev/zero", "device"),
        ("nowhere", "dangling"),
        (".", "loop"),
    ] {
        let link = place.path().join("sizes").join(link);
        std::os::unix::fs::symlink(target, link).unwrap();
    }
    let ran = place.run(&[
        "--input",
        "sizes",
        "missing",
        "--output",
        "out",
        "--dead-letter",
        "dead",
    ]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert_eq!(place.sorted("out").len(), 2);
    let dead = place.sorted("dead");
    for (letter, message) in dead.iter().zip([
        "cannot read \\\"missing\\\": No such file",
        "cannot read \\\"sizes/dangling\\\": No such file",
        "cannot read \\\"sizes/device\\\": it is a device, only regular files are read",
        "cannot read \\\"sizes/fifo\\\": it is a FIFO, only regular files are read",
    ]) {
        says(letter, &[message]);
    }
    assert_eq!(dead.len(), 4);
    says(&ran.stderr, &["read, unreadable", "links not followed"]);
}

#[test]
fn an_order_and_a_limit_can_be_asked_for() {
    let place = Place::new("identity", "[job]\ncall_examples_max = 1\n");
    place.write("in", &lines(0..500));
    let jsonl = ["--input", "in", "--input-format", "jsonl"];
    let ran = place.run(&[&jsonl[..], &["--ordered", "--limit", "123"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let expected: Vec<String> = (0..123).map(|x| format!("n{x}")).collect();
    assert_eq!(keys(&ran.stdout), expected);
    place.sizes(1..=9);
    let ran = place.run(&["--input", "sizes", "--limit", "4"]);
    assert_eq!((ran.status, keys(&ran.stdout).len()), (0, 4));
}

#[test]
fn nothing_is_written_over_an_input() {
    let place = Place::new("identity", "");
    place.write("in", &line(1));
    for arguments in [
        &[
            "--input-format",
            "jsonl",
            "--input",
            "in",
            "--output",
            "./in",
        ][..],
        &["--input-format", "paths", "--input", "in", "--output", "in"],
        &["--input", "in", "--output", "in"],
        &["--input", "in", "--output", "out", "--dead-letter", "in"],
    ] {
        place.refused(arguments, &["is an input of this job", "give another file"]);
        assert_eq!(place.read("in"), line(1), "{arguments:?}");
    }
    place.refused(
        &["--input", "in", "--output", "out", "--dead-letter", "./out"],
        &[
            "predictions and dead letters both go to",
            "give them two files",
        ],
    );
}

#[test]
fn predictions_and_dead_letters_may_share_standard_output() {
    let place = Place::new("panics_on_marked_example", "");
    let mut command = place.command(&["--input", "-", "--output", "-", "--dead-letter", "-"]);
    let ran = fed(&mut command, &(lines(0..300) + "no example\n"));
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let all: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(all.len(), 301);
    let failed = all.iter().filter(|line| line.get("error").is_some());
    let kinds: Vec<&Value> = failed.map(|line| &line["error"]["kind"]).collect();
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert!(kinds.contains(&&json!("plugin_trapped")));
    assert!(kinds.contains(&&json!("invalid_argument")));
}

#[test]
fn inputs_that_do_not_go_together_are_refused() {
    let place = Place::new("identity", "");
    place.refused(
        &["--input", "-", "--input-format", "files"],
        &["standard input is no file", "--input-format jsonl or paths"],
    );
    place.refused(
        &["--input", "a", "b", "--input-format", "paths"],
        &["paths are read from one input only"],
    );
    let ran = place.run(&["--input", "no.jsonl", "--input-format", "jsonl"]);
    assert_eq!(ran.status, 2);
    says(
        &ran.stderr,
        &["cannot read \"no.jsonl\": No such file or directory"],
    );
    place.write("in", &line(1));
    let ran = place.run(&["--input", "in", "--output", "no/such/folder"]);
    assert_ne!(ran.status, 0);
    says(
        &ran.stderr,
        &["cannot create the output \"no/such/folder\": No such file or directory"],
    );
}

#[test]
fn a_plugin_that_traps_on_one_file_only() {
    let place = Place::new("panics_on_marked_example", "");
    place.sizes(1..=40);
    let ran = place.run(&[
        "--input",
        "sizes",
        "--output",
        "out",
        "--dead-letter",
        "dead",
    ]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let mut all = keys(&place.read("out"));
    assert_eq!(all.len(), 39);
    let letter: Value = serde_json::from_str(&place.read("dead")).unwrap();
    assert_eq!(letter["key"], "sizes/13");
    assert_eq!(letter["error"]["stage"], "postprocess");
    assert_eq!(letter["error"]["step"], "guest");
    assert_eq!(letter["error"]["kind"], "plugin_trapped");
    let message = letter["error"]["message"].as_str().unwrap();
    says(message, &["trapped: ", "a panic or an abort", "at all"]);
    // Every file is in one of the two, once.
    all.push("sizes/13".to_owned());
    all.sort();
    let expected: Vec<String> = (1..=40).map(|size| format!("sizes/{size:02}")).collect();
    assert_eq!(all, expected);
}

#[test]
fn a_full_disk_says_how_much_was_written() {
    let place = Place::new("panics_on_marked_example", "");
    place.write("in", &lines(10..15));
    for (arguments, unwritten) in [
        (["--output", "/dev/full", "--dead-letter", "dead"], 5),
        (["--output", "out", "--dead-letter", "/dev/full"], 1),
    ] {
        let mut command = place.command(&["--input", "in", "--input-format", "jsonl"]);
        let ran = run(command.args(arguments));
        assert_eq!(ran.status, 3, "{}", ran.stderr);
        says(
            &ran.stderr,
            &[
                "error: cannot write \"/dev/full\": No space left on device",
                "0 whole lines were written to it",
                "stopped at an error; all of the input had been read",
            ],
        );
        let row = ran
            .stderr
            .lines()
            .find(|line| line.starts_with("not written"));
        let count = row.and_then(|row| row.split_whitespace().last()?.parse().ok());
        assert!(count >= Some(unwritten), "{}", ran.stderr);
    }
    assert!(place.read("out").lines().all(|line| line.ends_with('}')));
}

/// The source reads windows: a file of gigabytes takes no longer.
#[test]
fn a_file_of_20_gb_takes_as_long_as_one_of_20_kb() {
    let manifest = root().join("examples/file-type/consort.toml");
    prepared("examples/file-type/components/file_type_features.wasm");
    prepared("examples/file-type/model/model.onnx");
    let folder = tempfile::tempdir().unwrap();
    let took = |bytes: u64| {
        let path = folder.path().join(bytes.to_string());
        let mut file = fs::File::create(&path).unwrap();
        file.write_all("fn main() {}\n".repeat(400).as_bytes())
            .unwrap();
        file.set_len(bytes).unwrap();
        let mut command = consort();
        command.arg("run").arg(&manifest).arg("--input").arg(&path);
        let begun = Instant::now();
        let ran = run(&mut command);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        begun.elapsed()
    };
    // The first run may compile the plugins.
    took(20_000);
    let (small, large) = (took(20_000), took(20_000_000_000));
    // Reading it all would take several seconds.
    assert!(
        large < small + Duration::from_secs(2),
        "{large:?}, {small:?} for a small file"
    );
}
