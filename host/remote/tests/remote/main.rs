//! Remote models against servers over real sockets: good ones, and each kind of bad one.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

mod fixture;
mod forms;
mod misbehaviour;
mod tls;
