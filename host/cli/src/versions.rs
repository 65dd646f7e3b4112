//! A model in one of the versions that answer beside one another, as the server sees it.

use consort_inference::{
    BoxFuture, Call, Endpoint, Example, Failure, FailureKind, ModelId, Prediction, Signature,
    Stage, StageKind,
};
use consort_registry::{Model, Registry};
use std::sync::Arc;

/// One version of a model that an endpoint runs in its current one.
struct OneVersion {
    id: ModelId,
    model: Arc<Model>,
    /// The endpoint of the current version: all else is as with it.
    current: Arc<dyn Endpoint>,
}

/// The versions in which an endpoint answers: of a model those that are loaded, of an
/// ensemble its own.
pub(crate) fn of(registry: &Registry, endpoint: &dyn Endpoint) -> Vec<Arc<str>> {
    match model(registry, endpoint.name()) {
        // Its states are those of whichever version is current.
        Some(model) if endpoint.keeps_state() => vec![model.id().version],
        Some(model) => model.versions().into_iter().map(|id| id.version).collect(),
        None => vec![endpoint.version().into()],
    }
}

/// The endpoint of that name in one version, if it answers.
pub(crate) fn endpoint(
    registry: &Registry,
    name: &str,
    version: &str,
) -> Option<Arc<dyn Endpoint>> {
    let current = registry.endpoint(name)?;
    let Some(model) = model(registry, name) else {
        return (current.version() == version).then_some(current);
    };
    if current.keeps_state() {
        return (*model.id().version == *version).then_some(current);
    }
    let mut versions = model.versions().into_iter();
    let id = versions.find(|id| *id.version == *version)?;
    Some(Arc::new(OneVersion { id, model, current }))
}

fn model(registry: &Registry, name: &str) -> Option<Arc<Model>> {
    registry.model(&name.parse().ok()?)
}

// === impl OneVersion ===

impl Endpoint for OneVersion {
    fn name(&self) -> &str {
        &self.id.name
    }

    fn version(&self) -> &str {
        &self.id.version
    }

    fn platform(&self) -> &str {
        self.current.platform()
    }

    fn signature(&self) -> &Signature {
        self.current.signature()
    }

    fn has_batch_axis(&self) -> bool {
        self.current.has_batch_axis()
    }

    fn is_ready(&self) -> bool {
        self.current.is_ready()
    }

    fn infer(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        Box::pin(async move {
            let asked = |example: &Example| {
                let tensors = call.keep_example.then(|| example.tensors.clone());
                (example.key.clone(), tensors)
            };
            let asked: Vec<_> = examples.iter().map(asked).collect();
            let version = &self.id.version;
            let answered = self.model.infer_version(version, examples, call).await;
            let Some((results, id)) = answered else {
                let gone = || {
                    let stage = Stage::new(StageKind::Inference, self.id.name.clone());
                    let message = format!("version {version} is no longer served");
                    Failure::new(stage, FailureKind::NotFound, message)
                };
                return asked.iter().map(|_| Err(gone())).collect();
            };
            let predictions = results.into_iter().zip(asked);
            let prediction = |(result, (key, example)): (Result<_, Failure>, _)| {
                result.map(|outputs| Prediction {
                    example,
                    ..Prediction::new(key, outputs, id.clone())
                })
            };
            predictions.map(prediction).collect()
        })
    }
}
