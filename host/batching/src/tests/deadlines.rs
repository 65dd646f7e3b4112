//! Work that nobody waits for any longer is not done.

use super::stage::{Fake, MS, Stage, all_ok, examples, told};
use crate::Config;
use consort_inference::{FailureKind, PredictError};
use tokio::time::Instant;

const EXPIRED: FailureKind = FailureKind::DeadlineExceeded;

fn config(max_batch_size: usize) -> Config {
    Config {
        max_batch_size: Some(max_batch_size),
        ..Config::default()
    }
}

fn dropped(stage: &Stage, reason: &str) -> Option<f64> {
    stage.metric(&format!(
        "consort_dropped_examples_total{{model=\"echo\",version=\"7\",tenant=\"default\",\
         reason=\"{reason}\"}}"
    ))
}

#[tokio::test(start_paused = true)]
async fn a_waiting_caller_hears_at_its_deadline_although_the_replica_is_busy() {
    let stage = Stage::new(Fake::new().takes(MS * 100), config(1));
    let running = stage.send(examples([0])).await;
    let begin = Instant::now();
    let answers = stage.send_by(examples([1]), Some(MS * 30)).await;
    let answers = answers.await.unwrap();
    assert_eq!(begin.elapsed(), MS * 30);
    assert_eq!(told(&answers), [Err(EXPIRED)]);
    assert_eq!(
        answers[0].as_ref().unwrap_err().to_string(),
        "inference \"echo\": the deadline passed while the example waited for its turn, 30.0ms \
         after it came; send less at a time or with a later deadline, or raise replicas \
         in [model.echo]"
    );
    assert_eq!(stage.batcher.queue_depth(), 0);
    assert_eq!(told(&running.await.unwrap()), all_ok([0]));
    assert_eq!(told(&stage.infer(examples([2])).await), all_ok([2]));
    assert_eq!(stage.fake.batches(), [[0], [2]]);
    assert_eq!(dropped(&stage, "expired"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_comes_too_late_is_thrown_away() {
    let stage = Stage::new(Fake::new().takes(MS * 100), config(1));
    let begin = Instant::now();
    let answers = stage.send_by(examples([0]), Some(MS * 30)).await;
    let answers = answers.await.unwrap();
    assert_eq!(begin.elapsed(), MS * 30);
    assert_eq!(told(&answers), [Err(EXPIRED)]);
    assert_eq!(
        answers[0].as_ref().unwrap_err().to_string(),
        "inference \"echo\": the deadline passed while the model ran, 30.0ms after the example \
         came; its result is thrown away; send it with a later deadline"
    );
    assert_eq!(told(&stage.infer(examples([1])).await), all_ok([1]));
    assert_eq!(dropped(&stage, "expired"), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_done_by_the_deadline_is_given() {
    let stage = Stage::new(Fake::new().takes(MS * 20), config(2));
    let answers = stage.send_by(examples(0..6), Some(MS * 30)).await;
    let answers = answers.await.unwrap();
    let expired = Err(EXPIRED);
    let expected = [Ok(0), Ok(1), expired, expired, expired, expired];
    assert_eq!(told(&answers), expected);
    let text = |index: usize| answers[index].as_ref().unwrap_err().message.clone();
    assert!(text(3).contains("while the model ran"), "{}", text(3));
    assert!(text(4).contains("waited for its turn"), "{}", text(4));
    stage.batcher.drain().await;
    assert_eq!(stage.fake.batches(), [[0, 1], [2, 3]]);
    assert_eq!(dropped(&stage, "expired"), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_gets_the_default() {
    let config = Config {
        default_timeout: Some(MS * 40),
        ..config(1)
    };
    let stage = Stage::new(Fake::new().takes(MS * 100), config);
    let begin = Instant::now();
    let answers = stage.infer(examples([0])).await;
    assert_eq!(told(&answers), [Err(EXPIRED)]);
    assert_eq!(begin.elapsed(), MS * 40);
}

#[tokio::test(start_paused = true)]
async fn without_any_deadline_a_call_waits() {
    let config = Config {
        default_timeout: None,
        ..config(1)
    };
    let stage = Stage::new(Fake::new().takes(MS * 1_000_000), config);
    assert_eq!(told(&stage.infer(examples([0])).await), all_ok([0]));
}

#[tokio::test(start_paused = true)]
async fn abandoned_examples_leave_the_queue_and_never_run() {
    let stage = Stage::new(Fake::new().takes(MS * 100), config(2));
    let running = stage.send(examples([0])).await;
    let abandoned = stage.send(examples([1, 2, 3])).await;
    let patient = stage.send(examples([4])).await;
    assert_eq!(stage.batcher.queue_depth(), 4);
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    assert_eq!(stage.batcher.queue_depth(), 1);
    assert_eq!(stage.metric("consort_queue_examples{"), Some(1.0));
    assert_eq!(stage.metric("consort_queue_bytes{"), Some(8.0));
    assert_eq!(told(&patient.await.unwrap()), all_ok([4]));
    assert_eq!(told(&running.await.unwrap()), all_ok([0]));
    assert_eq!(stage.fake.batches(), [[0], [4]]);
    assert_eq!(dropped(&stage, "abandoned"), Some(3.0));
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_run_is_finished_and_thrown_away() {
    let stage = Stage::new(Fake::new().takes(MS * 100), config(1));
    let abandoned = stage.send(examples([0])).await;
    abandoned.abort();
    assert_eq!(told(&stage.infer(examples([1])).await), all_ok([1]));
    assert_eq!(stage.fake.batches(), [[0], [1]]);
    assert_eq!(dropped(&stage, "abandoned"), None);
}

#[tokio::test(start_paused = true)]
async fn pieces_of_a_failed_batch_are_dropped_when_nobody_waits() {
    let fails = |ids: &[i64], rows: Vec<_>| match ids.len() {
        1 => Ok(rows),
        _ => Err(PredictError::Failed("too many".to_owned())),
    };
    let stage = Stage::new(Fake::new().takes(MS * 10).predicts(fails), config(4));
    let blocker = stage.send(examples([100])).await;
    let patient = stage.send(examples([0])).await;
    let expiring = stage.send_by(examples([1]), Some(MS * 35)).await;
    let leaving = stage.send(examples([2, 3])).await;
    tokio::time::sleep(MS * 25).await;
    leaving.abort();
    assert_eq!(told(&patient.await.unwrap()), all_ok([0]));
    assert_eq!(told(&expiring.await.unwrap()), [Err(EXPIRED)]);
    stage.batcher.drain().await;
    let batches = [vec![100], vec![0, 1, 2, 3], vec![0, 1], vec![0]];
    assert_eq!(stage.fake.batches(), batches);
    blocker.await.unwrap();
    assert_eq!(dropped(&stage, "abandoned"), Some(2.0));
    assert_eq!(dropped(&stage, "expired"), Some(1.0));
}
