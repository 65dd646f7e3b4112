//! The second start compiles nothing, and nobody else's compiled code is run.

use consort_tests::server::Server;
use consort_tests::{consort, prepared, root, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn manifest() -> PathBuf {
    prepared("examples/file-type/components/file_type_features.wasm");
    prepared("examples/file-type/model/model.onnx");
    root().join("examples/file-type/consort.toml")
}

fn log_of_a_start(cache: &Path) -> String {
    let server = Server::start_with(&manifest(), |command| {
        command.env("CONSORT_CACHE_DIR", cache)
    });
    let ran = server.terminate();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.stderr
}

#[test]
fn the_second_start_compiles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let first = log_of_a_start(&cache);
    assert_eq!(first.matches("cached=false").count(), 2, "{first}");
    let second = log_of_a_start(&cache);
    assert_eq!(
        second.matches("cached=true compile_ms=0").count(),
        2,
        "{second}"
    );
}

#[test]
fn a_cache_that_others_can_write_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = consort();
    let ran = run(command
        .arg("check")
        .arg(manifest())
        .arg("--cache-dir")
        .arg(&cache));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("compiled plugins are not kept"),
        "{}",
        ran.stdout
    );
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
}
