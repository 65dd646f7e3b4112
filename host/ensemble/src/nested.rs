//! An ensemble (or anything else that answers examples) as a step of another.

use crate::{Drawing, Step};
use consort_inference::{
    BoxFuture, Call, Endpoint, Example, Failure, ModelId, Origin, Outcome, Prediction, Signature,
    Stage, StageKind, StreamStates,
};
use std::sync::Arc;

/// Makes a step of an endpoint. The call goes on as it came: deadline, priority, arguments,
/// headers and trace; arms and what failed in passing come back with the predictions.
pub struct EndpointStep {
    stage: Stage,
    id: ModelId,
    kind: &'static str,
    endpoint: Arc<dyn Endpoint>,
}

// === impl EndpointStep ===

impl EndpointStep {
    /// A step of that kind, as [`Drawing::kind`] has it: `ensemble`, `model`.
    pub fn new(kind: &'static str, endpoint: Arc<dyn Endpoint>) -> Self {
        let id = ModelId::new(endpoint.name(), endpoint.version());
        Self {
            stage: Stage::new(StageKind::Inference, id.name.clone()),
            id,
            kind,
            endpoint,
        }
    }
}

impl Step for EndpointStep {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn model_id(&self) -> &ModelId {
        &self.id
    }

    fn signature(&self) -> &Signature {
        self.endpoint.signature()
    }

    fn is_ready(&self) -> bool {
        self.endpoint.is_ready()
    }

    fn headers(&self) -> &[Arc<str>] {
        self.endpoint.headers()
    }

    fn states(&self) -> &[Arc<dyn StreamStates>] {
        self.endpoint.states()
    }

    fn drawing(&self) -> Drawing {
        Drawing::plain(self.kind, self.id.name.clone())
    }

    fn run(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Outcome, Failure>>> {
        let call = Call {
            keep_example: false,
            ..call
        };
        let outcome = |prediction: Prediction| {
            let origin = Origin {
                model_id: prediction.model_id,
                arms: prediction.arms,
                partial: prediction.partial,
            };
            Outcome::Predicted(prediction.outputs, origin)
        };
        Box::pin(async move {
            let results = self.endpoint.infer(examples, call).await;
            results
                .into_iter()
                .map(|result| result.map(outcome))
                .collect()
        })
    }
}
