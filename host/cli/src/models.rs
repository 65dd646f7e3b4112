//! Loading a manifest's models: by which runtime, with which settings, and what a failure
//! means for the manifest.

use crate::assemble::{Assembly, Loads, Parts};
use crate::order::Part;
use crate::{configs, loaders, remote};
use consort_inference::{InvalidName, ModelName};
use consort_manifest::{self as manifest, Batching, ModelRuntime, Problem};
use consort_onnx::ProviderError;
use consort_registry::{LoadError, Model, ModelConfig, ModelLoader, Registry, Source};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// What the loaders of a manifest's models share.
#[derive(Default)]
struct Libraries {
    onnx: Option<consort_onnx::Library>,
    openvino: Option<consort_wasi_nn::OpenVinoLibrary>,
}

/// The name of the model that a plugin stands around: its own name is the plugin's to answer
/// by.
pub(crate) fn inner_name(model: &str) -> String {
    format!("{model}.model")
}

/// The model as the plugin around it sees it: it takes what the plugin gives it, as it is.
pub(crate) fn inner(entry: &manifest::Model) -> manifest::Model {
    let mut inner = entry.clone();
    inner.name.value = inner_name(&entry.name);
    inner.batching.value = Batching::Off;
    inner.handler = None;
    inner.warm_up = None;
    inner.state = None;
    inner
}

// === impl Assembly ===

