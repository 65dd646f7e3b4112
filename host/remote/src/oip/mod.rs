//! The Open Inference Protocol, version 2, from the client's side.
//!
//! Requests ask for every output by name and carry the batch's arguments as `parameters`.
//! Answers are held to the model's metadata: names, datatypes, shapes and the number of rows.

mod metadata;
mod request;
mod response;

pub(crate) use metadata::{Metadata, has_binary_extension, max_batch_size};
pub(crate) use request::encode;
pub(crate) use response::decode;

/// The header of the binary tensor extension: how many bytes of JSON come first.
pub(crate) const HEADER_LENGTH: &str = "inference-header-content-length";

/// How a model's tensors travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WireForm {
    /// By the binary tensor extension, not as JSON.
    pub(crate) binary: bool,
    /// With a leading batch axis.
    pub(crate) batch_axis: bool,
}

#[cfg(test)]
mod tests;
