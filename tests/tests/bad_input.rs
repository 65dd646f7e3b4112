//! Wrong manifests, plugins and models: every message says what, where and what to do.

use consort_tests::{consort, guest, prepared, root, run};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with the file-type example's parts and a manifest to spoil.
struct Case {
    folder: tempfile::TempDir,
    manifest: String,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let example = root().join("examples/file-type");
        for (part, file) in [
            ("components", "file_type_features.wasm"),
            ("components", "file_type_labels.wasm"),
            ("model", "model.onnx"),
            ("model", "config.min.json"),
            ("model", "content_types_kb.min.json"),
        ] {
            let target = folder.path().join(part);
            fs::create_dir_all(&target).unwrap();
            fs::copy(prepared(example.join(part).join(file)), target.join(file)).unwrap();
        }
        let manifest = fs::read_to_string(example.join("consort.toml")).unwrap();
        Self { folder, manifest }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.manifest.contains(from), "the manifest has no {from:?}");
        self.manifest = self.manifest.replacen(from, to, 1);
        self
    }

    fn write(self, file: &str, content: &[u8]) -> Self {
        fs::write(self.path(file), content).unwrap();
        self
    }

    /// `consort check` must fail with all these words, and point into the manifest.
    fn fails_with(self, words: &[&str]) {
        let path = self.path("consort.toml");
        fs::write(&path, &self.manifest).unwrap();
        let ran = run(consort().arg("check").arg(&path));
        assert_eq!(ran.status, 2, "{}{}", ran.stdout, ran.stderr);
        for word in words {
            assert!(
                ran.stderr.contains(word),
                "{word:?} is not in:\n{}",
                ran.stderr
            );
        }
        assert!(
            ran.stderr.contains("consort.toml:"),
            "no place in:\n{}",
            ran.stderr
        );
    }

    /// Uses a test guest as the post-processor.
    fn with_guest(self, name: &str) -> Self {
        let guest = guest(name);
        self.replace(
            "components/file_type_labels.wasm",
            &guest.display().to_string(),
        )
    }
}

#[test]
fn a_good_manifest_passes() {
    let case = Case::new();
    let path = case.path("consort.toml");
    fs::write(&path, &case.manifest).unwrap();
    let ran = run(consort().arg("check").arg(&path));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("file-type"), "{}", ran.stdout);
}

#[test]
fn every_error_of_a_manifest_is_reported_at_once() {
    Case::new()
        .replace("replicas = 2", "replicas = \"two\"\nreplica = 2")
        .replace("plugin = \"features\"", "plugin = \"feature\"")
        .fails_with(&["replicas", "replica", "feature", "features", "3 problems"]);
}

#[test]
fn a_missing_file_is_named_with_its_place() {
    Case::new()
        .replace("model/model.onnx", "model/nothing.onnx")
        .replace(
            "components/file_type_features.wasm",
            "components/nothing.wasm",
        )
        .fails_with(&["nothing.onnx", "nothing.wasm", "2 problems"]);
}

#[test]
fn a_model_that_is_not_onnx() {
    Case::new()
        .write("model/model.onnx", b"this is no model")
        .replace_digest()
        .fails_with(&["not an ONNX file"]);
}

#[test]
fn a_truncated_model() {
    let case = Case::new();
    let whole = fs::read(case.path("model/model.onnx")).unwrap();
    case.write("model/model.onnx", &whole[..whole.len() / 2])
        .replace_digest()
        .fails_with(&["model.onnx"]);
}

#[test]
fn a_model_that_is_not_the_one_asked_for() {
    let case = Case::new().replace_digest();
    let wrong = format!(
        "path = \"model/model.onnx\"\nsha256 = \"{}\"",
        "0".repeat(64)
    );
    case.replace("path = \"model/model.onnx\"", &wrong)
        .fails_with(&["sha256", "0000"]);
}

#[test]
fn a_step_that_does_not_fit_its_model() {
    Case::new()
        .replace(
            "model = \"magika\"",
            "model = \"magika\"\ninputs = { bytes = \"byts\" }",
        )
        .fails_with(&["step \"magika\"", "\"byts\"", "INT32 [2048]", "help"]);
}

#[test]
fn files_that_do_not_make_what_the_ensemble_takes() {
    Case::new()
        .replace("[[ensemble.file-type.step]]\nplugin = \"features\"\n", "")
        .fails_with(&["a file", "\"bytes\"", "INT32 [2048]"]);
}

#[test]
fn a_plugin_that_is_no_wasm() {
    Case::new()
        .write("components/file_type_features.wasm", b"\x7fELF")
        .fails_with(&["features", "WebAssembly"]);
}

#[test]
fn a_core_module_instead_of_a_component() {
    Case::new()
        .write("components/file_type_features.wasm", b"\0asm\x01\0\0\0")
        .fails_with(&[
            "core WebAssembly module",
            "a component is expected",
            "wasm32-wasip2",
        ]);
}

#[test]
fn a_truncated_plugin() {
    let case = Case::new();
    let whole = fs::read(case.path("components/file_type_features.wasm")).unwrap();
    case.write(
        "components/file_type_features.wasm",
        &whole[..whole.len() / 2],
    )
    .fails_with(&["features"]);
}

#[test]
fn a_plugin_of_another_world() {
    // An empty component: valid, but it exports nothing.
    Case::new()
        .write("components/file_type_features.wasm", b"\0asm\x0d\0\x01\0")
        .fails_with(&["init"]);
}

#[test]
fn a_plugin_that_imports_what_is_not_granted() {
    Case::new()
        .with_guest("opens_socket")
        .fails_with(&["wasi:sockets", "network", "capabilities"]);
}

#[test]
fn a_plugin_that_traps_in_init() {
    Case::new().with_guest("init_trap").fails_with(&["init"]);
}

#[test]
fn a_plugin_that_refuses_its_config() {
    Case::new()
        .replace(
            "\"config.json\" = \"model/config.min.json\"",
            "\"config.jsn\" = \"model/config.min.json\"",
        )
        .fails_with(&["config.json"]);
}

#[test]
fn the_schema_is_json() {
    let ran = run(consort().arg("schema"));
    assert_eq!(ran.status, 0);
    let schema: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(schema["properties"]["ensemble"].is_object());
}

#[test]
fn a_manifest_that_is_not_there() {
    let ran = run(consort().args(["check", "nowhere/consort.toml"]));
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("nowhere/consort.toml"),
        "{}",
        ran.stderr
    );
}

#[test]
fn inspect_shows_what_a_plugin_is() {
    let plugin = prepared(Path::new(
        "examples/file-type/components/file_type_features.wasm",
    ));
    let ran = run(consort().arg("inspect").arg(&plugin));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    for word in ["preprocess", "consort:inference/tensors@0.1.0", "sha256"] {
        assert!(
            ran.stdout.contains(word),
            "{word} is not in:\n{}",
            ran.stdout
        );
    }
    let ran = run(consort().args(["inspect", "--json"]).arg(&plugin));
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["roles"], serde_json::json!(["preprocess"]));
}

impl Case {
    /// Takes the digest of the model out of the manifest, where it has one.
    fn replace_digest(mut self) -> Self {
        self.manifest = self
            .manifest
            .lines()
            .filter(|line| !line.starts_with("sha256"))
            .map(|line| format!("{line}\n"))
            .collect();
        self
    }
}
