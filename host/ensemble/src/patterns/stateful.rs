//! What a step says last is what it hears next, by key.

use super::error::{Check, PatternError, PatternProblem};
use super::join::{StepResult, contract, run_counted};
use super::members::{Face, names, refuse_answers, shows_face};
use super::metrics::PatternMetrics;
use super::streams::{Busy, State, StreamKey, Streams, Ticket};
use crate::{Drawing, Step};
use consort_inference::{
    BoxFuture, Call, Example, Failure, FailureKind, Outcome, Tensor, TensorSpec, Tensors,
};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The longest key of a stream: keys are kept as long as their states.
const KEY_BYTES_MAX: usize = 1024;

/// What a stateful step is made of.
pub struct StatefulConfig {
    /// The step's name.
    pub name: Arc<str>,
    /// The step whose outputs of one example are its inputs of the next.
    pub body: Arc<dyn Step>,
    /// Which inputs hear which outputs.
    pub pairs: Vec<(Arc<str>, Arc<str>)>,
    /// How long a state is kept that nobody asks for.
    pub idle: Duration,
    /// The most keys with a state.
    pub keys_max: usize,
    /// The most bytes of all states.
    pub bytes_max: u64,
    /// The most keys that calls wait for or work on, counted once for each call.
    pub waiting_max: usize,
}

/// Keeps the state of each stream between its examples. A stream is a key of one tenant;
/// its examples run one after the other in the order in which they came, within a call and
/// over all calls, while examples of other streams share their runs. A stream begins with
/// zeros, and again after it was idle or was forgotten
/// ([`StreamStates`](consort_inference::StreamStates)); an example that fails leaves its state
/// as it was. What may be asked again goes back together with what
/// follows it in its call, so that the order can be kept.
pub struct Stateful {
    face: Face,
    body: Arc<dyn Step>,
    pairs: Vec<Pair>,
    streams: Arc<Streams>,
    keys_max: usize,
    waiting_max: usize,
}

/// An input, the output that it hears, and what it hears first.
struct Pair {
    spec: TensorSpec,
    output: Arc<str>,
    zeros: Tensor,
}

/// The examples of one stream in one call.
struct Lane {
    ticket: Ticket,
    /// Where each example is in the call.
    rows: VecDeque<(usize, Example)>,
}

// === impl StatefulConfig ===

impl StatefulConfig {
    /// State of those pairs, within the bounds that manifests have by default.
    pub fn new(
        name: impl Into<Arc<str>>,
        body: Arc<dyn Step>,
        pairs: Vec<(Arc<str>, Arc<str>)>,
    ) -> Self {
        Self {
            name: name.into(),
            body,
            pairs,
            idle: Duration::from_secs(300),
            keys_max: 10_000,
            bytes_max: 256 << 20,
            waiting_max: 65_536,
        }
    }
}

// === impl Stateful ===

impl Stateful {
    /// Checks that each pair is one tensor of a fixed size.
    pub fn new(config: StatefulConfig, metrics: &PatternMetrics) -> Result<Self, PatternError> {
        let mut check = Check::new("state", &config.name);
        refuse_answers(&config.name, &*config.body, &mut check);
        check.setting(
            !config.pairs.is_empty(),
            "state",
            "{}",
            "{ input = \"output\" }",
        );
        check.setting(config.keys_max > 0, "state_keys_max", 0, "1 or more");
        let mut face = Face::of_one(&*config.body);
        let mut pairs = Vec::new();
        for (input, output) in &config.pairs {
            pairs.extend(check_pair(&face, input, output, &mut check));
        }
        for index in 1..config.pairs.len() {
            let (earlier, later) = config.pairs.split_at(index);
            if let Some((input, output)) = later.first() {
                if earlier.iter().any(|(known, _)| known == input) {
                    check.problem(PatternProblem::TensorTwice(input.clone()));
                }
                if earlier.iter().any(|(_, known)| known == output) {
                    check.problem(PatternProblem::TensorTwice(output.clone()));
                }
            }
        }
        let is_input = |spec: &TensorSpec| config.pairs.iter().any(|(name, _)| *name == spec.name);
        let is_output = |spec: &TensorSpec| config.pairs.iter().any(|(_, name)| *name == spec.name);
        face.signature.inputs.retain(|spec| !is_input(spec));
        face.signature.outputs.retain(|spec| !is_output(spec));
        let sizes = pairs.iter().map(|pair: &Pair| pair.zeros.data().len());
        let state_bytes = sizes.fold(0u64, |sum, size| sum.saturating_add(size as u64));
        // All states are of one size, so bytes are keys.
        let fitting = config.bytes_max / state_bytes.max(1);
        if fitting == 0 {
            check.problem(PatternProblem::StateRoom {
                state_bytes,
                bytes_max: config.bytes_max,
            });
        }
        check.done()?;
        let keys_max = config
            .keys_max
            .min(usize::try_from(fitting).unwrap_or(usize::MAX));
        let streams = Streams::new(
            config.name,
            keys_max,
            config.waiting_max,
            config.idle,
            metrics.clone(),
        );
        face.states.push(streams.clone());
        Ok(Self {
            face,
            body: config.body,
            pairs,
            streams,
            keys_max,
            waiting_max: config.waiting_max,
        })
    }

