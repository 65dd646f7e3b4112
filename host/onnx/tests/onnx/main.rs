//! ONNX Runtime for real: these tests need the library. They fail, and say what to do, where
//! it is not there.
//!
//! The modules are marked as tests, so that the lints take them for what they are.

#[cfg(test)]
mod child;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod library;
#[cfg(test)]
mod loading;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod sequences;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tensors;
