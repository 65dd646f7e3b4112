//! A bad example fails alone; a broken model fails in bounded time.

use super::stage::{Answer, Fake, MS, Stage, all_ok, example, examples, settle, told};
use crate::Config;
use consort_inference::{Batch, BoxFuture, FailureKind, PredictError, Signature, Tensor, Tensors};

fn config(max_batch_size: usize) -> Config {
    Config {
        max_batch_size: Some(max_batch_size),
        ..Config::default()
    }
}

/// All good but those, which failed in this way.
fn all_but(
    ids: std::ops::Range<i64>,
    bad: &[i64],
    kind: FailureKind,
) -> Vec<Result<i64, FailureKind>> {
    ids.map(|id| if bad.contains(&id) { Err(kind) } else { Ok(id) })
        .collect()
}

fn message(answer: &Answer) -> String {
    answer.as_ref().unwrap_err().to_string()
}

fn failed_batches(stage: &Stage, kind: &str) -> Option<f64> {
    stage.metric(&format!(
        "failed_batches_counter_total{{model=\"echo\",version=\"7\",kind=\"{kind}\"}}"
    ))
}

#[tokio::test(start_paused = true)]
async fn one_poison_in_64_is_found_in_12_more_runs() {
    for poison in [0, 31, 32, 63] {
        let fails = move |ids: &[i64], rows| match ids.contains(&poison) {
            true => Err(PredictError::Failed("bad bytes".to_owned())),
            false => Ok(rows),
        };
        let stage = Stage::new(Fake::new().predicts(fails), config(64));
        let answers = stage.infer(examples(0..64)).await;
        let expected = all_but(0..64, &[poison], FailureKind::ModelFailed);
        assert_eq!(told(&answers), expected);
        let index = usize::try_from(poison).unwrap();
        assert_eq!(message(&answers[index]), "inference \"echo\": bad bytes");
        // 64 and then twice 32, 16, 8, 4, 2, 1.
        assert_eq!(stage.fake.runs().len(), 13);
        assert_eq!(failed_batches(&stage, "model_failed"), Some(7.0));
        let splits = "consort_batch_splits_total{model=\"echo\",version=\"7\",\
                      kind=\"model_failed\"}";
        assert_eq!(stage.metric(splits), Some(6.0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_model_cannot_take_is_the_clients_fault_alone() {
    let fails = |ids: &[i64], rows| match ids.contains(&3) {
        true => Err(PredictError::InvalidInput("no UTF-8".to_owned())),
        false => Ok(rows),
    };
    let stage = Stage::new(Fake::new().predicts(fails), config(8));
    let answers = stage.infer(examples(0..8)).await;
    let expected = all_but(0..8, &[3], FailureKind::InvalidArgument);
    assert_eq!(told(&answers), expected);
}

#[tokio::test(start_paused = true)]
async fn several_poisons_are_found_and_odd_batches_split() {
    let stage = Stage::new(Fake::new().fails_on(&[2, 3, 9]), config(16));
    let answers = stage.infer(examples(0..11)).await;
    let expected = all_but(0..11, &[2, 3, 9], FailureKind::ModelFailed);
    assert_eq!(told(&answers), expected);
    // Beam's count is of examples that were predicted, each once.
    let counted = "num_inferences_total{model=\"echo\",version=\"7\",tenant=\"default\"}";
    assert_eq!(stage.metric(counted), Some(8.0));
}

#[tokio::test(start_paused = true)]
async fn a_model_on_which_everything_fails_runs_less_than_twice_for_each_example() {
    let fails = |_: &[i64], _| Err(PredictError::Failed("no device".to_owned()));
    let stage = Stage::new(Fake::new().predicts(fails), config(32));
    let answers = stage.infer(examples(0..32)).await;
    assert_eq!(told(&answers), [Err(FailureKind::ModelFailed); 32]);
    assert_eq!(stage.fake.runs().len(), 63);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_passes_harms_nobody() {
    let times = std::sync::atomic::AtomicUsize::new(0);
    let fails =
        move |_: &[i64], rows| match times.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Err(PredictError::Failed("once".to_owned())),
            _ => Ok(rows),
        };
    let stage = Stage::new(Fake::new().predicts(fails), config(8));
    assert_eq!(told(&stage.infer(examples(0..8)).await), all_ok(0..8));
    assert_eq!(stage.fake.runs().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn out_of_memory_halves_the_batch_and_is_remembered() {
    let fails = |ids: &[i64], rows| match ids.len() {
        0..4 => Ok(rows),
        size => Err(PredictError::OutOfMemory(format!("batch of {size}"))),
    };
    let stage = Stage::new(Fake::new().predicts(fails), config(14));
    assert_eq!(told(&stage.infer(examples(0..14)).await), all_ok(0..14));
    let sizes =
        |stage: &Stage| -> Vec<usize> { stage.fake.batches().iter().map(Vec::len).collect() };
    // The second half is not even tried at a size that has failed.
    assert_eq!(sizes(&stage), [14, 7, 3, 3, 1, 3, 3, 1]);
    assert_eq!(stage.metric("consort_batch_size_max{"), Some(3.0));
    assert_eq!(failed_batches(&stage, "out_of_memory"), Some(2.0));
    // No batch is larger than what fitted.
    assert_eq!(told(&stage.infer(examples(0..7)).await), all_ok(0..7));
    assert_eq!(sizes(&stage)[8..], [3, 3, 1]);
    assert_eq!(failed_batches(&stage, "out_of_memory"), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn an_example_for_which_memory_never_suffices_fails_alone() {
    let fails = |ids: &[i64], rows| match ids.contains(&2) {
        true => Err(PredictError::OutOfMemory("2 is huge".to_owned())),
        false => Ok(rows),
    };
    let stage = Stage::new(Fake::new().predicts(fails), config(4));
    let answers = stage.infer(examples(0..4)).await;
    let expected = all_but(0..4, &[2], FailureKind::OutOfMemory);
    assert_eq!(told(&answers), expected);
    assert_eq!(
        message(&answers[2]),
        "inference \"echo\": out of memory: 2 is huge"
    );
    assert_eq!(stage.metric("consort_batch_size_max{"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn too_few_or_too_many_results_fail_the_whole_batch() {
    for (given, text) in [(3, "3 results"), (5, "5 results"), (0, "0 results")] {
        let resized = move |_: &[i64], mut rows: Vec<Tensors>| {
            rows.resize(given, Tensors::new());
            Ok(rows)
        };
        let stage = Stage::new(Fake::new().predicts(resized), config(4));
        let answers = stage.infer(examples(0..4)).await;
        assert_eq!(told(&answers), [Err(FailureKind::ModelContract); 4]);
        assert_eq!(
            message(&answers[0]),
            format!(
                "inference \"echo\": the model gave {text} for 4 examples, so that nobody can \
                 tell whose they are; its handler must return one result for each example"
            )
        );
        assert_eq!(stage.fake.runs().len(), 1);
        assert_eq!(failed_batches(&stage, "model_contract"), Some(1.0));
        assert_eq!(
            stage.metric("inference_request_batch_size_count"),
            Some(0.0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_not_as_promised_fails_alone() {
    let breaks = |_: &[i64], mut rows: Vec<Tensors>| {
        let float = Tensor::from_slice(vec![1], &[1f32]).unwrap();
        rows[1] = Tensors::from_named([("y".into(), float.clone())]).unwrap();
        rows[3].insert("z", float);
        rows[4] = Tensors::new();
        Ok(rows)
    };
    let stage = Stage::new(Fake::new().predicts(breaks), config(8));
    let answers = stage.infer(examples(0..6)).await;
    let expected = all_but(0..6, &[1, 3, 4], FailureKind::ModelContract);
    assert_eq!(told(&answers), expected);
    let promise = "inference \"echo\": the model's result is not what it promises: tensor ";
    assert_eq!(
        [&answers[1], &answers[3], &answers[4]].map(message),
        [
            format!("{promise}\"y\" is FP32, INT64 is expected"),
            format!("{promise}\"z\" is not expected; the names are \"y\""),
            format!("{promise}\"y\" is missing; INT64 [-1] is expected"),
        ]
    );
    assert_eq!(stage.fake.runs().len(), 1);
    assert_eq!(failed_batches(&stage, "model_contract"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_contract_that_the_runtime_sees_broken_is_not_tried_again() {
    let breaks = |_: &[i64], _| Err(PredictError::Contract("output 0 has rank 0".to_owned()));
    let stage = Stage::new(Fake::new().predicts(breaks), config(4));
    let answers = stage.infer(examples(0..4)).await;
    assert_eq!(told(&answers), [Err(FailureKind::ModelContract); 4]);
    assert_eq!(
        message(&answers[3]),
        "inference \"echo\": output 0 has rank 0"
    );
    assert_eq!(stage.fake.runs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_caught_and_the_replica_goes_on() {
    let panics = |ids: &[i64], rows| {
        assert!(!ids.contains(&5), "five is right out");
        Ok(rows)
    };
    let fake = Fake::new().takes(MS).predicts(panics);
    let stage = Stage::new(fake, config(8));
    let answers = stage.infer(examples(0..8)).await;
    let expected = all_but(0..8, &[5], FailureKind::Internal);
    assert_eq!(told(&answers), expected);
    assert_eq!(
        message(&answers[5]),
        "inference \"echo\": the model's handler panicked: five is right out"
    );
    assert_eq!(stage.metric("consort_handler_panics_total"), Some(4.0));
    assert_eq!(stage.metric("consort_replicas{"), Some(1.0));
    assert_eq!(stage.metric("consort_replicas_busy{"), Some(0.0));
    assert_eq!(told(&stage.infer(vec![example(9)]).await), all_ok([9]));
}

/// Panics before there is a future.
struct PanicsAtOnce(Signature);

impl crate::Runner for PanicsAtOnce {
    fn signature(&self) -> &Signature {
        &self.0
    }

    fn run<'a>(&'a self, _: &'a Batch) -> BoxFuture<'a, Result<Vec<Tensors>, PredictError>> {
        panic!("no future");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_run_is_caught_too() {
    let config = config(4);
    let fake = Fake::new();
    let runner = PanicsAtOnce(crate::Runner::signature(&fake).clone());
    let mut registry = prometheus_client::registry::Registry::default();
    let batcher = crate::Batcher::start_with(
        consort_inference::ModelId::new("panics", "1"),
        crate::Replicas::Tasks(std::sync::Arc::new(runner)),
        Box::new(crate::FixedPolicy::of(&config)),
        config,
        &crate::Metrics::register(&mut registry),
    )
    .unwrap();
    let answers = batcher.infer(examples(0..2), Default::default()).await;
    assert_eq!(told(&answers), [Err(FailureKind::Internal); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_batcher_whose_replicas_are_gone_leaves_nobody_waiting() {
    // A policy that panics is a defect of the host: it takes the replica down. It is asked
    // as the examples arrive, then twice by the replica.
    struct Panics(usize);
    impl crate::BatchPolicy for Panics {
        fn decide(&mut self, _: &crate::QueueView<'_>) -> crate::Decision {
            self.0 += 1;
            assert!(self.0 < 3, "a defect");
            crate::Decision::Run(1)
        }
    }
    let policy = Box::new(Panics(0));
    let stage = Stage::with_policy(Fake::new().takes(MS), config(4), policy);
    settle().await;
    let answers = stage.infer(examples(0..3)).await;
    let internal = Err(FailureKind::Internal);
    assert_eq!(told(&answers), [Ok(0), internal, internal]);
    assert_eq!(
        message(&answers[1]),
        "inference \"echo\": the host lost the example; this is a defect, please report it"
    );
    assert_eq!(
        told(&stage.infer(examples([3])).await),
        [Err(FailureKind::Unavailable)]
    );
    assert_eq!(stage.metric("consort_replicas{"), Some(0.0));
    stage.batcher.drain().await;
}
