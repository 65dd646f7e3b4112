//! The manifest: from a TOML text to a checked value.
//!
//! [`parse`] finds everything that is wrong at once, each with file, line, column, the
//! line itself and what to write instead. Every value of the result remembers its place
//! in the text ([`Located`]), so that whoever finds out later that it does not work can
//! say so in the same form ([`Manifest::problems`]).
//!
//! Each kind of table is declared once, in `keys/`, as a struct whose fields say how
//! their keys are read. Parser, defaults, JSON Schema ([`json_schema`]) and reference
//! ([`reference()`]) are made of that one declaration.
//!
//! This crate reads no file and knows no other room: values are plain, and the binary
//! turns them into each room's own `Config`.

mod json;
mod keys;
mod manifest;
mod names;
mod nearest;
mod place;
mod problem;
mod report;
mod rule;
mod schema;
mod section;
mod syntax;

pub use keys::ensemble::{Ensemble, Role, Step, StepRuns};
pub use keys::files::{FileRead, FileTensor};
pub use keys::host::{Cache, Job, Sandbox, Server};
pub use keys::limits::Limits;
pub use keys::model::{Batching, ExecutionProvider, Model, ModelRuntime, Optimization};
pub use keys::plugin::{Instances, Plugin};
pub use manifest::{Manifest, parse};
pub use place::{Located, Place, Position, Source};
pub use problem::{Problem, Problems};
pub use rule::collection::Named;
pub use schema::{json_schema, reference};
