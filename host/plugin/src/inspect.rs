//! What a component is, told without running it.

use crate::cache::hex;
use crate::capability::{Capability, ImportRule};
use crate::engine::Sandbox;
use crate::errors::{LoadError, LoadProblem};
use crate::files::read_component;
use crate::limits::Limits;
use crate::role::Role;
use crate::scan::scan;
use crate::snapshot;
use crate::world::{World, capabilities};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use wasmparser::{Validator, WasmFeatures};

/// What a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Size of the file.
    pub bytes: u64,
    /// Digest of the file, in hexadecimal.
    pub sha256: String,
    /// The roles it plays; empty when it is no plugin.
    pub roles: Vec<Role>,
    /// Why it is no plugin, if it is none.
    pub not_a_plugin: Option<String>,
    /// Everything it imports.
    pub imports: Vec<String>,
    /// Everything it exports.
    pub exports: Vec<String>,
    /// Capabilities that its imports need.
    pub capabilities: BTreeSet<Capability>,
    /// Whether it is loaded only where the manifest grants it models (`models = [..]`),
    /// because it imports the standard `wasi:nn`.
    pub needs_models: bool,
    /// Imports that no capability would give it: the host does not have them.
    pub unknown_imports: Vec<String>,
    /// Whether a snapshot can be taken after `init`, or why not.
    pub snapshot: Result<(), String>,
}

impl Sandbox {
    /// Looks at a component without compiling or running it. Blocks on the file.
    pub fn inspect(path: &Path) -> Result<Inspection, LoadError> {
        inspect(path).map_err(|problem| LoadError {
            path: path.to_owned(),
            problem,
        })
    }
}

fn inspect(path: &Path) -> Result<Inspection, LoadProblem> {
    let limits = Limits::default();
    let wasm = read_component(path, &limits)?;
    let scan = scan(&wasm, &limits)?;
    Validator::new_with_features(WasmFeatures::default())
        .validate_all(&wasm)
        .map_err(|error| LoadProblem::Invalid(error.to_string()))?;
    let (roles, not_a_plugin) = match World::of(&scan) {
        Ok(world) => (world.roles(), None),
        Err(problem) => (Vec::new(), Some(problem.to_string())),
    };
    let unknown = |import: &&String| ImportRule::of(import) == ImportRule::Unknown;
    Ok(Inspection {
        bytes: wasm.len() as u64,
        sha256: hex(&Sha256::digest(&wasm)),
        roles,
        not_a_plugin,
        capabilities: capabilities(&scan),
        needs_models: (scan.imports.iter())
            .any(|import| ImportRule::of(import) == ImportRule::Models),
        unknown_imports: scan.imports.iter().filter(unknown).cloned().collect(),
        snapshot: snapshot::check(&wasm),
        imports: scan.imports,
        exports: scan.exports,
    })
}
