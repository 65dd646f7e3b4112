//! The contract's types as the component model passes them; the shapes here must equal
//! those in `wit/types.wit`, which is checked when a plugin is loaded.

use consort_inference::{Datatype, Signature, TensorSpec};
use std::sync::Arc;
use wasmtime::component::{ComponentType, Lift, Lower, Resource};

/// Stands for a tensor behind a handle.
#[derive(Debug)]
pub(crate) enum TensorHandle {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum WireDatatype {
    #[component(name = "bool")]
    Bool,
    #[component(name = "uint8")]
    Uint8,
    #[component(name = "uint16")]
    Uint16,
    #[component(name = "uint32")]
    Uint32,
    #[component(name = "uint64")]
    Uint64,
    #[component(name = "int8")]
    Int8,
    #[component(name = "int16")]
    Int16,
    #[component(name = "int32")]
    Int32,
    #[component(name = "int64")]
    Int64,
    #[component(name = "fp16")]
    Fp16,
    #[component(name = "bf16")]
    Bf16,
    #[component(name = "fp32")]
    Fp32,
    #[component(name = "fp64")]
    Fp64,
    #[component(name = "bytes")]
    Bytes,
}

#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum WireTensorError {
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "out-of-range")]
    OutOfRange(String),
    #[component(name = "limit")]
    Limit(String),
}

#[derive(Debug, Clone, Copy, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct WireAxisRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the derived Lift makes values without naming the variants"
    )
)]
pub(crate) enum WireEnd {
    #[component(name = "head")]
    Head,
    #[component(name = "tail")]
    Tail,
}

#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct WireEnds {
    pub(crate) lengths: Vec<u32>,
    pub(crate) data: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(
    dead_code,
    reason = "the derived Lift makes values without naming the variants"
)]
pub(crate) enum WireLevel {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct WireNamedTensor {
    pub(crate) name: Arc<str>,
    pub(crate) tensor: Resource<TensorHandle>,
}

#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct WireExample {
    pub(crate) key: Option<Arc<str>>,
    pub(crate) tensors: Vec<WireNamedTensor>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireTensorSpec {
    pub(crate) name: Arc<str>,
    pub(crate) datatype: WireDatatype,
    pub(crate) shape: Vec<Option<u64>>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireSignature {
    pub(crate) inputs: Vec<WireTensorSpec>,
    pub(crate) outputs: Vec<WireTensorSpec>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireDescription {
    pub(crate) signature: WireSignature,
    pub(crate) answers: Vec<WireTensorSpec>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum WireError {
    #[component(name = "invalid-input")]
    InvalidInput(String),
    #[component(name = "failed")]
    Failed(String),
}

#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum WireOutcome {
    #[component(name = "forward")]
    Forward(Vec<WireNamedTensor>),
    #[component(name = "answer")]
    Answer(Vec<WireNamedTensor>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum WireFate {
    #[component(name = "forward")]
    Forward,
    #[component(name = "answer")]
    Answer,
    #[component(name = "failed")]
    Failed,
}

#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum WireRows {
    #[component(name = "stacked")]
    Stacked(Vec<WireNamedTensor>),
    #[component(name = "single")]
    Single(Vec<Vec<WireNamedTensor>>),
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireResults {
    pub(crate) fates: Vec<WireFate>,
    pub(crate) forwards: WireRows,
    pub(crate) answers: WireRows,
    pub(crate) errors: Vec<WireError>,
}

/// What a companion takes: how many examples, and their columns.
pub(crate) type WireColumns = (u32, Vec<WireNamedTensor>);

/// What `preprocess.process` returns.
pub(crate) type WireOutcomes = Vec<Result<WireOutcome, WireError>>;
/// What `postprocess.process` returns.
pub(crate) type WireAnswers = Vec<Result<Vec<WireNamedTensor>, WireError>>;

// === impl WireDatatype ===

impl From<WireDatatype> for Datatype {
    fn from(wire: WireDatatype) -> Self {
        match wire {
            WireDatatype::Bool => Self::Bool,
            WireDatatype::Uint8 => Self::Uint8,
            WireDatatype::Uint16 => Self::Uint16,
            WireDatatype::Uint32 => Self::Uint32,
            WireDatatype::Uint64 => Self::Uint64,
            WireDatatype::Int8 => Self::Int8,
            WireDatatype::Int16 => Self::Int16,
            WireDatatype::Int32 => Self::Int32,
            WireDatatype::Int64 => Self::Int64,
            WireDatatype::Fp16 => Self::Fp16,
            WireDatatype::Bf16 => Self::Bf16,
            WireDatatype::Fp32 => Self::Fp32,
            WireDatatype::Fp64 => Self::Fp64,
            WireDatatype::Bytes => Self::Bytes,
        }
    }
}

impl From<Datatype> for WireDatatype {
    fn from(datatype: Datatype) -> Self {
        match datatype {
            Datatype::Bool => Self::Bool,
            Datatype::Uint8 => Self::Uint8,
            Datatype::Uint16 => Self::Uint16,
            Datatype::Uint32 => Self::Uint32,
            Datatype::Uint64 => Self::Uint64,
            Datatype::Int8 => Self::Int8,
            Datatype::Int16 => Self::Int16,
            Datatype::Int32 => Self::Int32,
            Datatype::Int64 => Self::Int64,
            Datatype::Fp16 => Self::Fp16,
            Datatype::Bf16 => Self::Bf16,
            Datatype::Fp32 => Self::Fp32,
            Datatype::Fp64 => Self::Fp64,
            Datatype::Bytes => Self::Bytes,
        }
    }
}

// === impl WireSignature ===

impl WireSignature {
    pub(crate) fn into_signature(self) -> Signature {
        Signature {
            inputs: specs(self.inputs),
            outputs: specs(self.outputs),
        }
    }
}

pub(crate) fn specs(wire: Vec<WireTensorSpec>) -> Vec<TensorSpec> {
    wire.into_iter()
        .map(|spec| {
            let dim = |length: Option<u64>| {
                // A length that no memory holds is one that no tensor has.
                length.map(|length| usize::try_from(length).unwrap_or(usize::MAX))
            };
            let shape = spec.shape.into_iter().map(dim).collect();
            TensorSpec::new(spec.name, spec.datatype.into(), shape)
        })
        .collect()
}
