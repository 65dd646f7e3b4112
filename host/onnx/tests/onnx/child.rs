//! Tests of what a process can do only once run in a process of their own: this test program
//! again, asked for one ignored test.

use std::path::Path;
use std::process::Command;

const MARK: &str = "child says <<";
const END: &str = ">>";

/// Prints a line for the parent.
pub(crate) fn say(text: impl std::fmt::Display) {
    println!("{MARK}{text}{END}");
}

/// Runs an ignored test in a process of its own, in which the variables are set (or not set,
/// where empty); returns what it said.
pub(crate) fn run(test: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    run_program(&program, test, variables)
}

pub(crate) fn run_program(program: &Path, test: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let mut command = Command::new(program);
    // With one thread the harness runs the test on the main thread, and there is no other.
    command.args([
        "--exact",
        test,
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    for (name, value) in variables {
        if value.is_empty() {
            command.env_remove(name);
        } else {
            command.env(name, value);
        }
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test} failed:\n{text}\n{errors}");
    // The harness prints its own text around what the test says, in the same lines.
    let said: Vec<String> = text
        .split(MARK)
        .skip(1)
        .filter_map(|rest| rest.split_once(END))
        .map(|(said, _)| said.to_owned())
        .collect();
    assert!(!said.is_empty(), "{test} said nothing:\n{text}\n{errors}");
    said
}
