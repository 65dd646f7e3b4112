//! A [`ModelHandler`] over OpenVINO.

mod graph;
mod ir;
mod onnx;
mod tuned;

use crate::served::Served;
use crate::signature::{self, Derived};
use crate::{Config, LoadError, ModelSource, OpenVinoLibrary};
use consort_inference::{Batch, BatchHints, ModelHandler, PredictError, Signature, Tensors};

/// A model on OpenVINO: one compiled model, run by any number of threads at the same time.
#[derive(Debug)]
pub struct OpenVinoHandler {
    served: Served,
    model_bytes: u64,
}

// === impl OpenVinoHandler ===

impl OpenVinoHandler {
    /// Loads a model: one in OpenVINO's own format (an `.xml` file and, beside it, the
    /// weights in a `.bin` file of the same name) or an ONNX file that keeps its weights
    /// inside. Which it is, its first bytes tell.
    ///
    /// Blocks while OpenVINO compiles the model, which can take seconds.
    pub fn load(
        library: &OpenVinoLibrary,
        source: ModelSource<'_>,
        config: &Config,
    ) -> Result<Self, LoadError> {
        let read = source.read(config.model_bytes_max)?;
        let (graph, weights) = (read.graph(), read.weights());
        let derived = outline(library, graph, weights, config)?;
        let model_bytes = (graph.len() + weights.len()) as u64;
        let graph = graph::compile(library, graph, weights, config)?;
        let served = Served::new(graph, derived, config)
            .map_err(|refusal| LoadError::refused(library.to_string(), refusal))?;
        Ok(Self {
            served,
            model_bytes,
        })
    }
}

fn outline(
    library: &OpenVinoLibrary,
    graph: &[u8],
    weights: &[u8],
    config: &Config,
) -> Result<Derived, LoadError> {
    let (inputs, outputs) = if ir::is_ir(graph) {
        let outline = ir::read(graph, config.graph_nodes_max)?;
        let (needed, actual) = (outline.weights_bytes, weights.len() as u64);
        if actual < needed {
            return Err(LoadError::WeightsTruncated { needed, actual });
        }
        (outline.inputs, outline.outputs)
    } else {
        onnx::ports(library, graph)?
    };
    Ok(signature::derive(inputs, outputs, config.batch_axis)?)
}

impl ModelHandler for OpenVinoHandler {
    fn signature(&self) -> &Signature {
        self.served.signature()
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        self.served.predict(batch)
    }

    fn batch_hints(&self) -> BatchHints {
        self.served.batch_hints()
    }

    /// The bytes of the model's files. OpenVINO does not tell what it holds; that is about
    /// as much, since it keeps the weights once, and what runs need on top of it.
    fn model_byte_size(&self) -> u64 {
        self.model_bytes
    }

    fn platform(&self) -> &str {
        "openvino"
    }
}
