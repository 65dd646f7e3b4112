//! Write Consort plugins in Rust.
//!
//! A plugin prepares what a model reads ([`Preprocess`]), turns what it wrote into an answer
//! ([`Postprocess`]), stands around the model itself ([`ModelHandler`]), or calls models as
//! it sees fit ([`Ensemble`]). It runs inside the host as a sandboxed WebAssembly component.
//!
//! ```
//! use consort_sdk::{ANY, Assets, Datatype, Error, Example, Outputs, Plugin, Postprocess};
//! use consort_sdk::{Signature, Tensor};
//!
//! struct Best {
//!     labels: Vec<String>,
//! }
//!
//! impl Plugin for Best {
//!     fn init(_config: &str, assets: &Assets) -> Result<Self, Error> {
//!         let labels = assets.text("labels.txt")?;
//!         Ok(Self { labels: labels.lines().map(str::to_owned).collect() })
//!     }
//! }
//!
//! impl Postprocess for Best {
//!     fn describe(&self) -> Signature {
//!         Signature::new()
//!             .input("scores", Datatype::Fp32, [self.labels.len()])
//!             .output("label", Datatype::Bytes, [1])
//!     }
//!
//!     fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
//!         let scores = example.read::<f32>("scores")?;
//!         let best = scores.iter().zip(&self.labels).max_by(|a, b| a.0.total_cmp(b.0));
//!         let (_, label) = best.ok_or_else(|| Error::invalid_input("there are no scores"))?;
//!         Ok(Outputs::from([("label", Tensor::single_bytes(label)?)]))
//!     }
//! }
//!
//! consort_sdk::export!(Best: postprocess);
//!
//! // A unit test needs no host: tensors are plain memory, assets come from pairs.
//! let best = Best::init("", &Assets::from_pairs([("labels.txt", "cat\ndog")]))?;
//! let scores = Tensor::from_slice(&[2], &[0.2f32, 0.8])?;
//! let outputs = best.postprocess(&Example::from_tensors([("scores", scores)]))?;
//! assert_eq!(outputs.tensor("label").unwrap().text()?, "dog");
//! # Ok::<(), Error>(())
//! ```
//!
//! In `Cargo.toml`, `[lib] crate-type = ["cdylib", "rlib"]`; then
//! `cargo build --release --target wasm32-wasip2` makes the component.
//!
//! What a plugin can rely on, and what not:
//!
//! - [`Plugin::init`] runs once, at load. The host photographs the memory after it and
//!   starts every call from that picture, so that tables parsed there cost a call
//!   nothing, and what a call leaves behind is gone at the next.
//! - A panic ends the call: its examples fail and the host goes on. Return an [`Error`]
//!   to let one example fail alone.
//! - A [`Model`] that the manifest grants can be called from any role.
//! - There are no files, no network and no environment. `println!` goes to the log, and
//!   so do [`info!`] and its kin, which carry a level.
//!
//! This crate never depends on the host's crates: `wit/` is all they share.

pub mod collate;
pub mod log;

mod args;
mod assets;
mod columns;
mod content;
mod dims;
mod element;
mod elements;
mod error;
mod example;
mod fake;
mod model;
mod pending;
mod plugin;
mod raw;
mod signature;
mod tensor;

#[cfg(target_family = "wasm")]
mod host;
#[cfg(not(target_family = "wasm"))]
mod memory;
#[cfg(target_family = "wasm")]
mod parts;
#[cfg(target_family = "wasm")]
mod results;
mod widen;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod export;

pub use args::{ArgValue, Args};
pub use assets::Assets;
pub use columns::Columns;
pub use dims::{ANY, Dim, Dims};
pub use element::{Bf16, Datatype, Element, F16};
pub use elements::{ByteString, ByteStrings, Elements, Ends};
pub use error::{Error, TensorError};
pub use example::{Example, Outcome, Outputs};
pub use model::{Model, ModelOutputs};
pub use pending::{Pending, wait_all, wait_any};
pub use plugin::{Ensemble, ModelHandler, Plugin, Postprocess, Preprocess};
pub use signature::{Description, HandlerDescription, Signature, TensorSpec};
pub use tensor::Tensor;

#[cfg(test)]
mod tests;
