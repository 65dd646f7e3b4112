//! Loads everything that a manifest names and puts it together. Whatever does not work is
//! a problem with a place in the manifest, and all problems are found in one go.

use crate::args::Global;
use crate::configs;
use crate::exit::Exit;
use crate::host::{Host, Telemetry};
use crate::manifest::ManifestFile;
use crate::print;
use crate::steps::{ModelStep, PluginStep};
use consort_ensemble::{CompileProblem, Ensemble, Plan, PlannedStep, Step};
use consort_inference::{Endpoint, ModelHandler, ModelId};
use consort_manifest::{
    self as manifest, Batching, Located, Named, Place, Problem, Problems, StepRuns,
};
use consort_onnx::{ModelSource, OnnxHandler};
use consort_plugin::{Capability, LoadProblem, Plugin, Role, Sandbox, Snapshot};
use consort_registry::{LoadError, Model, ModelFile, Registry};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Reads a manifest and puts it to work. Everything that is wrong has been shown when this
/// fails.
pub(crate) async fn load(
    path: &Path,
    global: &Global,
    telemetry: &mut Telemetry,
) -> Result<(ManifestFile, Host), Exit> {
    let file = ManifestFile::read(path)?;
    match assemble(&file, global, telemetry).await {
        Ok(host) => Ok((file, host)),
        Err(problems) => {
            print::note(&problems.to_string());
            Err(Exit::Unusable)
        }
    }
}

