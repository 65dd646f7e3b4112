//! What is loaded, and under which name it answers.
//!
//! [`Registry::load`] checks a model file's digest, has it loaded off the async threads,
//! puts a batcher in front of it and keeps it; [`Registry::publish`] gives an endpoint its
//! name on the wire. How a model file becomes a handler is the caller's business: this
//! room knows no model runtime, no plugin and no protocol.

mod digest;
mod error;
mod model;
mod registry;

pub use digest::Sha256Digest;
pub use error::LoadError;
pub use model::{Model, ModelConfig, ModelFile};
pub use registry::Registry;
