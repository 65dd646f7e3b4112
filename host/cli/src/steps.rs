//! Plugins and models as steps of an ensemble.

use consort_batching::Batcher;
use consort_ensemble::Step;
use consort_inference::{
    BoxFuture, Call, Example, Failure, ModelId, Outcome, Signature, Stage, StageKind, TensorSpec,
};
use consort_plugin::Plugin;
use consort_registry::Model;
use std::sync::Arc;

/// A plugin's pre-processing role.
pub(crate) struct PreprocessStep {
    stage: Stage,
    id: ModelId,
    signature: Signature,
    answers: Vec<TensorSpec>,
    plugin: Arc<Plugin>,
}

/// A plugin's post-processing role.
pub(crate) struct PostprocessStep {
    stage: Stage,
    id: ModelId,
    signature: Signature,
    plugin: Arc<Plugin>,
}

/// A model behind its batcher.
pub(crate) struct ModelStep {
    stage: Stage,
    model: Arc<Model>,
}

// === impl PreprocessStep ===

impl PreprocessStep {
    /// `None` when the plugin does not play this role.
    pub(crate) fn new(plugin: &Arc<Plugin>) -> Option<Self> {
        let description = plugin.preprocess()?;
        Some(Self {
            stage: Stage::new(StageKind::Preprocess, plugin.name().as_str()),
            id: ModelId::new(plugin.name().as_str(), plugin.version()),
            signature: description.signature.clone(),
            answers: description.answers.clone(),
            plugin: plugin.clone(),
        })
    }
}

impl Step for PreprocessStep {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn model_id(&self) -> &ModelId {
        &self.id
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn answers(&self) -> &[TensorSpec] {
        &self.answers
    }

    fn run(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Outcome, Failure>>> {
        Box::pin(self.plugin.run_preprocess(examples, call))
    }
}

// === impl PostprocessStep ===

impl PostprocessStep {
    /// `None` when the plugin does not play this role.
    pub(crate) fn new(plugin: &Arc<Plugin>) -> Option<Self> {
        let signature = plugin.postprocess()?;
        Some(Self {
            stage: Stage::new(StageKind::Postprocess, plugin.name().as_str()),
            id: ModelId::new(plugin.name().as_str(), plugin.version()),
            signature: signature.clone(),
            plugin: plugin.clone(),
        })
    }
}

impl Step for PostprocessStep {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn model_id(&self) -> &ModelId {
        &self.id
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Outcome, Failure>>> {
        Box::pin(async move {
            let results = self.plugin.run_postprocess(examples, call).await;
            results
                .into_iter()
                .map(|result| result.map(Outcome::Forward))
                .collect()
        })
    }
}

// === impl ModelStep ===

impl ModelStep {
    pub(crate) fn new(model: Arc<Model>) -> Self {
        let stage = Stage::new(StageKind::Inference, model.id().name.clone());
        Self { stage, model }
    }

    fn batcher(&self) -> &Batcher {
        self.model.batcher()
    }
}

impl Step for ModelStep {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn model_id(&self) -> &ModelId {
        self.model.id()
    }

    fn signature(&self) -> &Signature {
        self.model.handler().signature()
    }

    fn run(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Outcome, Failure>>> {
        Box::pin(async move {
            let results = self.batcher().infer(examples, call).await;
            results
                .into_iter()
                .map(|result| result.map(Outcome::Forward))
                .collect()
        })
    }
}
