//! Runs models by the backends of wasmtime-wasi-nn.