impl Assembly<'_> {
    /// Begins to load every model that a runtime runs; a model that a plugin stands around
    /// by its inner name.
    pub(crate) fn start_models(&mut self, registry: &Arc<Registry>) -> Loads<Model> {
        let mut loads = JoinSet::new();
        let mut libraries = Libraries::default();
        for entry in &self.file.manifest.models {
            let model = match &entry.handler {
                Some(_) => inner(entry),
                None => entry.clone(),
            };
            let Some(loader) = self.loader(&model, &mut libraries) else {
                continue;
            };
            let loader = (in_namespace(loader.0, &model), loader.1);
            let config = match self.config(&model, loader.1) {
                Ok(config) => config,
                Err(error) => {
                    self.problem(model.name.place, error.to_string(), "choose another name");
                    continue;
                }
            };
            if self.is_on_demand(&model) {
                self.declare(&model, config, loader.0, registry);
                continue;
            }
            let (name, registry, entry) = (model.name.to_string(), registry.clone(), model);
            loads.spawn(async move {
                let loaded = registry.load(config, loader.0).await;
                (name, loaded.map_err(|error| model_problems(&error, &entry)))
            });
        }
        loads
    }

    /// Begins to load the models of a level that a plugin stands around, by their own names.
    pub(crate) fn start_glued(
        &mut self,
        registry: &Arc<Registry>,
        level: &BTreeSet<Part>,
        parts: &Parts,
        loads: &mut Loads<Model>,
    ) {
        for entry in &self.file.manifest.models {
            let Some(plugin) = &entry.handler else {
                continue;
            };
            if !level.contains(&Part::Served(entry.name.to_string())) {
                continue;
            }
            let parts = (parts.models)
                .get(&inner_name(&entry.name))
                .zip(parts.plugins.get(plugin.as_str()));
            // What did not load is a problem already.
            let Some((model, plugin)) = parts else {
                continue;
            };
            let loader = loaders::Glue {
                plugin: plugin.clone(),
                model: entry.name.to_string(),
                platform: model.current().handler().platform().to_owned(),
                runtime: Handle::current(),
            };
            let Ok(name) = entry.name.parse::<ModelName>() else {
                continue;
            };
            let mut batching = configs::batching(entry, &self.file.manifest.tenants);
            if entry.replicas.fixed().is_none() {
                // As many batches through the glue as the model was found to run at a time.
                batching.replicas = model.current().batcher().replicas();
            }
            let config = ModelConfig {
                batching,
                warm_up: configs::warm_up(self.file, entry),
                update_check: configs::update_check(entry),
                ..ModelConfig::new(name, entry.version.as_str(), Source::Remote)
            };
            let (name, registry, entry) = (entry.name.to_string(), registry.clone(), entry.clone());
            loads.spawn(async move {
                let loader = in_namespace(Arc::new(loader), &entry);
                let loaded = registry.load(config, loader).await;
                (name, loaded.map_err(|error| glue_problems(&error, &entry)))
            });
        }
    }

    /// Whether a model is loaded when it is first asked for: under a budget, those that a
    /// model map names by key. Plugins and steps hold on to theirs, so those are loaded at once.
    pub(crate) fn is_on_demand(&self, model: &manifest::Model) -> bool {
        let manifest = &self.file.manifest;
        let is = |name: &str| *model.name == name;
        let by_key = |map: &manifest::ModelMap| map.keys.iter().any(|key| is(&key.value));
        let granted = |plugin: &manifest::Plugin| plugin.models.iter().any(|name| is(name));
        let runs = |step: &manifest::Step| step.targets().iter().any(|name| is(name));
        let of_step = |ensemble: &manifest::Ensemble| ensemble.steps().iter().any(runs);
        manifest.registry.model_bytes_max.is_some()
            && model.handler.is_none()
            && manifest.model_maps.iter().any(by_key)
            && !manifest.plugins.iter().any(granted)
            && !manifest.ensembles.iter().any(of_step)
    }

    /// Makes a model known that is loaded later; its file must be there all the same.
    fn declare(
        &mut self,
        entry: &manifest::Model,
        config: ModelConfig,
        loader: Arc<dyn ModelLoader>,
        registry: &Registry,
    ) {
        let path = match &config.source {
            Source::Remote => None,
            Source::File(path) | Source::Versions { folder: path, .. } => Some(path.clone()),
        };
        if let Some(path) = path
            && let Err(source) = std::fs::metadata(&path)
        {
            let missing = LoadError::Unreadable { path, source };
            return self.problems.extend(model_problems(&missing, entry));
        }
        if let Err(error) = registry.declare(config, loader) {
            self.problems.extend(model_problems(&error, entry));
        }
    }

    /// What loads a model, and what its speed depends on beside its file; nothing where its
    /// runtime is missing, which is a problem then.
    pub(crate) fn model_loader(
        &mut self,
        model: &manifest::Model,
    ) -> Option<(Arc<dyn ModelLoader>, Option<String>)> {
        self.loader(model, &mut Libraries::default())
    }

    fn loader(
        &mut self,
        model: &manifest::Model,
        libraries: &mut Libraries,
    ) -> Option<(Arc<dyn ModelLoader>, Option<String>)> {
        match *model.runtime {
            ModelRuntime::Onnx => {
                if libraries.onnx.is_none() {
                    match consort_onnx::load_library(None) {
                        Ok(library) => libraries.onnx = Some(library),
                        Err(error) => {
                            self.problem(model.name.place, error.to_string(), "");
                            return None;
                        }
                    }
                }
                let library = libraries.onnx.clone()?;
                let config = configs::onnx(model).ok()?;
                let salt = config.on_cpu().then(|| format!("{config:?}"));
                Some((Arc::new(loaders::Onnx { library, config }), salt))
            }
            ModelRuntime::OpenVino => {
                if libraries.openvino.is_none() {
                    match consort_wasi_nn::load_library(None) {
                        Ok(library) => libraries.openvino = Some(library),
                        Err(error) => {
                            self.problem(model.runtime.place, error.to_string(), "");
                            return None;
                        }
                    }
                }
                let library = libraries.openvino.clone()?;
                let config = configs::openvino(model).ok()?;
                Some((Arc::new(loaders::OpenVino { library, config }), None))
            }
            #[cfg(feature = "pytorch")]
            ModelRuntime::PyTorch => {
                let loader = loaders::PyTorch {
                    signature: remote::signature(model),
                    config: configs::pytorch(model).ok()?,
                };
                Some((Arc::new(loader), None))
            }
            #[cfg(not(feature = "pytorch"))]
            ModelRuntime::PyTorch => {
                let message = "this build of Consort has no PyTorch";
                let help = "build it with --features pytorch where libtorch is installed";
                self.problem(model.runtime.place, message, help);
                None
            }
            ModelRuntime::Remote => {
                let config = match remote::config(self.file, model) {
                    Ok(config) => config,
                    Err(error) => {
                        self.problem(model.name.place, error.to_string(), "choose another name");
                        return None;
                    }
                };
                let loader = loaders::Remote {
                    config,
                    metrics: self.telemetry.remote.clone(),
                    runtime: Handle::current(),
                };
                Some((Arc::new(loader), None))
            }
        }
    }

    /// The registry's settings of a model. Threads and replicas are found by trying where
    /// they are left open and the model runs on this machine's processor (`salt`).
    pub(crate) fn config(
        &self,
        model: &manifest::Model,
        salt: Option<String>,
    ) -> Result<ModelConfig, InvalidName> {
        let mut config = configs::model(self.file, model)?;
        config.tune = salt.and_then(|salt| {
            let found = configs::tune(&self.file.manifest, model)?;
            let cache_dir = self.cache_dir.as_ref().map(|dir| dir.join("tuning"));
            Some(consort_registry::Tune {
                cache_dir,
                cache_salt: salt,
                ..found
            })
        });
        Ok(config)
    }
}

