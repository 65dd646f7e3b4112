//! The sandbox, tested from outside with real components: one program, since linking
//! the engine is what takes time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests, their shared parts too"
)]

mod behaviour;
mod columns;
mod common;
mod composed;
mod ensembles;
mod fake_model;
mod hostile;
mod hostile_models;
mod hostile_pending;
mod loading;
mod models;
mod nesting;
mod streams;
