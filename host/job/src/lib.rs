//! Bounded runs: examples from files or lines in, one line of output each.
//!
//! A job reads a [`Source`], hands its examples to an [`consort_inference::Endpoint`] and
//! writes [`Outputs`]: every example becomes exactly one line, a prediction or a dead
//! letter, whatever fails. The way of a chunk of examples through this room:
//!
//! ```text
//! source thread: walk, cut lines or rows   (source, feed, walk, rows, lines, csv_rows,
//!       | chunks, two ahead                 parquet_rows, sample)
//! feed: room in flight?                    (run, budget)
//!       | one task a chunk, many at once   (task)
//! load: read windows, parse rows           (load, files, jsonl, columns, cells)
//! answer: Endpoint::infer, again?          (answer, gate)
//! render: lines of text, or a table        (render, value, layout, csv_lines, table)
//!       | finished chunks
//! writer thread: order, write, count       (writer, reorder, sink; parts, journal)
//! ```
//!
//! Memory is bounded whatever the input: [`Config`] names each limit. A file costs the
//! windows that are asked of it, not its size.
//!
//! This crate never knows what is behind the endpoint, and has no part in requests on the
//! wire: no axum, no wasmtime, no ort.

mod answer;
mod budget;
mod cells;
mod columns;
mod config;
mod csv_lines;
mod csv_rows;
mod elements;
mod error;
mod examples;
mod feed;
mod files;
mod format;
mod gate;
mod inputs;
mod journal;
mod json;
mod jsonl;
mod key;
mod layout;
mod lines;
mod load;
mod metrics;
mod original;
mod os;
mod output;
mod pace;
mod parquet_rows;
mod parts;
mod progress;
mod render;
mod reorder;
mod rows;
mod run;
mod sample;
mod sink;
mod source;
mod start;
mod summary;
mod table;
mod task;
mod turns;
mod value;
mod walk;
mod writer;

pub use columns::{Columns, ColumnsError};
pub use config::{Config, Progress};
pub use error::JobError;
pub use examples::{ExamplesError, read_examples};
pub use files::{FileTensors, Read};
pub use format::Format;
pub use metrics::Distribution;
pub use output::{Outputs, Sink};
pub use pace::{Pace, PaceKeeper};
pub use run::run;
pub use sample::Sample;
pub use source::{Separator, Source, Text};
pub use summary::{Ended, Failures, Summary};
