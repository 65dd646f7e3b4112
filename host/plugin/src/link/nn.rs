//! `wasi:nn`, the standard: for guests that were written for it and not for Consort. Graphs
//! are the models granted by name; `compute` suspends the guest and joins the same batches
//! as everything else. Models in bytes are not loaded.
//!
//! The tensors' bytes lie among the guest's other tensors, so that the same limits hold. A
//! constructor cannot fail in this interface: a tensor whose bytes do not fit its shape is
//! kept as such, and `compute` says what is wrong with it.

use crate::limits::{Limit, LimitHit};
use crate::logs::{Level, excerpt};
use crate::models::{Granted, NamedTensors, NoAnswer, add_all};
use crate::state::State;
use crate::tensors::Refusal;
use bytes::Bytes;
use consort_inference::{Datatype, FailureKind, Fault, InferenceArgs, Tensor};
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    ComponentType, Lift, Linker, Lower, Resource, ResourceTable, ResourceType, WasmList, WasmStr,
};

/// The version that is implemented. It is a prerelease: no other fits it.
pub(crate) const NN_VERSION: &str = "0.2.0-rc-2024-10-28";

type Context<'a> = StoreContextMut<'a, State>;
type Fails<T> = Result<T, Resource<NnError>>;
/// The standard's `list<named-tensor>`.
type Named = Vec<(Arc<str>, Resource<NnTensor>)>;

/// A tensor as its guest made it.
enum NnTensor {
    /// Its handle among the store's tensors.
    Held(u32),
    /// What it was to be, and why it is none.
    Wrong {
        dimensions: Vec<u32>,
        ty: TensorType,
        reason: String,
    },
}

struct NnError {
    code: ErrorCode,
    data: String,
}

/// A graph, and an execution context: there is no difference here.
struct NnGraph(Granted);
struct NnContext(Granted);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum TensorType {
    #[component(name = "FP16")]
    Fp16,
    #[component(name = "FP32")]
    Fp32,
    #[component(name = "FP64")]
    Fp64,
    #[component(name = "BF16")]
    Bf16,
    #[component(name = "U8")]
    U8,
    #[component(name = "I32")]
    I32,
    #[component(name = "I64")]
    I64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(
    dead_code,
    reason = "they come from guests; nothing is loaded from bytes"
)]
enum GraphEncoding {
    #[component(name = "openvino")]
    OpenVino,
    #[component(name = "onnx")]
    Onnx,
    #[component(name = "tensorflow")]
    TensorFlow,
    #[component(name = "pytorch")]
    PyTorch,
    #[component(name = "tensorflowlite")]
    TensorFlowLite,
    #[component(name = "ggml")]
    Ggml,
    #[component(name = "autodetect")]
    AutoDetect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(
    dead_code,
    reason = "they come from guests; the operator chooses the machine"
)]
enum ExecutionTarget {
    #[component(name = "cpu")]
    Cpu,
    #[component(name = "gpu")]
    Gpu,
    #[component(name = "tpu")]
    Tpu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(
    dead_code,
    reason = "the standard has codes that this host has no use for"
)]
enum ErrorCode {
    #[component(name = "invalid-argument")]
    InvalidArgument,
    #[component(name = "invalid-encoding")]
    InvalidEncoding,
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "runtime-error")]
    RuntimeError,
    #[component(name = "unsupported-operation")]
    UnsupportedOperation,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "security")]
    Security,
    #[component(name = "unknown")]
    Unknown,
}

/// Defines the four interfaces. Only for components that import them and have models.
pub(crate) fn link_nn(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link_errors(linker)?;
    link_tensor(linker)?;
    link_graph(linker)?;
    link_inference(linker)
}

fn interface(name: &str) -> String {
    format!("wasi:nn/{name}@{NN_VERSION}")
}

