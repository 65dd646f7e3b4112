//! The manifest: from a TOML text to a checked value.
//!
//! [`parse`] finds everything that is wrong at once, each with file, line, column, the
//! line itself and what to write instead. Every value of the result remembers its place
//! in the text ([`Located`]), so that whoever finds out later that it does not work can
//! say so in the same form ([`Problems::with`]). [`read`] also gives what is right of a text
//! that is wrong elsewhere, so that both kinds of problems are found in one go.
//!
//! Each kind of table is declared once, in `keys/`, as a struct whose fields say how
//! their keys are read. Parser, defaults, JSON Schema ([`json_schema`]) and reference
//! ([`reference()`]) are made of that one declaration.
//!
//! This crate reads no file and knows no other room: values are plain, and the binary
//! turns them into each room's own `Config`.

mod cycles;
mod flaws;
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

pub use keys::batching::{BatchPolicy, BatchWeight, Batching};
pub use keys::ensemble::Ensemble;
pub use keys::files::{FileRead, FileTensor};
pub use keys::host::{Cache, Job, Registry, Sandbox, Server, Tenant};
pub use keys::limits::Limits;
pub use keys::map::ModelMap;
pub use keys::model::{ExecutionProvider, Model, ModelRuntime, Optimization, UpdateCheck};
pub use keys::pattern::{Canary, Combine, CombineBy, CombineWord, Route, Shadow, Split, Sticky};
pub use keys::plugin::{Instances, Plugin};
pub use keys::remote::{Datatype, RemoteProtocol, TensorKeys};
pub use keys::step::{ForEach, Role, Step, StepRuns};
pub use keys::when::{When, WhenOf, WhenTest};
pub use manifest::{Manifest, Reading, parse, read};
pub use place::{Located, Place, Position, Source};
pub use problem::{Problem, Problems};
pub use rule::collection::Named;
pub use rule::either::{AutoOr, Versions};
pub use rule::free::Argument;
pub use schema::{json_schema, reference};
