//! How one call walks through the graph.
//!
//! A step begins as soon as everything it waits for is over for all examples of the call,
//! and runs once, on the examples that are still on their way and not passed by. A single
//! step that can run does so in the caller's own task; several have a task each.

use crate::columns::Columns;
use crate::ensemble::{Ensemble, RunningStep};
use crate::running::{Begun, Results, Run, Running};
use crate::traveller::{End, Traveller};
use consort_inference::{
    Call, Example, Failure, FailureKind, ModelId, Outcome, Prediction, StageKind, Tensors,
};
use tokio::time::Instant;

/// One call on its way.
pub(crate) struct Walk<'a> {
    ensemble: &'a Ensemble,
    call: &'a Call,
    travellers: Vec<Traveller>,
    /// How many have not ended.
    live: usize,
    columns: Columns<'a>,
    /// For each step, how many it waits for.
    waits: Vec<usize>,
    /// Steps that can begin.
    ready: Vec<usize>,
}

/// What becomes of an example at a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Runs,
    PassedBy,
}

// === impl Walk ===

impl<'a> Walk<'a> {
    /// Lets the examples in, as many as there is room for.
    pub(crate) fn new(ensemble: &'a Ensemble, examples: Vec<Example>, call: &'a Call) -> Self {
        let count = examples.len();
        let share = ensemble.inflight.enter(count);
        let steps = ensemble.steps.iter().map(|step| step.compiled.waits);
        let mut walk = Self {
            ensemble,
            call,
            travellers: Vec::with_capacity(count),
            live: count,
            columns: Columns::new(&ensemble.slots, count, share),
            waits: steps.collect(),
            ready: Vec::new(),
        };
        for slot in 0..ensemble.signature.inputs.len() {
            walk.columns.open(slot);
        }
        for (index, example) in examples.into_iter().enumerate() {
            walk.admit(index, example);
        }
        let begin = walk.waits.iter().enumerate();
        let begin = begin.filter(|(_, waits)| **waits == 0);
        walk.ready = begin.map(|(step, _)| step).collect();
        walk
    }

    /// One result for each example, in order.
    pub(crate) async fn run(mut self) -> Vec<Result<Prediction, Failure>> {
        let mut running = Running::default();
        while self.live > 0 {
            while let Some(step) = self.next_ready() {
                let Some(mut begun) = self.begin(step) else {
                    continue;
                };
                if running.is_empty() && self.ready.is_empty() {
                    let results = begun.here().await;
                    self.finish(begun.run, Ok(results));
                } else {
                    running.spawn(begun);
                }
            }
            for run in running.abandon(|run| self.is_needed(run)) {
                self.step_over(run.step);
            }
            if !self.ready.is_empty() {
                continue;
            }
            match running.next().await {
                Some((run, results)) => self.finish(run, results),
                None => break,
            }
        }
        self.arrive()
    }

    /// Checks an example and takes its tensors.
    fn admit(&mut self, index: usize, example: Example) {
        let (traveller, tensors) = Traveller::new(example, self.call.keep_example);
        self.travellers.push(traveller);
        if index >= self.columns.let_in() {
            let limit = self.ensemble.inflight.limits().inflight_max;
            let message = format!(
                "the ensemble has {limit} examples under way, its limit (max_inflight); try again \
                 later"
            );
            let failure = self.ensemble.failure(FailureKind::QueueFull, message);
            return self.end(index, End::Failed(failure));
        }
        if let Err(mismatch) = self.ensemble.signature.check_inputs(&tensors) {
            let message = mismatch.to_string();
            let failure = self.ensemble.failure(FailureKind::InvalidArgument, message);
            return self.end(index, End::Failed(failure));
        }
        let bytes = tensors.byte_len();
        if !self.columns.grow(bytes) {
            let failure = self.no_room(bytes);
            return self.end(index, End::Failed(failure));
        }
        let mut tensors = tensors;
        for (slot, spec) in self.ensemble.signature.inputs.iter().enumerate() {
            if let Some(tensor) = tensors.take(&spec.name) {
                self.columns.put(slot, index, tensor);
            }
        }
    }

