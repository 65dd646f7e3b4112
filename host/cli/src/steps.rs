//! Plugins and models as steps of an ensemble.

use consort_ensemble::{Drawing, Step};
use consort_inference::{
    BoxFuture, Call, Endpoint, Example, Failure, FailureKind, ModelId, Outcome, Signature, Stage,
    StageKind, StreamStates, TensorSpec,
};
use consort_plugin::{Plugin, Role};
use consort_registry::{Model, ModelMap};
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
    /// The version it was built with; each result says what made it.
    id: ModelId,
    model: Arc<Model>,
}

/// A model for each key.
pub(crate) struct MapStep {
    stage: Stage,
    id: ModelId,
    map: Arc<ModelMap>,
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
            Role::Ensemble => (plugin.ensemble()?.clone(), Vec::new()),
            // It stands around a model, whose step is the model's.
            Role::ModelHandler => return None,
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

    fn headers(&self) -> &[Arc<str>] {
        self.plugin.headers()
    }

    fn states(&self) -> &[Arc<dyn StreamStates>] {
        self.plugin.states()
    }

    /// A plugin in any role, also where its stage is a model's.
    fn drawing(&self) -> Drawing {
        Drawing::plain("plugin", self.stage.name.clone())
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
            Role::Ensemble => Box::pin(self.plugin.run_ensemble(examples, call)),
            Role::ModelHandler => Box::pin(async move {
                let failure = || {
                    let message = "a model handler is no step of an ensemble";
                    Failure::new(self.stage.clone(), FailureKind::Internal, message)
                };
                examples.iter().map(|_| Err(failure())).collect()
            }),
        }
    }
}

// === impl ModelStep ===

impl ModelStep {
    pub(crate) fn new(model: Arc<Model>) -> Self {
        let id = model.id();
        let stage = Stage::new(StageKind::Inference, id.name.clone());
        Self { stage, id, model }
    }
}

impl Step for ModelStep {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn model_id(&self) -> &ModelId {
        &self.id
    }

    fn signature(&self) -> &Signature {
        self.model.signature()
    }

    fn is_ready(&self) -> bool {
        self.model.is_loaded()
    }

    fn run(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Outcome, Failure>>> {
        Box::pin(async move {
            let (results, id) = self.model.infer(examples, call).await;
            results
                .into_iter()
                .map(|result| result.map(|outputs| Outcome::Predicted(outputs, id.clone().into())))
                .collect()
        })
    }
}

// === impl MapStep ===

impl MapStep {
    pub(crate) fn new(map: Arc<ModelMap>) -> Self {
        let id = ModelId::new(map.name(), map.version());
        let stage = Stage::new(StageKind::Inference, map.name());
        Self { stage, id, map }
    }
}

impl Step for MapStep {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn model_id(&self) -> &ModelId {
        &self.id
    }

    fn signature(&self) -> &Signature {
        self.map.signature()
    }

    fn run(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Outcome, Failure>>> {
        Box::pin(async move {
            let results = self.map.run(examples, call).await;
            results
                .into_iter()
                .map(|result| result.map(|(outputs, id)| Outcome::Predicted(outputs, id.into())))
                .collect()
        })
    }
}
