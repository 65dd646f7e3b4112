//! `consort:inference/collate`: one tensor of many and many of one, without a byte crossing.

use super::interface;
use crate::collate::{fill, padded_size, split, stack_padded};
use crate::model_wire::WirePadded;
use crate::models::add_all;
use crate::state::State;
use crate::tensors::{Refusal, to_usize};
use crate::wire::{TensorHandle, WireDatatype, WireTensorError};
use consort_inference::{Datatype, Tensor};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, WasmList};

type Context<'a> = StoreContextMut<'a, State>;
type Handle = Resource<TensorHandle>;

/// A handle that wasmtime accepted and the table does not know: a defect of the host.
#[derive(Debug, thiserror::Error)]
#[error("tensor handle {0} is not in the table")]
struct UnknownHandle(u32);

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let name = interface("collate");
    let mut instance = linker.instance(&name)?;
    instance.func_wrap(
        "stack-padded",
        |mut store: Context,
         (handles, value, mask): (Vec<Handle>, Vec<u8>, Option<WireDatatype>)| {
            let made = stack(&mut store, &handles, &value, mask.map(Datatype::from))?;
            let state = store.data_mut();
            let given = made.and_then(|tensors| {
                let mut handles = add_all(state, tensors)?.into_iter();
                // Two at most were made, and one at least.
                let tensor = handles.next().unwrap_or_default();
                Ok(WirePadded {
                    tensor: Resource::new_own(tensor),
                    mask: handles.next().map(Resource::new_own),
                })
            });
            Ok((given.map_err(|refusal| refuse(state, refusal)),))
        },
    )?;
    instance.func_wrap(
        "split",
        |mut store: Context, (this, lengths): (Handle, Option<WasmList<u64>>)| {
            let lengths: Option<Vec<usize>> = lengths.map(|lengths| {
                let lengths = lengths.as_le_slice(&store);
                let length = |length: &u64| to_usize(u64::from_le(*length));
                lengths.iter().map(length).collect()
            });
            let tensor = tensor(&store, &this)?.clone();
            let state = store.data_mut();
            let parts = split(&tensor, lengths.as_deref(), state.share.limits.tensors_max);
            let given = parts.and_then(|parts| add_all(state, parts));
            let given: Result<Vec<Handle>, WireTensorError> = given
                .map(|handles| handles.into_iter().map(Resource::new_own).collect())
                .map_err(|refusal| refuse(state, refusal));
            Ok((given,))
        },
    )?;
    instance.func_wrap(
        "fill",
        |mut store: Context, (datatype, shape, value): (WireDatatype, WasmList<u64>, Vec<u8>)| {
            let checked = store.data().tensors.check_new(shape.len());
            let shape = checked.map(|()| {
                let lengths = shape.as_le_slice(&store);
                let length = |length: &u64| to_usize(u64::from_le(*length));
                lengths.iter().map(length).collect()
            });
            let state = store.data_mut();
            let made = shape
                .and_then(|shape| fill(&mut state.tensors, datatype.into(), shape, &value))
                .map(|tensor| Handle::new_own(state.tensors.add(tensor)))
                .map_err(|refusal| refuse(state, refusal));
            Ok((made,))
        },
    )
}

/// The tensors stay where they are: a list may name one of them a million times.
fn stack(
    store: &mut Context<'_>,
    handles: &[Handle],
    value: &[u8],
    mask: Option<Datatype>,
) -> wasmtime::Result<Result<Vec<Tensor>, Refusal>> {
    let size = padded_size(&tensors(store, handles)?, value, mask);
    let size = size.and_then(|size| {
        store.data_mut().tensors.charge(Some(size.bytes))?;
        Ok(size)
    });
    let size = match size {
        Ok(size) => size,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let padded = stack_padded(&tensors(store, handles)?, value, mask, &size);
    Ok(padded.map(|padded| {
        [Some(padded.tensor), padded.mask]
            .into_iter()
            .flatten()
            .collect()
    }))
}

fn tensors<'a>(store: &'a Context<'_>, handles: &[Handle]) -> wasmtime::Result<Vec<&'a Tensor>> {
    handles.iter().map(|handle| tensor(store, handle)).collect()
}

fn tensor<'a>(store: &'a Context<'_>, handle: &Handle) -> wasmtime::Result<&'a Tensor> {
    let tensor = store.data().tensors.tensor(handle.rep());
    tensor.ok_or_else(|| UnknownHandle(handle.rep()).into())
}

fn refuse(state: &mut State, refusal: Refusal) -> WireTensorError {
    match refusal {
        Refusal::Invalid(message) => WireTensorError::Invalid(message),
        Refusal::OutOfRange(message) => WireTensorError::OutOfRange(message),
        Refusal::Limit(limit, message) => {
            state.limit_refused(limit);
            WireTensorError::Limit(message)
        }
    }
}
