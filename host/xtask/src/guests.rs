//! Builds guest components: the plugins of the examples, the plugins that we ship, and the good
//! and hostile guests of the tests.

use crate::digest;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::metadata::{Metadata, Package, cargo};
use crate::progress::Progress;
use crate::python_guest;
use crate::setup::requirements;
use std::fs;
use std::path::{Path, PathBuf};

/// What both kinds of guests are built with.
const BUILD: [&str; 5] = ["build", "--profile", "guest", "--target", "wasm32-wasip2"];

/// A crate that makes a component, and where the component belongs.
#[derive(Debug, PartialEq, Eq)]
struct PluginCrate {
    package: String,
    component: String,
    home: Home,
}

/// Where a component belongs.
#[derive(Debug, PartialEq, Eq)]
enum Home {
    /// The example in this folder inside the workspace.
    Example(String),
    /// Every example whose manifest names the component's file: it comes from `plugins`.
    Wherever,
}

/// Builds the plugins of all examples and those in `plugins`, and copies them to each example's
/// `components` folder.
pub(crate) fn examples(
    layout: &Layout,
    metadata: &Metadata,
    progress: Progress,
) -> Result<(), Failure> {
    let plugins = plugin_crates(metadata);
    progress.say(&format!(
        "plugins of the examples, {} crates:",
        plugins.len()
    ));
    let mut build = cargo().dir(&layout.root).args(BUILD).arg("--lib");
    for plugin in &plugins {
        build = build.args(["-p", &plugin.package]);
    }
    build.run()?;
    let manifests = manifests(layout)?;
    for plugin in &plugins {
        let name = format!("{}.wasm", plugin.component);
        let built = layout.guests().join(&name);
        if !built.is_file() {
            return Err(Failure::NotMade {
                made: plugin.package.clone(),
                missing: built,
            });
        }
        match &plugin.home {
            Home::Example(folder) => {
                place(&built, &layout.root.join(folder).join("components"), &name)?;
            }
            Home::Wherever => {
                for (folder, _) in manifests.iter().filter(|(_, text)| names(text, &name)) {
                    place(&built, &folder.join("components"), &name)?;
                }
            }
        }
    }
    Ok(())
}

/// The folder of each example that has a manifest, and the manifest's text.
fn manifests(layout: &Layout) -> Result<Vec<(PathBuf, String)>, Failure> {
    let examples = layout.root.join("examples");
    let entries = fs::read_dir(&examples).map_err(Failure::file("cannot read", &examples))?;
    let mut manifests = Vec::new();
    for entry in entries {
        let folder = entry
            .map_err(Failure::file("cannot read", &examples))?
            .path();
        let path = folder.join("consort.toml");
        if path.is_file() {
            let text = fs::read_to_string(&path).map_err(Failure::file("cannot read", &path))?;
            manifests.push((folder, text));
        }
    }
    Ok(manifests)
}

/// Whether a manifest's text names a component's file.
fn names(manifest: &str, file_name: &str) -> bool {
    manifest.contains(&format!("\"components/{file_name}\""))
}

/// Builds the guests that the tests run.
pub(crate) fn for_tests(layout: &Layout, metadata: &Metadata) -> Result<(), Failure> {
    let packages = test_guest_crates(metadata, &layout.root);
    let mut build = cargo().dir(&layout.root).args(BUILD).arg("--examples");
    for package in &packages {
        build = build.args(["-p", package]);
    }
    build.run()?;
    Ok(())
}

/// Builds the guest that is written in Python; the Python side must have been set up.
pub(crate) fn in_python(layout: &Layout) -> Result<(), Failure> {
    let tool_version = requirements::version_of("componentize-py")?;
    let dir = layout.guests().join("examples");
    python_guest::CODE_ENSEMBLE.build(layout, &dir, &tool_version, Progress::new("guests"))
}

/// The crates in `examples/*/plugins/*` and in `plugins/*` that make a component.
fn plugin_crates(metadata: &Metadata) -> Vec<PluginCrate> {
    let mut plugins = Vec::new();
    for package in &metadata.packages {
        let folder = package.folder(&metadata.workspace_root);
        let parts: Vec<_> = folder.split('/').collect();
        let home = match parts.as_slice() {
            ["examples", example, "plugins", _] => Some(format!("examples/{example}")),
            ["plugins", _] => None,
            _ => continue,
        };
        plugins.extend(package.targets_of_kind("cdylib").map(|target| PluginCrate {
            package: package.name.clone(),
            component: target.replace('-', "_"),
            home: home.clone().map_or(Home::Wherever, Home::Example),
        }));
    }
    plugins
}