fn link_errors(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(&interface("errors"))?;
    instance.resource("error", ResourceType::host::<NnError>(), |store, handle| {
        forget::<NnError>(store, handle)
    })?;
    instance.func_wrap(
        "[method]error.code",
        |store: Context, (this,): (Resource<NnError>,)| Ok((store.data().nn.get(&this)?.code,)),
    )?;
    instance.func_wrap(
        "[method]error.data",
        |store: Context, (this,): (Resource<NnError>,)| {
            Ok((store.data().nn.get(&this)?.data.clone(),))
        },
    )
}

fn link_tensor(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(&interface("tensor"))?;
    instance.resource(
        "tensor",
        ResourceType::host::<NnTensor>(),
        |mut store, handle| {
            let state = store.data_mut();
            if let NnTensor::Held(held) = state.nn.delete(Resource::new_own(handle))? {
                state.tensors.discard(held);
            }
            Ok(())
        },
    )?;
    instance.func_wrap(
        "[constructor]tensor",
        |mut store: Context, (dimensions, ty, data): (WasmList<u32>, TensorType, WasmList<u8>)| {
            let made = make(&mut store, &dimensions, ty, &data)?;
            Ok((keep(&mut store.data_mut().nn, made)?,))
        },
    )?;
    instance.func_wrap(
        "[method]tensor.dimensions",
        |store: Context, (this,): (Resource<NnTensor>,)| {
            let state = store.data();
            let dimensions: Vec<u32> = match state.nn.get(&this)? {
                NnTensor::Wrong { dimensions, .. } => dimensions.clone(),
                NnTensor::Held(held) => shape_of(state, *held),
            };
            Ok((dimensions,))
        },
    )?;
    instance.func_wrap(
        "[method]tensor.ty",
        |store: Context, (this,): (Resource<NnTensor>,)| {
            let state = store.data();
            let ty = match state.nn.get(&this)? {
                NnTensor::Wrong { ty, .. } => Some(*ty),
                NnTensor::Held(held) => {
                    let tensor = state.tensors.tensor(*held);
                    tensor.and_then(|tensor| TensorType::of(tensor.datatype()))
                }
            };
            // Every tensor held has a type of the standard's.
            Ok((ty.unwrap_or(TensorType::U8),))
        },
    )?;
    instance.func_wrap(
        "[method]tensor.data",
        |store: Context, (this,): (Resource<NnTensor>,)| {
            let state = store.data();
            let data = match state.nn.get(&this)? {
                NnTensor::Wrong { .. } => Bytes::new(),
                NnTensor::Held(held) => {
                    let tensor = state.tensors.tensor(*held);
                    tensor
                        .map(|tensor| tensor.data().clone())
                        .unwrap_or_default()
                }
            };
            Ok((data,))
        },
    )
}

fn link_graph(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(&interface("graph"))?;
    instance.resource("graph", ResourceType::host::<NnGraph>(), |store, handle| {
        forget::<NnGraph>(store, handle)
    })?;
    instance.func_wrap(
        "[method]graph.init-execution-context",
        |mut store: Context, (this,): (Resource<NnGraph>,)| {
            let state = store.data_mut();
            let granted = state.nn.get(&this)?.0.clone();
            let made: Fails<_> = Ok(keep(&mut state.nn, NnContext(granted))?);
            Ok((made,))
        },
    )?;
    instance.func_wrap(
        "load",
        |mut store: Context,
         _: (Vec<WasmList<u8>>, GraphEncoding, ExecutionTarget)|
         -> wasmtime::Result<(Fails<Resource<NnGraph>>,)> {
            let state = store.data_mut();
            let message = format!(
                "models in bytes are not loaded here: name the model's file under [model.*] in \
                 the manifest, grant it (`models = [\"...\"]` under [plugin.{}]), and use \
                 load-by-name",
                state.share.name
            );
            Ok((Err(fail(state, ErrorCode::Security, message)?),))
        },
    )?;
    instance.func_wrap(
        "load-by-name",
        |mut store: Context,
         (name,): (WasmStr,)|
         -> wasmtime::Result<(Fails<Resource<NnGraph>>,)> {
            let name = name.to_str(&store)?.into_owned();
            let state = store.data_mut();
            let share = &state.share;
            if let Some(granted) = share.models.model(&name) {
                return Ok((Ok(keep(&mut state.nn, NnGraph(granted))?),));
            }
            let message = share.models.denied(&name, share.name.as_str());
            // Guests of the standard seldom show an error's text to anybody.
            state.log.message(Level::Warn, &message);
            Ok((Err(fail(state, ErrorCode::NotFound, message)?),))
        },
    )
}