    fn no_room(&self, bytes: usize) -> Failure {
        let limit = self.ensemble.inflight.limits().inflight_bytes_max;
        let (kind, message) = match bytes > limit {
            true => (
                FailureKind::TooLarge,
                format!(
                    "the example's tensors take {bytes} bytes, more than all examples of the \
                     ensemble together may (max_inflight_bytes is {limit})"
                ),
            ),
            false => (
                FailureKind::QueueFull,
                format!(
                    "the ensemble's examples under way leave no room for {bytes} bytes more \
                     (max_inflight_bytes is {limit}); try again later"
                ),
            ),
        };
        self.ensemble.failure(kind, message)
    }

    fn next_ready(&mut self) -> Option<usize> {
        if self.live == 0 {
            return None;
        }
        let first = self.ready.iter().enumerate().min_by_key(|(_, step)| **step);
        let index = first.map(|(index, _)| index)?;
        Some(self.ready.swap_remove(index))
    }

    fn is_needed(&self, run: &Run) -> bool {
        run.members.iter().any(|member| self.is_live(*member))
    }

    fn is_live(&self, example: usize) -> bool {
        self.travellers.get(example).is_some_and(Traveller::is_live)
    }

    /// Hands a step what it needs; `None` where there is nothing to run it on.
    fn begin(&mut self, step: usize) -> Option<Begun> {
        let running = self.ensemble.steps.get(step)?;
        let begin = Instant::now();
        let turns = self.turns(running);
        let mut members = Vec::with_capacity(self.live);
        let mut examples = Vec::with_capacity(self.live);
        for index in 0..self.travellers.len() {
            let runs = turns
                .as_ref()
                .is_none_or(|turns| turns.get(index) == Some(&Turn::Runs));
            if runs && let Some(example) = self.example(running, index) {
                members.push(index);
                examples.push(example);
            }
        }
        for (_, slot) in &running.compiled.inputs {
            self.columns.was_read(*slot);
        }
        if members.is_empty() {
            self.step_over(step);
            return None;
        }
        let run = Run {
            step,
            members,
            begin,
            span: None,
        };
        let passed = |deadline| begin.into_std() >= deadline;
        if self.call.deadline.is_some_and(passed) {
            let message = "the deadline passed before this step";
            let failure = running.failure(FailureKind::DeadlineExceeded, message);
            let results = vec![Err(failure); run.members.len()];
            self.finish(run, Ok(results));
            return None;
        }
        let span = self.call.trace.as_ref().map(|trace| {
            let compiled = &running.compiled;
            trace.enter(compiled.name.clone(), compiled.kind, begin.into_std())
        });
        let mut call = self.call.clone();
        // The caller's arguments go before the step's own of the same names.
        call.args = call.args.or(&running.compiled.args);
        if span.is_some() {
            call.trace.clone_from(&span);
        }
        Some(Begun {
            run: Run { span, ..run },
            step: running.compiled.step.clone(),
            examples,
            call,
        })
    }

    /// Whom the step's condition passes by; `None` where it has none.
    fn turns(&mut self, running: &'a RunningStep) -> Option<Vec<Turn>> {
        let when = running.compiled.when.as_ref()?;
        let mut turns = Vec::with_capacity(self.travellers.len());
        for index in 0..self.travellers.len() {
            let tensor = self.columns.look(when.slot, index);
            let holds = tensor.map(|tensor| when.condition.holds(tensor));
            turns.push(match holds {
                Some(Ok(true)) => Turn::Runs,
                Some(Ok(false)) => {
                    self.pass_by(running, index, &when.text);
                    Turn::PassedBy
                }
                Some(Err(why)) => {
                    let failure = running.failure(FailureKind::InvalidArgument, why);
                    self.failed(running, index, failure);
                    Turn::PassedBy
                }
                // What would have made it has said why it did not.
                None => Turn::PassedBy,
            });
        }
        self.columns.was_read(when.slot);
        Some(turns)
    }

