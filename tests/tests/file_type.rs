//! The main job on real input: labels and scores equal the reference package's.

use consort_tests::python::python;
use consort_tests::{Ran, consort, prepared, root, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Both sides run one file at a time; what is left is the order of additions between numbers
/// of threads.
const SCORE_TOLERANCE: f64 = 1e-3;

fn manifest() -> PathBuf {
    prepared("examples/file-type/components/file_type_features.wasm");
    prepared("examples/file-type/components/file_type_labels.wasm");
    prepared("examples/file-type/model/model.onnx");
    root().join("examples/file-type/consort.toml")
}

/// The same ensemble with the post-processor written in Python.
fn python_manifest(folder: &Path) -> PathBuf {
    prepared("examples/file-type/components/file_type_labels_python.wasm");
    let python = "components/file_type_labels_python.wasm";
    changed_manifest(folder, "components/file_type_labels.wasm", python)
}

/// The example's manifest in another folder, with a change.
fn changed_manifest(folder: &Path, from: &str, to: &str) -> PathBuf {
    let example = root().join("examples/file-type");
    let text = std::fs::read_to_string(manifest()).unwrap();
    assert!(text.contains(from), "the manifest has no {from:?}");
    let text = text
        .replace(from, to)
        .replace(
            "\"components/",
            &format!("\"{}/components/", example.display()),
        )
        .replace("\"model/", &format!("\"{}/model/", example.display()));
    let path = folder.join("consort.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn corpus(folder: &Path) -> PathBuf {
    let corpus = folder.join("corpus");
    let script = root().join("examples/file-type/reference/make_corpus.py");
    let made = run(python().arg(script).arg(&corpus));
    assert_eq!(made.status, 0, "{}", made.stderr);
    corpus
}

fn lines(text: &str) -> BTreeMap<String, Value> {
    let parse = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        (value["key"].as_str().unwrap().to_owned(), value)
    };
    let all: Vec<_> = text.lines().map(parse).collect();
    let count = all.len();
    let by_key: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(by_key.len(), count, "a key occurs twice");
    by_key
}

fn predict(manifest: &Path, input: &Path, folder: &Path) -> (Ran, BTreeMap<String, Value>) {
    let output = folder.join("out.jsonl");
    let mut command = consort();
    command
        .arg("run")
        .arg(manifest)
        .arg("--input")
        .arg(input)
        .arg("--output")
        .arg(&output);
    let ran = run(&mut command);
    let text = std::fs::read_to_string(&output).unwrap_or_default();
    (ran, lines(&text))
}

fn compare_with_reference(manifest: &Path, folder: &Path) {
    let corpus = corpus(folder);
    let script = root().join("examples/file-type/reference/expected.py");
    let reference = run(python().arg(script).arg(&corpus));
    assert_eq!(reference.status, 0, "{}", reference.stderr);
    let expected = lines(&reference.stdout);
    assert!(expected.len() >= 60, "only {} files", expected.len());

    let (ran, predicted) = predict(manifest, &corpus, folder);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        predicted.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (key, expected) in expected {
        let outputs = &predicted[&key]["outputs"];
        for field in ["label", "mime_type", "group"] {
            assert_eq!(outputs[field], expected[field], "{field} of {key}");
        }
        let (ours, theirs) = (
            outputs["score"].as_f64().unwrap(),
            expected["score"].as_f64().unwrap(),
        );
        assert!(
            (ours - theirs).abs() <= SCORE_TOLERANCE,
            "score of {key}: {ours}, reference {theirs}"
        );
    }
}

#[test]
fn every_file_gets_the_references_label() {
    let folder = tempfile::tempdir().unwrap();
    compare_with_reference(&manifest(), folder.path());
}

#[test]
fn the_post_processor_in_python_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    compare_with_reference(&python_manifest(folder.path()), folder.path());
}

#[test]
fn a_larger_batch_changes_no_label() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let (ran, single) = predict(&manifest(), &corpus, folder.path());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let batched = changed_manifest(
        folder.path(),
        "max_batch_size = 1\n",
        "max_batch_size = 32\n",
    );
    let (ran, together) = predict(&batched, &corpus, folder.path());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(single.len(), together.len());
    assert!(
        !ran.stderr.contains("largest 1\n"),
        "no batch formed:\n{}",
        ran.stderr
    );
    for (key, prediction) in single {
        let other = &together[&key]["outputs"]["label"];
        assert_eq!(prediction["outputs"]["label"], *other, "{key}");
    }
}

