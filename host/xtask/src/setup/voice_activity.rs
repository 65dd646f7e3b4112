//! The example `voice-activity`: Silero VAD as it is published, the graph that a script of ours
//! writes around it in an environment of its own, and the recordings that another one makes.

use super::pins::{SILERO, SILERO_FILES, SILERO_GRAPH, SILERO_VERSION};
use super::{python, wheel};
use crate::digest::Stamp;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::process::Program;
use crate::progress::Progress;
use std::fs;
use std::path::{Path, PathBuf};

/// What the environment holds.
const PACKAGES: &str =
    include_str!("../../../../examples/voice-activity/reference/requirements.txt");

/// What is left beside the graph when all has been written.
const STAMP: &str = "consort.stamp";

/// Makes sure that environment, graph and recordings are there.
pub(crate) fn install(layout: &Layout, progress: Progress) -> Result<(), Failure> {
    let venv = layout.setup().join("voice-activity");
    python::environment_of(
        layout,
        progress,
        "Python environment of examples/voice-activity",
        &venv,
        PACKAGES,
    )?;
    let example = layout.root.join("examples/voice-activity");
    let models = example.join("model");
    wheel::unpack(
        layout,
        progress,
        &format!("voice activity model of silero-vad {SILERO_VERSION}"),
        &SILERO,
        SILERO_FILES,
        &models,
    )?;
    let scripts = ["wrap.py", "recordings.py"].map(|name| example.join("reference").join(name));
    let graph = models.join("model.onnx");
    let stamp_path = models.join(STAMP);
    let mut step = progress.step("ONNX graph and recordings of examples/voice-activity");
    let stamp = stamp(&layout.root, &scripts)?;
    if graph.is_file() && fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp) {
        step.ready();
        return Ok(());
    }
    step.needs("writing");
    let [wrap, recordings] = &scripts;
    let python = |script: &Path| {
        Program::new(venv.join("bin/python"))
            .args(["-I", "-B"])
            .arg(script)
    };
    python(wrap)
        .arg(models.join(SILERO_GRAPH))
        .arg(&graph)
        .quietly(&mut step)?;
    python(recordings)
        .arg(models.join("recordings"))
        .quietly(&mut step)?;
    fs::write(&stamp_path, stamp).map_err(Failure::file("cannot write", &stamp_path))?;
    step.done();
    Ok(())
}

/// What is made from: the scripts, the packages and the published graph.
fn stamp(root: &Path, scripts: &[PathBuf]) -> Result<String, Failure> {
    let mut stamp = Stamp::default();
    stamp.text("packages", PACKAGES);
    stamp.text("graph", SILERO.sha256);
    for script in scripts {
        stamp
            .file(root, script)
            .map_err(Failure::file("cannot read", script))?;
    }
    Ok(stamp.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::requirements;

    #[test]
    fn every_package_is_pinned() {
        let pinned = requirements::parse(PACKAGES).unwrap();
        for name in ["numpy", "onnx", "onnxruntime"] {
            assert!(pinned.iter().any(|one| one.name == name), "{name}");
        }
    }

    #[test]
    fn another_script_makes_another_stamp() {
        let root = tempfile::tempdir().unwrap();
        let scripts = ["a.py", "b.py"].map(|name| root.path().join(name));
        for script in &scripts {
            fs::write(script, "a").unwrap();
        }
        let first = stamp(root.path(), &scripts).unwrap();
        assert_eq!(stamp(root.path(), &scripts).unwrap(), first);
        fs::write(&scripts[1], "b").unwrap();
        assert_ne!(stamp(root.path(), &scripts).unwrap(), first);
    }
}
