//! `[[ensemble.NAME.step]]`: what a step runs, and how.

use super::pattern::{Arms, Canary, Combine, CombineBy, CombineRule, Route, Shadow, Split, Sticky};
use super::when::When;
use super::{BYTES_MAX, COUNT_MAX};
use crate::json::Json;
use crate::place::{Located, Place};
use crate::report::Report;
use crate::rule::collection::{Keyed, List, Map, Named, Table};
use crate::rule::free::{Argument, Scalar};
use crate::rule::number::{Bytes, Flag, Whole};
use crate::rule::sequence::Weights;
use crate::rule::text::{ARGUMENT, CASE, NAME, STICKY, TENSOR};
use crate::rule::words::{OneOf, words};
use crate::section::{Checked, Default, Optional, OwnPath, OwnPlace, section};

/// The most models that one step puts together.
const MEMBERS_MAX: usize = 64;
/// The largest weight of a split.
const WEIGHT_MAX: u64 = 1_000_000;
/// The most items of one example, unless the manifest says another number.
const ITEMS_MAX: usize = 4096;
/// The most bytes of one output in `for_each`, unless the manifest says another number.
const OUTPUT_BYTES_MAX: u64 = 1 << 30;
/// The keys of which a step has exactly one.
const RUNS: [&str; 6] = ["plugin", "model", "ensemble", "split", "combine", "route"];

/// One step of an ensemble.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name, unique in the ensemble: what it runs, or its pattern's word, unless given.
    pub name: Located<String>,
    /// What the step does.
    pub runs: StepRuns,
    /// Another target that takes a part of the examples until it fails too often.
    pub canary: Option<Located<Canary>>,
    /// Another target that gets copies and whose results are only compared.
    pub shadow: Option<Located<Shadow>>,
    /// What runs on the examples that the step fails on.
    pub fallback: Option<Located<String>>,
    /// Whether it runs on each item of some inputs, and not on the whole.
    pub for_each: Option<ForEach>,
    /// Which examples it runs on; all without it.
    pub when: Option<Located<When>>,
    /// Whether an example goes on where it fails.
    pub optional: Located<bool>,
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
#[derive(Debug, Clone, PartialEq)]
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
    /// It runs another ensemble.
    Ensemble(Located<String>),
    /// One of several targets for each example, by weight.
    Split(Located<Split>),
    /// Several targets on each example, whose outputs are made one.
    Combine(Located<Combine>),
    /// One of several targets for each example, by the value of a tensor.
    Route(Located<Route>),
}

/// The step runs on each item of some of its inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct ForEach {
    /// The inputs that are taken apart, by the step's own names.
    pub inputs: Located<Vec<Located<String>>>,
    /// The most items of one example.
    pub items_max: Located<usize>,
    /// Whether outputs of unlike shapes are padded with zeros.
    pub pad: Located<bool>,
    /// The most bytes of one output of an example.
    pub output_bytes_max: Located<u64>,
}

