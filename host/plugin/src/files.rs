//! A plugin's files: read, measured, and looked at before anything is compiled.

use crate::cache::hex;
use crate::errors::LoadProblem;
use crate::limits::{Limit, Limits};
use crate::load::{PluginConfig, oversized};
use crate::models::Models;
use crate::scan::scan;
use crate::world::{World, check_imports};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a plugin, read and checked.
pub(crate) struct Files {
    pub(crate) wasm: Arc<[u8]>,
    pub(crate) sha256: [u8; 32],
    pub(crate) world: World,
    pub(crate) assets: BTreeMap<String, Arc<[u8]>>,
}

// === impl Files ===

impl Files {
    pub(crate) fn read(config: &PluginConfig) -> Result<Self, LoadProblem> {
        let limits = &config.limits;
        let wasm = read_component(&config.path, limits)?;
        let sha256: [u8; 32] = Sha256::digest(&wasm).into();
        if let Some(expected) = &config.sha256 {
            let actual = hex(&sha256);
            if !expected.eq_ignore_ascii_case(&actual) {
                return Err(LoadProblem::Digest {
                    expected: expected.clone(),
                    actual,
                });
            }
        }
        let scan = scan(&wasm, limits)?;
        let world = World::of(&scan)?;
        check_imports(&scan, &config.name, &Models::new(config.models.clone()))?;
        if scan.core_instances > limits.core_instances_max {
            return Err(oversized(limits, Limit::CoreInstances, scan.core_instances));
        }
        Ok(Self {
            wasm: wasm.into(),
            sha256,
            world,
            assets: read_assets(&config.assets, limits)?,
        })
    }
}

/// Reads a file that is not larger than a component may be.
pub(crate) fn read_component(path: &Path, limits: &Limits) -> Result<Vec<u8>, LoadProblem> {
    let bytes_max = limits.wasm_bytes_max;
    match read_up_to(path, bytes_max) {
        Err(source) => Err(LoadProblem::Unreadable(source)),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(bytes)) => Err(LoadProblem::TooLarge { bytes, bytes_max }),
    }
}

fn read_assets(
    paths: &BTreeMap<String, PathBuf>,
    limits: &Limits,
) -> Result<BTreeMap<String, Arc<[u8]>>, LoadProblem> {
    let bytes_max = limits.asset_bytes_max;
    let mut left = bytes_max;
    let mut assets = BTreeMap::new();
    for (name, path) in paths {
        let content = read_up_to(path, left).map_err(|source| LoadProblem::Asset {
            name: name.clone(),
            path: path.clone(),
            source,
        })?;
        let content = content.map_err(|_| LoadProblem::AssetsTooLarge { bytes_max })?;
        left -= content.len() as u64;
        assets.insert(name.clone(), content.into());
    }
    Ok(assets)
}

/// The content of a file, or its size if that is over the limit.
fn read_up_to(path: &Path, bytes_max: u64) -> std::io::Result<Result<Vec<u8>, u64>> {
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if metadata.len() > bytes_max {
        return Ok(Err(metadata.len()));
    }
    let mut bytes = Vec::new();
    // A file can grow, and some say they are empty.
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let read = bytes.len() as u64;
    Ok(if read > bytes_max {
        Err(read)
    } else {
        Ok(bytes)
    })
}
