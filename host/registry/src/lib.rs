//! What is loaded, how it stays up to date, and under which name it answers.
//!
//! ```text
//!  ModelConfig + ModelLoader
//!        |  load: digest, handler, tune, warm up          (load.rs, tune.rs, warm_up.rs)
//!        v
//!  Model { current ------> Generation: handler + batcher  <- calls are held here
//!          others  ------> versions that answer too
//!          previous }      kept for a rollback
//!        ^
//!        +-- update: beside the old, switch, let calls end, drain   (update.rs, watch.rs)
//! ```
//!
//! - [`Registry::load`] keeps a model in memory for good; [`Registry::declare`] lets one be
//!   loaded when it is first asked for, under a budget of bytes (`shelf.rs`, `ledger.rs`).
//! - [`ModelMap`] sends each example to the model of its key.
//! - [`Registry::publish`] gives an endpoint its name on the wire.
//!
//! How a model file becomes a handler is the caller's business ([`ModelLoader`]): this room
//! knows no model runtime, no plugin, no manifest and no protocol.

mod config;
mod digest;
mod disk;
mod error;
mod generation;
mod ledger;
mod load;
mod loader;
mod metrics;
mod model;
mod model_map;
mod pattern;
mod registry;
mod shelf;
mod status;
mod tune;
mod unload;
mod update;
mod versions;
mod warm_up;
mod watch;

pub use config::{
    Config, ConfigError, ModelConfig, OutputCheck, Source, Versions, WATCH_INTERVAL_MAX,
    WATCH_INTERVAL_MIN, WarmUp, WarmUpRows,
};
pub use digest::Sha256Digest;
pub use error::{LoadError, NoRoom, UpdateError};
pub use generation::Generation;
pub use loader::{BoxError, ModelFile, ModelLoader};
pub use metrics::Metrics;
pub use model::{Answered, Model};
pub use model_map::{MapError, ModelMap, ModelMapConfig, Template};
pub use pattern::{KeyPattern, PathTemplate, TemplateError};
pub use registry::Registry;
pub use shelf::InUse;
pub use status::{LastError, LastUpdate, ModelStatus, Trigger, VersionStatus};
pub use tune::{Setting, Tune, TuneReport, Tuning};
pub use update::{Update, Updated};
pub use warm_up::{WarmUpError, WarmUpReport};

use load::Target;

/// Locks a mutex whose holder never leaves it half changed: a panic elsewhere on a thread
/// that held it is no reason to stop serving.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
