//! Replicas on real threads, through the public interface and on the real clock.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may break off"
)]

use consort_batching::{Batcher, Config, Metrics, PolicyKind};
use consort_inference::{
    Batch, BatchHints, Call, Datatype, Example, FailureKind, ModelHandler, ModelId, PredictError,
    Signature, Tensor, TensorSpec, Tensors,
};
use prometheus_client::registry::Registry;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Longer than anything here takes.
const AGES: Duration = Duration::from_secs(30);

type Predict = dyn Fn(&[i64]) -> Result<(), PredictError> + Send + Sync;

/// Gives `x` back as `y`, if `predict` lets it.
struct Echo {
    signature: Signature,
    predict: Box<Predict>,
    sizes: Mutex<Vec<usize>>,
    _dropped: Option<Sender<()>>,
}

impl Echo {
    fn new(predict: impl Fn(&[i64]) -> Result<(), PredictError> + Send + Sync + 'static) -> Self {
        let spec = |name: &str| TensorSpec::new(name, Datatype::Int64, vec![Some(1)]);
        Self {
            signature: Signature {
                inputs: vec![spec("x")],
                outputs: vec![spec("y")],
            },
            predict: Box::new(predict),
            sizes: Mutex::default(),
            _dropped: None,
        }
    }
}

impl ModelHandler for Echo {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        self.sizes.lock().unwrap().push(batch.len());
        let stacked = batch.stacked("x").unwrap().unwrap();
        (self.predict)(&stacked.to_vec::<i64>().unwrap())?;
        let rows = stacked.unstack().unwrap();
        Ok(rows.into_iter().map(|row| named("y", row)).collect())
    }

    fn batch_hints(&self) -> BatchHints {
        BatchHints {
            max_batch_size: Some(64),
            ..BatchHints::default()
        }
    }

    fn model_byte_size(&self) -> u64 {
        0
    }

    fn platform(&self) -> &str {
        "echo"
    }
}

fn named(name: &str, tensor: Tensor) -> Tensors {
    Tensors::from_named([(name.into(), tensor)]).unwrap()
}

fn start(handler: Arc<Echo>, config: Config) -> Batcher {
    let metrics = Metrics::register(&mut Registry::default());
    Batcher::start(ModelId::new("echo", "1"), handler, config, &metrics).unwrap()
}

fn examples(ids: std::ops::Range<i64>) -> Vec<Example> {
    let example = |id: i64| Example {
        tenant: ["a", "b", "c"][usize::try_from(id % 3).unwrap()]
            .parse()
            .unwrap(),
        key: None,
        tensors: named("x", Tensor::from_slice(vec![1], &[id]).unwrap()),
    };
    ids.map(example).collect()
}

async fn infer(batcher: &Batcher, ids: std::ops::Range<i64>) -> Vec<Result<i64, FailureKind>> {
    let answers = batcher.infer(examples(ids), Call::default()).await;
    let told = |answer: Result<Tensors, _>| {
        let outputs = answer.map_err(|failure: consort_inference::Failure| failure.kind)?;
        Ok(outputs.tensor("y").unwrap().to_vec::<i64>().unwrap()[0])
    };
    answers.into_iter().map(told).collect()
}

