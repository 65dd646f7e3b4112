//! From a list of steps to a checked graph: which tensor goes where, and what waits for
//! what. Everything that is wrong is found at once.

mod check;
mod graph;
mod order;
mod sources;

use crate::condition::CompiledCondition;
use crate::{CompileError, Condition, Graph, Plan, PlannedOutput, PlannedStep, Step};
use check::Checker;
use consort_inference::{InferenceArgs, Signature, TensorSpec};
use order::Waits;
use sources::{Source, Sources};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A graph whose tensors all fit.
pub(crate) struct Compiled {
    pub(crate) steps: Vec<CompiledStep>,
    /// The tensors that somebody reads: the request's first, in order.
    pub(crate) slots: Vec<Slot>,
    /// The ensemble's outputs and their slots.
    pub(crate) outputs: Vec<(Arc<str>, usize)>,
    pub(crate) signature: Signature,
    pub(crate) graph: Graph,
}

/// A tensor that somebody reads.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slot {
    /// How often it is read: as an input, for a condition, as an older value, for the
    /// prediction.
    pub(crate) readers: usize,
}

/// A step and where its tensors come from and go to.
pub(crate) struct CompiledStep {
    pub(crate) name: Arc<str>,
    pub(crate) step: Arc<dyn Step>,
    pub(crate) args: InferenceArgs,
    /// What its spans are called.
    pub(crate) kind: &'static str,
    pub(crate) when: Option<When>,
    pub(crate) optional: bool,
    /// The step's own name and the slot of every input.
    pub(crate) inputs: Vec<(Arc<str>, usize)>,
    /// The outputs that somebody reads.
    pub(crate) outputs: Vec<CompiledOutput>,
    /// How many steps must be over before it can begin.
    pub(crate) waits: usize,
    /// The steps that wait for it.
    pub(crate) unlocks: Vec<usize>,
    /// Its place among all steps in an order in which they could run one by one.
    pub(crate) rank: usize,
}

/// A condition and the slot it looks at.
pub(crate) struct When {
    pub(crate) slot: usize,
    pub(crate) condition: CompiledCondition,
    pub(crate) text: String,
}

/// An output that somebody reads.
pub(crate) struct CompiledOutput {
    /// The step's own name for it.
    pub(crate) own: Arc<str>,
    pub(crate) slot: usize,
    /// The slot of what it is where the step is passed by.
    pub(crate) older: Option<usize>,
}

/// A step with the names of all its tensors in the ensemble.
struct Draft {
    planned: PlannedStep,
    /// `(the step's own name, name in the ensemble)` for every input.
    inputs: Vec<(Arc<str>, Arc<str>)>,
    /// `(the step's own name, name in the ensemble)` for every output.
    outputs: Vec<(Arc<str>, Arc<str>)>,
}

/// What each step reads, resolved; `None` where there is no such tensor.
struct Reads {
    inputs: Vec<Vec<Option<Source>>>,
    conditions: Vec<Option<Source>>,
    outputs: Vec<(PlannedOutput, Option<Source>)>,
}

pub(crate) fn compile(plan: Plan) -> Result<Compiled, CompileError> {
    let name = plan.id.name.clone();
    let drafts: Vec<Draft> = plan.steps.into_iter().map(Draft::new).collect();
    let mut checker = Checker::new(&drafts);
    checker.names();
    let request = checker.request(plan.inputs.as_deref());
    let sources = Sources::new(&drafts, request);
    let reads = Reads::new(&drafts, &sources, plan.outputs);
    checker.reads(&sources, &reads);
    checker.outputs(&sources, &reads);
    let waits = waits(&sources, &reads);
    checker.circles(&sources, &reads, &waits);
    checker.finish()?;
    Ok(build(name, drafts, sources, &reads, &waits))
}

/// Which step waits for which: for inputs, conditions and older values.
fn waits(sources: &Sources, reads: &Reads) -> Waits {
    let needed = needed(sources, reads);
    let per_step = |step: usize| {
        let inputs = reads.inputs.get(step).into_iter().flatten().flatten();
        let condition = reads.conditions.get(step).into_iter().flatten();
        let mut on: BTreeSet<usize> = inputs
            .chain(condition)
            .filter_map(|source| source.step())
            .collect();
        let made = 0..sources.made.get(step).map_or(0, Vec::len);
        for output in made {
            let source = Source::Step { step, output };
            if needed.contains(&(step, output))
                && let Some(older) = sources.older(source).and_then(Source::step)
            {
                on.insert(older);
            }
        }
        on
    };
    Waits {
        on: (0..sources.made.len()).map(per_step).collect(),
    }
}

/// The outputs that somebody reads, directly or because a later one of its name may be
/// passed by.
fn needed(sources: &Sources, reads: &Reads) -> BTreeSet<(usize, usize)> {
    let seen = reads.all().flat_map(|source| sources.all_seen(source));
    seen.filter_map(|source| match source {
        Source::Request(_) => None,
        Source::Step { step, output } => Some((step, output)),
    })
    .collect()
}

