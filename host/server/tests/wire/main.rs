//! The server as clients see it: through a real socket, byte by byte.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]
#![expect(
    unreachable_pub,
    reason = "the modules share their items with one another"
)]

mod any_body;
mod client;
mod compression;
mod drain;
mod failures;
mod fake;
mod infer;
mod infer_binary;
mod limits;
mod logs;
mod metrics;
mod paths;
mod repository;
