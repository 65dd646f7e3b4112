//! Loading a manifest's plugins, and what a failure means for the manifest.

use crate::assemble::{Assembly, Loads, Parts};
use crate::configs;
use crate::models::{digest_help, inner_name};
use crate::order::{Order, Part};
use consort_inference::Endpoint;
use consort_manifest::{self as manifest, Problem};
use consort_plugin::{Capability, LoadProblem, Plugin, Sandbox, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// What a plugin is granted, by the names it calls it.
pub(crate) type Endpoints = BTreeMap<String, Arc<dyn Endpoint>>;

// === impl Assembly ===

impl Assembly<'_> {
    /// Begins to load the plugins of a level.
    pub(crate) fn start_plugins(
        &mut self,
        sandbox: Option<&Arc<Sandbox>>,
        order: &Order,
        level: &BTreeSet<Part>,
        parts: &Parts,
    ) -> Loads<Plugin> {
        let mut loads = JoinSet::new();
        let Some(sandbox) = sandbox else { return loads };
        for plugin in &self.file.manifest.plugins {
            if !level.contains(&Part::Plugin(plugin.name.to_string())) {
                continue;
            }
            let granted = self.granted(plugin);
            let held: Endpoints = granted
                .iter()
                .filter_map(|(name, served)| {
                    let endpoint = parts.served.get(served)?.clone();
                    Some((name.clone(), endpoint as Arc<dyn Endpoint>))
                })
                .collect();
            if held.len() < granted.len() {
                // What did not load is a problem already.
                continue;
            }
            let capabilities = self.capabilities(plugin);
            let all_known = capabilities.len() == plugin.capabilities.len();
            let nesting = order.nesting(&plugin.name);
            let config = match configs::plugin(self.file, plugin, capabilities, held, nesting) {
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
                let problem = |error| plugin_problems(&error, &entry, all_known);
                (name, loaded.map(Arc::new).map_err(problem))
            });
        }
        loads
    }

    /// What a plugin may call: by which name, and by which name it is loaded.
    fn granted(&self, plugin: &manifest::Plugin) -> BTreeMap<String, String> {
        let asked = plugin.models.iter();
        let mut granted: BTreeMap<_, _> = asked
            .map(|name| (name.to_string(), name.to_string()))
            .collect();
        for model in &self.file.manifest.models {
            if model
                .handler
                .as_ref()
                .is_some_and(|handler| handler.value == plugin.name.value)
            {
                granted.insert(model.name.to_string(), inner_name(&model.name));
            }
        }
        granted
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

    pub(crate) fn note_plugins(&mut self, plugins: &BTreeMap<String, Arc<Plugin>>) {
        for (name, plugin) in plugins {
            if let Snapshot::NotPossible { reason } = &plugin.load_report().snapshot {
                self.notes.push(format!(
                    "plugin \"{name}\" has no snapshot ({reason}): its instances are reused within a tenant"
                ));
            }
        }
    }
}

/// Points at what the manifest says that does not hold. Unless all its capabilities are
/// known, what the plugin lacks may be what an unknown one stands for: not said twice.
fn plugin_problems(
    error: &consort_plugin::LoadError,
    plugin: &manifest::Plugin,
    all_known: bool,
) -> Vec<Problem> {
    let path = plugin.path.place;
    let (place, message, help) = match &error.problem {
        LoadProblem::ImportDenied { .. } if !all_known => return Vec::new(),
        LoadProblem::Digest { actual, .. } => {
            let place = plugin.sha256.as_ref().map_or(path, |digest| digest.place);
            (place, error.to_string(), digest_help(actual))
        }
        LoadProblem::Asset { name, .. } => {
            let asset = plugin.assets.iter().find(|asset| *asset.name == *name);
            let place = asset.map_or(path, |asset| asset.value.place);
            let help = "paths are relative to the manifest".to_owned();
            (place, error.problem.to_string(), help)
        }
        LoadProblem::NestedTooDeep { .. } => {
            let place = plugin.models.place;
            (place, error.problem.to_string(), String::new())
        }
        LoadProblem::CapabilityUnavailable(_) => {
            let place = plugin.capabilities.place;
            (place, error.problem.to_string(), String::new())
        }
        LoadProblem::InitRefused(_) => {
            let place = plugin.config.as_ref().map_or(path, |config| config.place);
            (place, error.to_string(), String::new())
        }
        _ => (path, error.to_string(), String::new()),
    };
    vec![Problem::new(place, message, help)]
}
