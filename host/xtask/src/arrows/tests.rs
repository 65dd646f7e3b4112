//! The table is checked against arrows that must fail, and against this workspace.

use super::*;
use std::path::{Path, PathBuf};

/// A workspace of one crate with one dependency: `-` stands for a registry's crate,
/// else the dependency lies in that folder.
fn workspace(folder: &str, name: &str, to: &str, to_folder: &str, kind: Option<&str>) -> Metadata {
    let root = Path::new("/w");
    let path = (to_folder != "-").then(|| root.join(to_folder));
    Metadata {
        workspace_root: root.to_owned(),
        target_directory: PathBuf::from("/w/target"),
        packages: vec![Package {
            name: name.to_owned(),
            manifest_path: root.join(folder).join("Cargo.toml"),
            dependencies: vec![Dependency {
                name: to.to_owned(),
                kind: kind.map(str::to_owned),
                path,
            }],
            targets: Vec::new(),
        }],
    }
}

#[track_caller]
fn refused(folder: &str, name: &str, to: &str, to_folder: &str, kind: Option<&str>) -> String {
    let found = check(&workspace(folder, name, to, to_folder, kind));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].to_string()
}

#[track_caller]
fn allowed(folder: &str, name: &str, to: &str, to_folder: &str, kind: Option<&str>) {
    let found = check(&workspace(folder, name, to, to_folder, kind));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn this_workspace_has_only_allowed_arrows() {
    let metadata = Metadata::read().unwrap();
    assert!(metadata.packages.len() >= 12, "{}", metadata.packages.len());
    let violations = check(&metadata);
    let shown: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{}", shown.join("\n"));
}

#[test]
fn an_arrow_between_rooms_names_itself_its_manifest_and_its_rule() {
    assert_eq!(
        refused(
            "host/server",
            "consort-server",
            "consort-plugin",
            "host/plugin",
            None
        ),
        "host/server/Cargo.toml: consort-server -> consort-plugin (normal) may not be\n  \
         rule: of the workspace's crates, host/server uses host/inference alone"
    );
    assert_eq!(
        refused(
            "host/inference",
            "consort-inference",
            "consort-job",
            "host/job",
            Some("build")
        ),
        "host/inference/Cargo.toml: consort-inference -> consort-job (build) may not be\n  \
         rule: host/inference uses no other crate of the workspace"
    );
    allowed(
        "host/job",
        "consort-job",
        "consort-ensemble",
        "host/ensemble",
        None,
    );
    allowed(
        "host/cli",
        "consort-cli",
        "consort-server",
        "host/server",
        None,
    );
    allowed("tests", "consort-tests", "consort-cli", "host/cli", None);
}

#[test]
fn nothing_depends_on_the_tops() {
    for kind in [None, Some("dev")] {
        let text = refused("host/job", "consort-job", "consort-cli", "host/cli", kind);
        assert!(
            text.ends_with("nothing but tests depends on host/cli"),
            "{text}"
        );
    }
    let text = refused(
        "host/cli",
        "consort-cli",
        "consort-xtask",
        "host/xtask",
        None,
    );
    assert!(
        text.ends_with("nothing but tests depends on host/xtask"),
        "{text}"
    );
}

#[test]
fn tests_of_the_host_may_use_neighbours_but_never_guests() {
    allowed(
        "host/server",
        "consort-server",
        "consort-batching",
        "host/batching",
        Some("dev"),
    );
    refused(
        "host/plugin",
        "consort-plugin",
        "consort-sdk",
        "sdk/rust",
        Some("dev"),
    );
    refused(
        "host/plugin",
        "consort-plugin",
        "file-type-labels",
        "examples/file-type/plugins/labels",
        Some("dev"),
    );
    refused(
        "host/xtask",
        "consort-xtask",
        "consort-inference",
        "host/inference",
        Some("dev"),
    );
}

#[test]
fn guests_and_tasks_never_use_the_host() {
    for kind in [None, Some("dev"), Some("build")] {
        refused(
            "sdk/rust",
            "consort-sdk",
            "consort-inference",
            "host/inference",
            kind,
        );
        refused(
            "plugins/top-k",
            "top-k",
            "consort-plugin",
            "host/plugin",
            kind,
        );
        refused(
            "tests/guests",
            "consort-guests",
            "consort-plugin",
            "host/plugin",
            kind,
        );
        refused(
            "host/xtask",
            "consort-xtask",
            "consort-manifest",
            "host/manifest",
            kind,
        );
        let example = "examples/file-type/plugins/labels";
        refused(
            example,
            "file-type-labels",
            "consort-inference",
            "host/inference",
            kind,
        );
    }
    let example = "examples/file-type/plugins/labels";
    allowed(example, "file-type-labels", "consort-sdk", "sdk/rust", None);
    allowed(
        "tests/guests",
        "consort-guests",
        "consort-sdk",
        "sdk/rust",
        None,
    );
}

#[test]
fn every_fenced_crate_is_refused_outside_and_allowed_inside_its_fence() {
    let inside =
        |fence: &Fence, folder: &str| fence.inside.contains(&folder) || UNFENCED.contains(&folder);
    for fence in FENCES {
        for name in fence.crates {
            for room in ROOMS.iter().filter(|room| !room.folder.contains('*')) {
                let own = room.folder.replace("host/", "consort-");
                let found = check(&workspace(room.folder, &own, name, "-", None));
                let fenced_out = !inside(fence, room.folder);
                assert_eq!(!found.is_empty(), fenced_out, "{name} in {}", room.folder);
            }
        }
    }
}

#[test]
fn the_fences_of_the_design_stand() {
    for (folder, name) in [
        ("host/batching", "ort"),
        ("host/batching", "wasmtime"),
        ("host/server", "wasmtime"),
        ("host/server", "ort"),
        ("host/onnx", "tokio"),
        ("host/manifest", "tokio"),
        ("host/inference", "tokio"),
        ("host/inference", "serde"),
        ("host/plugin", "axum"),
        ("host/job", "axum"),
        ("host/job", "prometheus-client"),
        ("host/server", "clap"),
    ] {
        let own = folder.replace("host/", "consort-");
        let text = refused(folder, &own, name, "-", None);
        assert!(text.contains(&format!("-> {name} (normal)")), "{text}");
    }
    assert_eq!(
        refused("host/batching", "consort-batching", "wasmtime", "-", None),
        "host/batching/Cargo.toml: consort-batching -> wasmtime (normal) may not be\n  \
         rule: wasmtime is used by host/plugin alone"
    );
    allowed("host/onnx", "consort-onnx", "tokio", "-", Some("dev"));
}

#[test]
fn a_closed_list_refuses_what_is_not_on_it() {
    let text = refused("host/inference", "consort-inference", "regex", "-", None);
    assert!(
        text.ends_with("from registries, host/inference uses bytes, smallvec, thiserror alone"),
        "{text}"
    );
    allowed("host/inference", "consort-inference", "bytes", "-", None);
    allowed(
        "host/inference",
        "consort-inference",
        "proptest",
        "-",
        Some("dev"),
    );
}

#[test]
fn a_crate_without_a_row_or_with_another_name_is_refused() {
    let text = refused("host/news", "consort-news", "bytes", "-", None);
    assert!(
        text.starts_with("host/news/Cargo.toml: consort-news in host/news may not be"),
        "{text}"
    );
    assert!(
        text.contains("has a row in host/xtask/src/arrows.rs"),
        "{text}"
    );
    let text = refused("host/job", "jobs", "bytes", "-", None);
    assert!(
        text.ends_with("the crate in host/job is named consort-job"),
        "{text}"
    );
}

#[test]
fn a_path_out_of_the_repository_is_refused() {
    let mut metadata = workspace("host/job", "consort-job", "other", "x", None);
    metadata.packages[0].dependencies[0].path = Some(PathBuf::from("/elsewhere/other"));
    let found = check(&metadata);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].rule.contains("stays inside the repository"),
        "{found:?}"
    );
}

#[test]
fn patterns_match_whole_paths_part_by_part() {
    assert!(covers("host/*", "host/job"));
    assert!(!covers("host/*", "host"));
    assert!(!covers("host/*", "host/job/more"));
    assert!(!covers("tests", "tests/guests"));
    assert!(covers(
        "examples/*/plugins/*",
        "examples/file-type/plugins/labels"
    ));
    assert!(covers("**", "any/where"));
}
