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
        only: Some(&["bytes", "smallvec", "thiserror"]),
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
        folder: "host/remote",
        may_use: &["host/inference"],
        only: None,
    },
    Room {
        folder: "host/import",
        may_use: &[],
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
            "host/remote",
            "host/import",
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
        crates: &["openvino", "openvino-sys"],
        inside: &["host/wasi-nn"],
    },
    Fence {
        crates: &["axum", "tonic", "tower"],
        inside: &["host/server"],
    },
    Fence {
        crates: &["hyper", "hyper-util"],
        inside: &["host/server", "host/remote"],
    },
    Fence {
        crates: &[
            "rustls",
            "hyper-rustls",
            "rustls-native-certs",
            "tower-service",
        ],
        inside: &["host/remote"],
    },
    Fence {
        crates: &["tokio"],
        inside: &[
            "host/batching",
            "host/plugin",
            "host/ensemble",
            "host/registry",
            "host/remote",
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
            "host/remote",
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
mod tests;
