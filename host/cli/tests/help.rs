//! The help texts, word by word: they are what a newcomer reads first.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// `BLESS=1` writes what the binary says as the new expectation.
fn check(name: &str, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_consort"))
        .args(arguments)
        .env("COLUMNS", "100")
        .env_remove("CONSORT_LOG")
        .env_remove("CONSORT_CACHE_DIR")
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text, expected,
        "BLESS=1 cargo test -p consort-cli accepts the new text"
    );
}

#[test]
fn consort_help() {
    check("help.txt", &["--help"]);
}

#[test]
fn run_help() {
    check("run-help.txt", &["run", "--help"]);
}

#[test]
fn serve_help() {
    check("serve-help.txt", &["serve", "--help"]);
}

#[test]
fn check_help() {
    check("check-help.txt", &["check", "--help"]);
}

#[test]
fn inspect_help() {
    check("inspect-help.txt", &["inspect", "--help"]);
}