    /// How many keys have a state or are at work.
    pub fn keys(&self) -> usize {
        self.streams.len()
    }

    /// Sorts the examples of a call by stream. What has no place fails at once.
    fn lanes(
        &self,
        examples: Vec<Example>,
        turns: &Arc<Notify>,
        results: &mut [Option<StepResult>],
    ) -> Vec<Lane> {
        let mut places: HashMap<StreamKey, usize> = HashMap::new();
        let (mut keys, mut rows) = (Vec::new(), Vec::<VecDeque<_>>::new());
        for (place, example) in examples.into_iter().enumerate() {
            let key = match self.key(&example) {
                Ok(key) => key,
                Err(failure) => {
                    settle(results, place, Err(failure));
                    continue;
                }
            };
            let lane = *places.entry(key.clone()).or_insert_with(|| {
                keys.push(key);
                rows.push(VecDeque::new());
                rows.len() - 1
            });
            if let Some(rows) = rows.get_mut(lane) {
                rows.push_back((place, example));
            }
        }
        let tickets = self.streams.tickets(&keys, turns);
        let mut lanes = Vec::with_capacity(keys.len());
        for (ticket, rows) in tickets.into_iter().zip(rows) {
            match ticket {
                Ok(ticket) => lanes.push(Lane { ticket, rows }),
                Err(busy) => {
                    for (place, _) in rows {
                        settle(results, place, Err(self.busy(busy)));
                    }
                }
            }
        }
        lanes
    }

    fn key(&self, example: &Example) -> Result<StreamKey, Failure> {
        let wrong = |message: String| self.failure(FailureKind::InvalidArgument, message);
        match &example.key {
            None => Err(wrong(
                "it has no key, which says whose state to go on from; give one for each stream"
                    .to_owned(),
            )),
            Some(key) if key.len() > KEY_BYTES_MAX => Err(wrong(format!(
                "its key has {} bytes; the key of a stream has at most {KEY_BYTES_MAX}",
                key.len()
            ))),
            Some(key) => Ok((example.tenant.clone(), key.clone())),
        }
    }

    /// Runs the first example of each lane whose turn it is, all at once.
    async fn wave(&self, ready: &mut [Lane], states: Vec<State>, call: &Call) -> Vec<Settled> {
        let (mut places, mut examples) = (Vec::new(), Vec::new());
        for (lane, state) in ready.iter_mut().zip(states) {
            if let Some((place, example)) = lane.rows.pop_front() {
                places.push(place);
                examples.push(self.with_state(example, state));
            }
        }
        let results = run_counted(&*self.body, examples, call.clone()).await;
        let mut settled = Vec::with_capacity(places.len());
        for ((lane, place), result) in ready.iter_mut().zip(places).zip(results) {
            let result = result.and_then(|outcome| {
                let (outcome, state) = self.without_state(outcome)?;
                lane.ticket.keep(state);
                Ok(outcome)
            });
            if let Err(failure) = &result
                && failure.kind.is_transient()
            {
                for (place, _) in lane.rows.drain(..) {
                    let message = format!("an earlier example of its stream failed: {failure}");
                    settled.push((place, Err(self.failure(failure.kind, message))));
                }
            }
            settled.push((place, result));
        }
        settled
    }

    fn with_state(&self, mut example: Example, state: State) -> Example {
        let mut kept = state.unwrap_or_default().into_iter();
        for pair in &self.pairs {
            let tensor = kept.next().unwrap_or_else(|| pair.zeros.clone());
            example.tensors.insert(pair.spec.name.clone(), tensor);
        }
        example
    }

    /// Takes the new state out of what the body gave.
    fn without_state(&self, outcome: Outcome) -> Result<(Outcome, Vec<Tensor>), Failure> {
        let (tensors, origin) = match outcome {
            Outcome::Forward(tensors) => (tensors, None),
            Outcome::Predicted(tensors, origin) => (tensors, Some(origin)),
            Outcome::Answer(_) => {
                let message = "it answered by itself, which it did not announce";
                return Err(contract(&self.face.stage, message));
            }
        };
        let mut state = Vec::with_capacity(self.pairs.len());
        for pair in &self.pairs {
            let Some(tensor) = tensors.tensor(&pair.output) else {
                let message = format!("it gave no \"{}\", which is its state", pair.output);
                return Err(contract(&self.face.stage, message));
            };
            pair.spec.check(tensor).map_err(|mismatch| {
                let output = &pair.output;
                let message = format!("its \"{output}\" cannot be its next state: {mismatch}");
                contract(&self.face.stage, message)
            })?;
            state.push(owned(tensor));
        }
        let mut outputs = Tensors::new();
        for (name, tensor) in tensors {
            if !self.pairs.iter().any(|pair| pair.output == name) {
                outputs.insert(name, tensor);
            }
        }
        let outcome = match origin {
            None => Outcome::Forward(outputs),
            Some(origin) => Outcome::Predicted(outputs, origin),
        };
        Ok((outcome, state))
    }

