//! Ensembles of fake steps, most of them sketched as text: what compiles, what does not,
//! and how a call walks.

mod bounds;
mod conditions;
mod endings;
mod graph;
mod nested;
mod random;
mod sequence;
mod sketch;
mod streams;
