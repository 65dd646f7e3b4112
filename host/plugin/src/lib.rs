//! The sandbox: users' WebAssembly components, loaded, limited and called.
//!
//! A [`Sandbox`] owns one engine for the whole process. [`Sandbox::load`] reads a
//! component, links what it may import and nothing else, runs its `init` once,
//! photographs its memory and keeps the compiled picture in a cache on disk. The
//! resulting [`Plugin`] then answers examples: each call gets a fresh instance from that
//! picture unless the operator chose [`Instances::Reuse`].
//!
//! What holds, whatever a component does:
//! - it ends: guest time, wall time, memory, tables, handles, host calls, log bytes and
//!   output bytes have limits with names ([`Limits`]);
//! - an instance sees the examples of one tenant only, and one that trapped, was stopped
//!   or was abandoned is thrown away;
//! - one bad example fails alone: a call that traps is split until the culprit is found;
//! - it reaches nothing but its tensors, its assets, the models granted to it by name, the
//!   log, clocks and random numbers.
//!
//! This crate is the only user of `wasmtime`. It never reads a manifest, never runs a
//! model (a guest's call goes to an [`Endpoint`](consort_inference::Endpoint) that the
//! operator granted) and never opens a file or a socket on behalf of a guest.
//!
//! The way of a call: [`Plugin`] (`plugin.rs`) splits it by tenant and by failure
//! (`split.rs`), `call.rs` makes one crossing into one instance, which `pool.rs` hands
//! out and `link/` gives its imports. A guest around a model is called by
//! `model_handler.rs`; guests call models through `models.rs`, one after another or several
//! at a time (`pending.rs`). The way of a load: `load.rs`, with `files.rs`,
//! `scan.rs`, `world.rs`, `compile.rs`, `snapshot.rs`, `cache.rs` and `describe.rs`.

mod cache;
mod call;
mod capability;
mod collate;
mod columns;
mod compile;
mod describe;
mod engine;
mod ensemble;
mod errors;
mod files;
mod group;
mod inspect;
mod instance;
mod limits;
mod link;
mod load;
mod logs;
mod metrics;
mod model_call;
mod model_handler;
mod model_wire;
mod models;
mod pending;
mod plugin;
mod pool;
mod role;
mod scan;
mod snapshot;
mod split;
mod state;
mod tensors;
mod trap;
mod ways;
mod wire;
mod world;

pub use cache::CacheProblem;
pub use capability::{Capability, UnknownCapability};
pub use engine::{Config, Sandbox};
pub use errors::{LoadError, LoadProblem, SandboxError};
pub use inspect::Inspection;
pub use limits::{Limit, Limits};
pub use load::{Instances, LoadReport, PluginConfig, Snapshot};
pub use metrics::Metrics;
pub use model_handler::{ModelHandlerDescription, NotThisModel};
pub use plugin::{Plugin, PreprocessDescription};
pub use role::Role;
