//! Checks between tables: names that are taken twice, and names that stand for nothing.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use crate::keys::ensemble::Ensemble;
use crate::keys::map::ModelMap;
use crate::keys::model::Model;
use crate::keys::plugin::Plugin;
use crate::keys::step::StepRuns;
use crate::nearest::nearest;
use crate::place::{Located, Place};
use crate::report::Report;
use crate::rule::{by_place, key_text, toml_text};

/// Every name that the manifest declares, also those whose tables are wrong: a step that
/// names one of them is not to blame.
pub(crate) struct Declared {
    models: Names,
    maps: Names,
    plugins: Names,
    ensembles: Names,
}

type Names = BTreeMap<String, Place>;

// === impl Declared ===

impl Declared {
    pub(crate) fn of(root: &DeTable<'_>) -> Self {
        let names = |section: &str| match root.get(section).map(|value| value.get_ref()) {
            Some(DeValue::Table(table)) => {
                let keys = by_place(table).into_iter();
                keys.map(|(key, _)| (key.get_ref().to_string(), key.span().into()))
                    .collect()
            }
            _ => Names::new(),
        };
        Self {
            models: names("model"),
            maps: names("model-map"),
            plugins: names("plugin"),
            ensembles: names("ensemble"),
        }
    }

    /// Models, model maps and ensembles are served side by side, so they share their names.
    pub(crate) fn check_shared(&self, report: &mut Report) {
        let kinds = [
            ("a", "model", &self.models),
            ("a", "model map", &self.maps),
            ("an", "ensemble", &self.ensembles),
        ];
        let mut seen: BTreeMap<&str, (&str, Place)> = BTreeMap::new();
        for (article, kind, names) in kinds {
            for (name, place) in names {
                let Some((other, first)) = seen.get(name.as_str()) else {
                    seen.insert(name, (kind, *place));
                    continue;
                };
                let message = format!(
                    "a {other} and {article} {kind} are both called {}",
                    toml_text(name)
                );
                let line = report.line(*first);
                let help = format!("rename one of the two; the {other} is on line {line}");
                report.wrong(*place, message, help);
            }
        }
    }

    /// Checks the plugins that models are handled by.
    pub(crate) fn check_models(&self, models: &[Model], report: &mut Report) {
        for handler in models.iter().filter_map(|model| model.handler.as_ref()) {
            self.check_plugin(handler, "handler", report);
        }
    }

    /// Checks the models that keys are mapped to.
    pub(crate) fn check_maps(&self, maps: &[ModelMap], report: &mut Report) {
        for model in maps.iter().flat_map(ModelMap::models) {
            self.check_single_model(model, report);
        }
    }

    /// Checks the models, model maps and ensembles that plugins are granted.
    pub(crate) fn check_grants(&self, plugins: &[Plugin], report: &mut Report) {
        for name in plugins.iter().flat_map(|plugin| plugin.models.iter()) {
            let served = [&self.models, &self.maps, &self.ensembles];
            if served.iter().any(|names| names.contains_key(&name.value)) {
                continue;
            }
            let message = format!("there is no model or ensemble {}", toml_text(name));
            let help = match self.plugins.contains_key(&name.value) {
                true => "it is a plugin: name an ensemble that has it as a step".to_owned(),
                false => suggest(name, "model", &self.models, report),
            };
            report.missing(name.place, message, help);
        }
    }

    /// Checks what an ensemble's steps name, and what they are called.
    pub(crate) fn check_steps(&self, ensemble: &Ensemble, report: &mut Report) {
        let mut names: Vec<&Located<String>> = Vec::new();
        for step in ensemble.steps() {
            match &step.runs {
                StepRuns::Plugin { plugin, .. } => self.check_plugin(plugin, "plugin", report),
                StepRuns::Model(model) => self.check_model(model, report),
                StepRuns::Ensemble(other) => self.check_ensemble(other, report),
                StepRuns::Split(_) | StepRuns::Combine(_) | StepRuns::Route(_) => {
                    for member in step.members() {
                        self.check_target(member, report);
                    }
                }
            }
            for target in step.beside() {
                self.check_target(target, report);
            }
            let name = &step.name;
            if let Some(first) = names.iter().find(|first| first.value == name.value) {
                let message = format!("two steps of this ensemble are called `{}`", name.value);
                let line = report.line(first.place);
                let help =
                    format!("add name = \"...\" to one of them; the other is on line {line}");
                report.wrong(name.place, message, help);
            }
            names.push(name);
        }
    }

