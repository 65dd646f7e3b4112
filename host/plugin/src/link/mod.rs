//! What guests may import. One linker holds the base set; each plugin gets a copy of it
//! with stubs for the imports that are refused when called rather than when loaded.

mod assets;
mod collate;
mod columns;
mod files;
mod log;
mod models;
mod nn;
mod tensors;
mod wasi;

pub(crate) use files::{FilesRefused, refuse_files};
pub(crate) use nn::{NN_VERSION, link_nn};
pub(crate) use wasi::wasi_context;

use crate::state::State;
use wasmtime::Engine;
use wasmtime::component::Linker;

/// The version of the contract that this host implements. Components built against any
/// `0.1.z` of it are linked as long as they use nothing newer.
pub(crate) const CONTRACT_VERSION: &str = "0.1.0";

/// Everything of the base set.
pub(crate) fn base(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    tensors::link(&mut linker)?;
    collate::link(&mut linker)?;
    models::link(&mut linker)?;
    log::link(&mut linker)?;
    assets::link(&mut linker)?;
    columns::link(&mut linker)?;
    wasi::link(&mut linker)?;
    Ok(linker)
}

fn interface(name: &str) -> String {
    format!("consort:inference/{name}@{CONTRACT_VERSION}")
}
