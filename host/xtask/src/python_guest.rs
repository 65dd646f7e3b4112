//! Builds plugins that are written in Python, with componentize-py: the post-processor of
//! `file-type`, and a guest of the tests.
//!
//! That takes a while, so it is only done when something they are made from has changed.

use crate::digest::{self, Stamp};
use crate::failure::Failure;
use crate::layout::Layout;
use crate::process::Program;
use crate::progress::Progress;
use std::fs;
use std::path::{Path, PathBuf};

/// A plugin in Python.
#[derive(Debug)]
pub(crate) struct PythonGuest {
    /// What it is called while it is built.
    title: &'static str,
    /// The component's file.
    component: &'static str,
    /// The world it implements.
    world: &'static str,
    /// The folder of the module that has the plugin, from the repository's root on.
    folder: &'static str,
    /// The module.
    module: &'static str,
}

/// The post-processor of `file-type`.
pub(crate) const LABELS: PythonGuest = PythonGuest {
    title: "plugin in Python",
    component: "file_type_labels_python.wasm",
    world: "postprocess-plugin",
    folder: "examples/file-type/python",
    module: "labels",
};

/// An ensemble in code, for the tests of the sandbox.
pub(crate) const CODE_ENSEMBLE: PythonGuest = PythonGuest {
    title: "guest in Python",
    component: "code_ensemble_python.wasm",
    world: "ensemble-plugin",
    folder: "tests/guests/python",
    module: "code_ensemble",
};

/// The SDK, from the repository's root on.
const SDK: &str = "sdk/python";

/// What every plugin is made from beside its module, from the repository's root on.
const INPUTS: [&str; 2] = ["wit", "sdk/python/consort_sdk"];

// === impl PythonGuest ===

impl PythonGuest {
    /// Makes sure that the component is in that folder and made from what is there now.
    pub(crate) fn build(
        &self,
        layout: &Layout,
        dir: &Path,
        tool_version: &str,
        progress: Progress,
    ) -> Result<(), Failure> {
        let mut step = progress.step(self.title);
        let component = dir.join(self.component);
        let made_from = self.made_from(&layout.root, tool_version)?;
        let stamp_path = layout.stamps().join(self.component);
        let stamp = fs::read_to_string(&stamp_path).ok();
        if stamp.is_some() && stamp == stamp_of(&made_from, &component) {
            step.ready();
            return Ok(());
        }
        step.needs("building");
        for dir in [dir, &layout.stamps()] {
            fs::create_dir_all(dir).map_err(Failure::file("cannot make the folder", dir))?;
        }
        // Not a hidden name or another ending: the tool is told a name that says wasm.
        let partial = layout.stamps().join("partial.wasm");
        Program::new(layout.venv().join("bin/componentize-py"))
            .args(["--wit-path", "wit", "--world", self.world, "componentize"])
            .args(self.arguments())
            .arg(self.module)
            .arg("--output")
            .arg(&partial)
            .dir(&layout.root)
            .advice(format!(
                "what its last lines name is in {SDK} or in {}; without the Python side: `cargo \
                 xtask setup --no-python`",
                self.folder
            ))
            .quietly(&mut step)?;
        let moved = fs::rename(&partial, &component);
        moved.map_err(Failure::file("cannot move a file to", &component))?;
        if let Some(stamp) = stamp_of(&made_from, &component) {
            fs::write(&stamp_path, stamp).map_err(Failure::file("cannot write", &stamp_path))?;
        }
        step.done();
        Ok(())
    }

    /// How it is made. Without the stand-ins for WASI it would import sockets and files,
    /// which the sandbox refuses.
    fn arguments(&self) -> [&'static str; 5] {
        [
            "--stub-wasi",
            "--python-path",
            self.folder,
            "--python-path",
            SDK,
        ]
    }

    /// The digest of everything that the component is made from.
    fn made_from(&self, root: &Path, tool_version: &str) -> Result<String, Failure> {
        let mut stamp = Stamp::default();
        stamp.text("componentize-py", tool_version);
        stamp.text("world", self.world);
        stamp.text("module", self.module);
        stamp.text("arguments", &self.arguments().join(" "));
        let module = format!("{}/{}.py", self.folder, self.module);
        for input in INPUTS.into_iter().chain([module.as_str()]) {
            let input = root.join(input);
            let files: Vec<PathBuf> = if input.is_dir() {
                digest::files_under(&input).map_err(Failure::file("cannot read", &input))?
            } else {
                vec![input]
            };
            for file in files {
                stamp
                    .file(root, &file)
                    .map_err(Failure::file("cannot read", &file))?;
            }
        }
        Ok(stamp.finish())
    }
}

/// What the stamp says: the inputs, and the component that came of them, so that a component
/// that somebody exchanged fits no stamp. None when there is no component.
fn stamp_of(made_from: &str, component: &Path) -> Option<String> {
    let made = digest::of_file(component).ok()?;
    Some(format!("{made_from} {made}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_and_the_tool_change_the_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            "wit/a.wit",
            "sdk/python/consort_sdk/b.py",
            "examples/file-type/python/labels.py",
        ];
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "before").unwrap();
        }
        let first = LABELS.made_from(dir.path(), "1").unwrap();
        assert_eq!(LABELS.made_from(dir.path(), "1").unwrap(), first);
        assert_ne!(LABELS.made_from(dir.path(), "2").unwrap(), first);
        let mut seen = vec![first];
        for file in files {
            fs::write(dir.path().join(file), "after").unwrap();
            let stamp = LABELS.made_from(dir.path(), "1").unwrap();
            assert!(!seen.contains(&stamp), "{file} changes nothing");
            seen.push(stamp);
        }
        // What the build does not read may change.
        fs::write(
            dir.path().join("examples/file-type/python/test_labels.py"),
            "new",
        )
        .unwrap();
        assert_eq!(
            LABELS.made_from(dir.path(), "1").unwrap(),
            *seen.last().unwrap()
        );
    }

    #[test]
    fn a_missing_input_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = LABELS.made_from(dir.path(), "1").unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read ") && error.contains("wit"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_component_has_no_stamp_and_an_exchanged_one_another() {
        let dir = tempfile::tempdir().unwrap();
        let component = dir.path().join("c.wasm");
        assert_eq!(stamp_of("inputs", &component), None);
        fs::write(&component, "one").unwrap();
        let one = stamp_of("inputs", &component).unwrap();
        fs::write(&component, "two").unwrap();
        assert_ne!(stamp_of("inputs", &component).unwrap(), one);
    }
}
