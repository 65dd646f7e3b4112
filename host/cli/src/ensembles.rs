//! Ensembles of the manifest: each step with what runs it, then the checked graph.

use crate::assemble::{Assembly, Parts};
use crate::configs;
use crate::order::Part;
use crate::steps::{MapStep, PluginStep};
use consort_ensemble::{
    CompileProblem, Condition, EndpointStep, Ensemble, Limits, Literal, Plan, PlannedOutput,
    PlannedStep, ProblemPlace, Reduction, Step, Test,
};
use consort_inference::{Endpoint, ModelId};
use consort_manifest::{
    self as manifest, Argument, Located, Named, Place, StepRuns, WhenOf, WhenTest,
};
use consort_plugin::{Plugin, Role};
use std::collections::BTreeSet;
use std::sync::Arc;

// === impl Assembly ===

impl Assembly<'_> {
    /// Puts the ensembles together that a level has.
    pub(crate) fn add_ensembles(&mut self, parts: &mut Parts, level: &BTreeSet<Part>) {
        for entry in &self.file.manifest.ensembles {
            if !level.contains(&Part::Served(entry.name.to_string())) {
                continue;
            }
            // Not `collect`: every step is to be looked at, even after one that fails.
            let mut steps = Vec::new();
            for step in entry.steps() {
                let step = self.step(step, parts, &steps);
                steps.extend(step);
            }
            if steps.len() < entry.steps().len() {
                continue;
            }
            let id = ModelId::new(entry.name.as_str(), entry.version.as_str());
            let inputs = entry.inputs.as_ref();
            let outputs = entry.outputs.as_ref();
            let plan = Plan {
                inputs: inputs.map(|all| all.iter().map(|name| name.as_str().into()).collect()),
                outputs: outputs.map(|all| all.iter().map(output).collect()),
                limits: Limits {
                    inflight_max: *entry.max_inflight,
                    inflight_bytes_max: configs::size(*entry.max_inflight_bytes),
                },
                ..Plan::new(id, steps)
            };
            match Ensemble::compile(plan, &self.telemetry.ensemble) {
                Ok(ensemble) => {
                    self.check_files(entry, &ensemble);
                    let name = entry.name.to_string();
                    parts.served.insert(name, Arc::new(ensemble));
                }
                Err(error) => {
                    for problem in &error.problems {
                        let help = problem.help.clone().unwrap_or_default();
                        let place = place_of(problem, entry);
                        let place = place.unwrap_or(entry.name.place);
                        self.problem(place, problem.to_string(), help);
                    }
                }
            }
        }
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
        parts: &Parts,
        before: &[PlannedStep],
    ) -> Option<PlannedStep> {
        let runs = self.runs(step, parts, before)?;
        let names = |renames: &[Named<String>]| {
            let pair = |rename: &Named<String>| {
                (rename.name.as_str().into(), rename.value.as_str().into())
            };
            renames.iter().map(pair).collect()
        };
        Some(PlannedStep {
            inputs: names(&step.inputs),
            outputs: names(&step.outputs),
            args: configs::args(&step.args),
            when: step.when.as_ref().map(|when| condition(when)),
            optional: *step.optional,
            ..PlannedStep::new(step.name.as_str(), runs)
        })
    }

    fn runs(
        &mut self,
        step: &manifest::Step,
        parts: &Parts,
        before: &[PlannedStep],
    ) -> Option<Arc<dyn Step>> {
        let runs = match &step.runs {
            StepRuns::Model(name) | StepRuns::Ensemble(name) => target(name, parts),
            StepRuns::Plugin { plugin, role } => {
                self.plugin_step(parts.plugins.get(plugin.as_str())?, plugin, role.as_ref())
            }
            StepRuns::Split(split) => self.split(step, split, parts),
            StepRuns::Combine(combine) => self.combine(step, combine, parts),
            StepRuns::Route(route) => self.route(step, route, parts, before),
        };
        self.around(step, runs?, parts)
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
        let wanted = match role.map(|role| **role) {
            Some(manifest::Role::Preprocess) => vec![Role::Preprocess],
            Some(manifest::Role::Postprocess) => vec![Role::Postprocess],
            Some(manifest::Role::Ensemble) => vec![Role::Ensemble],
            None => STEP_ROLES.to_vec(),
        };
        let mut played: Vec<_> = (wanted.iter())
            .filter_map(|role| Some((*role, playing(*role)?)))
            .collect();
        if let [(first, _), (second, _), ..] = &played[..] {
            let message = format!("plugin \"{}\" plays several roles", name.value);
            let help = format!("add role = \"{first}\" or role = \"{second}\" to this step");
            self.problem(name.place, message, help);
            return None;
        }
        let step = played.pop().map(|(_, step)| step);
        if step.is_none() {
            let wanted: Vec<&str> = wanted.iter().map(|role| role.as_str()).collect();
            let wanted = wanted.join(" or ");
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

/// A model, a model map or an ensemble, if it was loaded.
pub(crate) fn target(name: &Located<String>, parts: &Parts) -> Option<Arc<dyn Step>> {
    if let Some(map) = parts.maps.get(name.as_str()) {
        return Some(Arc::new(MapStep::new(map.clone())));
    }
    if let Some(step) = parts.steps.get(name.as_str()) {
        return Some(step.clone());
    }
    let ensemble: Arc<dyn Endpoint> = parts.served.get(name.as_str())?.clone();
    Some(Arc::new(EndpointStep::new("ensemble", ensemble)))
}

/// Where in the manifest a problem is, if it is written there.
fn place_of(problem: &CompileProblem, entry: &manifest::Ensemble) -> Option<Place> {
    let step = || entry.steps().get(problem.index()?);
    match &problem.place {
        ProblemPlace::Ensemble => None,
        ProblemPlace::Input(at) => Some(entry.inputs.as_ref()?.get(*at)?.place),
        ProblemPlace::Output(at) => Some(entry.outputs.as_ref()?.get(*at)?.value.place),
        ProblemPlace::Step(_) => Some(step()?.target_place()),
        ProblemPlace::StepInput(_, at) => Some(step()?.inputs.get(*at)?.name.place),
        ProblemPlace::StepOutput(_, at) => Some(step()?.outputs.get(*at)?.name.place),
    }
}

fn output(output: &Named<String>) -> PlannedOutput {
    PlannedOutput {
        name: output.name.as_str().into(),
        tensor: output.value.as_str().into(),
    }
}

fn condition(when: &manifest::When) -> Condition {
    Condition {
        tensor: when.tensor.as_str().into(),
        of: match *when.of {
            WhenOf::Only => Reduction::Only,
            WhenOf::Max => Reduction::Max,
            WhenOf::Min => Reduction::Min,
            WhenOf::Mean => Reduction::Mean,
            WhenOf::Any => Reduction::Any,
            WhenOf::All => Reduction::All,
        },
        test: match &*when.test {
            WhenTest::Above(limit) => Test::Above(*limit),
            WhenTest::Below(limit) => Test::Below(*limit),
            WhenTest::Equals(value) => Test::Equals(literal(value)),
            WhenTest::NotEquals(value) => Test::NotEquals(literal(value)),
            WhenTest::OneOf(values) => Test::OneOf(values.iter().map(literal).collect()),
        },
    }
}

fn literal(value: &Argument) -> Literal {
    match value {
        Argument::Bool(value) => Literal::Bool(*value),
        Argument::Int(value) => Literal::Int(*value),
        Argument::Float(value) => Literal::Float(*value),
        Argument::Text(value) => Literal::Text(value.as_str().into()),
    }
}

/// The roles in which a plugin can be a step.
const STEP_ROLES: [Role; 3] = [Role::Preprocess, Role::Postprocess, Role::Ensemble];
