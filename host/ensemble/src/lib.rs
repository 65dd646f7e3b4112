//! Ensembles: steps put together, checked when they are compiled, run for each call.
//!
//! A [`Step`] is a plugin's role or a model; this room knows neither, only what they read
//! and write. [`Ensemble::compile`] checks that every tensor a step needs is there and
//! fits, and reports every mismatch at once. [`Ensemble`] is an
//! [`Endpoint`](consort_inference::Endpoint): the server and jobs call it, and a model by
//! itself is served as an ensemble of one step.
//!
//! Today an ensemble is a sequence in which a step may answer and so skip the rest. This
//! room never loads anything, never queues and never touches a tensor's bytes.

mod compile;
mod ensemble;
mod metrics;
mod stats;
mod step;

#[cfg(test)]
mod tests;

pub use compile::{CompileError, CompileProblem, Plan, PlannedStep};
pub use ensemble::Ensemble;
pub use metrics::Metrics;
pub use stats::StepStats;
pub use step::Step;
