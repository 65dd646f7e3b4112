//! What `cargo metadata` says of the workspace's own crates, as far as these tasks ask.

use crate::failure::Failure;
use crate::process::Program;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The workspace.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) workspace_root: PathBuf,
    pub(crate) target_directory: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One crate of the workspace.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    #[serde(default)]
    pub(crate) targets: Vec<Target>,
}

/// One line of a `[dependencies]` table.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    /// The crate's own name, not what it is renamed to.
    pub(crate) name: String,
    /// None for a normal dependency, else "dev" or "build".
    pub(crate) kind: Option<String>,
    /// Where it lies, for a crate that is not from a registry.
    pub(crate) path: Option<PathBuf>,
}

/// A library, program, example, test or bench.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

// === impl Metadata ===

impl Metadata {
    /// Asks cargo about the workspace that this crate belongs to. Needs no network.
    pub(crate) fn read() -> Result<Self, Failure> {
        let mut program = cargo().args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ]);
        // Set by `cargo run`: the tasks then work from any folder.
        if let Some(dir) = std::env::var_os("CARGO_MANIFEST_DIR") {
            program = program.dir(Path::new(&dir));
        }
        Self::parse(&program.output()?)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        Ok(serde_json::from_str(text)?)
    }
}

// === impl Package ===

impl Package {
    /// The crate's folder inside the workspace, as `host/batching`.
    pub(crate) fn folder(&self, root: &Path) -> String {
        let dir = self.manifest_path.parent().unwrap_or(&self.manifest_path);
        relative(root, dir)
    }

    /// The names of its targets of a kind: "bin", "bench", "example".
    pub(crate) fn targets_of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.targets
            .iter()
            .filter(move |target| target.kind.iter().any(|k| k == kind))
            .map(|target| target.name.as_str())
    }
}

/// The path inside the workspace, with forward slashes.
pub(crate) fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}

/// Cargo itself, the same one that runs this program, without what `cargo run` added to the
/// environment for this crate: otherwise build scripts would see other values than in a
/// cargo started by hand and would run again.
pub(crate) fn cargo() -> Program {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut program = Program::new(cargo);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let added = text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || matches!(
                &*text,
                "CARGO_CRATE_NAME" | "CARGO_BIN_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR"
            );
        if added {
            program = program.env_remove(&name);
        }
    }
    program
}
