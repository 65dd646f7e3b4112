//! Tensors as JSON arrays, flat or nested like their shape.
//!
//! Numbers are written and read without a detour over another type, so that every value comes
//! back with the bits it had. FP16 and BF16 have no form in JSON here, as in the protocol.

mod read;
mod write;

pub(crate) use read::{Nest, read_nest};
pub(crate) use write::{WriteError, write_nest, write_value};

/// The deepest nesting that is written or read.
pub(crate) const DEPTH_MAX: usize = 32;

/// How a `BYTES` element that is no UTF-8 text travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NonText {
    /// Not at all.
    Refused,
    /// As `{"b64": "..."}`, the form of Vertex AI and TensorFlow Serving.
    Base64,
}

#[cfg(test)]
mod tests;