fn link_inference(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(&interface("inference"))?;
    instance.resource(
        "graph-execution-context",
        ResourceType::host::<NnContext>(),
        forget::<NnContext>,
    )?;
    instance.func_wrap_async(
        "[method]graph-execution-context.compute",
        |mut store: Context, (this, inputs): (Resource<NnContext>, Named)| {
            Box::new(async move {
                let granted = store.data().nn.get(&this)?.0.clone();
                let computed = match take(store.data_mut(), inputs)? {
                    Err(message) => Err((ErrorCode::InvalidArgument, message)),
                    Ok(inputs) => {
                        let args = InferenceArgs::new();
                        let answer = granted.infer(&mut store, inputs, args).await?;
                        give(store.data_mut(), &granted, answer)?
                    }
                };
                let computed: Fails<_> = match computed {
                    Ok(outputs) => Ok(outputs),
                    Err((code, message)) => Err(fail(store.data_mut(), code, message)?),
                };
                Ok((computed,))
            })
        },
    )
}

/// Reads what a guest gives a tensor's constructor. Only a limit is an error here.
fn make(
    store: &mut Context<'_>,
    dimensions: &WasmList<u32>,
    ty: TensorType,
    data: &WasmList<u8>,
) -> wasmtime::Result<NnTensor> {
    let tensors = &mut store.data_mut().tensors;
    within(tensors.check_new(dimensions.len()))?;
    let dimensions: Vec<u32> = dimensions
        .as_le_slice(&*store)
        .iter()
        .map(|length| u32::from_le(*length))
        .collect();
    let data = {
        within(store.data_mut().tensors.charge(Some(data.len())))?;
        Bytes::copy_from_slice(data.as_le_slice(&*store))
    };
    let shape = dimensions.iter().map(|length| *length as usize).collect();
    Ok(match Tensor::new(ty.datatype(), shape, data) {
        Ok(tensor) => NnTensor::Held(store.data_mut().tensors.add(tensor)),
        Err(error) => NnTensor::Wrong {
            dimensions,
            ty,
            reason: error.to_string(),
        },
    })
}

/// Takes a guest's tensors out of its hands, whatever becomes of them.
fn take(state: &mut State, inputs: Named) -> wasmtime::Result<Result<NamedTensors, String>> {
    let mut taken = Vec::with_capacity(inputs.len());
    let mut wrong = None;
    for (name, tensor) in inputs {
        match state.nn.delete(tensor)? {
            NnTensor::Held(held) => taken.extend(state.tensors.take(held).map(|t| (name, t))),
            NnTensor::Wrong { reason, .. } => {
                wrong.get_or_insert_with(|| format!("tensor \"{name}\": {reason}"));
            }
        }
    }
    Ok(wrong.map_or(Ok(taken), Err))
}

type Failed = (ErrorCode, String);

fn give(
    state: &mut State,
    granted: &Granted,
    answer: Result<NamedTensors, NoAnswer>,
) -> wasmtime::Result<Result<Named, Failed>> {
    let outputs = match answer {
        Ok(outputs) => outputs,
        Err(no_answer) => {
            if let NoAnswer::Limit(limit, _) = no_answer {
                state.limit_refused(limit);
            }
            return Ok(Err((code(&no_answer), no_answer.message(&granted.name))));
        }
    };
    let unknown = |(_, tensor): &&(_, Tensor)| TensorType::of(tensor.datatype()).is_none();
    if let Some((name, tensor)) = outputs.iter().find(unknown) {
        let message = format!(
            "output \"{name}\" of model \"{}\" is {}, for which wasi:nn has no type",
            granted.name,
            tensor.datatype()
        );
        return Ok(Err((ErrorCode::UnsupportedOperation, message)));
    }
    let (names, tensors): (Vec<_>, Vec<_>) = outputs.into_iter().unzip();
    let handles = match add_all(state, tensors) {
        Ok(handles) => handles,
        Err(refusal) => {
            let no_answer = NoAnswer::from(refusal);
            return Ok(Err((code(&no_answer), no_answer.message(&granted.name))));
        }
    };
    let mut given = Vec::with_capacity(names.len());
    for (name, held) in names.into_iter().zip(handles) {
        given.push((name, keep(&mut state.nn, NnTensor::Held(held))?));
    }
    Ok(Ok(given))
}

