//! Patterns: steps made of other steps.
//!
//! A pattern is a [`Step`] like any other, so patterns nest and the graph needs to know
//! none of them. Each checks at its construction that its members fit one another and
//! reports every problem at once; each gives exactly one result for one example, in order,
//! whatever its members do; and whatever it holds is bounded.
//!
//! | pattern | what it does |
//! |---|---|
//! | [`Split`] | each example takes one arm, by weight |
//! | [`Canary`] | a few examples take a new step, until it fails too often |
//! | [`Shadow`] | copies of examples take another step, only to be compared |
//! | [`Combine`] | all members run, and their outputs become one |
//! | [`Route`] | the value of a tensor says which way |
//! | [`Fallback`] | a second step where the first fails |
//! | [`ForEach`] | one example becomes many and one again |
//! | [`Stateful`] | what a step says last is what it hears next, by key |
//!
//! [`Step`]: crate::Step

mod canary;
mod combine;
mod compare;
mod error;
mod fallback;
mod for_each;
mod join;
mod members;
mod metrics;
mod numbers;
mod rollout;
mod route;
mod shadow;
mod split;
mod stateful;
mod streams;
mod window;

#[cfg(test)]
mod tests;

pub use canary::{Canary, CanaryConfig};
pub use combine::{Combine, CombineConfig, Combined, Rule, Voter};
pub use error::{PatternError, PatternProblem};
pub use fallback::{Fallback, FallbackConfig};
pub use for_each::{ForEach, ForEachConfig};
pub use members::Member;
pub use metrics::PatternMetrics;
pub use rollout::Sticky;
pub use route::{Case, Route, RouteConfig};
pub use shadow::{Shadow, ShadowConfig};
pub use split::{Split, SplitArm, SplitConfig};
pub use stateful::{Stateful, StatefulConfig};
pub use window::CanaryState;
