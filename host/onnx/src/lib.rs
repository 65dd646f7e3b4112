//! A [`ModelHandler`](consort_inference::ModelHandler) over ONNX Runtime.
//!
//! The only room that uses `ort`, and so the only one that knows sessions, execution
//! providers and `libonnxruntime`. It never decides what runs together or when (that is
//! batching), never reads a manifest, and never fetches anything.
//!
//! # From nothing to a prediction
//!
//! 1. [`forbid_telemetry`], the first statement of `main`.
//! 2. [`load_library`] finds `libonnxruntime` and loads it, once per process.
//! 3. [`OnnxHandler::load`] makes a session of a model and works out the
//!    [`Signature`](consort_inference::Signature) of one example.
//! 4. [`predict`](consort_inference::ModelHandler::predict), from as many threads at the
//!    same time as there are replicas.
//!
//! # Nothing phones home
//!
//! The official builds of ONNX Runtime for Linux and macOS collect telemetry from version
//! 1.29 on: with their first call they write a device identifier and a database below the
//! user's cache folder and start a thread that uploads events. The API to switch it off
//! needs an environment that has begun it already; only the variable
//! `ORT_DISABLE_TELEMETRY`, set before the library is loaded, prevents all of it. So
//! [`load_library`] refuses to load while the variable is not set, and
//! [`forbid_telemetry`] sets it.
//!
//! # One copy of the weights
//!
//! A handler holds one session, and any number of threads run it at the same time. `ort`
//! guards `Session::run` with `&mut self` and advises a session for each thread, which
//! would be a copy of the weights for each thread. ONNX Runtime itself promises that `Run`
//! may be called concurrently on one session, and execution providers that cannot (DirectML)
//! are the exception that its documentation names. Consort relies on that promise in one
//! place, `native::Session::run`, where the contract is written out, and takes turns where
//! the exception applies. The tests run one session from many threads and compare.
//!
//! The worker threads of [`Config::threads`] belong to the session and are shared by the
//! runs in flight: with `threads = 1` a run stays on its caller's thread, which is what
//! several replicas on a CPU want.
//!
//! # The batch axis
//!
//! With [`BatchAxis::Leading`] the first axis of every input and output counts examples and
//! is not part of the signature. With [`BatchAxis::None`] an example is the whole input, and
//! a batch holds one example.
//!
//! # What is copied
//!
//! A batch of several rows is copied once, row by row, into a tensor of ONNX Runtime's. A
//! single row is not copied when it lies aligned in memory. Outputs are not copied: each
//! row of the result is a slice of the memory that ONNX Runtime wrote, which stays alive as
//! long as a row does. `BYTES` elements are copied once in each direction, since ONNX
//! Runtime keeps strings as C++ objects; they must be UTF-8, as ONNX asks.

mod config;
mod datatype;
mod handler;
mod input;
mod library;
mod load;
mod load_error;
mod native;
mod outline;
mod output;
mod provider;
mod refusal;
mod selection;
mod signature;

pub use config::{BatchAxis, Config, Optimization, UnknownOptimization};
pub use handler::OnnxHandler;
pub use library::{Library, LibraryError, Origin, Place, forbid_telemetry, load_library};
pub use load::ModelSource;
pub use load_error::{LoadError, ProviderError};
pub use provider::{ExecutionProvider, InvalidProvider};
pub use signature::{Port, SignatureError};
