//! `consort:inference/assets`: the files that the manifest gives a plugin, read into the
//! host's memory when the plugin is loaded. No file is opened here.

use super::interface;
use crate::logs::excerpt;
use crate::state::State;
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

/// How much of an unknown name an error repeats.
const NAME_BYTES_MAX: usize = 200;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let name = interface("assets");
    let mut instance = linker.instance(&name)?;
    instance.func_wrap("names", |store: StoreContextMut<'_, State>, ()| {
        let names: Vec<String> = store.data().share.assets.keys().cloned().collect();
        Ok((names,))
    })?;
    instance.func_wrap(
        "read",
        |store: StoreContextMut<'_, State>, (name,): (WasmStr,)| {
            let name = name.to_str(&store)?;
            let assets = &store.data().share.assets;
            let content: Result<Arc<[u8]>, String> = assets.get(&*name).cloned().ok_or_else(|| {
                let known: Vec<String> = assets.keys().map(|name| format!("\"{name}\"")).collect();
                let known = match known.as_slice() {
                    [] => "the manifest gives this plugin none".to_owned(),
                    known => format!("there are {}", known.join(", ")),
                };
                format!("no asset \"{}\": {known}", excerpt(&name, NAME_BYTES_MAX))
            });
            Ok((content,))
        },
    )
}