/// Lays out slots and counts who reads them.
fn build(
    name: Arc<str>,
    drafts: Vec<Draft>,
    sources: Sources,
    reads: &Reads,
    waits: &Waits,
) -> Compiled {
    let needed: Vec<(usize, usize)> = needed(&sources, reads).into_iter().collect();
    let requested = sources.request.len();
    let slot_of = |source: Source| match source {
        Source::Request(index) => index,
        Source::Step { step, output } => {
            requested + needed.binary_search(&(step, output)).unwrap_or_default()
        }
    };
    let mut slots = vec![Slot::default(); requested + needed.len()];
    let mut read = |source: Source| {
        let slot = slot_of(source);
        if let Some(slot) = slots.get_mut(slot) {
            slot.readers += 1;
        }
        slot
    };
    let graph = graph::draw(name, &drafts, &sources, reads, waits);
    let outputs: Vec<(Arc<str>, usize)> = reads
        .outputs
        .iter()
        .filter_map(|(output, source)| Some((output.name.clone(), read((*source)?))))
        .collect();
    let mut steps = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        let found = reads.inputs.get(index).into_iter().flatten().flatten();
        let inputs = draft.inputs.iter().zip(found);
        let inputs = inputs.map(|((own, _), source)| (own.clone(), read(*source)));
        let inputs = inputs.collect();
        let condition = draft.planned.when.as_ref();
        let when = condition.and_then(|condition| {
            let source = (*reads.conditions.get(index)?)?;
            Some(When {
                condition: CompiledCondition::new(condition, sources.spec(source)?),
                text: Condition::to_string(condition),
                slot: read(source),
            })
        });
        let made = draft.outputs.iter().enumerate();
        let made = made.filter(|(output, _)| needed.binary_search(&(index, *output)).is_ok());
        let made = made.map(|(output, (own, _))| {
            let source = Source::Step {
                step: index,
                output,
            };
            CompiledOutput {
                own: own.clone(),
                slot: slot_of(source),
                older: sources.older(source).map(&mut read),
            }
        });
        let outputs = made.collect();
        let others = waits.on.iter().enumerate();
        steps.push(CompiledStep {
            name: draft.planned.name,
            kind: draft.planned.step.drawing().kind,
            step: draft.planned.step,
            args: draft.planned.args,
            when,
            optional: draft.planned.optional,
            inputs,
            outputs,
            waits: waits.on.get(index).map_or(0, BTreeSet::len),
            unlocks: others
                .filter(|(_, on)| on.contains(&index))
                .map(|(other, _)| other)
                .collect(),
            rank: 0,
        });
    }
    for (rank, (step, _)) in waits.levels().into_iter().enumerate() {
        if let Some(step) = steps.get_mut(step) {
            step.rank = rank;
        }
    }
    let promised = reads.outputs.iter().filter_map(|(output, source)| {
        let spec = sources.spec((*source)?)?;
        Some(named(spec, &output.name))
    });
    let signature = Signature {
        outputs: promised.collect(),
        inputs: sources.request,
    };
    Compiled {
        steps,
        slots,
        outputs,
        signature,
        graph,
    }
}

// === impl Draft ===

impl Draft {
    fn new(planned: PlannedStep) -> Self {
        let signature = planned.step.signature();
        let inputs = renamed(&signature.inputs, &planned.inputs);
        let outputs = renamed(&signature.outputs, &planned.outputs);
        Self {
            planned,
            inputs,
            outputs,
        }
    }

    /// What it reads, under the names in the ensemble.
    fn read(&self) -> impl Iterator<Item = TensorSpec> {
        let specs = self.planned.step.signature().inputs.iter();
        specs
            .zip(&self.inputs)
            .map(|(spec, (_, name))| named(spec, name))
    }

    /// What it makes, under the names in the ensemble.
    fn made(&self) -> Vec<TensorSpec> {
        let specs = self.planned.step.signature().outputs.iter();
        specs
            .zip(&self.outputs)
            .map(|(spec, (_, name))| named(spec, name))
            .collect()
    }
}

// === impl Reads ===

impl Reads {
    fn new(drafts: &[Draft], sources: &Sources, outputs: Option<Vec<PlannedOutput>>) -> Self {
        let inputs = drafts.iter().enumerate().map(|(index, draft)| {
            let names = draft.inputs.iter();
            names
                .map(|(_, name)| sources.find(index, name))
                .collect::<Vec<_>>()
        });
        let conditions = drafts.iter().enumerate().map(|(index, draft)| {
            let condition = draft.planned.when.as_ref()?;
            sources.find(index, &condition.tensor)
        });
        let last = || {
            let last = drafts.last().into_iter();
            last.flat_map(|draft| draft.outputs.iter().map(|(_, name)| name.into()))
                .collect()
        };
        let outputs = outputs.unwrap_or_else(last).into_iter().map(|output| {
            let source = sources.find(drafts.len(), &output.tensor);
            (output, source)
        });
        Self {
            inputs: inputs.collect(),
            conditions: conditions.collect(),
            outputs: outputs.collect(),
        }
    }

    /// Everything that is read by somebody.
    fn all(&self) -> impl Iterator<Item = Source> {
        let inputs = self.inputs.iter().flatten();
        let outputs = self.outputs.iter().map(|(_, source)| source);
        inputs
            .chain(&self.conditions)
            .chain(outputs)
            .filter_map(|source| *source)
    }
}

fn renamed(specs: &[TensorSpec], renames: &[(Arc<str>, Arc<str>)]) -> Vec<(Arc<str>, Arc<str>)> {
    let name_of = |spec: &TensorSpec| {
        let mut renames = renames.iter();
        let renamed = renames.find(|(own, _)| *own == spec.name);
        let name = renamed.map_or(&spec.name, |(_, name)| name);
        (spec.name.clone(), name.clone())
    };
    specs.iter().map(name_of).collect()
}

fn named(spec: &TensorSpec, name: &Arc<str>) -> TensorSpec {
    TensorSpec {
        name: name.clone(),
        ..spec.clone()
    }
}
