//! Whole manifests against golden files. `BLESS=1 cargo test -p consort-manifest` writes
//! the golden files anew; read the difference before you commit it.
#![expect(
    clippy::unwrap_used,
    reason = "a test may panic, and these functions are only called by tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use consort_manifest::parse;

fn room(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let files = fs::read_dir(room(folder)).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|e| e == extension));
    paths
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// Compares with the golden file, or writes it. Returns what differs.
fn compare(golden: &Path, actual: &str) -> Option<String> {
    if std::env::var_os("BLESS").is_some() {
        fs::write(golden, actual).unwrap();
        return None;
    }
    let expected = fs::read_to_string(golden).unwrap_or_default();
    (expected != actual).then(|| {
        let name = golden.display();
        format!("{name} differs.\n--- golden\n{expected}\n--- now\n{actual}")
    })
}

fn compare_all(folder: &str, extension: &str, render: impl Fn(&str, &str) -> String) {
    let stems_in = stems(folder, "toml");
    assert!(!stems_in.is_empty(), "no manifest in {folder}");
    let mut differences = Vec::new();
    for stem in &stems_in {
        let text = fs::read_to_string(room(&format!("{folder}/{stem}.toml"))).unwrap();
        let actual = render(&format!("{stem}.toml"), &text);
        let golden = room(&format!("{folder}/{stem}.{extension}"));
        differences.extend(compare(&golden, &actual));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(
        stems_in,
        stems(folder, extension),
        "golden files without a manifest"
    );
}

#[test]
fn invalid_manifests_are_explained() {
    compare_all("tests/invalid", "err", |file, text| {
        match parse(file, text) {
            Ok(_) => panic!("{file} is accepted"),
            Err(problems) => format!("{problems}\n"),
        }
    });
}

#[test]
fn valid_manifests_are_read() {
    compare_all("tests/valid", "debug", |file, text| {
        match parse(file, text) {
            Ok(manifest) => format!("{manifest:#?}\n"),
            Err(problems) => panic!("{file} is refused:\n{problems}"),
        }
    });
}

#[test]
fn the_json_schema_is_committed() {
    let difference = compare(
        &room("manifest.schema.json"),
        &consort_manifest::json_schema(),
    );
    assert_eq!(difference, None);
}

#[test]
fn the_reference_is_committed() {
    let difference = compare(
        &room("../../docs/manifest.md"),
        &consort_manifest::reference(),
    );
    assert_eq!(difference, None);
}
