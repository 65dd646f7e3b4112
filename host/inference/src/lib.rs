//! The vocabulary of Consort and its one seam.
//!
//! Here is what every other room talks about: [`Tensor`], [`Example`], [`Prediction`],
//! [`Batch`], the names of things, the ways a thing can fail ([`Failure`]), and the two
//! traits that hold the host together: [`ModelHandler`] (runs one batch; implemented by
//! each model runtime) and [`Endpoint`] (answers examples; implemented by ensembles and
//! called by the server and by jobs).
//!
//! This crate never knows how a model is run, how a request arrived or how tasks are
//! scheduled: no async runtime, no serialisation format, no model runtime, no Wasm.

mod args;
mod batch;
mod datatype;
mod endpoint;
mod example;
mod failure;
mod handler;
mod headers;
mod id;
mod ops;
mod origin;
mod spec;
mod stack;
mod tensor;
mod tensors;
mod trace;
mod widen;

pub use args::{ArgValue, InferenceArgs};
pub use batch::{Batch, BatchError, Layout};
pub use datatype::{Datatype, Element, UnknownDatatype};
pub use endpoint::{BoxFuture, Call, Endpoint, Priority, StreamPart, StreamStates};
pub use example::{Example, Key, Outcome, Prediction};
pub use failure::{Failure, FailureKind, Fault, Stage, StageKind};
pub use handler::{BatchHints, ModelHandler, PredictError};
pub use headers::Headers;
pub use id::{InvalidName, ModelId, ModelName, PluginName, TenantId};
pub use origin::{Arm, Origin};
pub use spec::{Dim, Mismatch, Signature, TensorSpec};
pub use stack::Stack;
pub use tensor::{Tensor, TensorError};
pub use tensors::{DuplicateTensor, Tensors};
pub use trace::{Span, SpanId, Trace};
