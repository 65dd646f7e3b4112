//! What the protocol says about the server and its endpoints, as JSON objects.

use super::wire_spec;
use consort_inference::{Datatype, Endpoint, TensorSpec};
use serde::Serialize;
use std::sync::Arc;

/// Extensions of the protocol that exist here. A test calls each.
const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "model_configuration", "sequence"];
/// Those that exist where admin calls are allowed.
const ADMIN_EXTENSIONS: [&str; 1] = ["model_repository"];

#[derive(Debug, Serialize)]
pub(crate) struct ServerMetadata {
    name: &'static str,
    version: &'static str,
    extensions: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ModelMetadata<'a> {
    name: &'a str,
    versions: Vec<&'a str>,
    platform: &'a str,
    inputs: Vec<TensorMetadata>,
    outputs: Vec<TensorMetadata>,
}

#[derive(Debug, Serialize)]
struct TensorMetadata {
    name: String,
    datatype: &'static str,
    /// `-1` where any length will do.
    shape: Vec<i64>,
}

/// The model configuration extension, as far as clients read it.
#[derive(Debug, Serialize)]
pub(crate) struct ModelConfig<'a> {
    name: &'a str,
    platform: &'a str,
    backend: &'static str,
    /// The most rows of one request; 0 where requests have no batch axis.
    max_batch_size: usize,
    /// There for models that keep states of streams: clients then name the sequence of a
    /// request.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_batching: Option<SequenceBatching>,
    input: Vec<TensorConfig>,
    output: Vec<TensorConfig>,
}

/// Nothing of it can be chosen.
#[derive(Debug, Serialize)]
struct SequenceBatching {}

#[derive(Debug, Serialize)]
struct TensorConfig {
    name: String,
    data_type: String,
    /// Without the batch axis.
    dims: Vec<i64>,
}

// === impl ServerMetadata ===

impl ServerMetadata {
    /// `admin` is whether models may be loaded and unloaded.
    pub(crate) fn new(admin: bool) -> Self {
        let admin = ADMIN_EXTENSIONS.into_iter().filter(|_| admin);
        Self {
            name: "consort",
            version: env!("CARGO_PKG_VERSION"),
            extensions: EXTENSIONS.into_iter().chain(admin).collect(),
        }
    }
}

// === impl ModelMetadata ===

impl<'a> ModelMetadata<'a> {
    pub(crate) fn of(endpoint: &'a dyn Endpoint, versions: &'a [Arc<str>]) -> Self {
        let has_batch_axis = endpoint.has_batch_axis();
        let tensors = |specs: &[TensorSpec]| {
            let tensor = |spec: &TensorSpec| TensorMetadata {
                name: spec.name.to_string(),
                datatype: spec.datatype.as_str(),
                shape: dims(&wire_spec(spec, has_batch_axis)),
            };
            specs.iter().map(tensor).collect()
        };
        Self {
            name: endpoint.name(),
            versions: versions.iter().map(|version| &**version).collect(),
            platform: endpoint.platform(),
            inputs: tensors(&endpoint.signature().inputs),
            outputs: tensors(&endpoint.signature().outputs),
        }
    }
}

// === impl ModelConfig ===

impl<'a> ModelConfig<'a> {
    pub(crate) fn of(endpoint: &'a dyn Endpoint, rows_max: usize) -> Self {
        let tensors = |specs: &[TensorSpec]| {
            let tensor = |spec: &TensorSpec| TensorConfig {
                name: spec.name.to_string(),
                data_type: data_type(spec.datatype),
                dims: dims(spec),
            };
            specs.iter().map(tensor).collect()
        };
        Self {
            name: endpoint.name(),
            platform: endpoint.platform(),
            backend: "",
            max_batch_size: if endpoint.has_batch_axis() {
                rows_max
            } else {
                0
            },
            sequence_batching: endpoint.keeps_state().then_some(SequenceBatching {}),
            input: tensors(&endpoint.signature().inputs),
            output: tensors(&endpoint.signature().outputs),
        }
    }
}

fn dims(spec: &TensorSpec) -> Vec<i64> {
    let dim = |dim: &Option<usize>| dim.map_or(-1, |length| i64::try_from(length).unwrap_or(-1));
    spec.shape.iter().map(dim).collect()
}

/// The names of datatypes in configurations, which differ from those in requests.
fn data_type(datatype: Datatype) -> String {
    match datatype {
        Datatype::Bytes => "TYPE_STRING".to_owned(),
        other => format!("TYPE_{other}"),
    }
}
