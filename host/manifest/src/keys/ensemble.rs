//! `[ensemble.NAME]` and its steps.

use super::TIME_MS_MAX;
use super::files::FileTensor;
use crate::json::Json;
use crate::place::{Located, Place};
use crate::report::Report;
use crate::rule::collection::{Keyed, List, Map, Named, Repeated, Table};
use crate::rule::either::OneOrMany;
use crate::rule::free::{Argument, Scalar};
use crate::rule::number::Whole;
use crate::rule::text::{ARGUMENT, COLUMN, NAME, TENSOR, Text, VERSION};
use crate::rule::words::{OneOf, words};
use crate::section::{
    Checked, Default, Optional, OwnName, OwnPath, OwnPlace, Required, independent, section,
};

/// The most steps of one ensemble.
const STEPS_MAX: usize = 256;
/// Columns that make up one tensor.
const COLUMNS: List<Text<String>> = List {
    item: COLUMN,
    min: 1,
    max: 65_536,
};

section! {
    /// Steps that are served as one: every example passes through all of them, in order,
    /// unless a step answers early.
    pub struct Ensemble {
        /// The ensemble's name. Models and ensembles share their names.
        pub name: Located<String> = OwnName;
        /// Where the table is.
        pub place: Place = OwnPlace;
        /// The version that the ensemble is served under.
        pub version: Located<String> = Default(VERSION, "\"1\"");
        /// The steps, in the order in which an example passes through them.
        pub step: Located<Vec<Step>> =
            Required(Repeated { max: STEPS_MAX, of: Table::new() });
        /// How `consort run` makes an example of a file: a table for each tensor.
        pub files: Located<Vec<FileTensor>> =
            Default(Map { keys: TENSOR, item: Table::new() }, "{}");
        /// How `consort run` makes an example of a line of a table (CSV, Parquet): the column
        /// of each tensor, or the columns that make up its elements.
        pub columns: Located<Vec<Named<Vec<Located<String>>>>> =
            Default(Map { keys: TENSOR, item: Keyed(OneOrMany(COLUMNS)) }, "{}");
        /// The column of a line's key. Without it, the line's number.
        pub key_column: Option<Located<String>> = Optional(COLUMN);
        /// How long an example may take through all steps, in milliseconds. Without it,
        /// as long as its request allows.
        pub timeout_ms: Option<Located<u64>> = Optional(Whole::new(1, TIME_MS_MAX, 5000));
    }
}

independent!(Ensemble);

/// One step of an ensemble.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name, unique in the ensemble: the plugin's or model's unless given.
    pub name: Located<String>,
    /// What the step does.
    pub runs: StepRuns,
    /// For each input of the step that has another name here: the step's own name for
    /// it, and the name of the ensemble's tensor that it reads.
    pub inputs: Vec<Named<String>>,
    /// For each output of the step that has another name here: the step's own name for
    /// it, and the name of the ensemble's tensor that it becomes.
    pub outputs: Vec<Named<String>>,
    /// What every run of the step is told beside its tensors.
    pub args: Vec<Named<Argument>>,
    /// Where the step is.
    pub place: Place,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepRuns {
    /// It calls a plugin.
    Plugin {
        /// The plugin's name.
        plugin: Located<String>,
        /// Which of its roles, if the manifest says it.
        role: Option<Located<Role>>,
    },
    /// It runs a model, or the models of a model map.
    Model(Located<String>),
}

section! {
    /// One step: a plugin or a model.
    pub(crate) struct StepKeys {
        /// Where the table is.
        place: Place = OwnPlace;
        /// The path of the table.
        path: String = OwnPath;
        /// The plugin that the step calls. Either this or `model`.
        plugin: Option<Located<String>> = Optional(NAME);
        /// The model or model map that the step runs. Either this or `plugin`.
        model: Option<Located<String>> = Optional(NAME);
        /// The step's name in metrics and errors, unique in the ensemble. Without it, the
        /// name of the plugin or model.
        name: Option<Located<String>> = Optional(NAME);
        /// Which role of the plugin is called. Needed only if it has several.
        role: Option<Located<Role>> = Optional(OneOf::new());
        /// Inputs under other names: `{ step_input = "tensor" }`.
        inputs: Located<Vec<Named<String>>> =
            Default(Map { keys: TENSOR, item: Keyed(TENSOR) }, "{}");
        /// Outputs under other names: `{ step_output = "tensor" }`.
        outputs: Located<Vec<Named<String>>> =
            Default(Map { keys: TENSOR, item: Keyed(TENSOR) }, "{}");
        /// Arguments of every run, beside its tensors: `{ temperature = 0.5 }`.
        args: Located<Vec<Named<Argument>>> =
            Default(Map { keys: ARGUMENT, item: Keyed(Scalar) }, "{}");
    }
}

words! {
    /// A role of a plugin.
    pub enum Role {
        /// It prepares examples for a model, or answers them itself.
        Preprocess = "preprocess",
        /// It turns a model's outputs into an answer.
        Postprocess = "postprocess",
        /// It is an ensemble in code, which calls models by itself.
        Ensemble = "ensemble",
    }
}

// === impl Ensemble ===

impl Ensemble {
    /// Its steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.step.value
    }
}

// === impl Step ===

impl Checked for Step {
    type Keys = StepKeys;

    fn check(keys: StepKeys, report: &mut Report) -> Option<Self> {
        let StepKeys { place, path, .. } = keys;
        let (called, runs) = match (keys.plugin, keys.model, keys.role) {
            (Some(plugin), None, role) => (plugin.clone(), StepRuns::Plugin { plugin, role }),
            (None, Some(model), role) => {
                if let Some(role) = role {
                    let help = "remove it, or write plugin = instead of model =";
                    report.wrong(role.place, "only a plugin has a role", help);
                }
                (model.clone(), StepRuns::Model(model))
            }
            (Some(_), Some(model), _) => {
                let message = format!("`{path}` has both a plugin and a model");
                let help = "make two steps of it, each below its own header";
                report.wrong(model.place, message, help);
                return None;
            }
            (None, None, _) => {
                let message = format!("`{path}` has neither a plugin nor a model");
                let help = "add plugin = \"NAME\" or model = \"NAME\"";
                report.missing(place, message, help);
                return None;
            }
        };
        let mut seen: Vec<&Located<String>> = Vec::new();
        for rename in &keys.outputs.value {
            if let Some(first) = seen.iter().find(|first| first.value == rename.value.value) {
                let tensor = &rename.value.value;
                let message = format!("two outputs of this step become `{tensor}`");
                let line = report.line(first.place);
                let help = format!("choose another name than on line {line}");
                report.wrong(rename.value.place, message, help);
            }
            seen.push(&rename.value);
        }
        Some(Self {
            name: keys.name.unwrap_or(Located {
                given: false,
                ..called
            }),
            runs,
            inputs: keys.inputs.value,
            outputs: keys.outputs.value,
            args: keys.args.value,
            place,
        })
    }

    fn schema_together() -> Vec<(&'static str, Json)> {
        let needs = |key| Json::object([("required", Json::texts([key]))]);
        vec![("oneOf", Json::List(vec![needs("plugin"), needs("model")]))]
    }
}
