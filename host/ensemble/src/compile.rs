//! From a list of steps to a checked sequence: which tensor goes where.
//!
//! The tensors of the first step are the request's. Each later step takes what it needs,
//! by name, from the step before it, from any earlier step or from the request; the
//! latest tensor of a name wins. The last step's outputs are the ensemble's.

use crate::{CompileError, CompileProblem, PlannedStep, Step, StepPlace};
use consort_inference::{InferenceArgs, Signature, TensorSpec};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A sequence whose tensors all fit.
pub(crate) struct Compiled {
    pub(crate) steps: Vec<CompiledStep>,
    pub(crate) signature: Signature,
}

/// A step and where its tensors come from and go to.
pub(crate) struct CompiledStep {
    pub(crate) name: Arc<str>,
    pub(crate) step: Arc<dyn Step>,
    /// `(the step's own name, name in the ensemble)` for every input.
    pub(crate) inputs: Vec<(Arc<str>, Arc<str>)>,
    /// `(the step's own name, name in the ensemble)` for every output.
    pub(crate) outputs: Vec<(Arc<str>, Arc<str>)>,
    pub(crate) args: InferenceArgs,
    /// Names in the ensemble that a later step, or the answer, still needs.
    pub(crate) needed_after: BTreeSet<Arc<str>>,
}

/// A tensor that is there when a step runs, and the step that made it.
struct Available {
    spec: TensorSpec,
    maker: Option<Arc<str>>,
}

pub(crate) fn compile(steps: Vec<PlannedStep>) -> Result<Compiled, CompileError> {
    let mut checker = Checker::default();
    let mut compiled = Vec::with_capacity(steps.len());
    for (index, planned) in steps.into_iter().enumerate() {
        checker.begin(index, planned.name.clone());
        checker.unknown_renames(&planned);
        if planned.when.is_some() || planned.optional {
            checker.problem(
                "conditions and optional steps cannot be run yet".into(),
                None,
            );
        }
        let inputs = renamed(&planned.step.signature().inputs, &planned.inputs);
        if index == 0 {
            checker.request_tensors(&planned, &inputs);
        } else {
            checker.inputs_fit(&planned, &inputs);
        }
        let outputs = renamed(&planned.step.signature().outputs, &planned.outputs);
        checker.outputs(&planned, &outputs);
        compiled.push(CompiledStep {
            name: planned.name,
            step: planned.step,
            inputs,
            outputs,
            args: planned.args,
            needed_after: BTreeSet::new(),
        });
    }
    let outputs = compiled.last().map(|last| {
        let specs = &last.step.signature().outputs;
        specs
            .iter()
            .zip(&last.outputs)
            .map(|(spec, (_, name))| rename(spec, name))
            .collect()
    });
    let outputs: Vec<TensorSpec> = outputs.unwrap_or_default();
    for (index, step) in compiled.iter().enumerate() {
        checker.begin(index, step.name.clone());
        checker.answers_fit(step.step.answers(), &outputs);
    }
    if !checker.problems.is_empty() {
        return Err(CompileError {
            problems: checker.problems,
        });
    }
    mark_needed(&mut compiled);
    Ok(Compiled {
        steps: compiled,
        signature: Signature {
            inputs: checker.request,
            outputs,
        },
    })
}

/// Collects what is available and what is wrong while walking the steps.
#[derive(Default)]
struct Checker {
    index: usize,
    step: Arc<str>,
    available: Vec<Available>,
    request: Vec<TensorSpec>,
    problems: Vec<CompileProblem>,
}

// === impl Checker ===

impl Checker {
    fn begin(&mut self, index: usize, step: Arc<str>) {
        self.index = index;
        self.step = step;
    }

    fn problem(&mut self, message: String, help: Option<String>) {
        let (index, name) = (self.index, self.step.clone());
        self.problems.push(CompileProblem {
            step: Some(StepPlace { index, name }),
            message,
            help,
        });
    }

    fn unknown_renames(&mut self, planned: &PlannedStep) {
        let signature = planned.step.signature();
        let sides = [
            ("input", &planned.inputs, &signature.inputs),
            ("output", &planned.outputs, &signature.outputs),
        ];
        for (side, renames, specs) in sides {
            for (own, _) in renames {
                if !specs.iter().any(|spec| spec.name == *own) {
                    let known = specs
                        .iter()
                        .map(|spec| quoted(&spec.name))
                        .collect::<Vec<_>>();
                    self.problem(
                        format!("it has no {side} \"{own}\""),
                        Some(format!("its {side}s are {}", listed(&known))),
                    );
                }
            }
        }
    }

