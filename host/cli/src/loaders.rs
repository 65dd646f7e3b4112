//! How a model's file becomes a handler, for each runtime that the manifest can name.

use crate::adapters::{GlueHandler, Namespaced, RemoteHandler};
use consort_inference::ModelHandler;
use consort_onnx::OnnxHandler;
use consort_plugin::Plugin;
use consort_registry::{BoxError, ModelFile, ModelLoader};
use consort_remote::RemoteModel;
use consort_wasi_nn::OpenVinoHandler;
use std::sync::Arc;
use tokio::runtime::Handle;

/// ONNX Runtime.
pub(crate) struct Onnx {
    pub(crate) library: consort_onnx::Library,
    pub(crate) config: consort_onnx::Config,
}

/// OpenVINO.
pub(crate) struct OpenVino {
    pub(crate) library: consort_wasi_nn::OpenVinoLibrary,
    pub(crate) config: consort_wasi_nn::Config,
}

/// PyTorch.
#[cfg(feature = "pytorch")]
pub(crate) struct PyTorch {
    pub(crate) signature: consort_inference::Signature,
    pub(crate) config: consort_wasi_nn::Config,
}

/// Another host.
pub(crate) struct Remote {
    pub(crate) config: consort_remote::Config,
    pub(crate) metrics: consort_remote::Metrics,
    pub(crate) runtime: Handle,
}

/// A plugin around a model that is loaded already.
pub(crate) struct Glue {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) model: String,
    /// The model's own platform.
    pub(crate) platform: String,
    pub(crate) runtime: Handle,
}

/// Any of them, for a model whose metrics go by another namespace.
pub(crate) struct InNamespace {
    pub(crate) loader: Arc<dyn ModelLoader>,
    pub(crate) namespace: String,
}

type Loaded = Result<Arc<dyn ModelHandler>, BoxError>;

impl ModelLoader for Onnx {
    fn load(&self, file: ModelFile<'_>, threads: Option<usize>) -> Loaded {
        let source = match file {
            ModelFile::Path(path) => consort_onnx::ModelSource::File(path),
            ModelFile::Checked(content) => consort_onnx::ModelSource::Bytes(content),
            ModelFile::None => return Err(NoFile.into()),
        };
        let mut config = self.config.clone();
        config.threads = threads.unwrap_or(config.threads);
        Ok(Arc::new(OnnxHandler::load(&self.library, source, &config)?))
    }
}

impl ModelLoader for OpenVino {
    fn load(&self, file: ModelFile<'_>, threads: Option<usize>) -> Loaded {
        let source = match file {
            ModelFile::Path(path) => consort_wasi_nn::ModelSource::File(path),
            ModelFile::Checked(graph) => consort_wasi_nn::ModelSource::Bytes {
                graph,
                weights: &[],
            },
            ModelFile::None => return Err(NoFile.into()),
        };
        let mut config = self.config.clone();
        config.threads = threads.or(config.threads);
        let handler = OpenVinoHandler::load(&self.library, source, &config)?;
        Ok(Arc::new(handler))
    }
}

#[cfg(feature = "pytorch")]
impl ModelLoader for PyTorch {
    /// The backend has no setting for threads.
    fn load(&self, file: ModelFile<'_>, _: Option<usize>) -> Loaded {
        let source = match file {
            ModelFile::Path(path) => consort_wasi_nn::ModelSource::File(path),
            ModelFile::Checked(graph) => consort_wasi_nn::ModelSource::Bytes {
                graph,
                weights: &[],
            },
            ModelFile::None => return Err(NoFile.into()),
        };
        let signature = self.signature.clone();
        let handler = consort_wasi_nn::PytorchHandler::load(source, signature, &self.config)?;
        Ok(Arc::new(handler))
    }
}

impl ModelLoader for Remote {
    /// Called on a thread that may block.
    fn load(&self, _: ModelFile<'_>, _: Option<usize>) -> Loaded {
        let connect = RemoteModel::connect(self.config.clone(), &self.metrics);
        let remote = self.runtime.block_on(connect)?;
        let runtime = self.runtime.clone();
        Ok(Arc::new(RemoteHandler { remote, runtime }))
    }
}

impl ModelLoader for Glue {
    fn load(&self, _: ModelFile<'_>, _: Option<usize>) -> Loaded {
        let (plugin, platform) = (self.plugin.clone(), self.platform.clone());
        let handler = GlueHandler::new(plugin, &self.model, platform, self.runtime.clone())?;
        Ok(Arc::new(handler))
    }
}

impl ModelLoader for InNamespace {
    fn load(&self, file: ModelFile<'_>, threads: Option<usize>) -> Loaded {
        Ok(Arc::new(Namespaced {
            handler: self.loader.load(file, threads)?,
            namespace: self.namespace.clone(),
        }))
    }
}

/// A runtime that reads files was given none; the manifest does not let that happen.
#[derive(Debug, thiserror::Error)]
#[error("the model has no file; name it by path")]
struct NoFile;
