//! Another handler in the place of the one that runs, and more or fewer replicas.

use super::stage::{Fake, MS, Stage, all_ok, example_of, examples, settle, told};
use crate::{Config, Replicas};
use consort_inference::{Call, Datatype, ModelId, PredictError, TensorSpec};
use std::sync::Arc;

fn config() -> Config {
    Config {
        max_batch_size: Some(2),
        max_queue_size: 100_000,
        ..Config::default()
    }
}

fn version(number: usize) -> ModelId {
    ModelId::new("echo", number.to_string())
}

#[tokio::test(start_paused = true)]
async fn batches_formed_later_run_on_the_new_one_and_say_so() {
    let stage = Stage::new(Fake::new().takes(MS * 10), config());
    let batcher = stage.batcher.clone();
    let caller =
        tokio::spawn(async move { batcher.infer_with_id(examples(0..6), Call::default()).await });
    settle().await;
    let new = Arc::new(Fake::new().takes(MS * 10));
    let replacement = Replicas::Tasks(new.clone());
    stage.batcher.replace(version(8), replacement).unwrap();
    assert_eq!(*stage.batcher.model_id(), version(8));
    let answers = caller.await.unwrap();
    let versions: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap().model_id.version.to_string())
        .collect();
    assert_eq!(versions, ["7", "7", "8", "8", "8", "8"]);
    assert_eq!(stage.fake.batches(), [[0, 1]]);
    assert_eq!(new.batches(), [[2, 3], [4, 5]]);
    // The old one is let go of, but by the test.
    assert_eq!(Arc::strong_count(&stage.fake), 1);
    let counted = |version: &str| {
        stage.metric(&format!(
            "num_inferences_total{{model=\"echo\",version=\"{version}\",tenant=\"default\"}}"
        ))
    };
    assert_eq!((counted("7"), counted("8")), (Some(2.0), Some(4.0)));
    assert_eq!(stage.batcher.totals().examples, 6);
}

#[tokio::test(start_paused = true)]
async fn pieces_of_a_failed_batch_stay_with_the_old_one() {
    let fake = Fake::new().takes(MS * 10).fails_on(&[1]);
    let stage = Stage::new(fake, config());
    let caller = stage.send(examples(0..2)).await;
    let new = Arc::new(Fake::new());
    stage
        .batcher
        .replace(version(8), Replicas::Tasks(new.clone()))
        .unwrap();
    let answers = told(&caller.await.unwrap());
    assert!(answers[0].is_ok() && answers[1].is_err());
    assert_eq!(stage.fake.batches(), [vec![0, 1], vec![0], vec![1]]);
    assert!(new.batches().is_empty());
}

#[tokio::test(start_paused = true)]
async fn fifty_replacements_under_full_load_lose_and_delay_nothing() {
    let config = Config {
        max_batch_size: Some(4),
        replicas: 2,
        ..config()
    };
    let stage = Stage::new(Fake::new().takes(MS * 10), config);
    let callers: Vec<_> = (0..20)
        .map(|caller| {
            let batcher = stage.batcher.clone();
            tokio::spawn(async move {
                let ids = caller * 100..caller * 100 + 100;
                let answers = batcher.infer(examples(ids.clone()), Call::default()).await;
                assert_eq!(told(&answers), all_ok(ids));
            })
        })
        .collect();
    settle().await;
    let begin = tokio::time::Instant::now();
    for number in 0..50 {
        let new = Arc::new(Fake::new().takes(MS * 10));
        stage
            .batcher
            .replace(version(number), Replicas::Tasks(new))
            .unwrap();
        tokio::time::sleep(MS * 7).await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    // 2,000 examples, 4 at a time, on 2 replicas: not a moment more than without them.
    assert_eq!(begin.elapsed(), MS * 10 * (2_000 / 4 / 2));
    assert_eq!(stage.batcher.totals().examples, 2_000);
    // Only the last versions are still among the metrics.
    let text = stage.metrics_text();
    let versions = text
        .lines()
        .filter(|line| line.starts_with("consort_batch_size_max{"));
    assert_eq!(versions.count(), 8);
    let counted = text
        .lines()
        .filter(|line| line.starts_with("num_inferences_total{"));
    assert!(counted.count() <= 8);
}

#[tokio::test(start_paused = true)]
async fn what_reads_other_tensors_is_refused_and_changes_nothing() {
    let stage = Stage::new(Fake::new(), config());
    let mut other = Fake::new();
    other.signature.inputs = vec![TensorSpec::new("x", Datatype::Int64, vec![Some(3)])];
    let refused = stage
        .batcher
        .replace(version(8), Replicas::Tasks(Arc::new(other)));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the new model reads or writes other tensors than the one that runs: its inputs are \
         \"x\" INT64 [3], not \"x\" INT64 [-1]; publish it under a name of its own"
    );
    let ragged = Replicas::Tasks(Arc::new(Fake::new().ragged()));
    let refused = stage.batcher.replace(version(8), ragged).unwrap_err();
    assert!(refused.to_string().contains("other rules"), "{refused}");
    assert_eq!(*stage.batcher.model_id(), version(7));
    assert_eq!(told(&stage.infer(examples([0])).await), all_ok([0]));
    stage.batcher.drain().await;
    let late = Replicas::Tasks(Arc::new(Fake::new()));
    assert!(stage.batcher.replace(version(8), late).is_err());
}

#[tokio::test(start_paused = true)]
async fn limits_of_memory_belong_to_the_old_one() {
    let fails = |ids: &[i64], rows| match ids.len() {
        0..2 => Ok(rows),
        _ => Err(PredictError::OutOfMemory("no".to_owned())),
    };
    let stage = Stage::new(Fake::new().predicts(fails), config());
    assert_eq!(told(&stage.infer(examples(0..4)).await), all_ok(0..4));
    let new = Arc::new(Fake::new());
    stage
        .batcher
        .replace(version(8), Replicas::Tasks(new.clone()))
        .unwrap();
    assert_eq!(told(&stage.infer(examples(0..4)).await), all_ok(0..4));
    assert_eq!(new.batches(), [[0, 1], [2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn replicas_come_and_go_and_nothing_is_lost() {
    let stage = Stage::new(Fake::new().takes(MS * 10), config());
    let caller = stage.send(examples(0..16)).await;
    stage.batcher.set_replicas(3).unwrap();
    settle().await;
    let running = |stage: &Stage| stage.metric("consort_replicas_busy{").unwrap();
    assert_eq!(running(&stage), 3.0);
    assert_eq!(stage.metric("consort_replicas{"), Some(3.0));
    // They end after what they run, and can be wanted again before that.
    stage.batcher.set_replicas(1).unwrap();
    stage.batcher.set_replicas(2).unwrap();
    tokio::time::sleep(MS * 11).await;
    assert_eq!(running(&stage), 2.0);
    assert_eq!(stage.metric("consort_replicas{"), Some(2.0));
    assert_eq!(told(&caller.await.unwrap()), all_ok(0..16));
    stage.batcher.set_replicas(1).unwrap();
    settle().await;
    assert_eq!(stage.metric("consort_replicas{"), Some(1.0));
    assert_eq!(
        told(&stage.infer(vec![example_of("a", 9, 2)]).await),
        all_ok([9])
    );
    assert!(stage.batcher.set_replicas(0).is_err());
    assert_eq!(stage.batcher.replicas(), 1);
    stage.batcher.drain().await;
    assert_eq!(stage.metric("consort_replicas{"), Some(0.0));
    // Nothing starts any more.
    stage.batcher.set_replicas(4).unwrap();
    assert_eq!(stage.metric("consort_replicas{"), Some(0.0));
}
