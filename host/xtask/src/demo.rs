//! `cargo xtask demo`: real files in, real predictions out, and what to try next.

use crate::failure::Failure;
use crate::layout::Layout;
use crate::metadata::{Metadata, cargo};
use crate::predictions;
use crate::process::Program;
use crate::setup::{self, PythonSide};
use std::fs;
use std::path::{Path, PathBuf};

/// The manifest of the demo, from the repository's root on.
const MANIFEST: &str = "examples/file-type/consort.toml";

/// What is identified, besides the program itself: some of this repository's own files, and
/// what set-up fetched and built.
const INPUTS: [&str; 11] = [
    "README.md",
    "LICENSE",
    "Cargo.toml",
    "Cargo.lock",
    ".ci",
    "wit",
    "sdk",
    "examples",
    "host/onnx",
    "host/xtask",
    ".setup/wheels",
];

/// Runs the demo.
pub(crate) fn run(layout: &Layout, metadata: &Metadata) -> Result<(), Failure> {
    let prepared = setup::run(layout, metadata, PythonSide::Without)?;
    println!("demo: the program `consort`:");
    let build = cargo().dir(&layout.root);
    build
        .args(["build", "-p", "consort-cli", "--bin", "consort"])
        .run()?;

    let dir = layout.setup().join("demo");
    fs::create_dir_all(&dir).map_err(Failure::file("cannot make the folder", &dir))?;
    let output = dir.join("predictions.jsonl");
    let consort = layout.debug().join("consort");
    let program = Program::new(&consort)
        .args(["run", MANIFEST, "--input"])
        .args(
            INPUTS
                .iter()
                .filter(|input| layout.root.join(input).exists()),
        )
        .arg(layout.shown(&consort))
        .arg("--output")
        .arg(layout.shown(&output))
        .arg("--dead-letter")
        .arg(layout.shown(&dir.join("failures.jsonl")))
        .dir(&layout.root);
    println!("demo: identifying this checkout's own files\n");
    prepared.environment(layout, program).run()?;

    let predictions = predictions::read(&output)?;
    let show = |key: &str| layout.shown(Path::new(key));
    println!("\n{}", predictions::by_label(&predictions, show));
    println!(
        "{} files: two sandboxed plugins around a native model; every line is in {}\n",
        predictions.len(),
        layout.shown(&output)
    );
    print!("{}", next(&layout.shown(&consort), &python(layout)));
    Ok(())
}

/// The Python with `tritonclient`, if set-up made it.
fn python(layout: &Layout) -> Option<PathBuf> {
    let python = layout.venv_python();
    python
        .exists()
        .then(|| PathBuf::from(layout.shown(&python)))
}

/// What to try after the demo, each line ready to be pasted.
fn next(consort: &str, python: &Option<PathBuf>) -> String {
    let client = match python {
        Some(python) => format!(
            "     {} -c 'import tritonclient.http as c; print(c.InferenceServerClient(\"127.0.0.1:8000\").get_model_metadata(\"file-type\"))'",
            python.display()
        ),
        None => {
            "     tritonclient works too: `cargo xtask setup` installs it in .setup/venv".to_owned()
        }
    };
    format!(
        "\
What to try next:

  your own files
     {consort} run {MANIFEST} --input ~/Downloads --output out.jsonl
  the same over HTTP (Open Inference Protocol v2)
     {consort} serve {MANIFEST}
     curl -s http://127.0.0.1:8000/v2/models/file-type
     curl -s http://127.0.0.1:8000/v2/models/file-type/infer -d '{REQUEST}'
{client}
  what a manifest or a plugin is about
     {consort} check {MANIFEST}
     {consort} inspect examples/file-type/components/file_type_labels.wasm
  everything else
     cargo xtask test     cargo xtask bench     {consort} --help
"
    )
}

/// A whole file, a small shell script, as the ensemble's three inputs.
const REQUEST: &str = r##"{"inputs": [{"name": "head", "datatype": "BYTES", "shape": [1, 1], "data": ["#!/bin/sh\necho hi\n"]}, {"name": "tail", "datatype": "BYTES", "shape": [1, 1], "data": ["#!/bin/sh\necho hi\n"]}, {"name": "size", "datatype": "INT64", "shape": [1, 1], "data": [18]}]}"##;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_to_try_is_json_and_says_its_true_size() {
        let request: serde_json::Value = serde_json::from_str(REQUEST).unwrap();
        let inputs = request["inputs"].as_array().unwrap();
        let head = inputs[0]["data"][0].as_str().unwrap();
        assert_eq!(inputs[1]["data"][0].as_str(), Some(head));
        assert_eq!(inputs[2]["data"][0].as_u64(), Some(head.len() as u64));
        assert!(
            !REQUEST.contains('\''),
            "it is pasted between single quotes"
        );
    }

    #[test]
    fn what_to_try_names_every_command() {
        let text = next("target/debug/consort", &None);
        for word in [
            "run",
            "serve",
            "check",
            "inspect",
            "cargo xtask test",
            "curl",
            "tritonclient",
        ] {
            assert!(text.contains(word), "{word} is missing in:\n{text}");
        }
        let python = Some(PathBuf::from(".setup/venv/bin/python"));
        assert!(next("c", &python).contains(".setup/venv/bin/python -c 'import tritonclient"));
    }
}
