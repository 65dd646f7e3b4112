//! The types of `wit/models.wit`, `wit/collate.wit` and `wit/model-handler.wit` as the
//! component model passes them; checked against a plugin's when it is loaded.

use crate::model_handler::ModelHandlerDescription;
use crate::wire::{TensorHandle, WireDatatype, WireError, WireNamedTensor, WireSignature};
use consort_inference::{ArgValue, BatchHints, InferenceArgs, Signature, TensorSpec};
use std::sync::Arc;
use wasmtime::component::{ComponentType, Lift, Lower, Resource};

#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum WireArgValue {
    #[component(name = "bool")]
    Bool(bool),
    #[component(name = "int")]
    Int(i64),
    #[component(name = "float")]
    Float(f64),
    #[component(name = "text")]
    Text(Arc<str>),
}

#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct WireArg {
    pub(crate) name: Arc<str>,
    pub(crate) value: WireArgValue,
}

/// `error` on its way to a guest.
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum GivenError {
    #[component(name = "invalid-input")]
    InvalidInput(String),
    #[component(name = "failed")]
    Failed(String),
}

/// `tensor-spec` on its way to a guest.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct GivenSpec {
    pub(crate) name: Arc<str>,
    pub(crate) datatype: WireDatatype,
    pub(crate) shape: Vec<Option<u64>>,
}

/// `signature` on its way to a guest.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct GivenSignature {
    pub(crate) inputs: Vec<GivenSpec>,
    pub(crate) outputs: Vec<GivenSpec>,
}

#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct WirePadded {
    pub(crate) tensor: Resource<TensorHandle>,
    pub(crate) mask: Option<Resource<TensorHandle>>,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireBatchHints {
    #[component(name = "max-batch-size")]
    pub(crate) max_batch_size: Option<u32>,
    #[component(name = "preferred-batch-sizes")]
    pub(crate) preferred_batch_sizes: Vec<u32>,
    pub(crate) ragged: bool,
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireHandlerDescription {
    pub(crate) signature: WireSignature,
    pub(crate) hints: WireBatchHints,
}

/// What `model-handler.predict` returns.
pub(crate) type WirePredictions = Result<Vec<Result<Vec<WireNamedTensor>, WireError>>, WireError>;

// === impl WireArg ===

pub(crate) fn lift_args(wire: Vec<WireArg>) -> InferenceArgs {
    let value = |value| match value {
        WireArgValue::Bool(value) => ArgValue::Bool(value),
        WireArgValue::Int(value) => ArgValue::Int(value),
        WireArgValue::Float(value) => ArgValue::Float(value),
        WireArgValue::Text(value) => ArgValue::Text(value),
    };
    let pairs = wire.into_iter().map(|arg| (arg.name, value(arg.value)));
    pairs.collect()
}

pub(crate) fn lower_args(args: &InferenceArgs) -> Vec<WireArg> {
    let value = |value: &ArgValue| match value {
        ArgValue::Bool(value) => WireArgValue::Bool(*value),
        ArgValue::Int(value) => WireArgValue::Int(*value),
        ArgValue::Float(value) => WireArgValue::Float(*value),
        ArgValue::Text(value) => WireArgValue::Text(value.clone()),
    };
    let wire = args.iter().map(|(name, given)| WireArg {
        name: name.clone(),
        value: value(given),
    });
    wire.collect()
}

// === impl GivenSignature ===

impl From<Signature> for GivenSignature {
    fn from(signature: Signature) -> Self {
        let given = |specs: Vec<TensorSpec>| {
            let given = specs.into_iter().map(|spec| GivenSpec {
                name: spec.name,
                datatype: spec.datatype.into(),
                shape: (spec.shape.into_iter())
                    .map(|length| length.map(|length| length as u64))
                    .collect(),
            });
            given.collect()
        };
        Self {
            inputs: given(signature.inputs),
            outputs: given(signature.outputs),
        }
    }
}

// === impl WireHandlerDescription ===

impl WireHandlerDescription {
    pub(crate) fn into_description(self) -> ModelHandlerDescription {
        let size = |size: u32| size as usize;
        ModelHandlerDescription {
            signature: self.signature.into_signature(),
            hints: BatchHints {
                max_batch_size: self.hints.max_batch_size.map(size),
                preferred_batch_sizes: (self.hints.preferred_batch_sizes.into_iter())
                    .map(size)
                    .collect(),
                ragged: self.hints.ragged,
                single_tenant: true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_back_as_they_went() {
        let values = [
            ("flag", ArgValue::Bool(true)),
            ("k", ArgValue::Int(i64::MIN)),
            ("t", ArgValue::Float(-0.0)),
            ("mode", ArgValue::Text("greedy".into())),
        ];
        let pairs = values.map(|(name, value)| (Arc::from(name), value));
        let args: InferenceArgs = pairs.into_iter().collect();
        assert_eq!(lift_args(lower_args(&args)), args);
        assert_eq!(lower_args(&InferenceArgs::new()).len(), 0);
    }
}
