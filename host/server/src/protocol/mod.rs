//! The Open Inference Protocol v2 as values and bytes, apart from any transport.
//!
//! Decoding makes an [`InferRequest`] from a body, encoding makes a body from an
//! [`InferAnswer`]. Between the two stands the crate's `infer`, which knows neither JSON nor
//! HTTP, so that another transport only has to bring its own decoding and encoding.
//!
//! This module does no input or output, and it trusts nothing that it reads: any bytes
//! give a request or a [`DecodeError`], in memory bounded by their own length.

mod binary;
mod bounded;
mod data;
mod decode;
mod encode;
mod encode_data;
mod error;
mod metadata;
mod parameters;
mod repository;

pub use binary::{HeaderLength, header_length};
pub use decode::{DecodeLimits, decode_infer, decode_raw};
pub use encode::{EncodeError, Encoded, encode_infer};
pub use error::{DecodeError, ElementError, NestingError};
pub(crate) use metadata::{ModelConfig, ModelMetadata, ServerMetadata};

pub(crate) use repository::{IndexQuery, LoadQuery, ModelIndexEntry, Reloaded};

use consort_inference::{
    Datatype, Dim, InferenceArgs, Key, Priority, StreamPart, Tensor, TensorSpec,
};
use std::sync::Arc;
use std::time::Duration;

/// An inference request, decoded but not yet compared with the endpoint's signature.
#[derive(Debug, Clone, PartialEq)]
pub struct InferRequest {
    /// The client's name for the request, echoed.
    pub id: Option<String>,
    /// How long the client is willing to wait, from the request's arrival.
    pub timeout: Option<Duration>,
    /// Which of the tenant's waiting requests go first.
    pub priority: Priority,
    /// Parameters that the protocol does not know: what the client says to the models.
    pub args: InferenceArgs,
    /// What each of its rows is called.
    pub key: Option<Key>,
    /// Where in its stream it is, if it names one as the sequence extension does.
    pub stream: Option<StreamPart>,
    /// Whether the inputs are to come back with the outputs, and in which form.
    pub keep_example: Option<Form>,
    /// The inputs, batch axis included; names are unique.
    pub inputs: Vec<(String, Tensor)>,
    /// What the client wants back.
    pub outputs: RequestedOutputs,
}

/// What a client wants back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedOutputs {
    /// Every output, in one form.
    All(Form),
    /// These outputs, in this order; names are unique.
    Listed(Vec<(String, Form)>),
}

/// How a tensor travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// As a JSON array.
    Json,
    /// As raw bytes behind the JSON.
    Binary,
}

/// An answer to an inference request.
#[derive(Debug, Clone, PartialEq)]
pub struct InferAnswer {
    /// The endpoint's name.
    pub model_name: Arc<str>,
    /// The endpoint's version.
    pub model_version: Arc<str>,
    /// The request's id.
    pub id: Option<String>,
    /// What made the predictions: distinct model ids in order of the rows, separated by
    /// commas.
    pub made_by: String,
    /// The arms that each row took, as JSON (parameter `arms`); empty where none did.
    pub arms: String,
    /// What failed in passing, as JSON (parameter `partial`); empty where nothing did.
    pub partial: String,
    /// The outputs, batch axis included, in the order asked for.
    pub outputs: Vec<(Arc<str>, Tensor, Form)>,
}

/// A tensor's promise as it is on the wire: with the batch axis in front, if there is one.
pub(crate) fn wire_spec(spec: &TensorSpec, has_batch_axis: bool) -> TensorSpec {
    let mut shape: Vec<Dim> = Vec::with_capacity(spec.shape.len() + 1);
    if has_batch_axis {
        shape.push(None);
    }
    shape.extend_from_slice(&spec.shape);
    TensorSpec::new(spec.name.clone(), spec.datatype, shape)
}

/// Whether the protocol has a JSON form for elements of this type.
pub(crate) const fn has_json_form(datatype: Datatype) -> bool {
    !matches!(datatype, Datatype::Fp16 | Datatype::Bf16)
}

/// A client's word in a message: in quotes, escaped, and cut if it is long.
pub(crate) fn quoted(word: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut shown: String = word.chars().take(CHARS_MAX).collect();
    if shown.len() < word.len() {
        shown.push_str("...");
    }
    format!("{shown:?}")
}