/// A loader of handlers whose metrics go by the model's own namespace, if it has one.
fn in_namespace(loader: Arc<dyn ModelLoader>, model: &manifest::Model) -> Arc<dyn ModelLoader> {
    match model.metrics_namespace.given {
        false => loader,
        true => Arc::new(loaders::InNamespace {
            loader,
            namespace: model.metrics_namespace.to_string(),
        }),
    }
}

/// Points at what the manifest says that does not hold.
pub(crate) fn model_problems(error: &LoadError, model: &manifest::Model) -> Vec<Problem> {
    let path = (model.path.as_ref().map(|path| path.place))
        .or(model.url.as_ref().map(|url| url.place))
        .unwrap_or(model.name.place);
    let (place, help) = match error {
        LoadError::DigestMismatch { actual, .. } => {
            let place = model.sha256.as_ref().map_or(path, |digest| digest.place);
            (place, digest_help(actual))
        }
        LoadError::WarmUp(_) | LoadError::WarmUpRows(_) => {
            let place = model.warm_up.as_ref().map_or(path, |rows| rows.place);
            (place, String::new())
        }
        LoadError::Handler(source) => match source.downcast_ref() {
            Some(consort_onnx::LoadError::Providers(absent)) => {
                return absent
                    .iter()
                    .map(|error| provider_problem(error, model))
                    .collect();
            }
            _ => (path, String::new()),
        },
        _ => (path, String::new()),
    };
    vec![Problem::new(place, error.to_string(), help)]
}

/// Points at the plugin that is to stand around the model.
fn glue_problems(error: &LoadError, model: &manifest::Model) -> Vec<Problem> {
    if matches!(error, LoadError::WarmUp(_) | LoadError::WarmUpRows(_)) {
        return model_problems(error, model);
    }
    let handler = model.handler.as_ref();
    let place = handler.map_or(model.name.place, |handler| handler.place);
    vec![Problem::new(place, error.to_string(), "")]
}

/// Points at the provider's own word in the list.
fn provider_problem(error: &ProviderError, model: &manifest::Model) -> Problem {
    let mut words = model.providers.iter();
    let word = words.find(|word| word.as_str() == error.provider().as_str());
    let place = word.map_or(model.providers.place, |word| word.place);
    Problem::new(place, error.to_string(), "")
}

/// What to do about a file that is not the one the manifest names.
pub(crate) fn digest_help(actual: &str) -> String {
    format!("get the right file, or write sha256 = \"{actual}\" if you trust this one")
}
