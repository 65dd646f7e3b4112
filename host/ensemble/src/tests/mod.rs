//! Ensembles of fake steps, most of them sketched as text: what compiles, what does not,
//! and how a call walks.

mod conditions;
mod endings;
mod graph;
mod sequence;
mod sketch;