    fn busy(&self, busy: Busy) -> Failure {
        let message = match busy {
            Busy::Keys => format!(
                "all {} keys that there is room for are at work \
                 (state_keys_max, state_bytes_max); try again later",
                self.keys_max
            ),
            Busy::Waiting => format!(
                "{} streams are at work or waited for already; try again later",
                self.waiting_max
            ),
        };
        self.failure(FailureKind::QueueFull, message)
    }

    fn failure(&self, kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure::new(self.face.stage.clone(), kind, message)
    }
}

/// An example's place in its call and what became of it.
type Settled = (usize, StepResult);

fn settle(results: &mut [Option<StepResult>], place: usize, result: StepResult) {
    if let Some(slot) = results.get_mut(place) {
        *slot = Some(result);
    }
}

/// A tensor whose bytes are its own: a slice of a batch would keep the whole batch alive.
fn owned(tensor: &Tensor) -> Tensor {
    let data = bytes::Bytes::copy_from_slice(tensor.data());
    Tensor::new(tensor.datatype(), tensor.shape().to_vec(), data).unwrap_or_else(|_| tensor.clone())
}

fn check_pair(face: &Face, input: &Arc<str>, output: &Arc<str>, check: &mut Check) -> Option<Pair> {
    let mut find = |side: &'static str, specs: &[TensorSpec], name: &Arc<str>| {
        let found = specs.iter().find(|spec| spec.name == *name).cloned();
        if found.is_none() {
            check.problem(PatternProblem::NoTensor {
                side,
                name: name.clone(),
                known: names(specs),
            });
        }
        found
    };
    let spec = find("input", &face.signature.inputs, input);
    let given = find("output", &face.signature.outputs, output);
    let (spec, given) = spec.zip(given)?;
    if spec.accepts(&given).is_err() {
        check.problem(PatternProblem::StatePair {
            input: input.clone(),
            input_spec: spec.clone(),
            output: output.clone(),
            output_spec: given,
        });
    }
    match spec.zeros() {
        Some(zeros) => Some(Pair {
            spec,
            output: output.clone(),
            zeros,
        }),
        None => {
            check.problem(PatternProblem::StateSize {
                input: input.clone(),
                spec,
            });
            None
        }
    }
}

impl Step for Stateful {
    shows_face!();

    fn is_ready(&self) -> bool {
        self.body.is_ready()
    }

    fn drawing(&self) -> Drawing {
        let names = self.pairs.iter().map(|pair| &*pair.spec.name);
        let word = format!("keeps {}", names.collect::<Vec<_>>().join(", "));
        Drawing {
            kind: "stateful",
            name: self.face.stage.name.clone(),
            parts: vec![(word, self.body.drawing())],
        }
    }

    fn run(&self, examples: Vec<Example>, call: Call) -> BoxFuture<'_, Vec<StepResult>> {
        Box::pin(async move {
            let turns = Arc::new(Notify::new());
            let mut results: Vec<Option<StepResult>> = Vec::new();
            results.resize_with(examples.len(), || None);
            let mut waiting = self.lanes(examples, &turns, &mut results);
            let deadline = call.deadline.map(Instant::from_std);
            while !waiting.is_empty() {
                let (mut ready, mut states) = (Vec::new(), Vec::new());
                let mut behind = Vec::new();
                for lane in waiting {
                    match lane.ticket.state() {
                        Some(state) => {
                            ready.push(lane);
                            states.push(state);
                        }
                        None => behind.push(lane),
                    }
                }
                if ready.is_empty() {
                    let turn = turns.notified();
                    let late = match deadline {
                        Some(deadline) => tokio::time::timeout_at(deadline, turn).await.is_err(),
                        None => {
                            turn.await;
                            false
                        }
                    };
                    if late {
                        for (place, _) in behind.drain(..).flat_map(|lane| lane.rows) {
                            let message = "an earlier example of its stream was not done in time";
                            let failure = self.failure(FailureKind::DeadlineExceeded, message);
                            settle(&mut results, place, Err(failure));
                        }
                    }
                } else {
                    for (place, result) in self.wave(&mut ready, states, &call).await {
                        settle(&mut results, place, result);
                    }
                    ready.retain(|lane| !lane.rows.is_empty());
                    behind.append(&mut ready);
                }
                waiting = behind;
            }
            let missing = || {
                let message = "no result was kept for this example, a defect of the host";
                Err(self.failure(FailureKind::Internal, message))
            };
            results
                .into_iter()
                .map(|result| result.unwrap_or_else(missing))
                .collect()
        })
    }
}
