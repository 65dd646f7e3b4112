//! Loads everything that a manifest names and puts it together. Whatever does not work is
//! a problem with a place in the manifest, and all problems are found in one go: of a text
//! that is wrong, what is right is loaded all the same, to see whether it would work. What
//! lacks a part that is wrong already is passed over without a word.

use crate::args::Global;
use crate::configs;
use crate::exit::Exit;
use crate::host::{Host, Telemetry};
use crate::manifest::{ManifestFile, show};
use crate::models::inner;
use crate::order::{Order, Part};
use crate::steps::MapStep;
use consort_ensemble::{Ensemble, Plan, PlannedStep, Step};
use consort_inference::{Endpoint, ModelId, ModelName};
use consort_manifest::{self as manifest, Batching, Located, Place, Problem, Problems};
use consort_plugin::{Plugin, Sandbox};
use consort_registry::{KeyPattern, MapError, Model, ModelMap, ModelMapConfig, Registry, Template};
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
        Err(problems) => Err(show(&problems)),
    }
}

/// Loads models and plugins at the same time, then compiles the ensembles.
async fn assemble(
    file: &ManifestFile,
    global: &Global,
    telemetry: &mut Telemetry,
) -> Result<Host, Problems> {
    let settings = configs::registry(&file.manifest);
    let (batching, metrics) = (telemetry.batching.clone(), telemetry.models.clone());
    let registry = Arc::new(Registry::with(settings, batching, metrics));
    let mut assembly = Assembly {
        file,
        cache_dir: cache_dir(file, global),
        telemetry,
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let sandbox = assembly.sandbox();
    let order = Order::of(&file.manifest);
    assembly.problems.extend(order.problems.iter().cloned());
    let mut parts = Parts::default();
    let mut models = assembly.start_models(&registry);
    for level in &order.levels {
        let plugins = assembly.start_plugins(sandbox.as_ref(), &order, level, &parts);
        assembly.start_glued(&registry, level, &parts, &mut models);
        let loaded = assembly.finish(std::mem::take(&mut models)).await;
        assembly.add_models(&mut parts, loaded);
        parts.plugins.extend(assembly.finish(plugins).await);
        assembly.add_maps(&mut parts, &registry, level).await;
        assembly.add_ensembles(&mut parts, level);
    }
    assembly.note_plugins(&parts.plugins);
    let notes = assembly.notes;
    let problems = file.problems.clone().with(assembly.problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let in_order = |names: Vec<&Located<String>>| -> Vec<Arc<Ensemble>> {
        let found = names
            .into_iter()
            .filter_map(|name| parts.served.get(name.as_str()));
        found.cloned().collect()
    };
    let manifest = &file.manifest;
    let models = manifest.models.iter().map(|model| &model.name);
    let models = in_order(
        models
            .chain(manifest.model_maps.iter().map(|map| &map.name))
            .collect(),
    );
    let ensembles = in_order(manifest.ensembles.iter().map(|entry| &entry.name).collect());
    for endpoint in models.iter().chain(&ensembles) {
        registry.publish(endpoint.clone());
    }
    Ok(Host {
        registry,
        ensembles,
        models,
        notes,
    })
}

/// What is being put together.
pub(crate) struct Assembly<'a> {
    pub(crate) file: &'a ManifestFile,
    /// Where compiled plugins and what was found out about models are kept.
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) telemetry: &'a mut Telemetry,
    pub(crate) problems: Vec<Problem>,
    pub(crate) notes: Vec<String>,
}

/// Loads under way: each ends with its name and what became of it, or all that is wrong.
pub(crate) type Loads<T> = JoinSet<(String, Result<Arc<T>, Vec<Problem>>)>;

/// What is loaded and put together so far, by name.
#[derive(Default)]
pub(crate) struct Parts {
    /// A model that a plugin stands around goes by its inner name too.
    pub(crate) models: BTreeMap<String, Arc<Model>>,
    /// Each of them as a step, with its states where it keeps any: one for all who ask it, so
    /// that a stream has one state.
    pub(crate) steps: BTreeMap<String, Arc<dyn Step>>,
    pub(crate) maps: BTreeMap<String, Arc<ModelMap>>,
    pub(crate) plugins: BTreeMap<String, Arc<Plugin>>,
    /// Everything that can be called: ensembles, and models and maps as ensembles of one
    /// step each.
    pub(crate) served: BTreeMap<String, Arc<Ensemble>>,
}

