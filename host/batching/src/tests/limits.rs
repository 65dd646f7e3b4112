//! What is refused, and in which words.

use super::stage::{Answer, Fake, MS, Stage, all_ok, example, example_of, examples, told};
use crate::{Batcher, Config, ConfigError, Metrics, Replicas, StartError};
use consort_inference::{Call, Datatype, Example, FailureKind, ModelId, Tensor, Tensors};
use prometheus_client::registry::Registry;
use std::sync::Arc;

fn config() -> Config {
    Config {
        max_batch_size: Some(2),
        max_queue_size: 4,
        ..Config::default()
    }
}

fn messages(answers: &[Answer]) -> Vec<String> {
    let message = |answer: &Answer| answer.as_ref().unwrap_err().to_string();
    answers.iter().map(message).collect()
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once_and_names_the_limit() {
    let stage = Stage::new(Fake::new().takes(MS * 10), config());
    let running = stage.send(examples([0, 1])).await;
    let waiting = stage.send(examples([2, 3, 4])).await;
    let refused = stage.send(examples([5, 6])).await;
    assert!(refused.is_finished());
    let refused = refused.await.unwrap();
    assert_eq!(told(&refused), [Err(FailureKind::QueueFull); 2]);
    let message = "inference \"echo\": the queue is full: 3 examples wait and 2 more do not fit \
                   in max_queue_size = 4; try again later, or raise max_queue_size in [model.echo]";
    assert_eq!(messages(&refused), [message; 2]);
    // What still fits is let in: a refused request leaves nothing behind.
    assert_eq!(stage.batcher.queue_depth(), 3);
    let fitting = stage.send(examples([7])).await;
    assert_eq!(told(&running.await.unwrap()), all_ok([0, 1]));
    assert_eq!(told(&waiting.await.unwrap()), all_ok([2, 3, 4]));
    assert_eq!(told(&fitting.await.unwrap()), all_ok([7]));
    assert_eq!(stage.fake.batches(), [[0, 1], [2, 3], [4, 7]]);
    let refusals = "consort_refusals_total{model=\"echo\",version=\"7\",tenant=\"default\",\
                    kind=\"queue_full\"}";
    assert_eq!(stage.metric(refusals), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_the_queue_is_too_large_at_any_time() {
    let stage = Stage::new(Fake::new(), config());
    let answers = stage.infer(examples(0..5)).await;
    assert_eq!(told(&answers), [Err(FailureKind::TooLarge); 5]);
    assert_eq!(
        messages(&answers)[0],
        "inference \"echo\": the request has 5 examples, more than the whole queue takes: \
         max_queue_size = 4; send smaller requests, or raise max_queue_size in [model.echo]"
    );
    assert_eq!(told(&stage.infer(examples(0..4)).await), all_ok(0..4));
}

#[tokio::test(start_paused = true)]
async fn waiting_bytes_are_bounded() {
    let config = Config {
        max_queue_bytes: 40,
        ..config()
    };
    let stage = Stage::new(Fake::new().takes(MS * 10), config);
    let running = stage.send(examples([0])).await;
    let waiting = stage.send(vec![example_of("default", 1, 4)]).await;
    let refused = stage.infer(examples([2, 3])).await;
    assert_eq!(told(&refused), [Err(FailureKind::QueueFull); 2]);
    assert_eq!(
        messages(&refused)[0],
        "inference \"echo\": the queue is full: 32 bytes wait and 16 more do not fit in \
         max_queue_bytes = 40; try again later, or raise max_queue_bytes in [model.echo]"
    );
    let request = vec![example_of("default", 4, 3), example_of("default", 5, 3)];
    let refused = stage.infer(request).await;
    assert_eq!(told(&refused), [Err(FailureKind::TooLarge); 2]);
    assert_eq!(
        messages(&refused)[0],
        "inference \"echo\": the request has 48 bytes, more than the whole queue takes: \
         max_queue_bytes = 40; send smaller requests, or raise max_queue_bytes in [model.echo]"
    );
    let fitting = stage.send(examples([6])).await;
    assert_eq!(stage.metric("consort_queue_bytes{"), Some(40.0));
    assert_eq!(told(&running.await.unwrap()), all_ok([0]));
    assert_eq!(told(&waiting.await.unwrap()), all_ok([1]));
    assert_eq!(told(&fitting.await.unwrap()), all_ok([6]));
    assert_eq!(stage.metric("consort_queue_bytes{"), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn an_example_larger_than_the_queue_fails_alone() {
    let config = Config {
        max_queue_bytes: 40,
        ..config()
    };
    let stage = Stage::new(Fake::new(), config);
    let request = vec![example(0), example_of("default", 1, 6), example(2)];
    let answers = stage.infer(request).await;
    assert_eq!(told(&answers), [Ok(0), Err(FailureKind::TooLarge), Ok(2)]);
    assert_eq!(
        messages(&answers[1..2]),
        [
            "inference \"echo\": the example has 48 bytes, more than the whole queue takes: \
          max_queue_bytes = 40; raise max_queue_bytes in [model.echo]"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_tenants_share_of_the_queue_can_be_bounded() {
    let config = Config {
        max_tenant_queue_size: Some(2),
        ..config()
    };
    let stage = Stage::new(Fake::new().takes(MS * 10), config);
    let running = stage.send(examples([0])).await;
    let of = |tenant: &str, ids: &[i64]| -> Vec<Example> {
        ids.iter().map(|id| example_of(tenant, *id, 1)).collect()
    };
    let flood = stage.send(of("a", &[1, 2])).await;
    let refused = stage.infer(of("a", &[3])).await;
    assert_eq!(
        messages(&refused),
        [
            "inference \"echo\": the queue is full for tenant \"a\": 2 of its examples wait and 1 \
          more do not fit in max_tenant_queue_size = 2; try again later, or raise \
          max_tenant_queue_size in [model.echo]"
        ]
    );
    assert_eq!(told(&refused), [Err(FailureKind::QueueFull)]);
    let refused = stage.infer(of("b", &[4, 5, 6])).await;
    assert_eq!(
        messages(&refused)[0],
        "inference \"echo\": the request has 3 examples, more than tenant \"b\" may have waiting: \
         max_tenant_queue_size = 2; send smaller requests, or raise max_tenant_queue_size \
         in [model.echo]"
    );
    assert_eq!(told(&refused), [Err(FailureKind::TooLarge); 3]);
    assert_eq!(told(&stage.infer(of("b", &[7, 8])).await), all_ok([7, 8]));
    assert_eq!(told(&flood.await.unwrap()), all_ok([1, 2]));
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn inputs_that_do_not_fit_the_model_fail_alone() {
    let stage = Stage::new(Fake::new(), config());
    let with = |name: &str, tensor: Tensor| Example {
        tensors: Tensors::from_named([(name.into(), tensor)]).unwrap(),
        ..example(0)
    };
    let float = Tensor::from_slice(vec![1], &[1f32]).unwrap();
    let square = Tensor::new(Datatype::Int64, vec![1, 1], vec![0; 8].into()).unwrap();
    let request = vec![
        example(0),
        with("x", float.clone()),
        with("z", float),
        with("x", square),
        example(4),
    ];
    let answers = stage.infer(request).await;
    let invalid = Err(FailureKind::InvalidArgument);
    assert_eq!(told(&answers), [Ok(0), invalid, invalid, invalid, Ok(4)]);
    assert_eq!(
        messages(&answers[1..4]),
        [
            "inference \"echo\": tensor \"x\" is FP32, INT64 is expected",
            "inference \"echo\": tensor \"x\" is missing; INT64 [-1] is expected",
            "inference \"echo\": tensor \"x\" has shape [1, 1], [-1] is expected",
        ]
    );
    assert_eq!(stage.fake.batches(), [[0, 4]]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_the_past_is_refused() {
    let stage = Stage::new(Fake::new(), config());
    let call = Call {
        deadline: Some(tokio::time::Instant::now().into_std()),
        ..Call::default()
    };
    let answers = stage.batcher.infer(examples([0]), call).await;
    assert_eq!(told(&answers), [Err(FailureKind::DeadlineExceeded)]);
    assert_eq!(stage.fake.runs(), []);
    let refusals = "consort_refusals_total{model=\"echo\",version=\"7\",tenant=\"default\",\
                    kind=\"deadline_exceeded\"}";
    assert_eq!(stage.metric(refusals), Some(1.0));
}

#[test]
fn a_wrong_setting_starts_nothing() {
    let config = Config {
        replicas: 0,
        ..config()
    };
    let metrics = Metrics::register(&mut Registry::default());
    let started = Batcher::start_with(
        ModelId::new("echo", "7"),
        Replicas::Tasks(Arc::new(Fake::new())),
        Box::new(crate::FixedPolicy::of(&config)),
        config,
        &metrics,
    );
    let Err(StartError::Config(error)) = started else {
        panic!("started with no replicas");
    };
    assert!(matches!(
        error,
        ConfigError::OutOfRange {
            key: "replicas",
            ..
        }
    ));
}