    /// Says why something will be absent, where nothing older stands in for it.
    fn pass_by(&mut self, running: &RunningStep, index: usize, condition: &str) {
        let compiled = &running.compiled;
        let leaves_gap = compiled.outputs.iter().any(|output| output.older.is_none());
        if leaves_gap && let Some(traveller) = self.travellers.get_mut(index) {
            let message =
                format!("the example is passed by, since this does not hold: {condition}");
            let failure = running.failure(FailureKind::Skipped, message);
            traveller.failed_in_passing(compiled.rank, failure);
        }
    }

    /// What the step gets to see of an example: its own inputs, under its own names.
    fn example(&mut self, running: &RunningStep, index: usize) -> Option<Example> {
        let traveller = self.travellers.get(index)?;
        if !traveller.is_live() {
            return None;
        }
        let mut tensors = Tensors::with_capacity(running.compiled.inputs.len());
        for (own, slot) in &running.compiled.inputs {
            tensors.insert(own.clone(), self.columns.read(*slot, index)?);
        }
        Some(Example {
            tenant: traveller.tenant.clone(),
            key: traveller.key.clone(),
            tensors,
        })
    }

    /// Takes what a step made of its examples.
    fn finish(&mut self, run: Run, results: Result<Results, String>) {
        let Some(running) = self.ensemble.steps.get(run.step) else {
            return;
        };
        let count = run.members.len();
        let results = results.and_then(|results| match results.len() == count {
            true => Ok(results),
            false => Err(format!(
                "{} results came back for {count} examples",
                results.len()
            )),
        });
        let results = results.unwrap_or_else(|why| {
            let failure = running.failure(FailureKind::Internal, why);
            vec![Err(failure); count]
        });
        running.count(&run, &results);
        for output in &running.compiled.outputs {
            self.columns.open(output.slot);
        }
        let mut bytes = 0;
        for (index, result) in run.members.iter().zip(results) {
            if self.is_live(*index) {
                bytes += self.apply(running, run.step, *index, result);
            }
        }
        if !self.columns.grow(bytes) {
            self.grow_one_by_one(running, &run.members);
        }
        self.step_over(run.step);
    }

    /// What a step made of one example; the bytes of the tensors that stay.
    fn apply(
        &mut self,
        running: &RunningStep,
        step: usize,
        index: usize,
        result: Result<Outcome, Failure>,
    ) -> usize {
        let compiled = &running.compiled;
        let Some(traveller) = self.travellers.get_mut(index) else {
            return 0;
        };
        let stored = match result {
            Ok(Outcome::Forward(outputs)) => {
                let is_model = compiled.step.stage().kind == StageKind::Inference;
                traveller.made_by_step(is_model, compiled.rank, step);
                self.store(running, index, outputs, false)
            }
            Ok(Outcome::Predicted(outputs, origin)) => {
                let lacks = !origin.partial.is_empty();
                traveller.made_by(compiled.rank, origin);
                self.store(running, index, outputs, lacks)
            }
            Ok(Outcome::Answer(outputs)) => match self.ensemble.signature.check_outputs(&outputs) {
                Ok(()) => {
                    let model_id = compiled.step.model_id().clone();
                    self.end(index, End::Answered(outputs, model_id));
                    return 0;
                }
                Err(mismatch) => {
                    let message =
                        format!("the answer does not fit the ensemble's outputs: {mismatch}");
                    Err(running.failure(FailureKind::PluginContract, message))
                }
            },
            Err(failure) => Err(failure),
        };
        stored.unwrap_or_else(|failure| {
            self.failed(running, index, failure);
            0
        })
    }

