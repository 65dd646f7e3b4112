//! `consort:inference/tensors`: the guest's handles to host tensors. Bytes cross here,
//! and only here; data that a guest passes in is read where it lies in guest memory.

use super::interface;
use crate::state::State;
use crate::tensors::{
    Held, Refusal, joined_bytes, padded_bytes, sliced_bytes, to_usize, widened_bytes,
};
use crate::wire::{TensorHandle, WireAxisRange, WireDatatype, WireEnd, WireTensorError};
use bytes::Bytes;
use consort_inference::{Tensor, TensorError};
use std::ops::Range;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType, WasmList};

type Context<'a> = StoreContextMut<'a, State>;
type Handle = Resource<TensorHandle>;
type Made = (Result<Handle, WireTensorError>,);

/// A handle that wasmtime accepted and the table does not know: a defect of the host.
#[derive(Debug, thiserror::Error)]
#[error("tensor handle {0} is not in the table")]
struct UnknownHandle(u32);

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let name = interface("tensors");
    let mut instance = linker.instance(&name)?;
    instance.resource(
        "tensor",
        ResourceType::host::<TensorHandle>(),
        |mut store, handle| {
            store.data_mut().tensors.discard(handle);
            Ok(())
        },
    )?;
    link_reading(&mut instance)?;
    link_making(&mut instance)
}

fn link_reading(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "[method]tensor.datatype",
        |store: Context, (this,): (Handle,)| {
            Ok((WireDatatype::from(held(&store, &this)?.datatype()),))
        },
    )?;
    instance.func_wrap(
        "[method]tensor.shape",
        |store: Context, (this,): (Handle,)| {
            let shape = held(&store, &this)?.shape();
            let lengths: Vec<u64> = shape.iter().map(|length| *length as u64).collect();
            Ok((lengths,))
        },
    )?;
    instance.func_wrap(
        "[method]tensor.byte-length",
        |store: Context, (this,): (Handle,)| Ok((held(&store, &this)?.byte_length() as u64,)),
    )?;
    instance.func_wrap(
        "[method]tensor.read",
        |store: Context, (this,): (Handle,)| Ok((tensor(&store, &this)?.data().clone(),)),
    )?;
    instance.func_wrap(
        "[method]tensor.read-parts",
        |store: Context, (this,): (Handle,)| Ok((held(&store, &this)?.parts(),)),
    )?;
    instance.func_wrap(
        "[method]tensor.read-ends",
        |mut store: Context, (this, end, most): (Handle, WireEnd, u32)| {
            // The guest could not take more.
            let max = store.data().share.limits.memory_bytes_max;
            let ends = held(&store, &this)?.ends(end, to_usize(most.into()), max);
            Ok((ends.map_err(|refusal| refused(&mut store, refusal)),))
        },
    )?;
    instance.func_wrap(
        "[method]tensor.read-range",
        |store: Context, (this, offset, length): (Handle, u64, u64)| {
            let data = tensor(&store, &this)?.data();
            let range = to_usize(offset)..to_usize(offset.saturating_add(length));
            if data.get(range.clone()).is_some() {
                return Ok((Ok(data.slice(range)),));
            }
            let outside = WireTensorError::OutOfRange(format!(
                "{length} bytes from {offset} lie outside a tensor of {} bytes",
                data.len()
            ));
            Ok((Err(outside),))
        },
    )
}

