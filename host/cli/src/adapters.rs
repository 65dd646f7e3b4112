//! What runs a model, as the registry knows it: a model on another host, and a plugin
//! around a model. Both are asynchronous and are driven from a replica's own thread.

use consort_inference::{Batch, BatchHints, ModelHandler, PredictError, Signature, Tensors};
use consort_plugin::{ModelHandlerDescription, Plugin};
use consort_remote::RemoteModel;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A model on another host.
pub(crate) struct RemoteHandler {
    pub(crate) remote: RemoteModel,
    pub(crate) runtime: Handle,
}

/// A plugin in the role `model-handler`, with the model that it stands around.
pub(crate) struct GlueHandler {
    plugin: Arc<Plugin>,
    /// The name by which the plugin was granted the model.
    model: String,
    described: ModelHandlerDescription,
    /// What the model itself is.
    platform: String,
    runtime: Handle,
}

/// A handler whose metrics go by another namespace.
pub(crate) struct Namespaced {
    pub(crate) handler: Arc<dyn ModelHandler>,
    pub(crate) namespace: String,
}

// === impl Namespaced ===

impl ModelHandler for Namespaced {
    fn signature(&self) -> &Signature {
        self.handler.signature()
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        self.handler.predict(batch)
    }

    fn batch_hints(&self) -> BatchHints {
        self.handler.batch_hints()
    }

    fn batch_byte_size(&self, batch: &Batch) -> u64 {
        self.handler.batch_byte_size(batch)
    }

    fn metrics_namespace(&self) -> &str {
        &self.namespace
    }

    fn takes_args(&self) -> bool {
        self.handler.takes_args()
    }

    fn model_byte_size(&self) -> u64 {
        self.handler.model_byte_size()
    }

    fn platform(&self) -> &str {
        self.handler.platform()
    }
}

// === impl RemoteHandler ===

impl ModelHandler for RemoteHandler {
    fn signature(&self) -> &Signature {
        self.remote.signature()
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        self.runtime.block_on(self.remote.predict(batch))
    }

    fn batch_hints(&self) -> BatchHints {
        self.remote.batch_hints()
    }

    fn takes_args(&self) -> bool {
        true
    }

    /// Its bytes are not on this machine.
    fn model_byte_size(&self) -> u64 {
        0
    }

    fn platform(&self) -> &str {
        self.remote.platform()
    }
}

// === impl GlueHandler ===

impl GlueHandler {
    /// The plugin must have described itself around that model.
    pub(crate) fn new(
        plugin: Arc<Plugin>,
        model: &str,
        platform: String,
        runtime: Handle,
    ) -> Result<Self, consort_plugin::NotThisModel> {
        let mut described = plugin.model_handler(model)?.clone();
        // A guest only ever sees one tenant's examples.
        described.hints.single_tenant = true;
        Ok(Self {
            plugin,
            model: model.to_owned(),
            described,
            platform,
            runtime,
        })
    }
}

impl ModelHandler for GlueHandler {
    fn signature(&self) -> &Signature {
        &self.described.signature
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        let run = self.plugin.run_model_handler(&self.model, batch);
        self.runtime.block_on(run)
    }

    fn batch_hints(&self) -> BatchHints {
        self.described.hints.clone()
    }

    fn takes_args(&self) -> bool {
        true
    }

    /// The model itself is counted under its own name.
    fn model_byte_size(&self) -> u64 {
        0
    }

    fn platform(&self) -> &str {
        &self.platform
    }
}