    /// A plugin that is named as the value of `key`.
    fn check_plugin(&self, plugin: &Located<String>, key: &str, report: &mut Report) {
        if self.plugins.contains_key(&plugin.value) {
            return;
        }
        let message = format!("there is no plugin {}", toml_text(plugin));
        let help = if key == "plugin" && self.models.contains_key(&plugin.value) {
            format!("it is a model: write model = {}", toml_text(plugin))
        } else {
            suggest(plugin, "plugin", &self.plugins, report)
        };
        report.missing(plugin.place, message, help);
    }

    /// A model or model map that a step runs.
    fn check_model(&self, model: &Located<String>, report: &mut Report) {
        if self.models.contains_key(&model.value) || self.maps.contains_key(&model.value) {
            return;
        }
        let message = format!("there is no model {}", toml_text(model));
        let help = if self.plugins.contains_key(&model.value) {
            format!("it is a plugin: write plugin = {}", toml_text(model))
        } else if self.ensembles.contains_key(&model.value) {
            format!("it is an ensemble: write ensemble = {}", toml_text(model))
        } else {
            suggest(model, "model", &self.models, report)
        };
        report.missing(model.place, message, help);
    }

    /// An ensemble that a step runs.
    fn check_ensemble(&self, ensemble: &Located<String>, report: &mut Report) {
        if self.ensembles.contains_key(&ensemble.value) {
            return;
        }
        let name = toml_text(ensemble);
        let message = format!("there is no ensemble {name}");
        let is_model =
            self.models.contains_key(&ensemble.value) || self.maps.contains_key(&ensemble.value);
        let help = match (is_model, self.plugins.contains_key(&ensemble.value)) {
            (true, _) => format!("it is a model: write model = {name}"),
            (false, true) => format!("it is a plugin: write plugin = {name}"),
            _ => suggest(ensemble, "ensemble", &self.ensembles, report),
        };
        report.missing(ensemble.place, message, help);
    }

    /// A model, model map or ensemble: what a pattern is made of.
    fn check_target(&self, target: &Located<String>, report: &mut Report) {
        let served = [&self.models, &self.maps, &self.ensembles];
        if served.iter().any(|names| names.contains_key(&target.value)) {
            return;
        }
        let name = toml_text(target);
        let message = format!("there is no model, model map or ensemble {name}");
        let help = if self.plugins.contains_key(&target.value) {
            "it is a plugin: make an ensemble of it, and name that".to_owned()
        } else {
            let known = served.iter().flat_map(|names| names.keys());
            match nearest(
                target,
                known.map(String::as_str).filter(|_| !report.is_full()),
            ) {
                Some(meant) => format!("did you mean {}?", toml_text(meant)),
                None => format!("add a table [model.{}]", key_text(target)),
            }
        };
        report.missing(target.place, message, help);
    }

    /// A model where nothing else will do.
    fn check_single_model(&self, model: &Located<String>, report: &mut Report) {
        if self.models.contains_key(&model.value) {
            return;
        }
        let message = format!("there is no model {}", toml_text(model));
        let others = [
            ("a model map", &self.maps),
            ("an ensemble", &self.ensembles),
            ("a plugin", &self.plugins),
        ];
        let mut others = others.iter();
        let help = match others.find(|(_, names)| names.contains_key(&model.value)) {
            Some((other, _)) => format!("it is {other}: name a model"),
            None => suggest(model, "model", &self.models, report),
        };
        report.missing(model.place, message, help);
    }
}

/// What was probably meant. Looked for only while somebody will read it: there may be
/// as many wrong names as there are right ones.
fn suggest(name: &str, section: &str, known: &Names, report: &Report) -> String {
    let names = known.keys().map(String::as_str);
    match nearest(name, names.filter(|_| !report.is_full())) {
        Some(meant) => format!("did you mean {}?", toml_text(meant)),
        None => format!("add a table [{section}.{}]", key_text(name)),
    }
}