/// Loads models and plugins at the same time, then compiles the ensembles.
async fn assemble(
    file: &ManifestFile,
    global: &Global,
    telemetry: &mut Telemetry,
) -> Result<Host, Problems> {
    let registry = Arc::new(Registry::new(telemetry.batching.clone()));
    let mut assembly = Assembly {
        file,
        telemetry,
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let sandbox = assembly.sandbox(global);
    let models = assembly.start_models(&registry);
    let plugins = assembly.start_plugins(sandbox.as_ref());
    let models = assembly.finish(models).await;
    let plugins = assembly.finish(plugins).await;
    assembly.note_plugins(&plugins);
    let single = assembly.single_models(&models);
    let ensembles = assembly.ensembles(&models, &plugins);
    if !assembly.problems.is_empty() {
        return Err(file.manifest.problems(assembly.problems));
    }
    for endpoint in single.iter().chain(&ensembles) {
        registry.publish(endpoint.clone());
    }
    Ok(Host {
        registry,
        ensembles,
        models: single,
        notes: assembly.notes,
    })
}

/// What is being put together.
struct Assembly<'a> {
    file: &'a ManifestFile,
    telemetry: &'a mut Telemetry,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

/// Loads under way: each ends with its name and what became of it.
type Loads<T> = JoinSet<(String, Result<Arc<T>, Problem>)>;

// === impl Assembly ===

impl Assembly<'_> {
    fn problem(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(place, message, help));
    }

    /// One sandbox for all plugins; none where there are no plugins.
    fn sandbox(&mut self, global: &Global) -> Option<Arc<Sandbox>> {
        let first = self.file.manifest.plugins.first()?;
        let config = configs::sandbox(&self.file.manifest, self.cache_dir(global));
        match Sandbox::new(config, &mut self.telemetry.registry) {
            Ok(sandbox) => {
                if let Some(problem) = sandbox.cache_problem() {
                    self.notes
                        .push(format!("compiled plugins are not kept: {problem}"));
                }
                Some(sandbox)
            }
            Err(error) => {
                self.problem(
                    first.name.place,
                    format!("the sandbox cannot be made: {error}"),
                    "",
                );
                None
            }
        }
    }

    /// The command line wins over the manifest, the manifest over the user's folder.
    fn cache_dir(&self, global: &Global) -> Option<PathBuf> {
        if global.no_cache {
            return None;
        }
        let in_manifest = || Some(self.file.resolve(self.file.manifest.cache.dir.as_ref()?));
        global
            .cache_dir
            .clone()
            .or_else(in_manifest)
            .or_else(user_cache_dir)
    }

    fn start_models(&mut self, registry: &Arc<Registry>) -> Loads<Model> {
        let mut loads = JoinSet::new();
        let Some(first) = self.file.manifest.models.first() else {
            return loads;
        };
        let library = match consort_onnx::load_library(None) {
            Ok(library) => library,
            Err(error) => {
                self.problem(first.name.place, error.to_string(), "");
                return loads;
            }
        };
        for model in &self.file.manifest.models {
            let configs =
                configs::onnx(model).and_then(|onnx| Ok((onnx, configs::model(self.file, model)?)));
            let (onnx, config) = match configs {
                Ok(configs) => configs,
                Err(error) => {
                    self.problem(model.name.place, error.to_string(), "choose another name");
                    continue;
                }
            };
            let (name, registry, library) =
                (model.name.to_string(), registry.clone(), library.clone());
            let entry = model.clone();
            loads.spawn(async move {
                let load = move |file: ModelFile<'_>| {
                    let source = match file {
                        ModelFile::Path(path) => ModelSource::File(path),
                        ModelFile::Checked(content) => ModelSource::Bytes(content),
                    };
                    let handler = OnnxHandler::load(&library, source, &onnx)?;
                    Ok::<Arc<dyn ModelHandler>, consort_onnx::LoadError>(Arc::new(handler))
                };
                let loaded = registry.load(config, load).await;
                (name, loaded.map_err(|error| model_problem(&error, &entry)))
            });
        }
        loads
    }

    fn start_plugins(&mut self, sandbox: Option<&Arc<Sandbox>>) -> Loads<Plugin> {
        let mut loads = JoinSet::new();
        let Some(sandbox) = sandbox else { return loads };
        for plugin in &self.file.manifest.plugins {
            let capabilities = self.capabilities(plugin);
            let config = match configs::plugin(self.file, plugin, capabilities) {
                Ok(config) => config,
                Err(error) => {
                    self.problem(plugin.name.place, error.to_string(), "choose another name");
                    continue;
                }
            };
            let (name, sandbox) = (plugin.name.to_string(), sandbox.clone());
            let entry = plugin.clone();
            loads.spawn(async move {
                let loaded = sandbox.load(config).await;
                let problem = |error| plugin_problem(&error, &entry);
                (name, loaded.map(Arc::new).map_err(problem))
            });
        }
        loads
    }

    fn capabilities(&mut self, plugin: &manifest::Plugin) -> BTreeSet<Capability> {
        let mut capabilities = BTreeSet::new();
        for word in plugin.capabilities.iter() {
            match Capability::from_str(word) {
                Ok(capability) => drop(capabilities.insert(capability)),
                Err(error) => self.problem(word.place, error.to_string(), ""),
            }
        }
        capabilities
    }

    /// Waits for all loads; those that failed become problems.
    async fn finish<T: 'static>(&mut self, mut loads: Loads<T>) -> BTreeMap<String, Arc<T>> {
        let mut loaded = BTreeMap::new();
        while let Some(joined) = loads.join_next().await {
            match joined {
                Ok((name, Ok(thing))) => drop(loaded.insert(name, thing)),
                Ok((_, Err(problem))) => self.problems.push(problem),
                Err(error) => {
                    let message = format!("a load was broken off by a defect of Consort: {error}");
                    self.problem(Place::default(), message, "please report it");
                }
            }
        }
        loaded
    }

    fn note_plugins(&mut self, plugins: &BTreeMap<String, Arc<Plugin>>) {
        for (name, plugin) in plugins {
            if let Snapshot::NotPossible { reason } = &plugin.load_report().snapshot {
                self.notes.push(format!(
                    "plugin \"{name}\" has no snapshot ({reason}): its instances are reused within a tenant"
                ));
            }
        }
    }

    /// Every model is served by itself too, as an ensemble of one step.
    fn single_models(&mut self, models: &BTreeMap<String, Arc<Model>>) -> Vec<Arc<Ensemble>> {
        let mut ensembles = Vec::new();
        for entry in &self.file.manifest.models {
            let Some(model) = models.get(entry.name.as_str()) else {
                continue;
            };
            let plan = Plan {
                id: model.id().clone(),
                platform: model.handler().platform().to_owned(),
                has_batch_axis: *entry.batching == Batching::On,
                steps: vec![PlannedStep {
                    name: entry.name.as_str().into(),
                    step: Arc::new(ModelStep::new(model.clone())),
                    inputs: Vec::new(),
                    outputs: Vec::new(),
                }],
            };
            match Ensemble::compile(plan, &self.telemetry.ensemble) {
                Ok(ensemble) => ensembles.push(Arc::new(ensemble)),
                Err(error) => self.problem(entry.name.place, error.to_string(), ""),
            }
        }
        ensembles
    }

    fn ensembles(
        &mut self,
        models: &BTreeMap<String, Arc<Model>>,
        plugins: &BTreeMap<String, Arc<Plugin>>,
    ) -> Vec<Arc<Ensemble>> {
        let mut ensembles = Vec::new();
        for entry in &self.file.manifest.ensembles {
            // Not `collect`: every step is to be looked at, even after one that fails.
            let mut steps = Vec::new();
            for step in entry.steps() {
                steps.extend(self.step(step, models, plugins));
            }
            if steps.len() < entry.steps().len() {
                continue;
            }
            let plan = Plan {
                id: ModelId::new(entry.name.as_str(), entry.version.as_str()),
                platform: "ensemble".to_owned(),
                has_batch_axis: true,
                steps,
            };
            match Ensemble::compile(plan, &self.telemetry.ensemble) {
                Ok(ensemble) => {
                    self.check_files(entry, &ensemble);
                    ensembles.push(Arc::new(ensemble));
                }
                Err(error) => {
                    let place_of = |problem: &CompileProblem| {
                        entry
                            .steps()
                            .get(problem.index)
                            .map_or(entry.name.place, step_place)
                    };
                    for problem in &error.problems {
                        let help = problem.help.clone().unwrap_or_default();
                        self.problem(place_of(problem), problem.to_string(), help);
                    }
                }
            }
        }
        ensembles
    }

    /// What a job makes of a file must be what the ensemble takes.
    fn check_files(&mut self, entry: &manifest::Ensemble, ensemble: &Ensemble) {
        let files = configs::files(entry);
        if files.is_empty() {
            return;
        }
        if let Err(mismatch) = files.check(ensemble.signature()) {
            let message = format!("what is made of a file does not fit the ensemble: {mismatch}");
            let help = "name the tensors after the first step's inputs";
            self.problem(entry.files.place, message, help);
        }
    }

    /// A step of the manifest with what runs it; nothing where that did not load (which is
    /// a problem already) or does not play the role.
    fn step(
        &mut self,
        step: &manifest::Step,
        models: &BTreeMap<String, Arc<Model>>,
        plugins: &BTreeMap<String, Arc<Plugin>>,
    ) -> Option<PlannedStep> {
        let runs: Arc<dyn Step> = match &step.runs {
            StepRuns::Model(name) => Arc::new(ModelStep::new(models.get(name.as_str())?.clone())),
            StepRuns::Plugin { plugin, role } => {
                self.plugin_step(plugins.get(plugin.as_str())?, plugin, role.as_ref())?
            }
        };
        let names = |renames: &[Named<String>]| {
            let pair = |rename: &Named<String>| {
                (rename.name.as_str().into(), rename.value.as_str().into())
            };
            renames.iter().map(pair).collect()
        };
        Some(PlannedStep {
            name: step.name.as_str().into(),
            step: runs,
            inputs: names(&step.inputs),
            outputs: names(&step.outputs),
        })
    }

    fn plugin_step(
        &mut self,
        plugin: &Arc<Plugin>,
        name: &Located<String>,
        role: Option<&Located<manifest::Role>>,
    ) -> Option<Arc<dyn Step>> {
        let playing = |role: Role| {
            let step = PluginStep::new(plugin, role)?;
            Some(Arc::new(step) as Arc<dyn Step>)
        };
        let (step, wanted) = match role.map(|role| **role) {
            Some(manifest::Role::Preprocess) => (playing(Role::Preprocess), "preprocess"),
            Some(manifest::Role::Postprocess) => (playing(Role::Postprocess), "postprocess"),
            None => match (playing(Role::Preprocess), playing(Role::Postprocess)) {
                (Some(_), Some(_)) => {
                    let message = format!("plugin \"{}\" plays both roles", name.value);
                    let help = "add role = \"preprocess\" or role = \"postprocess\" to this step";
                    self.problem(name.place, message, help);
                    return None;
                }
                (step, None) | (None, step) => (step, "preprocess or postprocess"),
            },
        };
        if step.is_none() {
            let message = format!("plugin \"{}\" does not play the role {wanted}", name.value);
            let place = role.map_or(name.place, |role| role.place);
            self.problem(
                place,
                message,
                "consort inspect shows the roles of a plugin",
            );
        }
        step
    }
}