fn code(no_answer: &NoAnswer) -> ErrorCode {
    match no_answer {
        NoAnswer::Inputs { .. } => ErrorCode::InvalidArgument,
        NoAnswer::Limit(..) => ErrorCode::TooLarge,
        NoAnswer::AtLoad => ErrorCode::UnsupportedOperation,
        NoAnswer::Outputs(_) => ErrorCode::RuntimeError,
        NoAnswer::Model(failure) => match failure.kind {
            FailureKind::DeadlineExceeded => ErrorCode::Timeout,
            FailureKind::TooLarge => ErrorCode::TooLarge,
            kind if kind.fault() == Fault::Client => ErrorCode::InvalidArgument,
            _ => ErrorCode::RuntimeError,
        },
    }
}

fn fail(
    state: &mut State,
    code: ErrorCode,
    message: String,
) -> wasmtime::Result<Resource<NnError>> {
    let data = excerpt(&message, state.share.limits.message_bytes_max);
    keep(&mut state.nn, NnError { code, data })
}

/// Puts something into the table of what the guest holds; a full one ends the guest.
fn keep<T: Send + 'static>(table: &mut ResourceTable, entry: T) -> wasmtime::Result<Resource<T>> {
    let full = |_| LimitHit(Limit::Resources).into();
    table.push(entry).map_err(full)
}

fn forget<T: Send + 'static>(mut store: Context<'_>, handle: u32) -> wasmtime::Result<()> {
    store.data_mut().nn.delete(Resource::<T>::new_own(handle))?;
    Ok(())
}

/// A constructor has no way to refuse: the guest ends at the limit.
fn within(checked: Result<(), Refusal>) -> wasmtime::Result<()> {
    match checked {
        Err(Refusal::Limit(limit, _)) => Err(LimitHit(limit).into()),
        _ => Ok(()),
    }
}

fn shape_of(state: &State, held: u32) -> Vec<u32> {
    let shape = state.tensors.tensor(held).map(Tensor::shape);
    // A model's output may have an axis that this interface cannot say.
    let length = |length: &usize| u32::try_from(*length).unwrap_or(u32::MAX);
    shape.unwrap_or_default().iter().map(length).collect()
}

// === impl TensorType ===

impl TensorType {
    const ALL: [Self; 7] = [
        Self::Fp16,
        Self::Fp32,
        Self::Fp64,
        Self::Bf16,
        Self::U8,
        Self::I32,
        Self::I64,
    ];

    const fn datatype(self) -> Datatype {
        match self {
            Self::Fp16 => Datatype::Fp16,
            Self::Fp32 => Datatype::Fp32,
            Self::Fp64 => Datatype::Fp64,
            Self::Bf16 => Datatype::Bf16,
            Self::U8 => Datatype::Uint8,
            Self::I32 => Datatype::Int32,
            Self::I64 => Datatype::Int64,
        }
    }

    fn of(datatype: Datatype) -> Option<Self> {
        let fits = |ty: &Self| ty.datatype() == datatype;
        Self::ALL.into_iter().find(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_map_both_ways() {
        for ty in TensorType::ALL {
            assert_eq!(TensorType::of(ty.datatype()), Some(ty));
        }
        assert_eq!(TensorType::of(Datatype::Bytes), None);
        assert_eq!(TensorType::of(Datatype::Bool), None);
    }
}
