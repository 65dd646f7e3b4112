//! Builds the post-processor of `file-type` that is written in Python, with componentize-py.
//!
//! That takes a while, so it is only done when something it is made from has changed.

use crate::digest::{self, Stamp};
use crate::failure::Failure;
use crate::layout::Layout;
use crate::process::Program;
use crate::progress::Progress;
use std::fs;
use std::path::Path;

/// The component's file.
const COMPONENT: &str = "file_type_labels_python.wasm";

/// The world it implements.
const WORLD: &str = "postprocess-plugin";

/// The module that has the plugin.
const MODULE: &str = "labels";

/// How it is made. Without the stand-ins for WASI it would import sockets and files, which
/// the sandbox refuses.
const ARGUMENTS: [&str; 5] = [
    "--stub-wasi",
    "--python-path",
    "examples/file-type/python",
    "--python-path",
    "sdk/python",
];

/// What it is made from, from the repository's root on: folders and files.
const INPUTS: [&str; 3] = [
    "wit",
    "sdk/python/consort_sdk",
    "examples/file-type/python/labels.py",
];

/// Makes sure that the component is there and made from what is there now.
pub(crate) fn build(
    layout: &Layout,
    tool_version: &str,
    progress: Progress,
) -> Result<(), Failure> {
    let mut step = progress.step("plugin in Python");
    let component = layout.components().join(COMPONENT);
    let made_from = made_from(&layout.root, tool_version)?;
    let stamp_path = layout.stamps().join(COMPONENT);
    let stamp = fs::read_to_string(&stamp_path).ok();
    if stamp.is_some() && stamp == stamp_of(&made_from, &component) {
        step.ready();
        return Ok(());
    }
    step.needs("building");
    for dir in [layout.components(), layout.stamps()] {
        fs::create_dir_all(&dir).map_err(Failure::file("cannot make the folder", &dir))?;
    }
    // Not a hidden name or another ending: the tool is told a name that says wasm.
    let partial = layout.stamps().join("partial.wasm");
    Program::new(layout.venv().join("bin/componentize-py"))
        .args(["--wit-path", "wit", "--world", WORLD, "componentize"])
        .args(ARGUMENTS)
        .arg(MODULE)
        .arg("--output")
        .arg(&partial)
        .dir(&layout.root)
        .advice("what its last lines name is in sdk/python or in examples/file-type/python; without the Python side: `cargo xtask setup --no-python`")
        .quietly(&mut step)?;
    fs::rename(&partial, &component).map_err(Failure::file("cannot move a file to", &component))?;
    if let Some(stamp) = stamp_of(&made_from, &component) {
        fs::write(&stamp_path, stamp).map_err(Failure::file("cannot write", &stamp_path))?;
    }
    step.done();
    Ok(())
}

/// The digest of everything that the component is made from.
fn made_from(root: &Path, tool_version: &str) -> Result<String, Failure> {
    let mut stamp = Stamp::default();
    stamp.text("componentize-py", tool_version);
    stamp.text("world", WORLD);
    stamp.text("module", MODULE);
    stamp.text("arguments", &ARGUMENTS.join(" "));
    for input in INPUTS {
        let input = root.join(input);
        let files = if input.is_dir() {
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
        let first = made_from(dir.path(), "1").unwrap();
        assert_eq!(made_from(dir.path(), "1").unwrap(), first);
        assert_ne!(made_from(dir.path(), "2").unwrap(), first);
        let mut seen = vec![first];
        for file in files {
            fs::write(dir.path().join(file), "after").unwrap();
            let stamp = made_from(dir.path(), "1").unwrap();
            assert!(!seen.contains(&stamp), "{file} changes nothing");
            seen.push(stamp);
        }
        // What the build does not read may change.
        fs::write(
            dir.path().join("examples/file-type/python/test_labels.py"),
            "new",
        )
        .unwrap();
        assert_eq!(made_from(dir.path(), "1").unwrap(), *seen.last().unwrap());
    }

    #[test]
    fn a_missing_input_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = made_from(dir.path(), "1").unwrap_err().to_string();
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
