//! What scripts of ours make for an example, in a Python environment of its own.

use super::python;
use crate::digest::Stamp;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::process::Program;
use crate::progress::Progress;
use std::fs;
use std::path::{Path, PathBuf};

/// What is left in the example's folder `model` when everything has been made.
const STAMP: &str = "consort.stamp";

/// What is made for one example.
pub(crate) struct Scripted {
    /// The example's name, which its environment has too.
    pub(crate) example: &'static str,
    /// What the environment holds.
    pub(crate) packages: &'static str,
    /// What is made, and what making it is, as people see it.
    pub(crate) makes: (&'static str, &'static str),
    /// Digests of the downloads that it is made from.
    pub(crate) sources: &'static [&'static str],
    /// The scripts in the example's folder `reference`, one after the other.
    pub(crate) scripts: &'static [Script],
    /// A file in `model` that must be there beside the stamp.
    pub(crate) result: Option<&'static str>,
}

/// A script and its arguments, which are paths in `model`.
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [&'static str],
}

// === impl Scripted ===

impl Scripted {
    /// Makes sure that the environment is there.
    pub(crate) fn environment(&self, layout: &Layout, progress: Progress) -> Result<(), Failure> {
        let name = format!("Python environment of examples/{}", self.example);
        python::environment_of(layout, progress, &name, &self.venv(layout), self.packages)
    }

    /// Runs the scripts, unless what they make is there and made from the same.
    pub(crate) fn make(&self, layout: &Layout, progress: Progress) -> Result<(), Failure> {
        let (what, doing) = self.makes;
        let models = self.models(layout);
        let stamp_path = models.join(STAMP);
        let mut step = progress.step(&format!("{what} of examples/{}", self.example));
        let stamp = self.stamp(&layout.root)?;
        let is_there = self.result.is_none_or(|file| models.join(file).is_file());
        if is_there && fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp) {
            step.ready();
            return Ok(());
        }
        step.needs(doing);
        // Whoever is interrupted has made nothing.
        let _ = fs::remove_file(&stamp_path);
        for script in self.scripts {
            let mut program = Program::new(self.venv(layout).join("bin/python"))
                .args(["-I", "-B"])
                .arg(self.script(&layout.root, script))
                // The official builds of ONNX Runtime report home unless told not to.
                .env("ORT_DISABLE_TELEMETRY", "1");
            for argument in script.arguments {
                program = program.arg(models.join(argument));
            }
            program.quietly(&mut step)?;
        }
        fs::write(&stamp_path, stamp).map_err(Failure::file("cannot write", &stamp_path))?;
        step.done();
        Ok(())
    }

    /// Where what is downloaded and made for the example lies.
    pub(crate) fn models(&self, layout: &Layout) -> PathBuf {
        self.folder(&layout.root).join("model")
    }

    fn folder(&self, root: &Path) -> PathBuf {
        root.join("examples").join(self.example)
    }

    fn venv(&self, layout: &Layout) -> PathBuf {
        layout.setup().join(self.example)
    }

    fn script(&self, root: &Path, script: &Script) -> PathBuf {
        self.folder(root).join("reference").join(script.name)
    }

    /// Tells what everything is made from: the packages, the downloads and the scripts.
    fn stamp(&self, root: &Path) -> Result<String, Failure> {
        let mut stamp = Stamp::default();
        stamp.text("packages", self.packages);
        for source in self.sources {
            stamp.text("source", source);
        }
        for script in self.scripts {
            let path = self.script(root, script);
            stamp
                .file(root, &path)
                .map_err(Failure::file("cannot read", &path))?;
        }
        Ok(stamp.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{embeddings, requirements, tabular, voice_activity};

    #[test]
    fn every_package_is_pinned() {
        for (scripted, names) in [
            (
                &embeddings::GRAPH,
                &["numpy", "onnx", "onnxruntime", "tokenizers"][..],
            ),
            (
                &tabular::MODELS,
                &["scikit-learn", "skl2onnx", "onnx", "pandas", "joblib"],
            ),
            (&voice_activity::GRAPH, &["numpy", "onnx", "onnxruntime"]),
        ] {
            let pinned = requirements::parse(scripted.packages).unwrap();
            for name in names {
                assert!(pinned.iter().any(|one| one.name == *name), "{name}");
            }
        }
    }

    #[test]
    fn another_script_makes_another_stamp() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("examples/voice-activity/reference");
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        let stamp = || voice_activity::GRAPH.stamp(root.path()).unwrap();
        for script in voice_activity::GRAPH.scripts {
            write(script.name, "a");
        }
        let first = stamp();
        assert_eq!(stamp(), first);
        for script in voice_activity::GRAPH.scripts {
            write(script.name, "b");
            assert_ne!(stamp(), first);
            write(script.name, "a");
        }
    }
}
