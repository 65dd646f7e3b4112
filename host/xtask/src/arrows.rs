//! `cargo xtask arrows`: which crate may depend on which, as a table, and the check of it.
//!
//! The table is the one of the rooms in the design. A crate without a row fails, so that a new
//! room is placed on purpose. Development dependencies may cross rooms inside the host, where a
//! test needs a real neighbour, but never the border between host and guests.

use crate::failure::Failure;
use crate::metadata::{Dependency, Metadata, Package, relative};
use std::fmt;

/// A row: the crates whose folder matches, and what they may use.
struct Room {
    /// The folder inside the workspace; `*` stands for one part of a path.
    folder: &'static str,
    /// The folders of the workspace's crates that it may depend on; `**` stands for all.
    may_use: &'static [&'static str],
    /// The only crates from registries that it may depend on, where the list is closed.
    only: Option<&'static [&'static str]>,
}

/// Crates that are kept behind one wall.
struct Fence {
    crates: &'static [&'static str],
    /// The folders that may use them, besides `UNFENCED`.
    inside: &'static [&'static str],
}

/// An arrow that may not be there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The manifest that has it.
    manifest: String,
    /// The arrow itself, or the crate alone.
    arrow: String,
    rule: String,
}

const ROOMS: &[Room] = &[
    Room {
        folder: "host/inference",
        may_use: &[],
        only: Some(&["bytes", "thiserror"]),
    },
    Room {
        folder: "host/batching",
        may_use: &["host/inference"],
        only: None,
    },
    Room {
        folder: "host/onnx",
        may_use: &["host/inference"],
        only: None,
    },
    Room {
        folder: "host/wasi-nn",
        may_use: &["host/inference"],
        only: None,
    },
    Room {
        folder: "host/plugin",
        may_use: &["host/inference"],
        only: None,
    },
    Room {
        folder: "host/ensemble",
        may_use: &["host/inference"],
        only: None,
    },
    Room {
        folder: "host/registry",
        may_use: &["host/inference", "host/batching"],
        only: None,
    },
    Room {
        folder: "host/manifest",
        may_use: &[],
        only: Some(&["serde", "serde_json", "thiserror", "toml", "toml_parser"]),
    },
    Room {
        folder: "host/job",
        may_use: &["host/inference", "host/ensemble"],
        only: None,
    },
    Room {
        folder: "host/server",
        may_use: &["host/inference"],
        only: None,
    },
    Room {
        folder: "host/cli",
        may_use: &[
            "host/inference",
            "host/batching",
            "host/onnx",
            "host/wasi-nn",
            "host/plugin",
            "host/ensemble",
            "host/registry",
            "host/manifest",
            "host/job",
            "host/server",
        ],
        only: None,
    },
    Room {
        folder: "host/xtask",
        may_use: &[],
        only: Some(&["serde", "serde_json", "sha2", "thiserror"]),
    },
    Room {
        folder: "sdk/*",
        may_use: &["sdk/*"],
        only: None,
    },
    Room {
        folder: "plugins/*",
        may_use: &["sdk/*", "plugins/*"],
        only: None,
    },
    Room {
        folder: "examples/*/plugins/*",
        may_use: &["sdk/*", "plugins/*", "examples/*/plugins/*"],
        only: None,
    },
    Room {
        folder: "tests/guests",
        may_use: &["sdk/*"],
        only: None,
    },
    Room {
        folder: "tests",
        may_use: &["**"],
        only: None,
    },
];

const FENCES: &[Fence] = &[
    Fence {
        crates: &["ort", "ort-sys"],
        inside: &["host/onnx"],
    },
    Fence {
        crates: &["wasmtime", "wasmtime-wasi", "wasmtime-wizer"],
        inside: &["host/plugin"],
    },
    Fence {
        crates: &["wasmtime-wasi-nn"],
        inside: &["host/wasi-nn"],
    },
    Fence {
        crates: &["axum", "hyper", "hyper-util", "tonic", "tower"],
        inside: &["host/server"],
    },
    Fence {
        crates: &["tokio"],
        inside: &[
            "host/batching",
            "host/plugin",
            "host/ensemble",
            "host/registry",
            "host/job",
            "host/server",
        ],
    },
    Fence {
        crates: &["prometheus-client"],
        inside: &[
            "host/batching",
            "host/plugin",
            "host/ensemble",
            "host/registry",
            "host/server",
        ],
    },
    Fence {
        crates: &["clap"],
        inside: &["host/cli"],
    },
];

/// Where all the rooms are put together, and so no fence stands.
const UNFENCED: &[&str] = &["host/cli", "tests"];

/// Folders that a crate of the host may use in its tests.
const HOST: &str = "host/*";

/// Folders that nothing but `tests` uses.
const TOPS: &[&str] = &["host/cli", "host/xtask"];

