//! Consort on the wire: the Open Inference Protocol v2 over HTTP/1.1 and HTTP/2.
//!
//! [`serve`] answers requests from a [`Catalog`] of endpoints. A request's leading axis
//! is its batch: N rows are N examples, each answered for itself, put together again for
//! the response.
//!
//! How a request walks through: `connection` reads HTTP, `http::track` gives it
//! an id and counts it, `http::infer` admits it and reads its body within limits,
//! [`protocol`] decodes it, `rows` takes it apart, the [`Endpoint`] answers, and the same
//! way back. What becomes of each kind of failure is one table, [`status`].
//!
//! This crate never runs a model or a plugin, never reads a manifest, and holds no queue:
//! what does not fit is refused at once.
//!
//! [`Endpoint`]: consort_inference::Endpoint

mod admission;
mod catalog;
mod config;
mod connection;
mod drain;
mod http;
mod infer;
mod metrics;
pub mod protocol;
mod refusal;
mod repository;
mod rows;
mod serve;
pub mod status;
mod tenant;

pub use catalog::Catalog;
pub use config::Config;
pub use drain::Drained;
pub use metrics::Metrics;
pub use repository::{Answering, Repository, RepositoryError, Wish};
pub use serve::{ServeError, bind, serve};