/// Points at the name of the plugin or model, which is what a person looks for.
fn step_place(step: &manifest::Step) -> Place {
    match &step.runs {
        StepRuns::Plugin { plugin, .. } => plugin.place,
        StepRuns::Model(model) => model.place,
    }
}

/// Points at what the manifest says that does not hold.
fn model_problem(error: &LoadError, model: &manifest::Model) -> Problem {
    let place = match error {
        LoadError::DigestMismatch { actual, .. } => {
            let place = model
                .sha256
                .as_ref()
                .map_or(model.path.place, |digest| digest.place);
            return Problem::new(place, error.to_string(), digest_help(actual));
        }
        LoadError::Handler(source) => match source.downcast_ref() {
            Some(
                consort_onnx::LoadError::ProviderUnavailable { .. }
                | consort_onnx::LoadError::ProviderUnused { .. },
            ) => model.providers.place,
            _ => model.path.place,
        },
        _ => model.path.place,
    };
    Problem::new(place, error.to_string(), "")
}

/// Points at what the manifest says that does not hold.
fn plugin_problem(error: &consort_plugin::LoadError, plugin: &manifest::Plugin) -> Problem {
    let path = plugin.path.place;
    match &error.problem {
        LoadProblem::Digest { actual, .. } => {
            let place = plugin.sha256.as_ref().map_or(path, |digest| digest.place);
            Problem::new(place, error.to_string(), digest_help(actual))
        }
        LoadProblem::Asset { name, .. } => {
            let asset = plugin.assets.iter().find(|asset| *asset.name == *name);
            let place = asset.map_or(path, |asset| asset.value.place);
            Problem::new(
                place,
                error.problem.to_string(),
                "paths are relative to the manifest",
            )
        }
        LoadProblem::CapabilityUnavailable(_) => {
            Problem::new(plugin.capabilities.place, error.problem.to_string(), "")
        }
        LoadProblem::InitRefused(_) if plugin.config.is_some() => {
            let place = plugin.config.as_ref().map_or(path, |config| config.place);
            Problem::new(place, error.to_string(), "")
        }
        _ => Problem::new(path, error.to_string(), ""),
    }
}

fn digest_help(actual: &str) -> String {
    format!("get the right file, or write sha256 = \"{actual}\" if you trust this one")
}

/// `$XDG_CACHE_HOME/consort` or `~/.cache/consort`.
fn user_cache_dir() -> Option<PathBuf> {
    let from = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")))?;
    Some(base.join("consort"))
}
