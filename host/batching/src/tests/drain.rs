//! How a batcher ends.

use super::stage::{Fake, MS, Stage, all_ok, examples, settle, told};
use crate::Config;
use consort_inference::FailureKind;
use std::sync::Arc;
use tokio::time::Instant;

fn stage() -> Stage {
    let config = Config {
        max_batch_size: Some(4),
        max_queue_delay: Some(MS * 1_000),
        replicas: 2,
        ..Config::default()
    };
    Stage::new(Fake::new().takes(MS * 10), config)
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_is_queued_and_refuses_the_rest() {
    let stage = stage();
    let running = stage.send(examples(0..8)).await;
    let queued = stage.send(examples(8..14)).await;
    let begin = Instant::now();
    let batcher = stage.batcher.clone();
    let drain = tokio::spawn(async move { batcher.drain().await });
    settle().await;
    let refused = stage.infer(examples([20, 21])).await;
    assert_eq!(told(&refused), [Err(FailureKind::Unavailable); 2]);
    assert_eq!(
        refused[0].as_ref().unwrap_err().to_string(),
        "inference \"echo\": the model is being stopped and takes no more work; \
         try again later or on another host"
    );
    drain.await.unwrap();
    // Two rounds of runs; the last two examples did not wait for more to come.
    assert_eq!(begin.elapsed(), MS * 20);
    assert_eq!(told(&running.await.unwrap()), all_ok(0..8));
    assert_eq!(told(&queued.await.unwrap()), all_ok(8..14));
    assert_eq!(stage.batcher.queue_depth(), 0);
    assert_eq!(stage.metric("consort_replicas{"), Some(0.0));
    stage.batcher.drain().await;
}

#[tokio::test(start_paused = true)]
async fn draining_wakes_replicas_that_sleep() {
    let stage = stage();
    let begin = Instant::now();
    let waiting = stage.send(examples([0])).await;
    stage.batcher.drain().await;
    assert_eq!(told(&waiting.await.unwrap()), all_ok([0]));
    assert_eq!(begin.elapsed(), MS * 10);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_stops_the_replicas() {
    let Stage { batcher, fake, .. } = stage();
    let clone = batcher.clone();
    drop(batcher);
    settle().await;
    assert_eq!(
        told(&clone.infer(examples(0..4), Default::default()).await),
        all_ok(0..4)
    );
    assert_eq!(Arc::strong_count(&fake), 2);
    drop(clone);
    settle().await;
    assert_eq!(Arc::strong_count(&fake), 1);
}