fn link_making(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "[static]tensor.create",
        |mut store: Context,
         (datatype, shape, data): (WireDatatype, WasmList<u64>, WasmList<u8>)|
         -> wasmtime::Result<Made> {
            let made = check_shape(&store, &shape).and_then(|shape| {
                store.data_mut().tensors.charge(Some(data.len()))?;
                let data = Bytes::copy_from_slice(data.as_le_slice(&store));
                Ok(Tensor::new(datatype.into(), shape, data)?)
            });
            finish(&mut store, made)
        },
    )?;
    instance.func_wrap(
        "[static]tensor.create-from-parts",
        |mut store: Context,
         (datatype, shape, parts): (WireDatatype, WasmList<u64>, Vec<WasmList<u8>>)|
         -> wasmtime::Result<Made> {
            let made = check_shape(&store, &shape).and_then(|shape| {
                let bytes = parts
                    .iter()
                    .try_fold(0usize, |bytes, part| bytes.checked_add(part.len()));
                store.data_mut().tensors.charge(bytes)?;
                let mut data = Vec::with_capacity(bytes.unwrap_or_default());
                for part in &parts {
                    data.extend_from_slice(part.as_le_slice(&store));
                }
                Ok(Tensor::new(datatype.into(), shape, data.into())?)
            });
            finish(&mut store, made)
        },
    )?;
    instance.func_wrap(
        "[method]tensor.slice",
        |mut store: Context, (this, ranges): (Handle, Vec<WireAxisRange>)| {
            let ranges: Vec<Range<usize>> = ranges
                .iter()
                .map(|range| to_usize(range.start)..to_usize(range.end))
                .collect();
            let tensor = tensor(&store, &this)?.clone();
            let made = charge(&mut store, sliced_bytes(&tensor, &ranges))
                .and_then(|()| Ok(tensor.slice(&ranges)?))
                .and_then(|part| by_itself(&mut store, part));
            finish(&mut store, made)
        },
    )?;
    instance.func_wrap(
        "[method]tensor.reshape",
        |mut store: Context, (this, shape): (Handle, WasmList<u64>)| {
            let tensor = tensor(&store, &this)?.clone();
            let made = check_shape(&store, &shape).and_then(|shape| Ok(tensor.reshape(shape)?));
            finish(&mut store, made)
        },
    )?;
    instance.func_wrap(
        "[method]tensor.widen",
        |mut store: Context, (this, datatype): (Handle, WireDatatype)| {
            let (tensor, to) = (tensor(&store, &this)?.clone(), datatype.into());
            let made =
                charge(&mut store, widened_bytes(&tensor, to)).and_then(|()| Ok(tensor.widen(to)?));
            finish(&mut store, made)
        },
    )?;
    instance.func_wrap(
        "[method]tensor.pad",
        |mut store: Context, (this, shape, value): (Handle, WasmList<u64>, Vec<u8>)| {
            let tensor = tensor(&store, &this)?.clone();
            let made = check_shape(&store, &shape).and_then(|shape| {
                charge(&mut store, padded_bytes(&tensor, &shape, value.len()))?;
                Ok(tensor.pad(shape, &value)?)
            });
            finish(&mut store, made)
        },
    )?;
    instance.func_wrap(
        "[static]tensor.stack",
        |mut store: Context, (handles,): (Vec<Handle>,)| {
            let made = join(&mut store, &handles, Tensor::stack)?;
            finish(&mut store, made)
        },
    )?;
    instance.func_wrap(
        "[static]tensor.concat",
        |mut store: Context, (handles, axis): (Vec<Handle>, u32)| {
            let concat = |tensors: &[&Tensor]| Tensor::concat(tensors, axis as usize);
            let made = join(&mut store, &handles, concat)?;
            finish(&mut store, made)
        },
    )
}

fn held<'a>(store: &'a Context<'_>, handle: &Handle) -> wasmtime::Result<&'a Held> {
    let held = store.data().tensors.held(handle.rep());
    held.ok_or_else(|| UnknownHandle(handle.rep()).into())
}

fn tensor<'a>(store: &'a Context<'_>, handle: &Handle) -> wasmtime::Result<&'a Tensor> {
    let tensor = store.data().tensors.tensor(handle.rep());
    tensor.ok_or_else(|| UnknownHandle(handle.rep()).into())
}

/// Makes one tensor of several. They stay where they are: a list may name one tensor a
/// million times, and nothing counts what a copy of each handle would take.
fn join(
    store: &mut Context<'_>,
    handles: &[Handle],
    joined: impl Fn(&[&Tensor]) -> Result<Tensor, TensorError>,
) -> wasmtime::Result<Result<Tensor, Refusal>> {
    let bytes = joined_bytes(&tensors(store, handles)?);
    Ok(match charge(store, bytes) {
        Ok(()) => joined(&tensors(store, handles)?).map_err(Refusal::from),
        Err(refusal) => Err(refusal),
    })
}

fn tensors<'a>(store: &'a Context<'_>, handles: &[Handle]) -> wasmtime::Result<Vec<&'a Tensor>> {
    handles.iter().map(|handle| tensor(store, handle)).collect()
}

fn charge(store: &mut Context<'_>, bytes: Option<usize>) -> Result<(), Refusal> {
    store.data_mut().tensors.charge(bytes)
}

/// A small part of a large tensor is copied, and counted: it would keep the whole in memory for
/// as long as it goes on, which nobody counts.
fn by_itself(store: &mut Context<'_>, part: Tensor) -> Result<Tensor, Refusal> {
    if part.is_small_part() {
        charge(store, Some(part.data().len()))?;
    }
    Ok(part.by_itself())
}

/// Reads a shape from guest memory if it has an allowed number of axes.
fn check_shape(store: &Context<'_>, shape: &WasmList<u64>) -> Result<Vec<usize>, Refusal> {
    store.data().tensors.check_new(shape.len())?;
    let lengths = shape.as_le_slice(store);
    Ok(lengths
        .iter()
        .map(|length| to_usize(u64::from_le(*length)))
        .collect())
}

/// Gives the guest its new tensor, or the reason why there is none.
fn finish(store: &mut Context<'_>, made: Result<Tensor, Refusal>) -> wasmtime::Result<Made> {
    let made = made.and_then(|tensor| {
        let state = store.data_mut();
        state.tensors.check_new(tensor.shape().len())?;
        Ok(state.tensors.add(tensor))
    });
    Ok((match made {
        Ok(handle) => Ok(Resource::new_own(handle)),
        Err(refusal) => Err(refused(store, refusal)),
    },))
}

/// What the guest is told of a refusal.
fn refused(store: &mut Context<'_>, refusal: Refusal) -> WireTensorError {
    match refusal {
        Refusal::Invalid(message) => WireTensorError::Invalid(message),
        Refusal::OutOfRange(message) => WireTensorError::OutOfRange(message),
        Refusal::Limit(limit, message) => {
            store.data_mut().limit_refused(limit);
            WireTensorError::Limit(message)
        }
    }
}
