//! The picture of a component after `init`: the component is given doors through which
//! its memory and globals can be read (`wasmtime-wizer`), initialised with its real
//! imports, read, and written anew with what was found as its beginning.
//!
//! Everything that `init` left in memory is in the picture, random numbers too: the seeds
//! of hash tables made in `init` are the same in every instance and at every start.

use crate::engine::Sandbox;
use crate::errors::LoadProblem;
use crate::instance::Recipe;
use crate::load::{check_resources, link_component};
use crate::pool::Live;
use crate::state::{PluginShare, begin_call};
use crate::trap::CallError;
use crate::world::World;
use std::sync::Arc;
use wasmtime::component::{Component, ComponentNamedList, Lift, WasmList};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

/// What came of photographing a component.
#[derive(Debug)]
pub(crate) enum Picture {
    /// The component as it is after `init`.
    Taken(Vec<u8>),
    /// This component cannot be photographed, and why. It may be a good one all the same.
    NotPossible(String),
}

/// The doors write where they find what into one new page of each memory, each time.
const DOOR_BYTES: usize = 4 << 20;

/// Initialises the component and takes its picture. `init` runs with all limits; what it
/// refuses is an error, what the tool cannot do is not.
pub(crate) async fn photograph(
    sandbox: &Arc<Sandbox>,
    share: &Arc<PluginShare>,
    world: &World,
    wasm: &Arc<[u8]>,
    config: &str,
) -> Result<Picture, LoadProblem> {
    let inputs = (
        sandbox.clone(),
        share.clone(),
        world.clone(),
        wasm.clone(),
        config.to_owned(),
    );
    let runtime = tokio::runtime::Handle::current();
    // A thread of its own, for it compiles; and the tool takes some unusual components
    // as a reason to panic, which then ends this task and not the host.
    let task = tokio::task::spawn_blocking(move || {
        let (sandbox, share, world, wasm, config) = inputs;
        runtime.block_on(take(sandbox, share, &world, &wasm, &config))
    });
    match task.await {
        Ok(picture) => picture,
        Err(_) => Ok(Picture::NotPossible(
            "the tool that takes the snapshot (wasmtime-wizer) gave up on it".to_owned(),
        )),
    }
}

/// Whether the tool takes the component at all; nothing is run.
pub(crate) fn check(wasm: &[u8]) -> Result<(), String> {
    let checked = std::panic::catch_unwind(|| {
        let instrumented = wizer().instrument_component(wasm);
        instrumented
            .map(|_| ())
            .map_err(|error| format!("{error:#}"))
    });
    checked.unwrap_or_else(|_| Err("wasmtime-wizer gave up on it".to_owned()))
}

fn wizer() -> Wizer {
    let mut wizer = Wizer::new();
    wizer.keep_init_func(true);
    wizer
}

async fn take(
    sandbox: Arc<Sandbox>,
    share: Arc<PluginShare>,
    world: &World,
    wasm: &[u8],
    config: &str,
) -> Result<Picture, LoadProblem> {
    let wizer = wizer();
    let (context, instrumented) = match wizer.instrument_component(wasm) {
        Ok(instrumented) => instrumented,
        Err(error) => return Ok(Picture::NotPossible(format!("{error:#}"))),
    };
    let component = match Component::new(&sandbox.engine, &instrumented) {
        Ok(component) => component,
        // If the component itself is at fault, compiling it as it is will tell.
        Err(error) => return Ok(Picture::NotPossible(format!("{error:#}"))),
    };
    check_resources(&component, &share.limits)?;
    let recipe = Recipe {
        pre: link_component(&sandbox, &component, &share.models)?,
        init: world.exports(&component)?.init,
        init_each: None,
        sandbox,
        share,
    };
    let mut live = initialise(&recipe, config).await?;
    let state = live.store.data_mut();
    if state.holds_handles() {
        return Ok(Picture::NotPossible(
            "init left handles open (tensors, models, streams or timers; printing keeps a \
             stream open: use the log instead)"
                .to_owned(),
        ));
    }
    state.limiter.allow_more_memory(DOOR_BYTES);
    live.store.set_hostcall_fuel(usize::MAX);
    begin_call(&mut live.store, None, recipe.load_budget(), 0);
    let mut doors = Doors { live, error: None };
    let rewritten = wizer.snapshot_component(&context, &mut doors).await;
    if let Some(error) = doors.error {
        return Ok(Picture::NotPossible(error));
    }
    Ok(match rewritten {
        Ok(wasm) => Picture::Taken(wasm),
        Err(error) => Picture::NotPossible(format!("{error:#}")),
    })
}

/// A new instance after its `init`.
pub(crate) async fn initialise(recipe: &Recipe, config: &str) -> Result<Live, LoadProblem> {
    let trapped = |error: CallError| LoadProblem::InitTrapped(error.message().to_owned());
    let permit = recipe.sandbox.pool.permit(recipe.share.nesting).await;
    let budget = recipe.load_budget();
    let mut live = recipe
        .instantiate(permit, None, budget, 0)
        .await
        .map_err(trapped)?;
    match recipe.init(&mut live, config, recipe.load_budget()).await {
        Ok(Ok(())) => Ok(live),
        Ok(Err(text)) => {
            let bytes_max = recipe.share.limits.message_bytes_max;
            Err(LoadProblem::InitRefused(crate::logs::excerpt(
                &text, bytes_max,
            )))
        }
        Err(error) => Err(trapped(error)),
    }
}

/// Reads an instance through its doors. What fails is remembered, never a panic: an
/// instance can be out of memory at this point.
struct Doors {
    live: Live,
    error: Option<String>,
}

// === impl Doors ===

impl Doors {
    async fn call<R>(&mut self, instance: &str, func: &str) -> Option<R>
    where
        R: Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        if self.error.is_some() {
            return None;
        }
        match self.try_call(instance, func).await {
            Ok(value) => Some(value),
            Err(error) => {
                self.error = Some(format!("{func} cannot be read: {}", error.root_cause()));
                None
            }
        }
    }

    async fn try_call<R>(&mut self, instance: &str, func: &str) -> wasmtime::Result<R>
    where
        R: Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        let Live {
            store,
            instance: live,
            ..
        } = &mut self.live;
        let missing = || wasmtime::format_err!("it is not exported");
        let outer = live.get_export_index(&mut *store, None, instance);
        let outer = outer.ok_or_else(missing)?;
        let index = live.get_export_index(&mut *store, Some(&outer), func);
        let index = index.ok_or_else(missing)?;
        let typed = live.get_typed_func::<(), (R,)>(&mut *store, index)?;
        Ok(typed.call_async(&mut *store, ()).await?.0)
    }
}

impl ComponentInstanceState for Doors {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        match self.call::<WasmList<u8>>(instance, func).await {
            Some(list) => contents(list.as_le_slice(&self.live.store)),
            None => contents(&[]),
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func).await.unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func).await.unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        let value: Option<f32> = self.call(instance, func).await;
        value.map(f32::to_bits).unwrap_or_default()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        let value: Option<f64> = self.call(instance, func).await;
        value.map(f64::to_bits).unwrap_or_default()
    }
}
