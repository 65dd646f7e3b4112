//! Bounded runs: examples from files or lines in, one line of output each.
//!
//! A job reads a [`Source`], hands its examples to an [`consort_inference::Endpoint`] and
//! writes [`Outputs`]: every example becomes exactly one line, a prediction or a dead
//! letter, whatever fails. The way of a chunk of examples through this room:
//!
//! ```text
//! source thread: walk or cut lines        (source, walk, lines)
//!       | chunks, two ahead
//! feed: room in flight?                   (run, budget)
//!       | one task a chunk, many at once
//! load: read windows, parse lines         (load, files, jsonl)
//! answer: Endpoint::infer, queue full?    (answer, gate)
//! render: lines of text                   (render, value)
//!       | finished chunks
//! writer thread: order, write, count      (writer, reorder, sink)
//! ```
//!
//! Memory is bounded whatever the input: [`Config`] names each limit. A file costs the
//! windows that are asked of it, not its size.
//!
//! This crate never knows what is behind the endpoint, and has no part in requests on the
//! wire: no axum, no wasmtime, no ort.

mod answer;
mod budget;
mod config;
mod elements;
mod error;
mod files;
mod gate;
mod json;
mod jsonl;
mod key;
mod lines;
mod load;
mod os;
mod output;
mod progress;
mod render;
mod reorder;
mod run;
mod sink;
mod source;
mod summary;
mod task;
mod value;
mod walk;
mod writer;

pub use config::{Config, Progress};
pub use error::JobError;
pub use files::{FileTensors, Read};
pub use output::{Outputs, Sink};
pub use run::run;
pub use source::{Separator, Source, Text};
pub use summary::{Ended, Failures, Summary};