    /// Keeps the outputs that somebody reads. `lacks`: some may be absent.
    fn store(
        &mut self,
        running: &RunningStep,
        index: usize,
        mut outputs: Tensors,
        lacks: bool,
    ) -> Result<usize, Failure> {
        let mut bytes = 0;
        for output in &running.compiled.outputs {
            match outputs.take(&output.own) {
                Some(tensor) => {
                    bytes += tensor.data().len();
                    self.columns.put(output.slot, index, tensor);
                }
                None if lacks => {}
                None => {
                    self.take_back(running, index);
                    let message = format!("the promised output \"{}\" is missing", output.own);
                    let kind = match running.compiled.step.stage().kind {
                        StageKind::Inference => FailureKind::ModelContract,
                        _ => FailureKind::PluginContract,
                    };
                    return Err(running.failure(kind, message));
                }
            }
        }
        Ok(bytes)
    }

    fn take_back(&mut self, running: &RunningStep, index: usize) {
        for output in &running.compiled.outputs {
            self.columns.take_back(output.slot, index);
        }
    }

    /// Where there is no room for what a step made, as many examples stay as fit.
    fn grow_one_by_one(&mut self, running: &RunningStep, members: &[usize]) {
        for index in members.iter().copied() {
            if !self.is_live(index) {
                continue;
            }
            let outputs = running.compiled.outputs.iter();
            let tensors = outputs.filter_map(|output| self.columns.look(output.slot, index));
            let bytes = tensors.map(|tensor| tensor.data().len()).sum();
            if !self.columns.grow(bytes) {
                self.take_back(running, index);
                let failure = self.no_room(bytes);
                self.failed(running, index, failure);
            }
        }
    }

    /// A step failed for an example.
    fn failed(&mut self, running: &RunningStep, index: usize, failure: Failure) {
        if !running.compiled.optional {
            self.end(index, End::Failed(failure));
        } else if let Some(traveller) = self.travellers.get_mut(index) {
            traveller.failed_in_passing(running.compiled.rank, failure);
        }
    }

    /// An example goes no further.
    fn end(&mut self, index: usize, end: End) {
        if let Some(traveller) = self.travellers.get_mut(index)
            && traveller.is_live()
        {
            traveller.end = Some(end);
            self.live -= 1;
            self.columns.end(index);
        }
    }

    /// Nothing more comes of a step: older tensors stand in for what it did not make, and
    /// what waited for it can begin.
    fn step_over(&mut self, step: usize) {
        let Some(running) = self.ensemble.steps.get(step) else {
            return;
        };
        let compiled = &running.compiled;
        for output in &compiled.outputs {
            self.columns.open(output.slot);
            let Some(older) = output.older else {
                continue;
            };
            for index in 0..self.travellers.len() {
                if self.is_live(index) {
                    self.columns.keep_older(output.slot, older, index);
                }
            }
            self.columns.was_read(older);
            self.columns.was_used(older);
        }
        for (_, slot) in &compiled.inputs {
            self.columns.was_used(*slot);
        }
        if let Some(when) = &compiled.when {
            self.columns.was_used(when.slot);
        }
        for other in &compiled.unlocks {
            if let Some(waits) = self.waits.get_mut(*other) {
                *waits -= 1;
                if *waits == 0 {
                    self.ready.push(*other);
                }
            }
        }
    }

    /// All examples have ended or gone all the way.
    fn arrive(mut self) -> Vec<Result<Prediction, Failure>> {
        let ensemble = self.ensemble;
        ensemble.count(&self.travellers);
        let id = |step: Option<usize>| -> ModelId {
            let step = step.and_then(|step| ensemble.steps.get(step));
            step.map_or(&ensemble.id, |step| step.compiled.step.model_id())
                .clone()
        };
        let travellers = std::mem::take(&mut self.travellers);
        let mut results = Vec::with_capacity(travellers.len());
        for (index, traveller) in travellers.into_iter().enumerate() {
            let mut outputs = Tensors::new();
            if traveller.is_live() {
                outputs = Tensors::with_capacity(ensemble.outputs.len());
                for (name, slot) in &ensemble.outputs {
                    if let Some(tensor) = self.columns.read(*slot, index) {
                        outputs.insert(name.clone(), tensor);
                    }
                }
            }
            ensemble.report(&traveller);
            results.push(traveller.arrive(outputs, id));
        }
        results
    }
}
