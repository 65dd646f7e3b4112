//! [`ModelHandler`](consort_inference::ModelHandler)s over the backends of wasmtime-wasi-nn:
//! OpenVINO and, where the feature `pytorch` is on, PyTorch.
//!
//! The only room that uses those backends. It never decides what runs together or when (that
//! is batching), never reads a manifest, never fetches anything, and has nothing to do with
//! guests: what they import as `wasi:nn` is another room's.
//!
//! # From nothing to a prediction
//!
//! 1. [`load_library`] finds `libopenvino_c` and loads it, once per process.
//! 2. [`OpenVinoHandler::load`] reads a model's outline, works out the
//!    [`Signature`](consort_inference::Signature) of one example, and has the backend compile
//!    the model.
//! 3. [`predict`](consort_inference::ModelHandler::predict), from as many threads at the same
//!    time as there are replicas.
//!
//! # What the backends need guarding from
//!
//! They serve only some datatypes, copy inputs with functions that panic where lengths differ,
//! make slices of null where a tensor is empty, cut axes to 32 bits, and panic where a
//! function or a lock is not as they like. A model with other datatypes is refused when it
//! is loaded; every input is checked before a backend sees it and every output after; and a
//! panic that happens nevertheless is an error of that one batch. A model that keeps state
//! between runs is refused: one caller's data would reach another.
//!
//! # One copy of the weights
//!
//! A handler holds one compiled model. Each run makes an execution context for itself, which
//! holds its inputs, outputs and intermediate results, and no weights, and is never used
//! again: OpenVINO may go on using the memory of an earlier run's inputs, which would be
//! another caller's by then.
//!
//! # What is copied
//!
//! The rows of a batch are copied once to stand one behind the other, and once more by the
//! backend into its own tensor. Outputs are copied once by the backend; each row of the
//! result is a slice of that.

mod config;
mod datatype;
mod library;
mod load_error;
mod openvino;
#[cfg(feature = "pytorch")]
mod pytorch;
mod refusal;
mod served;
mod signature;
mod source;
mod stacked;

pub use config::{BatchAxis, Config, Device, Precision, UnknownWord};
pub use library::{LibraryError, OpenVinoLibrary, Origin, Place, load_library};
pub use load_error::LoadError;
pub use openvino::OpenVinoHandler;
#[cfg(feature = "pytorch")]
pub use pytorch::PytorchHandler;
pub use signature::{Port, SignatureError};
pub use source::ModelSource;
