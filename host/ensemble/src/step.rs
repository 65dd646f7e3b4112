//! The seam to what an ensemble is made of.

use crate::Drawing;
use consort_inference::{
    BoxFuture, Call, Example, Failure, ModelId, Outcome, Signature, Stage, StreamStates, TensorSpec,
};
use std::sync::Arc;

/// One player of an ensemble: a plugin's role, a model behind its batcher, another
/// ensemble, or a pattern made of such steps.
pub trait Step: Send + Sync {
    /// Which part of an example's way this is, and the plugin's or model's name.
    fn stage(&self) -> &Stage;

    /// Name and version, for the predictions it makes.
    fn model_id(&self) -> &ModelId;

    /// What it reads and forwards, for one example.
    fn signature(&self) -> &Signature;

    /// What it answers with when it answers by itself; empty when it never does.
    fn answers(&self) -> &[TensorSpec] {
        &[]
    }

    /// Whether it can run now.
    fn is_ready(&self) -> bool {
        true
    }

    /// The request headers it reads, in lower case.
    fn headers(&self) -> &[Arc<str>] {
        &[]
    }

    /// Where the states are kept that what it makes depends on: those of earlier examples of
    /// the same key.
    fn states(&self) -> &[Arc<dyn StreamStates>] {
        &[]
    }

    /// What it is made of, for drawing and for the kind of its spans.
    fn drawing(&self) -> Drawing {
        let stage = self.stage();
        Drawing::of_stage(stage.kind, stage.name.clone())
    }

    /// Runs on examples that hold exactly the signature's inputs: one result for each, in
    /// order. Dropping the future abandons the work.
    fn run(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Outcome, Failure>>>;
}
