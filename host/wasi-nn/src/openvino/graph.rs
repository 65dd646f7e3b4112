//! From a model's bytes to a graph of wasi-nn.

use super::{ir, tuned};
use crate::refusal::contained;
use crate::{Config, Device, LoadError, OpenVinoLibrary};
use wasmtime_wasi_nn::Graph;
use wasmtime_wasi_nn::backend::BackendInner;
use wasmtime_wasi_nn::backend::openvino::OpenvinoBackend;
use wasmtime_wasi_nn::wit::ExecutionTarget;

/// What stands for weights where there are none: the backend makes a tensor of them, and an
/// empty one has no memory to fill.
const NO_WEIGHTS: &[u8] = &[0];

/// Compiles a model, by wasmtime-wasi-nn's own backend unless something is asked for that it
/// cannot set.
pub(super) fn compile(
    library: &OpenVinoLibrary,
    graph: &[u8],
    weights: &[u8],
    config: &Config,
) -> Result<Graph, LoadError> {
    let weights = if weights.is_empty() {
        NO_WEIGHTS
    } else {
        weights
    };
    let tuned =
        config.threads.is_some() || config.concurrent_runs.is_some() || config.precision.is_some();
    let compiled = if tuned {
        let weights = ir::is_ir(graph).then_some(weights);
        contained(|| tuned::compile(graph, weights, config))
    } else {
        contained(|| OpenvinoBackend::default().load(&[graph, weights], target(config.device)))
    };
    compiled.map_err(|refusal| LoadError::refused(library.to_string(), refusal))
}

/// The backend panics on the third target there is.
const fn target(device: Device) -> ExecutionTarget {
    match device {
        Device::Cpu => ExecutionTarget::Cpu,
        Device::Gpu => ExecutionTarget::Gpu,
    }
}
