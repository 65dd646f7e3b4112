//! `consort:inference/columns`: what a guest may ask about the examples of a call that came
//! as columns.

use super::interface;
use crate::state::State;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(&interface("columns"))?;
    instance.func_wrap(
        "key",
        |store: StoreContextMut<'_, State>, (index,): (u32,)| {
            let key = store.data().keys.get(index as usize).cloned().flatten();
            Ok((key,))
        },
    )
}
