//! Asks the endpoint, again where its queue was full, and counts what it answers.

use crate::Config;
use crate::gate::Gate;
use crate::metrics::CallMetrics;
use crate::task::Abandon;
use consort_inference::{
    Call, Endpoint, Example, Failure, FailureKind, Key, Prediction, Stage, StageKind,
};
use futures_util::FutureExt;
use std::any::Any;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The first and the longest wait after a call of which all examples were refused.
const BACKOFF_MIN: Duration = Duration::from_millis(1);
const BACKOFF_MAX: Duration = Duration::from_millis(200);

type Answer = Result<Prediction, Failure>;

/// Calls an endpoint on behalf of a job.
pub(crate) struct Caller {
    endpoint: Arc<dyn Endpoint>,
    gate: Gate,
    timeout: Option<Duration>,
    patience: Duration,
    keep_example: bool,
    keeps_state: bool,
    retries_max: u32,
    retry_backoff: Duration,
    abandon: Abandon,
    metrics: Mutex<CallMetrics>,
}

/// The examples of a chunk on their way to an answer.
struct Ask {
    /// Those not yet answered and their places, in order.
    waiting: Vec<(usize, Example)>,
    /// Those that failed in passing, and how often they did.
    retrying: Vec<(usize, Example)>,
    retries: Vec<u32>,
    answers: Vec<Option<Answer>>,
}

// === impl Caller ===

impl Caller {
    pub(crate) fn new(endpoint: Arc<dyn Endpoint>, config: &Config, abandon: Abandon) -> Self {
        Self {
            keeps_state: endpoint.keeps_state(),
            endpoint,
            gate: Gate::new(config.inflight_max),
            timeout: config.call_timeout,
            patience: config.queue_full_patience,
            keep_example: config.include_example,
            retries_max: config.retries_max,
            retry_backoff: config.retry_backoff,
            abandon,
            metrics: Mutex::default(),
        }
    }

    /// What the calls were so far.
    pub(crate) fn metrics(&self) -> CallMetrics {
        self.lock_metrics().clone()
    }

    fn lock_metrics(&self) -> MutexGuard<'_, CallMetrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One answer for each example, in order, whatever the endpoint does.
    pub(crate) async fn answer(&self, examples: Vec<Example>) -> Vec<Answer> {
        let mut ask = Ask::new(examples);
        tokio::select! {
            biased;
            () = self.ask_and_retry(&mut ask) => {}
            () = self.abandon.wait() => {}
        }
        let missing = || {
            let what = "the job was interrupted before the example was answered";
            Err(self.failure(FailureKind::Cancelled, what))
        };
        let answers = ask.answers.into_iter();
        answers
            .map(|answer| answer.unwrap_or_else(missing))
            .collect()
    }

