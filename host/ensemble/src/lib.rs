//! Ensembles: steps put together, checked when they are compiled, run for each call.
//!
//! A [`Step`] is a plugin's role or a model; this room knows neither, only what they read
//! and write. [`Ensemble::compile`] checks that every tensor a step needs is there and
//! fits, and reports every mismatch at once. [`Ensemble`] is an
//! [`Endpoint`](consort_inference::Endpoint): the server and jobs call it, and a model by
//! itself is served as an ensemble of one step.
//!
//! [`patterns`] are steps made of steps: splits, canaries, votes, for-each, state by key. This
//! room never loads anything and never queues examples; of a tensor's bytes only conditions
//! and patterns read any.

mod columns;
mod compile;
mod condition;
mod ensemble;
mod graph;
mod inflight;
mod metrics;
mod nested;
pub mod patterns;
mod plan;
mod running;
mod stats;
mod step;
mod streams;
mod traveller;
mod walk;

#[cfg(test)]
mod tests;

pub use condition::{Condition, Literal, Reduction, Test};
pub use ensemble::Ensemble;
pub use graph::{Drawing, Edge, EdgeKind, Graph, Node, NodeKind, StepNode};
pub use metrics::Metrics;
pub use nested::EndpointStep;
pub use plan::{
    CompileError, CompileProblem, Limits, Plan, PlannedOutput, PlannedStep, ProblemPlace, StepPlace,
};
pub use stats::StepStats;
pub use step::Step;
