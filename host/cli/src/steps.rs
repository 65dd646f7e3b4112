//! Plugins and models as steps of an ensemble.

use consort_ensemble::Step;
use consort_inference::{
    BoxFuture, Call, Example, Failure, ModelId, Outcome, Signature, Stage, StageKind, TensorSpec,
};
use consort_plugin::{Plugin, Role};
use consort_registry::Model;
use std::sync::Arc;

/// One role of a plugin.
pub(crate) struct PluginStep {
    stage: Stage,
    id: ModelId,
    signature: Signature,
    answers: Vec<TensorSpec>,
    role: Role,
    plugin: Arc<Plugin>,
}

/// A model behind its batcher.
pub(crate) struct ModelStep {
    stage: Stage,
    model: Arc<Model>,
}

// === impl PluginStep ===

impl PluginStep {
    /// `None` when the plugin does not play the role.
    pub(crate) fn new(plugin: &Arc<Plugin>, role: Role) -> Option<Self> {
        let (signature, answers) = match role {
            Role::Preprocess => {
                let description = plugin.preprocess()?.clone();
                (description.signature, description.answers)
            }
            Role::Postprocess => (plugin.postprocess()?.clone(), Vec::new()),
        };
        Some(Self {
            stage: Stage::new(role.stage(), plugin.name().as_str()),
            id: ModelId::new(plugin.name().as_str(), plugin.version()),
            signature,
            answers,
            role,
            plugin: plugin.clone(),
        })
    }
}

impl Step for PluginStep {
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
        match self.role {
            Role::Preprocess => Box::pin(self.plugin.run_preprocess(examples, call)),
            Role::Postprocess => Box::pin(async move {
                let results = self.plugin.run_postprocess(examples, call).await;
                results
                    .into_iter()
                    .map(|result| result.map(Outcome::Forward))
                    .collect()
            }),
        }
    }
}

// === impl ModelStep ===

impl ModelStep {
    pub(crate) fn new(model: Arc<Model>) -> Self {
        let stage = Stage::new(StageKind::Inference, model.id().name.clone());
        Self { stage, model }
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
            let results = self.model.batcher().infer(examples, call).await;
            results
                .into_iter()
                .map(|result| result.map(Outcome::Forward))
                .collect()
        })
    }
}