/// A handler whose runs begin by saying so and end when they are let go.
fn gated() -> (Arc<Echo>, Receiver<i64>, Sender<()>) {
    let (begun, begins) = channel();
    let (go, gate) = channel();
    let gate = Mutex::new(gate);
    let handler = Echo::new(move |ids| {
        begun.send(ids[0]).unwrap();
        gate.lock().unwrap().recv().unwrap();
        Ok(())
    });
    (Arc::new(handler), begins, go)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_each_get_their_own_results() {
    let fails = |ids: &[i64]| match ids.iter().any(|id| id % 101 == 0) {
        true => Err(PredictError::Failed("a multiple of 101".to_owned())),
        false => Ok(()),
    };
    let handler = Arc::new(Echo::new(fails));
    let config = Config {
        max_batch_size: Some(16),
        max_queue_size: 1_000_000,
        replicas: 3,
        ..Config::default()
    };
    let batcher = start(handler.clone(), config);
    let callers = (0..16i64).map(|caller| {
        let batcher = batcher.clone();
        tokio::spawn(async move {
            for call in 0..200 {
                let from = (caller * 200 + call) * 100;
                let ids = from..from + 1 + call % 40;
                let expected = ids.clone().map(|id| match id % 101 {
                    0 => Err(FailureKind::ModelFailed),
                    _ => Ok(id),
                });
                let expected: Vec<_> = expected.collect();
                assert_eq!(infer(&batcher, ids).await, expected);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert!(handler.sizes.lock().unwrap().iter().all(|size| *size <= 16));
    batcher.drain().await;
}

#[tokio::test]
async fn a_caller_hears_at_its_deadline_while_the_handler_blocks() {
    let (handler, begins, go) = gated();
    let batcher = start(handler, Config::default());
    let blocked = batcher.clone();
    let blocked = tokio::spawn(async move { infer(&blocked, 0..1).await });
    let begun = tokio::task::spawn_blocking(move || begins.recv_timeout(AGES));
    assert_eq!(begun.await.unwrap(), Ok(0));
    let deadline = Instant::now() + Duration::from_millis(30);
    let call = Call {
        deadline: Some(deadline.into_std()),
        ..Call::default()
    };
    let answers = batcher.infer(examples(1..2), call).await;
    let kind = answers[0].as_ref().unwrap_err().kind;
    assert_eq!(kind, FailureKind::DeadlineExceeded);
    assert!(Instant::now() >= deadline);
    assert_eq!(batcher.queue_depth(), 0);
    assert!(!blocked.is_finished());
    go.send(()).unwrap();
    assert_eq!(blocked.await.unwrap(), [Ok(0)]);
}

#[tokio::test]
async fn replicas_run_at_the_same_time() {
    let (handler, begins, go) = gated();
    let config = Config {
        max_batch_size: Some(1),
        replicas: 2,
        ..Config::default()
    };
    let batcher = start(handler, config);
    let caller = tokio::spawn(async move { infer(&batcher, 0..2).await });
    // Both begin although none has been let go.
    let both = move || [(); 2].map(|()| begins.recv_timeout(AGES).unwrap());
    let mut both = tokio::task::spawn_blocking(both).await.unwrap();
    both.sort_unstable();
    assert_eq!(both, [0, 1]);
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!(caller.await.unwrap(), [Ok(0), Ok(1)]);
}

#[tokio::test]
async fn a_thread_waits_for_max_queue_delay() {
    let handler = Arc::new(Echo::new(|_| Ok(())));
    let delay = Duration::from_millis(40);
    let config = Config {
        max_batch_size: Some(8),
        max_queue_delay: Some(delay),
        policy: PolicyKind::Fixed,
        ..Config::default()
    };
    let batcher = start(handler.clone(), config);
    let begin = Instant::now();
    assert_eq!(infer(&batcher, 0..3).await, [Ok(0), Ok(1), Ok(2)]);
    assert!(begin.elapsed() >= delay);
    assert_eq!(*handler.sizes.lock().unwrap(), [3]);
}

#[tokio::test]
async fn a_panic_on_a_thread_is_caught_and_the_thread_goes_on() {
    let panics = |ids: &[i64]| {
        assert!(!ids.contains(&2), "two is one too many");
        Ok(())
    };
    let batcher = start(Arc::new(Echo::new(panics)), Config::default());
    let answers = batcher.infer(examples(0..4), Call::default()).await;
    let failures: Vec<_> = answers.iter().map(|answer| answer.as_ref().err()).collect();
    let failure = failures[2].unwrap();
    assert_eq!(
        failure.to_string(),
        "inference \"echo\": the model's handler panicked: two is one too many"
    );
    assert_eq!(failures.iter().flatten().count(), 1);
    assert_eq!(infer(&batcher, 3..5).await, [Ok(3), Ok(4)]);
}

#[tokio::test]
async fn draining_finishes_the_queue_and_joins_the_threads() {
    let (handler, begins, go) = gated();
    let config = Config {
        max_batch_size: Some(1),
        replicas: 2,
        ..Config::default()
    };
    let batcher = start(handler.clone(), config);
    let caller = batcher.clone();
    let caller = tokio::spawn(async move { infer(&caller, 0..5).await });
    let first = tokio::task::spawn_blocking(move || begins.recv_timeout(AGES).map(|_| begins));
    let begins = first.await.unwrap().unwrap();
    let draining = batcher.clone();
    let drain = tokio::spawn(async move { draining.drain().await });
    // Nothing more is let in once the drain has begun.
    let deadline = Some((Instant::now() + AGES).into_std());
    loop {
        let late = batcher.infer(
            examples(9..10),
            Call {
                deadline,
                ..Call::default()
            },
        );
        // A call that is let in before the drain waits behind the gate: abandon it.
        match tokio::time::timeout(Duration::from_millis(1), late).await {
            Ok(answers) => {
                let failure = answers[0].as_ref().unwrap_err();
                assert_eq!(failure.kind, FailureKind::Unavailable);
                break;
            }
            Err(_) => assert!(!drain.is_finished()),
        }
    }
    for _ in 0..5 {
        go.send(()).unwrap();
    }
    drop(go);
    drain.await.unwrap();
    assert_eq!(caller.await.unwrap(), (0..5).map(Ok).collect::<Vec<_>>());
    assert_eq!(begins.try_iter().count(), 4);
    // The threads are gone; what is left of the batcher alone holds the handler.
    assert_eq!(Arc::strong_count(&handler), 2);
    drop(batcher);
    assert_eq!(Arc::strong_count(&handler), 1);
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_threads() {
    let (dropped, gone) = channel();
    let mut handler = Echo::new(|_| Ok(()));
    handler._dropped = Some(dropped);
    let batcher = start(Arc::new(handler), Config::default());
    let clone = batcher.clone();
    assert_eq!(infer(&batcher, 0..1).await, [Ok(0)]);
    drop(batcher);
    assert_eq!(infer(&clone, 1..2).await, [Ok(1)]);
    drop(clone);
    // The channel closes when the threads drop the handler.
    let gone = tokio::task::spawn_blocking(move || gone.recv_timeout(AGES));
    let closed = std::sync::mpsc::RecvTimeoutError::Disconnected;
    assert_eq!(gone.await.unwrap(), Err(closed));
}