    /// The first step's inputs are the request's.
    fn request_tensors(&mut self, planned: &PlannedStep, names: &[(Arc<str>, Arc<str>)]) {
        for (spec, (_, name)) in planned.step.signature().inputs.iter().zip(names) {
            let spec = rename(spec, name);
            self.request.push(spec.clone());
            self.provide(spec, None);
        }
    }

    fn inputs_fit(&mut self, planned: &PlannedStep, names: &[(Arc<str>, Arc<str>)]) {
        for (spec, (own, name)) in planned.step.signature().inputs.iter().zip(names) {
            let Some(available) = self.available.iter().find(|a| a.spec.name == *name) else {
                let message =
                    format!("it needs a tensor \"{name}\" ({spec}), which no step before it gives");
                let help = self.missing_help(own, spec);
                self.problem(message, Some(help));
                continue;
            };
            let maker = match &available.maker {
                Some(maker) => format!("step \"{maker}\""),
                None => "the request".to_owned(),
            };
            if let Err(mismatch) = rename(spec, name).accepts(&available.spec) {
                self.problem(format!("{mismatch}; it comes from {maker}"), None);
            }
        }
    }

    /// Lists what is there, and names the rename when exactly one tensor would fit.
    fn missing_help(&self, own: &str, spec: &TensorSpec) -> String {
        let fits = |a: &&Available| spec.accepts(&a.spec).is_ok();
        let mut fitting = self.available.iter().filter(fits);
        if let (Some(only), None) = (fitting.next(), fitting.next()) {
            return format!(
                "write inputs = {{ {own} = \"{}\" }} in this step",
                only.spec.name
            );
        }
        let texts = self
            .available
            .iter()
            .map(|a| format!("\"{}\" ({})", a.spec.name, a.spec));
        format!(
            "the tensors there are: {}",
            listed(&texts.collect::<Vec<_>>())
        )
    }

    fn outputs(&mut self, planned: &PlannedStep, names: &[(Arc<str>, Arc<str>)]) {
        let mut seen = BTreeSet::new();
        for (spec, (_, name)) in planned.step.signature().outputs.iter().zip(names) {
            if !seen.insert(name.clone()) {
                self.problem(format!("two of its outputs are named \"{name}\""), None);
            }
            self.provide(rename(spec, name), Some(planned.name.clone()));
        }
    }

    fn answers_fit(&mut self, answers: &[TensorSpec], outputs: &[TensorSpec]) {
        if answers.is_empty() {
            return;
        }
        for output in outputs {
            match answers.iter().find(|answer| answer.name == output.name) {
                None => self.problem(
                    format!(
                        "it answers by itself, but without the ensemble's output \"{}\" ({output})",
                        output.name
                    ),
                    None,
                ),
                Some(answer) => {
                    if let Err(mismatch) = output.accepts(answer) {
                        self.problem(
                            format!("what it answers by itself does not fit: {mismatch}"),
                            None,
                        );
                    }
                }
            }
        }
        for answer in answers {
            if !outputs.iter().any(|output| output.name == answer.name) {
                self.problem(
                    format!(
                        "it answers with \"{}\", which is no output of the ensemble",
                        answer.name
                    ),
                    None,
                );
            }
        }
    }

    fn provide(&mut self, spec: TensorSpec, maker: Option<Arc<str>>) {
        self.available
            .retain(|available| available.spec.name != spec.name);
        self.available.push(Available { spec, maker });
    }
}

/// Walks backwards: what is needed after a step is what later steps read.
fn mark_needed(steps: &mut [CompiledStep]) {
    let mut needed: BTreeSet<Arc<str>> = BTreeSet::new();
    if let Some(last) = steps.last() {
        needed.extend(last.outputs.iter().map(|(_, name)| name.clone()));
    }
    for step in steps.iter_mut().rev() {
        step.needed_after.clone_from(&needed);
        for (_, name) in &step.outputs {
            needed.remove(name);
        }
        needed.extend(step.inputs.iter().map(|(_, name)| name.clone()));
    }
}

fn renamed(specs: &[TensorSpec], renames: &[(Arc<str>, Arc<str>)]) -> Vec<(Arc<str>, Arc<str>)> {
    let name_of = |spec: &TensorSpec| {
        let renamed = renames
            .iter()
            .find(|(own, _)| *own == spec.name)
            .map(|(_, name)| name);
        (spec.name.clone(), renamed.unwrap_or(&spec.name).clone())
    };
    specs.iter().map(name_of).collect()
}

fn rename(spec: &TensorSpec, name: &Arc<str>) -> TensorSpec {
    TensorSpec {
        name: name.clone(),
        ..spec.clone()
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() {
        "none".to_owned()
    } else {
        texts.join(", ")
    }
}
