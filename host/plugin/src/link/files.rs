//! `wasi:filesystem`, refused. The standard libraries of most languages import it
//! whether or not a program uses files, so it is linked, but by stubs: there are no
//! preopened folders, and every other function ends the guest. No code here can open a
//! file.

use crate::capability::ImportRule;
use crate::state::State;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceType, Val};

/// Stands for a file or folder, of which there are none.
enum NoFile {}

/// A guest called a function that would reach files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plugin called {0}: files are not available to plugins; name what it reads under \
     `assets` in the manifest and read it with `consort:inference/assets`"
)]
pub(crate) struct FilesRefused(String);

/// Defines a stub for each function of `wasi:filesystem` that the component imports, in
/// whatever version it asks for.
pub(crate) fn refuse_files(
    linker: &mut Linker<State>,
    component: &Component,
) -> wasmtime::Result<()> {
    let engine = component.engine();
    for (import, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(ty) = item.ty else {
            continue;
        };
        if ImportRule::of(import) != ImportRule::FilesRefused {
            continue;
        }
        let mut instance = linker.instance(import)?;
        for (export, item) in ty.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) if export == "get-directories" => {
                    instance.func_new(export, |_, _, _, results| {
                        if let Some(result) = results.first_mut() {
                            *result = Val::List(Vec::new());
                        }
                        Ok(())
                    })?;
                }
                ComponentItem::ComponentFunc(_) => {
                    let function = format!("{import} {export}");
                    instance.func_new(export, move |_, _, _, _| {
                        Err(FilesRefused(function.clone()).into())
                    })?;
                }
                // Other resources here are those of wasi:io under another name.
                ComponentItem::Resource(_)
                    if matches!(export, "descriptor" | "directory-entry-stream") =>
                {
                    let ty = ResourceType::host::<NoFile>();
                    instance.resource(export, ty, |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}