/// The crates in or under `tests/guests` that have examples: each example is a guest.
fn test_guest_crates(metadata: &Metadata, root: &Path) -> Vec<String> {
    let is_guest = |package: &&Package| {
        let folder = package.folder(root);
        let inside = folder == "tests/guests" || folder.starts_with("tests/guests/");
        inside && package.targets_of_kind("example").next().is_some()
    };
    let guests = metadata.packages.iter().filter(is_guest);
    guests.map(|package| package.name.clone()).collect()
}

/// Copies a built component unless the same bytes are already there, so that its time only
/// changes with its content.
fn place(built: &Path, dir: &Path, name: &str) -> Result<(), Failure> {
    let path = dir.join(name);
    let wanted = digest::of_file(built).map_err(Failure::file("cannot read", built))?;
    if digest::matches(&path, &wanted).map_err(Failure::file("cannot read", &path))? {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(Failure::file("cannot make the folder", dir))?;
    let partial = dir.join(format!("{name}.partial"));
    fs::copy(built, &partial).map_err(Failure::file("cannot write", &partial))?;
    fs::rename(&partial, &path).map_err(Failure::file("cannot move a file to", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let text = r#"{
            "workspace_root": "/w", "target_directory": "/w/target",
            "packages": [
                {"name": "consort-sdk", "manifest_path": "/w/sdk/rust/Cargo.toml",
                 "dependencies": [], "targets": [{"name": "consort_sdk", "kind": ["lib"]}]},
                {"name": "some-labels", "manifest_path": "/w/examples/some/plugins/labels/Cargo.toml",
                 "dependencies": [], "targets": [{"name": "some-labels", "kind": ["cdylib", "rlib"]}]},
                {"name": "some-tables", "manifest_path": "/w/examples/some/plugins/tables/Cargo.toml",
                 "dependencies": [], "targets": [{"name": "some_tables", "kind": ["lib"]}]},
                {"name": "consort-plugin-any", "manifest_path": "/w/plugins/any/Cargo.toml",
                 "dependencies": [], "targets": [{"name": "consort_plugin_any", "kind": ["cdylib", "rlib"]}]},
                {"name": "guests", "manifest_path": "/w/tests/guests/Cargo.toml",
                 "dependencies": [], "targets": [{"name": "loops", "kind": ["example"]}]},
                {"name": "more", "manifest_path": "/w/tests/guests/more/Cargo.toml",
                 "dependencies": [], "targets": [{"name": "sleeps", "kind": ["example"]}]},
                {"name": "tests", "manifest_path": "/w/tests/Cargo.toml",
                 "dependencies": [], "targets": [{"name": "none", "kind": ["example"]}]}
            ]
        }"#;
        Metadata::parse(text).unwrap()
    }

    #[test]
    fn plugins_are_the_crates_of_examples_and_plugins_that_make_a_component() {
        assert_eq!(
            plugin_crates(&metadata()),
            [
                PluginCrate {
                    package: "some-labels".to_owned(),
                    component: "some_labels".to_owned(),
                    home: Home::Example("examples/some".to_owned()),
                },
                PluginCrate {
                    package: "consort-plugin-any".to_owned(),
                    component: "consort_plugin_any".to_owned(),
                    home: Home::Wherever,
                }
            ]
        );
    }

    #[test]
    fn a_manifest_names_whole_files() {
        let manifest = "[plugin.a]\npath = \"components/some_labels.wasm\"\n";
        assert!(names(manifest, "some_labels.wasm"));
        assert!(!names(manifest, "labels.wasm"));
    }

    #[test]
    fn guests_are_the_crates_under_tests_guests_alone() {
        let metadata = metadata();
        let guests = test_guest_crates(&metadata, &metadata.workspace_root);
        assert_eq!(guests, ["guests", "more"]);
    }

    #[test]
    fn the_plugins_of_this_workspace_are_found() {
        let plugins = plugin_crates(&Metadata::read().unwrap());
        let components: Vec<_> = plugins.iter().map(|one| one.component.as_str()).collect();
        for expected in ["file_type_features", "file_type_labels"] {
            assert!(components.contains(&expected), "{components:?}");
        }
    }

    #[test]
    fn a_component_is_only_written_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let built = dir.path().join("built.wasm");
        let components = dir.path().join("components");
        fs::write(&built, "one").unwrap();
        place(&built, &components, "a.wasm").unwrap();
        let placed = components.join("a.wasm");
        let first = fs::metadata(&placed).unwrap().modified().unwrap();
        fs::write(&built, "one").unwrap();
        place(&built, &components, "a.wasm").unwrap();
        assert_eq!(fs::metadata(&placed).unwrap().modified().unwrap(), first);
        fs::write(&built, "two").unwrap();
        place(&built, &components, "a.wasm").unwrap();
        assert_eq!(fs::read_to_string(&placed).unwrap(), "two");
    }
}
