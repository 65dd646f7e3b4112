//! The example `tabular`: scikit-learn in an environment of its own, and the models that it
//! trains there. The environment is the one that `consort import` makes for scikit-learn,
//! XGBoost and LightGBM, so that the tests of the import use it too.

use super::python;
use crate::digest::Stamp;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::process::Program;
use crate::progress::Progress;
use std::fs;
use std::path::Path;

/// What the environment holds.
const PACKAGES: &str = include_str!("../../../import/requirements/tabular.txt");

/// What the script leaves in the folder of the models when it has made all of them.
const STAMP: &str = "consort.stamp";

/// Makes sure that environment and models are there.
pub(crate) fn install(layout: &Layout, progress: Progress) -> Result<(), Failure> {
    let venv = layout.setup().join("tabular");
    python::environment_of(
        layout,
        progress,
        "Python environment of examples/tabular",
        &venv,
        PACKAGES,
    )?;
    let example = layout.root.join("examples/tabular");
    let script = example.join("reference/train.py");
    let models = example.join("model");
    let stamp_path = models.join(STAMP);
    let mut step = progress.step("models of examples/tabular");
    let stamp = stamp(&layout.root, &script)?;
    if fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp) {
        step.ready();
        return Ok(());
    }
    step.needs("training");
    Program::new(venv.join("bin/python"))
        .args(["-I", "-B"])
        .arg(&script)
        .arg(&models)
        // The official builds of ONNX Runtime report home unless told not to.
        .env("ORT_DISABLE_TELEMETRY", "1")
        .quietly(&mut step)?;
    fs::write(&stamp_path, stamp).map_err(Failure::file("cannot write", &stamp_path))?;
    step.done();
    Ok(())
}

/// What the models are made from: the script and the packages.
fn stamp(root: &Path, script: &Path) -> Result<String, Failure> {
    let mut stamp = Stamp::default();
    stamp.text("packages", PACKAGES);
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
        for name in ["scikit-learn", "skl2onnx", "onnx", "pandas", "joblib"] {
            assert!(pinned.iter().any(|one| one.name == name), "{name}");
        }
    }

    #[test]
    fn another_script_makes_another_stamp() {
        let root = tempfile::tempdir().unwrap();
        let script = root.path().join("train.py");
        fs::write(&script, "a").unwrap();
        let first = stamp(root.path(), &script).unwrap();
        assert_eq!(stamp(root.path(), &script).unwrap(), first);
        fs::write(&script, "b").unwrap();
        assert_ne!(stamp(root.path(), &script).unwrap(), first);
    }
}
