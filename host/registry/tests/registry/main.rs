//! The registry from outside, with models that are made of a line of text.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails the test"
)]

mod fake;
mod loading;
mod maps;
mod memory;
mod tuning;
mod unloading;
mod updates;
mod watching;
