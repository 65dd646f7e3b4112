//! A graph of wasi-nn behind the seam, whichever backend made it.

use crate::refusal::{Refusal, contained};
use crate::signature::Derived;
use crate::{BatchAxis, Config, stacked};
use consort_inference::{Batch, BatchHints, ModelName, PredictError, Signature, Tensors};
use std::fmt;
use wasmtime_wasi_nn::Graph;
use wasmtime_wasi_nn::backend::Id;

/// One graph. Every run makes an execution context for itself, which is the memory of that
/// run; all share the graph and its weights.
///
/// A context is never used twice. Where a model hands an input on as an output, a request of
/// OpenVINO 2026.4 goes on writing to the memory of the input before, which is somebody
/// else's by then: callers get each other's data, or the process ends.
pub(crate) struct Served {
    name: ModelName,
    graph: Graph,
    signature: Signature,
    batch_axis: BatchAxis,
    max_batch_size: Option<usize>,
}

// === impl Served ===

impl Served {
    /// Makes a context too, so that a model that cannot run fails here.
    pub(crate) fn new(graph: Graph, derived: Derived, config: &Config) -> Result<Self, Refusal> {
        contained(|| graph.init_execution_context())?;
        Ok(Self {
            name: config.name.clone(),
            graph,
            signature: derived.signature,
            batch_axis: config.batch_axis,
            max_batch_size: derived.max_batch_size,
        })
    }

    pub(crate) fn signature(&self) -> &Signature {
        &self.signature
    }

    pub(crate) fn batch_hints(&self) -> BatchHints {
        BatchHints {
            max_batch_size: self.max_batch_size,
            ..BatchHints::default()
        }
    }

    pub(crate) fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        self.check(batch)?;
        let inputs = self
            .signature
            .inputs
            .iter()
            .map(|spec| stacked::input(spec, batch, self.batch_axis))
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = contained(|| {
            let mut context = self.graph.init_execution_context()?;
            for (index, input) in (0..).zip(&inputs) {
                context.set_input(Id::Index(index), input)?;
            }
            context.compute()?;
            (0..)
                .zip(&self.signature.outputs)
                .map(|(index, _)| context.get_output(Id::Index(index)))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let mut predictions = vec![Tensors::new(); batch.len()];
        for (spec, output) in self.signature.outputs.iter().zip(outputs) {
            let rows = stacked::rows(spec, output, self.batch_axis, batch.len())?;
            for (prediction, row) in predictions.iter_mut().zip(rows) {
                prediction.insert(spec.name.clone(), row);
            }
        }
        Ok(predictions)
    }

    /// What the batcher and the caller have to see to, held against this batch.
    fn check(&self, batch: &Batch) -> Result<(), PredictError> {
        if let Some(max) = self.max_batch_size
            && batch.len() > max
        {
            return Err(PredictError::Failed(format!(
                "model \"{}\" takes batches of {max}, and was given one of {}",
                self.name,
                batch.len()
            )));
        }
        batch.rows().iter().try_for_each(|row| {
            self.signature
                .check_inputs(row)
                .map_err(|mismatch| PredictError::InvalidInput(mismatch.to_string()))
        })
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("name", &self.name)
            .field("signature", &self.signature)
            .field("batch_axis", &self.batch_axis)
            .field("max_batch_size", &self.max_batch_size)
            .finish_non_exhaustive()
    }
}