/// Checks the workspace and prints each arrow that may not be there.
pub(crate) fn run(metadata: &Metadata) -> Result<(), Failure> {
    let violations = check(metadata);
    for violation in &violations {
        println!("{violation}\n");
    }
    if violations.is_empty() {
        println!(
            "arrows: {} crates, all as the table allows",
            metadata.packages.len()
        );
        return Ok(());
    }
    Err(Failure::Arrows(violations.len()))
}

fn check(metadata: &Metadata) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in &metadata.packages {
        check_package(metadata, package, &mut violations);
    }
    violations
}

fn check_package(metadata: &Metadata, package: &Package, violations: &mut Vec<Violation>) {
    let root = &metadata.workspace_root;
    let folder = package.folder(root);
    let manifest = relative(root, &package.manifest_path);
    let refused = |arrow: String, rule: String| Violation {
        manifest: manifest.clone(),
        arrow,
        rule,
    };
    let Some(room) = ROOMS.iter().find(|room| covers(room.folder, &folder)) else {
        let rule =
            "every crate of the workspace has a row in host/xtask/src/arrows.rs: give it one, \
                    and a line in ARCHITECTURE.md"
                .to_owned();
        violations.push(refused(format!("{} in {folder}", package.name), rule));
        return;
    };
    if let Some(name) = folder.strip_prefix("host/")
        && package.name != format!("consort-{name}")
    {
        let rule = format!("the crate in {folder} is named consort-{name}");
        violations.push(refused(format!("{} in {folder}", package.name), rule));
    }
    for dependency in &package.dependencies {
        let rule = match &dependency.path {
            Some(path) if path.starts_with(root) => {
                own_rule(room, &folder, &relative(root, path), dependency)
            }
            Some(_) => Some("a dependency by path stays inside the repository".to_owned()),
            None => foreign_rule(room, &folder, dependency),
        };
        if let Some(rule) = rule {
            let kind = dependency.kind.as_deref().unwrap_or("normal");
            let arrow = format!("{} -> {} ({kind})", package.name, dependency.name);
            violations.push(refused(arrow, rule));
        }
    }
}

/// The rule that forbids an arrow to another crate of the workspace, if one does.
fn own_rule(room: &Room, folder: &str, to: &str, dependency: &Dependency) -> Option<String> {
    if room.may_use.iter().any(|pattern| covers(pattern, to)) {
        return None;
    }
    let host = |folder: &str| covers(HOST, folder);
    let top = |folder: &str| TOPS.contains(&folder);
    if is_dev(dependency) && host(folder) && folder != "host/xtask" && host(to) && !top(to) {
        return None;
    }
    if top(to) {
        return Some(format!("nothing but tests depends on {to}"));
    }
    Some(match room.may_use {
        [] => format!("{folder} uses no other crate of the workspace"),
        some => format!(
            "of the workspace's crates, {folder} uses {} alone",
            some.join(", ")
        ),
    })
}

/// The rule that forbids an arrow to a crate from a registry, if one does.
fn foreign_rule(room: &Room, folder: &str, dependency: &Dependency) -> Option<String> {
    if is_dev(dependency) || UNFENCED.contains(&folder) {
        return None;
    }
    let name = dependency.name.as_str();
    let fence = FENCES.iter().find(|fence| fence.crates.contains(&name));
    if let Some(fence) = fence.filter(|fence| !fence.inside.contains(&folder)) {
        return Some(format!(
            "{name} is used by {} alone",
            fence.inside.join(", ")
        ));
    }
    match room.only {
        Some(only) if !only.contains(&name) => Some(format!(
            "from registries, {folder} uses {} alone",
            only.join(", ")
        )),
        _ => None,
    }
}

fn is_dev(dependency: &Dependency) -> bool {
    dependency.kind.as_deref() == Some("dev")
}

/// Whether a folder matches a pattern of the table.
fn covers(pattern: &str, folder: &str) -> bool {
    if pattern == "**" {
        return true;
    }
    let mut parts = folder.split('/');
    let all = pattern.split('/').all(|wanted| {
        parts
            .next()
            .is_some_and(|part| wanted == "*" || wanted == part)
    });
    all && parts.next().is_none()
}

// === impl Violation ===

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            manifest,
            arrow,
            rule,
        } = self;
        write!(f, "{manifest}: {arrow} may not be\n  rule: {rule}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    /// A workspace of one crate with one dependency: `-` stands for a registry's crate,
    /// else the dependency lies in that folder.
    fn workspace(
        folder: &str,
        name: &str,
        to: &str,
        to_folder: &str,
        kind: Option<&str>,
    ) -> Metadata {
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
        let inside = |fence: &Fence, folder: &str| {
            fence.inside.contains(&folder) || UNFENCED.contains(&folder)
        };
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
            text.ends_with("from registries, host/inference uses bytes, thiserror alone"),
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
}