// === impl Assembly ===

impl Assembly<'_> {
    pub(crate) fn problem(
        &mut self,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem::new(place, message, help));
    }

    /// One sandbox for all plugins; none where there are no plugins.
    fn sandbox(&mut self) -> Option<Arc<Sandbox>> {
        let first = self.file.manifest.plugins.first()?;
        let config = configs::sandbox(&self.file.manifest, self.cache_dir.clone());
        match Sandbox::new(config, &mut self.telemetry.registry) {
            Ok(sandbox) => {
                if let Some(problem) = sandbox.cache_problem() {
                    self.notes.push(format!(
                        "compiled plugins are not kept, each start compiles anew: {problem}"
                    ));
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

    /// Waits for all loads; those that failed become problems.
    async fn finish<T: 'static>(&mut self, mut loads: Loads<T>) -> BTreeMap<String, Arc<T>> {
        let mut loaded = BTreeMap::new();
        while let Some(joined) = loads.join_next().await {
            match joined {
                Ok((name, Ok(thing))) => drop(loaded.insert(name, thing)),
                Ok((_, Err(problems))) => self.problems.extend(problems),
                Err(error) => {
                    let message = format!("a load was broken off by a defect of Consort: {error}");
                    self.problem(Place::default(), message, "please report it");
                }
            }
        }
        loaded
    }

    /// Adds models that have been loaded. Every model is served by itself too, as an
    /// ensemble of one step; the model inside of a handler only to its handler.
    fn add_models(&mut self, parts: &mut Parts, loaded: BTreeMap<String, Arc<Model>>) {
        for entry in &self.file.manifest.models {
            let inside = entry.handler.is_some().then(|| inner(entry));
            for entry in std::iter::once(entry).chain(&inside) {
                let name = entry.name.as_str();
                let Some(model) = loaded.get(name) else {
                    continue;
                };
                let Some(step) = self.model_step(entry, model) else {
                    continue;
                };
                parts.steps.insert(name.to_owned(), step.clone());
                if let Some(ensemble) = self.single(entry, model, step) {
                    parts.served.insert(name.to_owned(), ensemble);
                }
            }
        }
        parts.models.extend(loaded);
    }

    fn single(
        &mut self,
        entry: &manifest::Model,
        model: &Model,
        step: Arc<dyn Step>,
    ) -> Option<Arc<Ensemble>> {
        let has_batch_axis = *entry.batching == Batching::On;
        let generation = model.current();
        let platform = generation.handler().platform();
        self.one_step(&entry.name, model.id(), platform, has_batch_axis, step)
    }

    fn one_step(
        &mut self,
        name: &Located<String>,
        id: ModelId,
        platform: &str,
        has_batch_axis: bool,
        step: Arc<dyn Step>,
    ) -> Option<Arc<Ensemble>> {
        let steps = vec![PlannedStep::new(name.as_str(), step)];
        let plan = Plan {
            platform: platform.to_owned(),
            has_batch_axis,
            ..Plan::new(id, steps)
        };
        match Ensemble::compile(plan, &self.telemetry.ensemble) {
            Ok(ensemble) => Some(Arc::new(ensemble)),
            Err(error) => {
                self.problem(name.place, error.to_string(), "");
                None
            }
        }
    }

    /// Opens the maps of keys to models that a level has.
    async fn add_maps(
        &mut self,
        parts: &mut Parts,
        registry: &Arc<Registry>,
        level: &BTreeSet<Part>,
    ) {
        for entry in &self.file.manifest.model_maps {
            if !level.contains(&Part::Served(entry.name.to_string())) {
                continue;
            }
            let Some(config) = self.map_config(entry) else {
                continue;
            };
            match ModelMap::open(registry.clone(), config).await {
                Ok(map) => {
                    let map = Arc::new(map);
                    self.add_map(parts, entry, map.clone());
                    self.add_on_demand(parts, registry, entry, &map).await;
                }
                // A model that did not load is a problem already.
                Err(MapError::Unknown(_)) => {}
                Err(error) => self.problem(entry.place, error.to_string(), ""),
            }
        }
    }

    fn add_map(&mut self, parts: &mut Parts, entry: &manifest::ModelMap, map: Arc<ModelMap>) {
        let step = MapStep::new(map.clone());
        let id = ModelId::new(entry.name.as_str(), map.version());
        let single = self.one_step(&entry.name, id, map.platform(), true, Arc::new(step));
        let named = |single| (entry.name.to_string(), single);
        parts.served.extend(single.map(named));
        parts.maps.insert(entry.name.to_string(), map);
    }

    /// Adds the models of a map that are loaded on demand, each as a map in which all keys are
    /// its own. What they read and write is what all models of the map do.
    async fn add_on_demand(
        &mut self,
        parts: &mut Parts,
        registry: &Arc<Registry>,
        map: &manifest::ModelMap,
        opened: &ModelMap,
    ) {
        for entry in &self.file.manifest.models {
            let by_key = map.keys.iter().any(|key| *key.value == *entry.name);
            let is_there = parts.served.contains_key(entry.name.as_str());
            if !by_key || is_there || !self.is_on_demand(entry) {
                continue;
            }
            let Ok(name) = ModelName::from_str(&entry.name) else {
                continue;
            };
            let config = ModelMapConfig {
                signature: Some(opened.signature().clone()),
                default: Some(name.clone()),
                ..ModelMapConfig::new(name, entry.version.as_str())
            };
            let own = match ModelMap::open(registry.clone(), config).await {
                Ok(own) => own,
                // It was not declared, which is a problem already.
                Err(MapError::Unknown(_)) => continue,
                Err(error) => {
                    self.problem(entry.place, error.to_string(), "");
                    continue;
                }
            };
            let id = ModelId::new(entry.name.as_str(), entry.version.as_str());
            let has_batch_axis = *entry.batching == Batching::On;
            let platform = own.platform().to_owned();
            let step = Arc::new(MapStep::new(Arc::new(own)));
            if let Some(single) = self.one_step(&entry.name, id, &platform, has_batch_axis, step) {
                parts.served.insert(entry.name.to_string(), single);
            }
        }
    }

    fn map_config(&mut self, entry: &manifest::ModelMap) -> Option<ModelMapConfig> {
        let name = |name: &str| ModelName::from_str(name).ok();
        let mut config = ModelMapConfig::new(name(&entry.name)?, "1");
        for key in entry.keys.iter() {
            let pattern = KeyPattern::new(&key.name);
            config.keys.push((pattern, name(key.value.as_str())?));
        }
        config.default = match &entry.default {
            Some(default) => Some(name(default)?),
            None => None,
        };
        if let Some((path, template)) = entry.path.as_ref().zip(entry.template.as_ref()) {
            let mut models = self.file.manifest.models.iter();
            let model = models.find(|model| model.name.value == template.value)?;
            let path = self.file.resolve(Path::new(path.as_str()));
            let (loader, salt) = self.model_loader(model)?;
            let mut settings = self.config(model, salt).ok()?;
            settings.sha256 = None;
            config.template = Some(Template {
                path: path.to_str()?.parse().ok()?,
                model: settings,
                loader,
            });
        }
        Some(config)
    }
}

/// `$XDG_CACHE_HOME/consort` or `~/.cache/consort`.
/// The command line wins over the manifest, the manifest over the user's folder.
fn cache_dir(file: &ManifestFile, global: &Global) -> Option<PathBuf> {
    if global.no_cache {
        return None;
    }
    let in_manifest = || Some(file.resolve(file.manifest.cache.dir.as_ref()?));
    global
        .cache_dir
        .clone()
        .or_else(in_manifest)
        .or_else(user_cache_dir)
}

pub(crate) fn user_cache_dir() -> Option<PathBuf> {
    let from = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")))?;
    Some(base.join("consort"))
}
