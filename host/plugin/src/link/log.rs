//! `consort:inference/log`.

use super::interface;
use crate::logs::Level;
use crate::state::State;
use crate::wire::WireLevel;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(&interface("log"))?.func_wrap(
        "log",
        |store: StoreContextMut<'_, State>, (level, message): (WireLevel, WasmStr)| {
            let message = message.to_str(&store)?;
            store.data().log.message(level.into(), &message);
            Ok(())
        },
    )
}

impl From<WireLevel> for Level {
    fn from(level: WireLevel) -> Self {
        match level {
            WireLevel::Trace => Self::Trace,
            WireLevel::Debug => Self::Debug,
            WireLevel::Info => Self::Info,
            WireLevel::Warn => Self::Warn,
            WireLevel::Error => Self::Error,
        }
    }
}
