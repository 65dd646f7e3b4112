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
//! - A call's examples wait as segments, one a lane and tenant, that are cut where a batch
//!   ends: a row of a large call costs little more than being moved.
//! - Only examples of one lane share a batch: equal layouts, or for ragged handlers like
//!   lengths, and equal inference arguments (see `kind.rs`). Among lanes and tenants it goes
//!   by turns, and a turn is as long as what it costs (see `turns.rs` and `costs.rs`).
//! - [`LearnedPolicy`] learns what batches cost and finds their size (see `policy/known.rs`);
//!   [`FixedPolicy`] does what is written. What memory allows is found for both
//!   (`ceilings.rs`).
//! - The handler and the number of replicas can be changed while all this goes on
//!   ([`Batcher::replace`], [`Batcher::set_replicas`]).
//! - Whatever goes wrong with a batch, an example fails for a reason of its own: failing
//!   batches are split until the poison stands alone (see `replica.rs`).
//!
//! This crate never knows how a model is run, never reads a manifest or a request, and
//! never holds its one lock across an await or a run.

mod batcher;
mod ceilings;
mod config;
mod costs;
mod error;
mod events;
mod exchange;
mod former;
mod intake;
mod kind;
mod log_limit;
mod metrics;
mod pending;
mod policy;
mod queue;
mod replica;
mod reply;
mod runner;
mod scatter;
mod serving;
mod spans;
mod taken;
mod totals;
mod turns;

#[cfg(test)]
mod tests;

pub use batcher::Batcher;
pub use config::{BatchWeight, Config, PolicyKind};
pub use error::{ConfigError, ReplaceError, StartError};
pub use kind::LaneKind;
pub use metrics::Metrics;
pub use policy::{BatchPolicy, Decision, FixedPolicy, LearnedPolicy, QueueView, RunOutcome};
pub use reply::Answered;
pub use runner::Runner;
pub use serving::Replicas;
pub use totals::{Spread, Totals};

/// Locks a mutex whose holder never leaves it half changed: a panic elsewhere on a thread
/// that held it is no reason to stop serving.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
