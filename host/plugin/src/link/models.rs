//! `consort:inference/models`: models granted to the guest, called while it is suspended.

use super::interface;
use crate::limits::Limit;
use crate::model_wire::{GivenError, GivenSignature, WireArg, lift_args};
use crate::models::{Granted, NamedTensors, NoAnswer, add_all};
use crate::state::State;
use crate::wire::WireNamedTensor;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Linker, LinkerInstance, Resource, ResourceTableError, ResourceType, WasmStr,
};

type Context<'a> = StoreContextMut<'a, State>;
type Handle = Resource<Granted>;
type Outputs = Result<Vec<WireNamedTensor>, GivenError>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let name = interface("models");
    let mut instance = linker.instance(&name)?;
    instance.resource(
        "model",
        ResourceType::host::<Granted>(),
        |mut store, handle| {
            let handle = Resource::<Granted>::new_own(handle);
            store.data_mut().resources.delete(handle)?;
            Ok(())
        },
    )?;
    link_reading(&mut instance)?;
    instance.func_wrap("open", |mut store: Context, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?.into_owned();
        Ok((open(store.data_mut(), &name),))
    })?;
    instance.func_wrap_async(
        "[method]model.infer",
        |mut store: Context, (this, inputs, args): (Handle, Vec<WireNamedTensor>, Vec<WireArg>)| {
            Box::new(async move {
                let granted = store.data().resources.get(&this)?.clone();
                let inputs = take(store.data_mut(), inputs);
                let answer = granted.infer(&mut store, inputs, lift_args(args)).await?;
                Ok((give(store.data_mut(), &granted, answer),))
            })
        },
    )
}

fn link_reading(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "[method]model.name",
        |store: Context, (this,): (Handle,)| Ok((store.data().resources.get(&this)?.name.clone(),)),
    )?;
    instance.func_wrap(
        "[method]model.version",
        |store: Context, (this,): (Handle,)| {
            let granted = store.data().resources.get(&this)?;
            Ok((granted.endpoint.version().to_owned(),))
        },
    )?;
    instance.func_wrap(
        "[method]model.has-batch-axis",
        |store: Context, (this,): (Handle,)| {
            let granted = store.data().resources.get(&this)?;
            Ok((granted.endpoint.has_batch_axis(),))
        },
    )?;
    instance.func_wrap(
        "[method]model.signature",
        |store: Context, (this,): (Handle,)| {
            let granted = store.data().resources.get(&this)?;
            Ok((GivenSignature::from(granted.signature()),))
        },
    )
}

fn open(state: &mut State, name: &str) -> Result<Handle, GivenError> {
    let share = &state.share;
    let Some(granted) = share.models.model(name) else {
        let denied = share.models.denied(name, share.name.as_str());
        return Err(GivenError::Failed(denied));
    };
    state.resources.push(granted).map_err(|error| {
        let limit = Limit::Resources;
        if let ResourceTableError::Full = error {
            state.limit_refused(limit);
        }
        GivenError::Failed(format!(
            "{limit}: no more handles than {} may be open; drop those no longer needed",
            state.share.limits.allowed(limit)
        ))
    })
}

/// Takes a guest's tensors out of its hands, whatever becomes of them.
fn take(state: &mut State, named: Vec<WireNamedTensor>) -> NamedTensors {
    let taken = named.into_iter().filter_map(|entry| {
        // Every handle that wasmtime accepts belongs to a tensor.
        let tensor = state.tensors.take(entry.tensor.rep())?;
        Some((entry.name, tensor))
    });
    taken.collect()
}

fn give(state: &mut State, granted: &Granted, answer: Result<NamedTensors, NoAnswer>) -> Outputs {
    let given = answer.and_then(|outputs| {
        let (names, tensors): (Vec<_>, Vec<_>) = outputs.into_iter().unzip();
        let handles = add_all(state, tensors)?;
        let named = names.into_iter().zip(handles);
        let named = named.map(|(name, handle)| WireNamedTensor {
            name,
            tensor: Resource::new_own(handle),
        });
        Ok(named.collect())
    });
    given.map_err(|no_answer| {
        if let NoAnswer::Limit(limit, _) = no_answer {
            state.limit_refused(limit);
        }
        let message = no_answer.message(&granted.name);
        match no_answer.is_callers_fault() {
            true => GivenError::InvalidInput(message),
            false => GivenError::Failed(message),
        }
    })
}