section! {
    /// One step: a plugin, a model, another ensemble, or a pattern made of such: `split`,
    /// `combine`, `route`. `canary`, `shadow`, `fallback` and `for_each` go around it, in this
    /// order from the inside; `when` and `optional` say what becomes of an example that it
    /// does not run on. What stands in one place of a pattern must read and write the same.
    pub(crate) struct StepKeys {
        /// Where the table is.
        place: Place = OwnPlace;
        /// The path of the table.
        path: String = OwnPath;
        /// The plugin that the step calls.
        plugin: Option<Located<String>> = Optional(NAME);
        /// The model or model map that the step runs.
        model: Option<Located<String>> = Optional(NAME);
        /// The other ensemble that the step runs.
        ensemble: Option<Located<String>> = Optional(NAME);
        /// Models, model maps or ensembles of which each example goes to one, by weight:
        /// `{ v1 = 90, v2 = 10 }`. Which one it was is told with the prediction.
        split: Option<Located<Vec<Named<u32>>>> =
            Optional(Arms(Map { keys: NAME, item: Keyed(Whole::new(1, WEIGHT_MAX, 90)) }));
        /// What decides the arm of `split`: `key`, the example's key, or a header of its
        /// request. Without it, chance.
        sticky: Option<Located<Sticky>> = Optional(STICKY);
        /// How the outputs of all in `of` become one: a word for all outputs, or a table with
        /// a word for each.
        combine: Option<Located<CombineBy>> = Optional(CombineRule::new());
        /// The models, model maps or ensembles that `combine` puts together.
        of: Option<Located<Vec<Located<String>>>> =
            Optional(List { item: NAME, min: 2, max: MEMBERS_MAX });
        /// The weight of each in `of` where they vote or are averaged. Without it, all are alike.
        weights: Option<Located<Vec<f64>>> = Optional(Weights { max: MEMBERS_MAX });
        /// How many in `of` must give a result. Those that fail are told with the prediction.
        /// Without it, an example on which one fails has failed.
        members_min: Option<Located<usize>> =
            Optional(Whole::new(1, MEMBERS_MAX as u64, 2));
        /// The tensor whose only element says which of `cases` an example goes to: a whole
        /// number, a boolean or a text. It is a text unless a step says something else.
        route: Option<Located<String>> = Optional(TENSOR);
        /// The model, model map or ensemble for each value of `route`'s tensor.
        cases: Option<Located<Vec<Named<String>>>> =
            Optional(Map { keys: CASE, item: Keyed(NAME) });
        /// Where `route` sends all other values. Without it, they are errors of their examples.
        default: Option<Located<String>> = Optional(NAME);
        /// The step's name in metrics and errors, unique in the ensemble. Without it, the
        /// name of what it runs, or the pattern's word.
        name: Option<Located<String>> = Optional(NAME);
        /// Which role of the plugin is called. Needed only if it has several.
        role: Option<Located<Role>> = Optional(OneOf::new());
        /// Another target that takes a part of the examples, and none any more once it fails
        /// too often.
        canary: Option<Located<Canary>> = Optional(Table::new());
        /// Another target that gets copies of examples: its results are only compared.
        shadow: Option<Located<Shadow>> = Optional(Table::new());
        /// The model, model map or ensemble for the examples that the step fails on, unless
        /// the example itself is to blame.
        fallback: Option<Located<String>> = Optional(NAME);
        /// Inputs, by the step's own names, that are taken apart along their first axis: the
        /// step runs on each item, and its outputs are put together along a new first axis.
        for_each: Option<Located<Vec<Located<String>>>> =
            Optional(List { item: TENSOR, min: 1, max: MEMBERS_MAX });
        /// The most items of one example in `for_each`, 4096 without it. An example with more fails.
        items_max: Option<Located<usize>> = Optional(Whole::new(1, COUNT_MAX, ITEMS_MAX as u64));
        /// Whether outputs of unlike shapes are padded with zeros, in `for_each`. Without it,
        /// they are an error of their example.
        pad: Option<Located<bool>> = Optional(Flag);
        /// The most bytes of one output of an example when it is put together of its items, in
        /// `for_each`; 1 GiB without it. An example with more fails.
        output_bytes_max: Option<Located<u64>> = Optional(Bytes::new(1, BYTES_MAX));
        /// Which examples the step runs on. For others its outputs keep their older values.
        when: Option<Located<When>> = Optional(Table::new());
        /// Whether an example goes on where the step fails or has nothing to run on: what needs
        /// its outputs is left out too, and the prediction says why.
        optional: Located<bool> = Default(Flag, "false");
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

// === impl Step ===

impl Step {
    /// Where a person looks for what the step runs.
    pub fn target_place(&self) -> Place {
        match &self.runs {
            StepRuns::Plugin { plugin: name, .. }
            | StepRuns::Model(name)
            | StepRuns::Ensemble(name) => name.place,
            StepRuns::Split(split) => split.place,
            StepRuns::Combine(combine) => combine.place,
            StepRuns::Route(route) => route.place,
        }
    }

    /// Every model, model map or ensemble that it names, whatever for.
    pub fn targets(&self) -> Vec<&Located<String>> {
        let mut targets: Vec<&Located<String>> = match &self.runs {
            StepRuns::Plugin { .. } => Vec::new(),
            StepRuns::Model(name) | StepRuns::Ensemble(name) => vec![name],
            _ => self.members(),
        };
        targets.extend(self.beside());
        targets
    }

    /// What its pattern is made of.
    pub(crate) fn members(&self) -> Vec<&Located<String>> {
        match &self.runs {
            StepRuns::Split(split) => split.arms.iter().map(|arm| &arm.name).collect(),
            StepRuns::Combine(combine) => combine.of.iter().collect(),
            StepRuns::Route(route) => {
                let cases = route.cases.iter().map(|case| &case.value);
                cases.chain(&route.default).collect()
            }
            StepRuns::Plugin { .. } | StepRuns::Model(_) | StepRuns::Ensemble(_) => Vec::new(),
        }
    }

    /// What runs beside or instead of it.
    pub(crate) fn beside(&self) -> Vec<&Located<String>> {
        let canary = self.canary.iter().map(|canary| &canary.to);
        let shadow = self.shadow.iter().map(|shadow| &shadow.to);
        canary.chain(shadow).chain(&self.fallback).collect()
    }
}

impl Checked for Step {
    type Keys = StepKeys;

    fn check(mut keys: StepKeys, report: &mut Report) -> Option<Self> {
        keys.one_target(report)?;
        keys.refuse_strays(report);
        keys.distinct_outputs(report);
        let for_each = keys.for_each.take().map(|inputs| {
            let place = report.place(inputs.place);
            ForEach {
                items_max: given_or(keys.items_max.take(), ITEMS_MAX, place),
                pad: given_or(keys.pad.take(), false, place),
                output_bytes_max: given_or(keys.output_bytes_max.take(), OUTPUT_BYTES_MAX, place),
                inputs,
            }
        });
        let (called, runs) = keys.runs(report)?;
        Some(Self {
            name: keys.name.unwrap_or(Located {
                given: false,
                ..called
            }),
            runs,
            canary: keys.canary,
            shadow: keys.shadow,
            fallback: keys.fallback,
            for_each,
            when: keys.when,
            optional: keys.optional,
            inputs: keys.inputs.value,
            outputs: keys.outputs.value,
            args: keys.args.value,
            place: keys.place,
        })
    }

    fn schema_together() -> Vec<(&'static str, Json)> {
        let needs = |key| Json::object([("required", Json::texts([key]))]);
        vec![("oneOf", Json::List(RUNS.map(needs).into()))]
    }
}

/// A key of its own, or what stands for it where it is left out.
fn given_or<T>(given: Option<Located<T>>, value: T, place: Place) -> Located<T> {
    given.unwrap_or(Located {
        value,
        place,
        given: false,
    })
}

// === impl StepKeys ===

impl StepKeys {
    /// Exactly one key says what the step runs.
    fn one_target(&self, report: &mut Report) -> Option<()> {
        let places = [
            self.plugin.as_ref().map(|key| key.place),
            self.model.as_ref().map(|key| key.place),
            self.ensemble.as_ref().map(|key| key.place),
            self.split.as_ref().map(|key| key.place),
            self.combine.as_ref().map(|key| key.place),
            self.route.as_ref().map(|key| key.place),
        ];
        let mut given = RUNS
            .iter()
            .zip(places)
            .filter_map(|(key, place)| Some((key, place?)));
        let path = &self.path;
        match (given.next(), given.next()) {
            (Some(_), None) => Some(()),
            (Some((first, _)), Some((second, place))) => {
                let message = format!("`{path}` has both `{first}` and `{second}`");
                let help = "make two steps of it, each below its own header";
                report.wrong(place, message, help);
                None
            }
            _ => {
                let message = format!("`{path}` says nothing of what it runs");
                let help = "add plugin = \"NAME\", model = \"NAME\", ensemble = \"NAME\", \
                            split = { ... }, combine = \"vote\" or route = \"TENSOR\"";
                report.missing(self.place, message, help);
                None
            }
        }
    }

    /// Keys that mean nothing without another one.
    fn refuse_strays(&self, report: &mut Report) {
        if let (None, Some(role)) = (&self.plugin, &self.role) {
            let help = "remove it, or write plugin = instead of what the step runs";
            report.wrong(role.place, "only a plugin has a role", help);
        }
        let place = |key: Option<Place>, needed: Option<Place>| key.filter(|_| needed.is_none());
        let split = self.split.as_ref().map(|key| key.place);
        let combine = self.combine.as_ref().map(|key| key.place);
        let route = self.route.as_ref().map(|key| key.place);
        let for_each = self.for_each.as_ref().map(|key| key.place);
        let strays = [
            (
                "sticky",
                self.sticky.as_ref().map(|key| key.place),
                "split",
                split,
            ),
            (
                "of",
                self.of.as_ref().map(|key| key.place),
                "combine",
                combine,
            ),
            (
                "weights",
                self.weights.as_ref().map(|key| key.place),
                "combine",
                combine,
            ),
            (
                "members_min",
                self.members_min.as_ref().map(|key| key.place),
                "combine",
                combine,
            ),
            (
                "cases",
                self.cases.as_ref().map(|key| key.place),
                "route",
                route,
            ),
            (
                "default",
                self.default.as_ref().map(|key| key.place),
                "route",
                route,
            ),
            (
                "items_max",
                self.items_max.as_ref().map(|key| key.place),
                "for_each",
                for_each,
            ),
            (
                "pad",
                self.pad.as_ref().map(|key| key.place),
                "for_each",
                for_each,
            ),
            (
                "output_bytes_max",
                self.output_bytes_max.as_ref().map(|key| key.place),
                "for_each",
                for_each,
            ),
        ];
        for (key, given, needed, there) in strays {
            if let Some(place) = place(given, there) {
                let message = format!("`{key}` has no effect without `{needed}`");
                report.missing(place, message, format!("add {needed} = ..., or remove it"));
            }
        }
    }

    fn distinct_outputs(&self, report: &mut Report) {
        let mut seen: Vec<&Located<String>> = Vec::new();
        for rename in &self.outputs.value {
            if let Some(first) = seen.iter().find(|first| first.value == rename.value.value) {
                let tensor = &rename.value.value;
                let message = format!("two outputs of this step become `{tensor}`");
                let line = report.line(first.place);
                let help = format!("choose another name than on line {line}");
                report.wrong(rename.value.place, message, help);
            }
            seen.push(&rename.value);
        }
    }

    /// What the step runs, and what it is called when it has no name of its own.
    fn runs(&mut self, report: &mut Report) -> Option<(Located<String>, StepRuns)> {
        if let Some(plugin) = self.plugin.take() {
            let role = self.role.take();
            return Some((plugin.clone(), StepRuns::Plugin { plugin, role }));
        }
        if let Some(model) = self.model.take() {
            return Some((model.clone(), StepRuns::Model(model)));
        }
        if let Some(ensemble) = self.ensemble.take() {
            return Some((ensemble.clone(), StepRuns::Ensemble(ensemble)));
        }
        let called = |word: &str, place| Located {
            value: word.to_owned(),
            place,
            given: false,
        };
        if let Some(arms) = self.split.take() {
            let place = arms.place;
            let split = Split::check(arms, self.sticky.take(), report);
            return Some((called("split", place), StepRuns::Split(split)));
        }
        if let Some(by) = self.combine.take() {
            let place = by.place;
            let (of, weights) = (self.of.take(), self.weights.take());
            let combine = Combine::check(by, of, weights, self.members_min.take(), report)?;
            return Some((called("combine", place), StepRuns::Combine(combine)));
        }
        let tensor = self.route.take()?;
        let place = tensor.place;
        let route = Route::check(tensor, self.cases.take(), self.default.take(), report)?;
        Some((called("route", place), StepRuns::Route(route)))
    }
}