    /// Asks for all, and again for those that failed in passing.
    async fn ask_and_retry(&self, ask: &mut Ask) {
        let mut backoff = self.retry_backoff;
        loop {
            // Each try has the whole time.
            let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
            let call = Call {
                deadline: deadline.map(Instant::into_std),
                keep_example: self.keep_example,
                ..Call::default()
            };
            self.ask_all(ask, call).await;
            if ask.retrying.is_empty() {
                return;
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(Config::RETRY_BACKOFF_MAX.max(self.retry_backoff));
            ask.waiting.append(&mut ask.retrying);
            ask.waiting.sort_unstable_by_key(|(index, _)| *index);
        }
    }

    async fn ask_all(&self, ask: &mut Ask, call: Call) {
        let mut backoff = BACKOFF_MIN;
        let started = Instant::now();
        while !ask.waiting.is_empty() {
            let Some(mut places) = self.gate.enter(ask.waiting.len()).await else {
                return;
            };
            let asked: Vec<_> = ask.waiting.drain(..places.count()).collect();
            let answers = self.call(&asked, call.clone()).await;
            let asked_count = asked.len();
            let mut refused = Vec::new();
            let mut answered_count = 0;
            for ((index, example), answer) in asked.into_iter().zip(answers) {
                match answer {
                    Err(failure) if failure.kind != FailureKind::QueueFull => {
                        answered_count += 1;
                        let left = ask.retries_left(index, self.retries_max);
                        if failure.kind.is_transient() && left {
                            self.lock_metrics().retries += 1;
                            ask.retrying.push((index, example));
                        } else {
                            ask.set(index, Err(failure));
                        }
                    }
                    Ok(prediction) => {
                        answered_count += 1;
                        ask.set(index, Ok(prediction));
                    }
                    Err(_) if self.is_patient(started) => refused.push((index, example)),
                    Err(failure) => ask.set(index, Err(failure)),
                }
            }
            if self.keeps_state {
                ask.hold_back();
            }
            let refused_count = refused.len();
            if answered_count > 0 {
                self.gate.answered(answered_count);
                backoff = BACKOFF_MIN;
            }
            if refused_count == 0 {
                continue;
            }
            tracing::debug!(
                refused_count,
                "the endpoint's queue is full, asking for less"
            );
            self.gate.refused(&mut places, refused_count);
            drop(places);
            ask.waiting.splice(..0, refused);
            if refused_count == asked_count {
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }

    /// Lines of so many examples are ready, so long after they were let in.
    pub(crate) fn ready(&self, examples: usize, latency: Duration) {
        self.lock_metrics().end_to_end(examples, latency);
    }

    /// Whether a full queue is worth another try: it has not been full for too long since
    /// this chunk was first asked, or since the job's last answer.
    fn is_patient(&self, started: Instant) -> bool {
        self.gate.stalled().min(started.elapsed()) < self.patience
    }

    /// One call; its answers are counted, and a panic is an answer too.
    async fn call(&self, asked: &[(usize, Example)], call: Call) -> Vec<Answer> {
        let examples: Vec<Example> = asked.iter().map(|(_, example)| example.clone()).collect();
        // The endpoint is only called again through `&self`, as any other caller does
        // while this call panics.
        let answers = AssertUnwindSafe(async { self.endpoint.infer(examples, call).await });
        let began = Instant::now();
        let answers = answers.catch_unwind().await;
        self.lock_metrics().call(asked.len(), began.elapsed());
        let broken = match answers {
            Ok(answers) if answers.len() == asked.len() => {
                let checked = asked.iter().zip(answers);
                return checked
                    .map(|((_, example), answer)| self.check(example, answer))
                    .collect();
            }
            Ok(answers) => format!(
                "the endpoint gave {} answers for {} examples",
                answers.len(),
                asked.len()
            ),
            Err(panic) => format!("the endpoint panicked: {}", panic_text(&*panic)),
        };
        let failure = self.failure(FailureKind::Internal, &broken);
        asked.iter().map(|_| Err(failure.clone())).collect()
    }

    /// An answer must belong to its example.
    fn check(&self, example: &Example, answer: Answer) -> Answer {
        match answer {
            Ok(prediction) if prediction.key != example.key => Err(self.failure(
                FailureKind::Internal,
                "the endpoint answered with the key of another example",
            )),
            answer => answer,
        }
    }

    fn failure(&self, kind: FailureKind, what: &str) -> Failure {
        let stage = Stage::new(StageKind::Request, self.endpoint.name());
        Failure::new(stage, kind, what)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

// === impl Ask ===

impl Ask {
    fn new(examples: Vec<Example>) -> Self {
        Self {
            answers: examples.iter().map(|_| None).collect(),
            retries: vec![0; examples.len()],
            retrying: Vec::new(),
            waiting: examples.into_iter().enumerate().collect(),
        }
    }

    /// Whether an example may be tried once more; counts that it is.
    fn retries_left(&mut self, index: usize, retries_max: u32) -> bool {
        match self.retries.get_mut(index) {
            Some(retries) if *retries < retries_max => {
                *retries += 1;
                true
            }
            _ => false,
        }
    }

    /// Lets no example go before one of the same key that is to be tried again.
    fn hold_back(&mut self) {
        let retrying = self.retrying.iter();
        let keys: HashSet<Key> = retrying.filter_map(|(_, one)| one.key.clone()).collect();
        let follows = |(_, one): &mut (usize, Example)| {
            one.key.as_ref().is_some_and(|key| keys.contains(key))
        };
        let held: Vec<_> = self.waiting.extract_if(.., follows).collect();
        self.retrying.extend(held);
    }

    fn set(&mut self, index: usize, answer: Answer) {
        if let Some(slot) = self.answers.get_mut(index) {
            *slot = Some(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{BoxFuture, ModelId, Signature, TenantId, Tensor, Tensors};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// What the endpoint does with the examples of a call.
    type Infer = dyn Fn(Vec<Example>) -> BoxFuture<'static, Vec<Answer>> + Send + Sync;

    struct Fake(Signature, Box<Infer>);

    impl Endpoint for Fake {
        fn name(&self) -> &str {
            "fake"
        }
        fn version(&self) -> &str {
            "1"
        }
        fn platform(&self) -> &str {
            "fake"
        }
        fn signature(&self) -> &Signature {
            &self.0
        }
        fn is_ready(&self) -> bool {
            true
        }
        fn keeps_state(&self) -> bool {
            true
        }
        fn infer(&self, examples: Vec<Example>, _: Call) -> BoxFuture<'_, Vec<Answer>> {
            (self.1)(examples)
        }
    }

    fn prediction(example: &Example) -> Prediction {
        Prediction::new(
            example.key.clone(),
            Tensors::new(),
            ModelId::new("fake", "1"),
        )
    }

    fn full() -> Failure {
        let stage = Stage::new(StageKind::Inference, "m");
        Failure::new(stage, FailureKind::QueueFull, "the queue is full")
    }

    fn examples(count: usize) -> Vec<Example> {
        let example = |index: usize| Example {
            tenant: TenantId::default(),
            key: Some(index.to_string().into()),
            tensors: Tensors::new(),
        };
        (0..count).map(example).collect()
    }

    fn caller(
        infer: impl Fn(Vec<Example>) -> BoxFuture<'static, Vec<Answer>> + Send + Sync + 'static,
    ) -> (Caller, tokio::sync::watch::Sender<bool>) {
        let endpoint = Arc::new(Fake(Signature::default(), Box::new(infer)));
        let (switch, abandon) = Abandon::channel();
        let config = Config::default();
        (Caller::new(endpoint, &config, abandon), switch)
    }

    async fn messages(caller: &Caller, count: usize) -> Vec<String> {
        let answers = caller.answer(examples(count)).await;
        let text = |answer: Answer| match answer {
            Ok(prediction) => prediction.key.unwrap().to_string(),
            Err(failure) => failure.to_string(),
        };
        answers.into_iter().map(text).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_loses_nothing_and_is_not_flooded() {
        const CAPACITY: usize = 5;
        const CHUNKS: usize = 50;
        const CHUNK: usize = 4;
        let inside = Arc::new(AtomicUsize::new(0));
        let refusals = Arc::new(AtomicUsize::new(0));
        let (seen, refused) = (inside.clone(), refusals.clone());
        let (caller, _switch) = caller(move |examples| {
            let (inside, refusals) = (seen.clone(), refused.clone());
            let taken = |_: &Example| inside.fetch_add(1, Ordering::SeqCst) < CAPACITY;
            let taken: Vec<bool> = examples.iter().map(taken).collect();
            let over = taken.iter().filter(|taken| !**taken).count();
            inside.fetch_sub(over, Ordering::SeqCst);
            refusals.fetch_add(over, Ordering::SeqCst);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(11)).await;
                inside.fetch_sub(taken.len() - over, Ordering::SeqCst);
                let answer = |(example, taken): (&Example, &bool)| match taken {
                    true => Ok(prediction(example)),
                    false => Err(full()),
                };
                examples.iter().zip(&taken).map(answer).collect()
            })
        });
        let caller = Arc::new(caller);
        let chunks: Vec<_> = (0..CHUNKS)
            .map(|_| {
                let caller = caller.clone();
                tokio::spawn(async move { messages(&caller, CHUNK).await })
            })
            .collect();
        for chunk in chunks {
            assert_eq!(chunk.await.unwrap(), ["0", "1", "2", "3"]);
        }
        assert_eq!(inside.load(Ordering::SeqCst), 0);
        // All but the first few are refused once, then they wait outside. The limit
        // tries a little more now and then.
        let refusals = refusals.load(Ordering::SeqCst);
        assert!(refusals < CHUNKS * CHUNK + 20, "{refusals} refusals");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_with_a_full_queue_ends() {
        let (caller, _switch) = caller(|examples| {
            Box::pin(async move { examples.iter().map(|_| Err(full())).collect() })
        });
        // A source that was slow does not use up the patience.
        tokio::time::advance(Duration::from_secs(3600)).await;
        let started = Instant::now();
        let found = messages(&caller, 2).await;
        assert_eq!(found, ["inference \"m\": the queue is full"; 2]);
        let waited = started.elapsed();
        assert!(waited >= Duration::from_secs(60), "{waited:?}");
        assert!(waited < Duration::from_secs(61), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn transient_failures_are_tried_again_with_a_bound() {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = calls.clone();
        // The first fails for good at once, the second for two calls, the third always.
        let (caller, _switch) = caller(move |examples| {
            let keys: Vec<_> = examples.iter().map(|e| e.key.clone().unwrap()).collect();
            let mut calls = seen.lock().unwrap();
            calls.push((Instant::now(), keys.join(",")));
            let count = calls.len();
            let answer = |example: &Example| {
                let fail = |kind| {
                    Err(Failure::new(
                        Stage::new(StageKind::Inference, "m"),
                        kind,
                        "no",
                    ))
                };
                match (&**example.key.as_ref().unwrap(), count) {
                    ("0", _) => fail(FailureKind::ModelFailed),
                    ("1", 1 | 2) | ("2", _) => fail(FailureKind::Unavailable),
                    _ => Ok(prediction(example)),
                }
            };
            let answers = examples.iter().map(answer).collect();
            Box::pin(std::future::ready(answers))
        });
        let failed = "inference \"m\": no".to_owned();
        let expected = [failed.clone(), "1".to_owned(), failed, "3".to_owned()];
        assert_eq!(messages(&caller, 4).await, expected);
        let calls = calls.lock().unwrap();
        let keys: Vec<&str> = calls.iter().map(|(_, keys)| keys.as_str()).collect();
        assert_eq!(keys, ["0,1,2,3", "1,2", "1,2"]);
        assert!(calls[1].0 - calls[0].0 >= Duration::from_millis(100));
        assert!(calls[2].0 - calls[1].0 >= Duration::from_millis(200));
        assert_eq!(caller.metrics().retries, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn no_example_overtakes_one_of_its_key_that_is_tried_again() {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = calls.clone();
        let (mut caller, _switch) = caller(move |examples| {
            let numbers = examples.iter().map(|one| one.tensors.len().to_string());
            let mut calls = seen.lock().unwrap();
            calls.push(numbers.collect::<Vec<_>>().join(","));
            let stage = || Stage::new(StageKind::Inference, "m");
            let fails = calls.len() == 1;
            let answer = |example: &Example| match fails && example.key.as_deref() == Some("a") {
                true => Err(Failure::new(stage(), FailureKind::Unavailable, "no")),
                false => Ok(prediction(example)),
            };
            let answers = examples.iter().map(answer).collect();
            Box::pin(std::future::ready(answers))
        });
        // Room for two: the others are asked when the first two are answered.
        caller.gate = Gate::new(2);
        // An example goes by how many tensors it has.
        let tensor = Tensor::from_slice(vec![1], &[0i32]).unwrap();
        let example = |(count, key): (usize, &str)| {
            let mut tensors = Tensors::new();
            for at in 0..count {
                tensors.insert(at.to_string(), tensor.clone());
            }
            Example {
                tenant: TenantId::default(),
                key: Some(key.into()),
                tensors,
            }
        };
        let examples = ["a", "b", "a", "b", "a"]
            .into_iter()
            .enumerate()
            .map(example);
        let answers = caller.answer(examples.collect()).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(*calls.lock().unwrap(), ["0,1", "3", "0,2", "4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_number_of_answers_fails_them_all() {
        let (caller, _switch) = caller(|examples| {
            Box::pin(async move { examples.iter().skip(1).map(|e| Ok(prediction(e))).collect() })
        });
        let message = "request \"fake\": the endpoint gave 2 answers for 3 examples";
        assert_eq!(messages(&caller, 3).await, [message; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_in_another_order_are_found_out() {
        let (caller, _switch) = caller(|examples| {
            Box::pin(async move { examples.iter().rev().map(|e| Ok(prediction(e))).collect() })
        });
        let message = "request \"fake\": the endpoint answered with the key of another example";
        assert_eq!(messages(&caller, 3).await, [message, "1", message]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_fails_its_call_alone() {
        let (caller, _switch) = caller(|examples| match examples.len() {
            2 => panic!("boom"),
            _ => Box::pin(async move { examples.iter().map(|e| Ok(prediction(e))).collect() }),
        });
        let message = "request \"fake\": the endpoint panicked: boom";
        assert_eq!(messages(&caller, 2).await, [message; 2]);
        assert_eq!(messages(&caller, 1).await, ["0"]);
    }

    #[tokio::test(start_paused = true)]
    async fn abandoned_examples_are_answered_as_cancelled() {
        let (caller, switch) = caller(|_| Box::pin(std::future::pending()));
        let stop = async { switch.send(true).unwrap() };
        let (found, ()) = tokio::join!(messages(&caller, 2), stop);
        let message = "request \"fake\": the job was interrupted before the example was answered";
        assert_eq!(found, [message; 2]);
    }
}
