//! Models that another server runs.
//!
//! A [`RemoteModel`] sends batches to a server of the Open Inference Protocol, version 2, over
//! HTTP (tensors as JSON or by the binary tensor extension), or to one that takes JSON as
//! Vertex AI and TensorFlow Serving do. Rows are stacked on the way out and split on the way
//! back; what comes back is held to the model's signature and never trusted.
//!
//! A server that fails is treated with care: a bounded number of tries with growing, random
//! waits, adaptive throttling by Beam's formula, a circuit breaker, a rate limit if one is set,
//! and never a moment beyond the batch's deadline.
//!
//! This crate never follows a redirect, undoes an encoding, uses a proxy, skips the check of a
//! certificate, shows a secret in a message, or tries again after a connection that broke or an
//! answer that did not come: the server may be at work still.

mod address;
mod caller;
mod check;
mod config;
mod error;
mod http;
mod json;
mod metrics;
mod model;
mod oip;
mod pieces;
mod policy;
#[cfg(test)]
mod samples;
mod secrets;
mod text;
mod transport;
mod vertex;
mod wire;

pub use config::{
    Api, BatchAxis, BreakerConfig, ClientCertificate, Config, OpenInference, RetryConfig, Secret,
    TensorForm, ThrottleConfig, TlsConfig,
};
pub use error::{ConnectError, ConnectReason};
pub use metrics::Metrics;
pub use model::RemoteModel;
