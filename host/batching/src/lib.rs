//! Batching: from single examples of many callers to batches of one model, and back.
//!
//! ```text
//!  callers                                                         replicas
//!  infer() -> check -> admit -> [ lanes, one a layout ] <- pull <- predict -> scatter
//!     ^                bounded      fair turns,   policy              |         |
//!     |                             deadlines                         +- split -+
//!     +-------------- exactly one result for each example ----------------------+
//! ```
//!
//! - A [`Batcher`] is the handle of one model: [`Batcher::infer`] takes examples and gives
//!   exactly one result for each, in order, to the caller that brought them.
//! - Batches are pulled: a free replica asks the [`BatchPolicy`] whether to run what waits
//!   or to wait for more. Nothing is pushed on a timer, and nothing is prefetched: forming
//!   a batch takes a few microseconds, and a batch that is formed early is only smaller
//!   and out of reach of the replica that comes free first.
//! - Only examples of equal [`Layout`](consort_inference::Layout) share a batch; among
//!   layouts and among tenants it is first come, first served, by turns (see `turns.rs`).
//! - Whatever goes wrong with a batch, an example fails for a reason of its own: failing
//!   batches are split until the poison stands alone (see `replica.rs`).
//!
//! This crate never knows how a model is run, never reads a manifest or a request, and
//! never holds its one lock across an await or a run.

mod batcher;
mod config;
mod error;
mod events;
mod exchange;
mod former;
mod log_limit;
mod metrics;
mod policy;
mod queue;
mod replica;
mod reply;
mod runner;
mod scatter;
mod totals;
mod turns;

#[cfg(test)]
mod tests;

pub use batcher::{Batcher, Replicas};
pub use config::Config;
pub use error::{ConfigError, StartError};
pub use metrics::Metrics;
pub use policy::{BatchPolicy, Decision, FixedPolicy, QueueView};
pub use runner::Runner;
pub use totals::Totals;

/// Locks a mutex whose holder never leaves it half changed: a panic elsewhere on a thread
/// that held it is no reason to stop serving.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
