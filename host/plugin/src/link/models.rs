//! `consort:inference/models`: models granted to the guest, called while it is suspended, or
//! begun and waited for later.

use super::interface;
use crate::limits::Limit;
use crate::model_call::ModelCall;
use crate::model_wire::{GivenError, GivenSignature, WireArg, lift_args};
use crate::models::{Answer, Granted, NamedTensors, NoAnswer, add_all};
use crate::pending::Pending;
use crate::state::State;
use crate::wire::{WireExample, WireNamedTensor};
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Linker, LinkerInstance, Resource, ResourceTableError, ResourceType, WasmStr,
};

type Context<'a> = StoreContextMut<'a, State>;
type Handle = Resource<Granted>;
type Outputs = Result<Vec<WireNamedTensor>, GivenError>;
type Begun = Result<Resource<Pending>, GivenError>;

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
                Ok((give(store.data_mut(), &granted.name, answer),))
            })
        },
    )?;
    link_beginning(&mut instance)?;
    link_waiting(&mut instance)
}

fn link_beginning(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.resource(
        "pending",
        ResourceType::host::<Pending>(),
        |mut store, handle| {
            let abandoned = Resource::<Pending>::new_own(handle);
            drop(store.data_mut().pending.take(abandoned)?);
            Ok(())
        },
    )?;
    instance.func_wrap(
        "[method]model.submit",
        |mut store: Context, (this, inputs, args): (Handle, Vec<WireNamedTensor>, Vec<WireArg>)| {
            let state = store.data_mut();
            state.count_model_call()?;
            let granted = state.resources.get(&this)?.clone();
            let inputs = take(state, inputs);
            let call = ModelCall::of_batch(&granted, state, inputs, lift_args(args));
            Ok((begin(state, &granted, call),))
        },
    )?;
    instance.func_wrap(
        "[method]model.submit-example",
        |mut store: Context, (this, example, args): (Handle, WireExample, Vec<WireArg>)| {
            let state = store.data_mut();
            state.count_model_call()?;
            let granted = state.resources.get(&this)?.clone();
            let inputs = take(state, example.tensors);
            let args = lift_args(args);
            let call = ModelCall::of_example(&granted, state, example.key, inputs, args);
            Ok((begin(state, &granted, call),))
        },
    )
}

fn link_waiting(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "[method]pending.is-done",
        |store: Context, (this,): (Resource<Pending>,)| {
            Ok((store.data().pending.is_done(&this)?,))
        },
    )?;
    instance.func_wrap_async(
        "[static]pending.wait",
        |mut store: Context, (call,): (Resource<Pending>,)| {
            Box::new(async move {
                let call = store.data_mut().pending.take(call)?;
                Ok((wait(&mut store, call).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "wait-any",
        |mut store: Context, (calls,): (Vec<Resource<Pending>>,)| {
            Box::new(async move { Ok((wait_any(&mut store, &calls).await?,)) })
        },
    )?;
    instance.func_wrap_async(
        "wait-all",
        |mut store: Context, (calls,): (Vec<Resource<Pending>>,)| {
            Box::new(async move {
                // All at once: what is not waited for yet must not be lost with an error.
                let pending = &mut store.data_mut().pending;
                let calls: Result<Vec<Pending>, _> =
                    calls.into_iter().map(|call| pending.take(call)).collect();
                let mut results = Vec::new();
                for call in calls? {
                    results.push(wait(&mut store, call).await?);
                }
                Ok((results,))
            })
        },
    )
}

/// Waits for a call while the guest is suspended.
async fn wait(store: &mut Context<'_>, call: Pending) -> wasmtime::Result<Outputs> {
    let model = call.model.clone();
    let begun = Instant::now();
    let answer = call.wait().await;
    let state = store.data_mut();
    state.model_answered(begun.elapsed(), &answer)?;
    Ok(give(state, &model, answer))
}

/// Waits for the first of several to end.
async fn wait_any(
    store: &mut Context<'_>,
    calls: &[Resource<Pending>],
) -> wasmtime::Result<Result<u32, GivenError>> {
    let limit = Limit::ModelCallsPending;
    let calls_max = store.data().share.limits.model_calls_pending_max;
    if calls.is_empty() {
        let message = "there are no calls to wait for: the list is empty".to_owned();
        return Ok(Err(GivenError::Failed(message)));
    }
    if calls.len() > calls_max {
        let count = calls.len();
        let message = format!("{limit}: {count} calls are more than {calls_max}");
        return Ok(Err(GivenError::Failed(message)));
    }
    let begun = Instant::now();
    let pending = &mut store.data_mut().pending;
    let place = std::future::poll_fn(|context| pending.poll_any(context, calls)).await?;
    store.data_mut().waited(begun.elapsed())?;
    // There are no more calls than the limit, which is far below this.
    Ok(Ok(u32::try_from(place).unwrap_or(u32::MAX)))
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
    )?;
    instance.func_wrap(
        "[method]model.example-signature",
        |store: Context, (this,): (Handle,)| {
            let granted = store.data().resources.get(&this)?;
            let signature = granted.endpoint.signature().clone();
            Ok((GivenSignature::from(signature),))
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

fn begin(state: &mut State, granted: &Granted, call: Result<ModelCall, NoAnswer>) -> Begun {
    let begun = granted.submit(state, call);
    begun.map_err(|no_answer| refuse(state, &granted.name, &no_answer))
}

fn give(state: &mut State, model: &Arc<str>, answer: Answer) -> Outputs {
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
    given.map_err(|no_answer| refuse(state, model, &no_answer))
}

/// Tells the guest why it gets nothing.
fn refuse(state: &mut State, model: &str, no_answer: &NoAnswer) -> GivenError {
    let message = no_answer.message(model);
    match no_answer {
        NoAnswer::Limit(limit, _) => state.limit_refused(*limit),
        NoAnswer::Model(failure) => state.told(&message, failure.kind),
        _ => {}
    }
    match no_answer.is_callers_fault() {
        true => GivenError::InvalidInput(message),
        false => GivenError::Failed(message),
    }
}
