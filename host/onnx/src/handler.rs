//! A loaded model behind the seam.

use crate::native::Session;
use crate::signature::OutputPlan;
use crate::{BatchAxis, input, output, refusal};
use consort_inference::{
    Batch, BatchHints, ModelHandler, ModelName, PredictError, Signature, Tensors,
};
use std::ffi::CString;
use std::fmt;
use std::sync::Arc;

/// A model on ONNX Runtime: one session, run by any number of threads at the same time.
pub struct OnnxHandler {
    pub(crate) name: ModelName,
    pub(crate) session: Arc<Session>,
    pub(crate) signature: Signature,
    pub(crate) input_names: Vec<CString>,
    pub(crate) output_names: Vec<CString>,
    /// One for each name.
    pub(crate) outputs: Vec<OutputPlan>,
    pub(crate) batch_axis: BatchAxis,
    pub(crate) max_batch_size: Option<usize>,
    pub(crate) model_bytes: u64,
}

// === impl OnnxHandler ===

impl OnnxHandler {
    /// Where examples lie in the model's inputs.
    pub fn batch_axis(&self) -> BatchAxis {
        self.batch_axis
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
        // The rows of a batch have equal names, datatypes and shapes.
        match batch.rows().first() {
            None => Ok(()),
            Some(row) => self
                .signature
                .check_inputs(row)
                .map_err(|mismatch| PredictError::InvalidInput(mismatch.to_string())),
        }
    }
}

impl ModelHandler for OnnxHandler {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        self.check(batch)?;
        let memory = self.session.cpu_memory();
        let inputs = self
            .signature
            .inputs
            .iter()
            .map(|spec| input::value(spec, batch, self.batch_axis, memory))
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = self
            .session
            .run(&self.input_names, &inputs, &self.output_names)
            .map_err(|error| refusal::predict_error(&error))?;
        let mut predictions = vec![Tensors::new(); batch.len()];
        for (plan, value) in self.outputs.iter().zip(outputs) {
            output::scatter(plan, value, self.batch_axis, &mut predictions)?;
        }
        Ok(predictions)
    }

    fn batch_hints(&self) -> BatchHints {
        BatchHints {
            max_batch_size: self.max_batch_size,
            ..BatchHints::default()
        }
    }

    /// The bytes that ONNX Runtime's memory on the CPU holds for the loaded model, or the
    /// bytes of its files where that is more, as it is when the weights went to a GPU. What
    /// the runs need comes on top of it.
    fn model_byte_size(&self) -> u64 {
        self.model_bytes
    }

    fn platform(&self) -> &str {
        "onnxruntime_onnx"
    }
}

impl fmt::Debug for OnnxHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxHandler")
            .field("name", &self.name)
            .field("signature", &self.signature)
            .field("batch_axis", &self.batch_axis)
            .field("max_batch_size", &self.max_batch_size)
            .finish_non_exhaustive()
    }
}