#[test]
fn a_huge_file_costs_no_more_than_its_windows() {
    let folder = tempfile::tempdir().unwrap();
    let start = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n";
    let mut peaks_kib = Vec::new();
    for (name, bytes) in [("small.pdf", 20_000), ("huge.pdf", 20_000_000_000)] {
        let path = folder.path().join(name);
        let mut file = File::create(&path).unwrap();
        file.write_all(start).unwrap();
        file.set_len(bytes).unwrap();
        let mut command = consort();
        command.arg("run").arg(manifest()).arg("--input").arg(&path);
        let (ran, peak_kib) = peak_memory(&command);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert_eq!(lines(&ran.stdout).len(), 1);
        peaks_kib.push(peak_kib);
    }
    // The noise of an allocator, not the gigabytes between them.
    let (small, huge) = (peaks_kib[0], peaks_kib[1]);
    assert!(
        huge < small + 64 * 1024,
        "{huge} KiB, {small} KiB for a small file"
    );
}

/// Runs a command and tells the peak of its resident memory.
fn peak_memory(command: &Command) -> (Ran, u64) {
    let script = "import resource, subprocess, sys\n\
                  code = subprocess.run(sys.argv[1:]).returncode\n\
                  print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n\
                  sys.exit(code)\n";
    let mut measured = python();
    measured
        .args(["-c", script])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => measured.env(name, value),
            None => measured.env_remove(name),
        };
    }
    let ran = run(&mut measured);
    let peak = ran
        .stderr
        .lines()
        .last()
        .and_then(|line| line.trim().parse().ok());
    let peak = peak.unwrap_or_else(|| panic!("no figure in\n{}", ran.stderr));
    (ran, peak)
}

#[test]
fn json_lines_go_from_standard_input_to_standard_output() {
    let mut command = consort();
    command
        .arg("run")
        .arg(manifest())
        .args(["--input", "-", "--output", "-"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(
            b"{\"key\": \"a\", \"inputs\": {\"head\": \"hello\", \"tail\": \"hello\", \"size\": 5}}\n\
              not json\n\
              {\"key\": \"b\", \"inputs\": {\"head\": \"\", \"tail\": \"\", \"size\": 0}}\n",
        )
        .unwrap();
    drop(stdin);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let predicted = lines(&ran.stdout);
    assert_eq!(predicted["a"]["outputs"]["label"], "txt");
    assert_eq!(predicted["a"]["model_id"], "features:1");
    assert_eq!(predicted["b"]["outputs"]["label"], "empty");
    assert_eq!(predicted.len(), 2);
    assert!(ran.stderr.contains("invalid_argument"), "{}", ran.stderr);
}

#[test]
fn an_unreadable_file_is_a_dead_letter_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    std::fs::create_dir(&input).unwrap();
    std::fs::write(input.join("a.txt"), "short").unwrap();
    std::os::unix::fs::symlink(folder.path().join("nowhere"), input.join("b.txt")).unwrap();
    let (output, dead) = (
        folder.path().join("out.jsonl"),
        folder.path().join("dead.jsonl"),
    );
    let mut command = consort();
    command
        .arg("run")
        .arg(manifest())
        .arg("--input")
        .arg(&input);
    command
        .arg("--output")
        .arg(&output)
        .arg("--dead-letter")
        .arg(&dead);
    let ran = run(&mut command);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert_eq!(lines(&std::fs::read_to_string(&output).unwrap()).len(), 1);
    let dead = lines(&std::fs::read_to_string(&dead).unwrap());
    let (key, letter) = dead.first_key_value().unwrap();
    assert!(key.ends_with("b.txt"), "{key}");
    assert_eq!(letter["error"]["stage"], "read");
    assert_eq!(letter["error"]["kind"], "unreadable");
    assert_eq!(dead.len(), 1);
}

#[test]
fn a_full_disk_ends_the_run_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "short").unwrap();
    let mut command = consort();
    command
        .arg("run")
        .arg(manifest())
        .arg("--input")
        .arg(folder.path())
        .args(["--output", "/dev/full"]);
    let ran = run(&mut command);
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("/dev/full"), "{}", ran.stderr);
}
