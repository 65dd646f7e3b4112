//! ONNX Runtime for real: these tests need the library. They fail, and say what to do, where
//! it is not there.

mod child;
mod concurrency;
mod contract;
mod library;
mod loading;
mod memory;
mod providers;
mod support;
mod tensors;
