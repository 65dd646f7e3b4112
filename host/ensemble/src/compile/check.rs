//! Finds everything that is wrong with a plan.

use super::order::Waits;
use super::sources::{Source, Sources};
use super::{Draft, Reads, named, needed};
use crate::condition::{CompiledCondition, Unfit};
use crate::{CompileError, CompileProblem, ProblemPlace, StepPlace};
use consort_inference::TensorSpec;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Collects what is wrong.
pub(super) struct Checker<'a> {
    drafts: &'a [Draft],
    problems: Vec<CompileProblem>,
}

// === impl Checker ===

impl<'a> Checker<'a> {
    pub(super) fn new(drafts: &'a [Draft]) -> Self {
        Self {
            drafts,
            problems: Vec::new(),
        }
    }

    /// All problems, in the order of the steps.
    pub(super) fn finish(mut self) -> Result<(), CompileError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems
            .sort_by_key(|problem| problem.index().unwrap_or(usize::MAX));
        Err(CompileError {
            problems: self.problems,
        })
    }

    fn problem(&mut self, place: ProblemPlace, message: String, help: Option<String>) {
        self.problems.push(CompileProblem {
            place,
            message,
            help,
        });
    }

    fn in_step(&mut self, index: usize, message: String, help: Option<String>) {
        self.problem(ProblemPlace::Step(self.step(index)), message, help);
    }

    fn step(&self, index: usize) -> StepPlace {
        let draft = self.drafts.get(index);
        let name = draft.map_or_else(|| "".into(), |draft| draft.planned.name.clone());
        StepPlace { index, name }
    }

    /// Renames of what is not there, and outputs of one name.
    pub(super) fn names(&mut self) {
        for (index, draft) in self.drafts.iter().enumerate() {
            let (planned, signature) = (&draft.planned, draft.planned.step.signature());
            type Place = fn(StepPlace, usize) -> ProblemPlace;
            let sides: [(_, Place, _, _); 2] = [
                (
                    "input",
                    ProblemPlace::StepInput,
                    &planned.inputs,
                    &signature.inputs,
                ),
                (
                    "output",
                    ProblemPlace::StepOutput,
                    &planned.outputs,
                    &signature.outputs,
                ),
            ];
            for (side, place, renames, specs) in sides {
                for (at, (own, _)) in renames.iter().enumerate() {
                    if specs.iter().any(|spec| spec.name == *own) {
                        continue;
                    }
                    let known: Vec<_> = specs.iter().map(|spec| quoted(&spec.name)).collect();
                    let message = format!("it has no {side} \"{own}\"");
                    let help = format!("its {side}s are {}", listed(&known));
                    self.problem(place(self.step(index), at), message, Some(help));
                }
            }
            let mut seen = BTreeSet::new();
            for (_, name) in draft.outputs.iter().filter(|(_, name)| !seen.insert(name)) {
                let message = format!("two of its outputs are named \"{name}\"");
                self.in_step(index, message, None);
            }
        }
    }

    /// The request's tensors: what the steps that read them say they are.
    pub(super) fn request(&mut self, inputs: Option<&[Arc<str>]>) -> Vec<TensorSpec> {
        let firsts: Vec<Arc<str>> = match (inputs, self.drafts.first()) {
            (Some(inputs), _) => inputs.to_vec(),
            (None, Some(first)) => first.inputs.iter().map(|(_, name)| name.clone()).collect(),
            (None, None) => Vec::new(),
        };
        let mut request: Vec<TensorSpec> = Vec::new();
        for (at, name) in firsts.into_iter().enumerate() {
            if request.iter().any(|spec| spec.name == name) {
                if inputs.is_some() {
                    let message = format!("the request's tensor \"{name}\" is named twice");
                    self.problem(ProblemPlace::Input(at), message, None);
                }
                continue;
            }
            match self.requested(&name) {
                Some(spec) => request.push(spec),
                None => {
                    let message = format!(
                        "no step reads the request's tensor \"{name}\", so that nothing says what \
                         it is"
                    );
                    self.problem(ProblemPlace::Input(at), message, self.wanted());
                }
            }
        }
        request
    }

    /// What steps read that no other makes.
    fn wanted(&self) -> Option<String> {
        let made = |name: &Arc<str>, reader: usize| {
            let others = self.drafts.iter().enumerate();
            let mut others = others.filter(|(index, _)| *index != reader);
            others.any(|(_, draft)| draft.outputs.iter().any(|(_, output)| output == name))
        };
        let mut wanted = BTreeSet::new();
        for (index, draft) in self.drafts.iter().enumerate() {
            let reads = draft.inputs.iter().map(|(_, name)| name);
            wanted.extend(
                reads
                    .filter(|name| !made(name, index))
                    .map(|name| quoted(name)),
            );
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        let help = || format!("what steps read and no other makes: {}", listed(&wanted));
        (!wanted.is_empty()).then(help)
    }

    /// What the readers of a request's tensor take together. A step that does not always
    /// run has no say in what others must send.
    fn requested(&self, name: &Arc<str>) -> Option<TensorSpec> {
        let makes = |draft: &&Draft| !draft.outputs.iter().any(|(_, made)| made == name);
        // The first that makes it anew may read it too.
        let count = self.drafts.iter().take_while(makes).count() + 1;
        let mut spec: Option<TensorSpec> = None;
        for draft in self.drafts.iter().take(count) {
            let always = draft.planned.when.is_none() && !draft.planned.optional;
            for read in draft.read().filter(|read| read.name == *name) {
                match &mut spec {
                    None => spec = Some(read),
                    Some(spec) if always && spec.accepts(&read).is_ok() => {
                        for (known, length) in spec.shape.iter_mut().zip(read.shape) {
                            *known = known.or(length);
                        }
                    }
                    Some(_) => {}
                }
            }
        }
        spec
    }

    /// Whether every tensor that is read is there and fits, whatever steps are passed by.
    pub(super) fn reads(&mut self, sources: &Sources, reads: &Reads) {
        for (index, draft) in self.drafts.iter().enumerate() {
            let found = reads.inputs.get(index).into_iter().flatten();
            let own = draft.inputs.iter().map(|(own, _)| own);
            for ((wanted, own), found) in draft.read().zip(own).zip(found) {
                match found {
                    None => self.missing(index, sources, own, &wanted),
                    Some(source) => self.fits(index, sources, &wanted, *source),
                }
            }
            if let Some(condition) = &draft.planned.when {
                match reads.conditions.get(index).copied().flatten() {
                    None => {
                        let name = &condition.tensor;
                        let message = format!(
                            "its condition asks for a tensor \"{name}\", which neither the \
                             request nor another step gives"
                        );
                        self.in_step(index, message, Some(visible(sources, index)));
                    }
                    Some(source) => self.condition_fits(index, sources, source),
                }
            }
            self.passing_by(index, sources, reads);
        }
    }

    fn fits(&mut self, index: usize, sources: &Sources, wanted: &TensorSpec, source: Source) {
        for seen in sources.all_seen(source) {
            let Some(given) = sources.spec(seen) else {
                continue;
            };
            if let Err(mismatch) = wanted.accepts(given) {
                let maker = sources.maker(seen);
                let message = format!("{mismatch}; it comes from {maker}");
                let passed = (seen != source).then(|| {
                    format!(
                        "it is what is left where {} is passed by: give that step's output \
                         another name",
                        sources.maker(source)
                    )
                });
                self.in_step(index, message, passed);
            }
        }
    }

    fn condition_fits(&mut self, index: usize, sources: &Sources, source: Source) {
        let condition = self
            .drafts
            .get(index)
            .and_then(|draft| draft.planned.when.as_ref());
        for seen in sources.all_seen(source) {
            let (Some(condition), Some(spec)) = (condition, sources.spec(seen)) else {
                continue;
            };
            if let Err(Unfit { message, help }) = CompiledCondition::check(condition, spec) {
                self.in_step(index, message, help);
            }
        }
    }

    /// Where a condition passes an example by, something older must be there, if anybody
    /// needs the tensor.
    fn passing_by(&mut self, index: usize, sources: &Sources, reads: &Reads) {
        let Some(draft) = self.drafts.get(index) else {
            return;
        };
        if draft.planned.when.is_none() || draft.planned.optional {
            return;
        }
        let needed = needed(sources, reads);
        for (output, (_, name)) in draft.outputs.iter().enumerate() {
            let source = Source::Step {
                step: index,
                output,
            };
            if !needed.contains(&(index, output)) || sources.older(source).is_some() {
                continue;
            }
            let message = format!(
                "its condition may pass an example by, and nothing before it gives the tensor \
                 \"{name}\", which is needed"
            );
            let help = format!(
                "put a step before it that gives \"{name}\", or write optional = true in this step"
            );
            self.in_step(index, message, Some(help));
        }
    }

    fn missing(&mut self, index: usize, sources: &Sources, own: &str, wanted: &TensorSpec) {
        let name = &wanted.name;
        let message = format!(
            "it needs a tensor \"{name}\" ({wanted}), which neither the request nor another \
             step gives"
        );
        let visible_here = sources.visible(index);
        let mut fitting = visible_here.iter();
        let mut fitting = fitting.by_ref().filter(|spec| wanted.accepts(spec).is_ok());
        let help = match (fitting.next(), fitting.next()) {
            (Some(only), None) => {
                let only = &only.name;
                format!("write inputs = {{ {own} = \"{only}\" }} in this step")
            }
            _ => visible(sources, index),
        };
        self.in_step(index, message, Some(help));
    }

    /// The ensemble's outputs, and what steps answer with by themselves.
    pub(super) fn outputs(&mut self, sources: &Sources, reads: &Reads) {
        let end = self.drafts.len();
        let mut promised: Vec<TensorSpec> = Vec::new();
        for (at, (output, source)) in reads.outputs.iter().enumerate() {
            let name = &output.name;
            if promised.iter().any(|spec| spec.name == *name) {
                let message = format!("the output \"{name}\" is named twice");
                self.problem(ProblemPlace::Output(at), message, None);
                continue;
            }
            let Some((source, spec)) =
                source.and_then(|source| Some((source, sources.spec(source)?)))
            else {
                let tensor = &output.tensor;
                let message = match name == tensor {
                    true => format!("no step gives the output \"{name}\""),
                    false => {
                        format!("no step gives the tensor \"{tensor}\", the output \"{name}\"")
                    }
                };
                self.problem(
                    ProblemPlace::Output(at),
                    message,
                    Some(visible(sources, end)),
                );
                continue;
            };
            for older in sources.all_seen(source).skip(1) {
                let Some(given) = sources.spec(older) else {
                    continue;
                };
                if let Err(mismatch) = spec.accepts(given) {
                    let maker = sources.maker(older);
                    let message = format!(
                        "where it is passed by, the ensemble's output is {maker}'s, which does \
                         not fit: {mismatch}"
                    );
                    let place = source
                        .step()
                        .map(|index| ProblemPlace::Step(self.step(index)));
                    self.problem(place.unwrap_or(ProblemPlace::Output(at)), message, None);
                }
            }
            promised.push(named(spec, name));
        }
        for index in 0..end {
            self.answers_fit(index, &promised);
        }
    }

    fn answers_fit(&mut self, index: usize, outputs: &[TensorSpec]) {
        let Some(draft) = self.drafts.get(index) else {
            return;
        };
        let answers = draft.planned.step.answers();
        if answers.is_empty() {
            return;
        }
        for output in outputs {
            let answer = answers.iter().find(|answer| answer.name == output.name);
            let message = match answer.map(|answer| output.accepts(answer)) {
                Some(Ok(())) => continue,
                Some(Err(mismatch)) => {
                    format!("what it answers by itself does not fit: {mismatch}")
                }
                None => format!(
                    "it answers by itself, but without the ensemble's output \"{}\" ({output})",
                    output.name
                ),
            };
            self.in_step(index, message, None);
        }
        for answer in answers {
            if !outputs.iter().any(|output| output.name == answer.name) {
                let message = format!(
                    "it answers with \"{}\", which is no output of the ensemble",
                    answer.name
                );
                self.in_step(index, message, None);
            }
        }
    }

    /// Steps that wait for one another.
    pub(super) fn circles(&mut self, sources: &Sources, reads: &Reads, waits: &Waits) {
        for circle in waits.circles() {
            let next = circle.iter().cycle().skip(1);
            let links = circle.iter().zip(next).map(|(step, on)| {
                let tensor = self.why(sources, reads, *step, *on);
                let (step, on) = (self.name(*step), self.name(*on));
                format!("\"{step}\" needs \"{tensor}\" of \"{on}\"")
            });
            let links: Vec<String> = links.collect();
            let message = format!("it waits for itself: {}", links.join(", "));
            let help = "a step reads the latest tensor of a name that is made before it, else the \
                        one made after it: give one of these another name, or order the steps";
            if let Some(first) = circle.first() {
                self.in_step(*first, message, Some(help.to_owned()));
            }
        }
    }

    fn name(&self, step: usize) -> &str {
        let draft = self.drafts.get(step);
        draft.map_or("", |draft| &draft.planned.name)
    }

    /// The tensor for which a step waits for another.
    fn why<'s>(&self, sources: &'s Sources, reads: &Reads, step: usize, on: usize) -> &'s str {
        let inputs = reads.inputs.get(step).into_iter().flatten().flatten();
        let condition = reads.conditions.get(step).into_iter().flatten();
        let made = 0..sources.made.get(step).map_or(0, Vec::len);
        let older = made.filter_map(|output| sources.older(Source::Step { step, output }));
        let mut all = inputs.chain(condition).copied().chain(older);
        let found = all.find(|source| source.step() == Some(on));
        let spec = found.and_then(|source| sources.spec(source));
        spec.map_or("", |spec| &spec.name)
    }
}

fn visible(sources: &Sources, reader: usize) -> String {
    let all = sources.visible(reader);
    let texts = all.iter().map(|spec| format!("\"{}\" ({spec})", spec.name));
    format!(
        "the tensors there are: {}",
        listed(&texts.collect::<Vec<_>>())
    )
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
