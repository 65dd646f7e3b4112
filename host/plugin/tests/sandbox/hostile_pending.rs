//! What happens to guests that misbehave with calls under way.

use crate::common::*;
use crate::fake_model::{FakeModel, add_one, grant, signature};
use consort_inference::{Call, Datatype, Failure, FailureKind, Tensor, Tensors};
use consort_plugin::{Instances, Plugin, PluginConfig};
use std::sync::Arc;
use std::time::Duration;

fn model() -> FakeModel {
    let mut model = add_one();
    model.rename("a");
    model
}

fn never() -> Arc<FakeModel> {
    Arc::new(model().slow(Duration::from_secs(3600)))
}

fn abuses(what: &str, model: &Arc<FakeModel>) -> PluginConfig {
    PluginConfig {
        config: what.to_owned(),
        ..grant(config("abuses_pending"), [model])
    }
}

async fn run(plugin: &Plugin, xs: &[i64]) -> Vec<Result<i64, Failure>> {
    let examples = numbers("default", xs.iter().copied());
    let results = plugin.run_ensemble(examples, Call::default()).await;
    let results = results.into_iter();
    results
        .map(|result| result.map(|outcome| x_made(&outcome)))
        .collect()
}

async fn run_one(plugin: &Plugin, x: i64) -> Result<i64, Failure> {
    run(plugin, &[x]).await.remove(0)
}

fn limit_hits(world: &World, limit: &str) -> f64 {
    world.metric(&format!(
        "consort_plugin_limit_hits_total{{plugin=\"abuses_pending\",tenant=\"default\",\
         limit=\"{limit}\"}}"
    ))
}

/// Waits until the model has been left alone with so many calls.
async fn abandoned(model: &FakeModel, calls: usize) {
    while model.abandoned() < calls {
        tokio::task::yield_now().await;
    }
    assert_eq!(model.abandoned(), calls);
}

#[tokio::test]
async fn calls_under_way_are_limited() {
    let world = world();
    let model = never();
    let mut config = abuses("submits until the limit", &model);
    config.limits.model_calls_pending_max = 20;
    let plugin = world.load(config).await;
    assert_eq!(run_one(&plugin, 1).await, Ok(20));
    let failure = run_one(&plugin, MARK).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PluginFailed);
    assert!(
        failure.message.contains("model_calls_pending_max"),
        "{failure}"
    );
    assert_eq!(limit_hits(&world, "model_calls_pending_max"), 2.0);
    // Each was begun, or refused before it began; none outlives its call.
    let asked = model.asked().len();
    assert!(asked <= 41, "{asked}");
    abandoned(&model, asked).await;
}

#[tokio::test]
async fn endless_submitting_is_limited_too() {
    let world = world();
    let model = never();
    let mut config = abuses("submits for ever", &model);
    config.limits.model_calls_max = 50;
    let plugin = world.load(config).await;
    let failure = run_one(&plugin, 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PluginLimit);
    assert!(
        failure.message.contains("model_calls_max = 50"),
        "{failure}"
    );
    assert!(model.asked().len() <= 50);
}

#[tokio::test]
async fn dropped_calls_are_abandoned() {
    let world = world();
    let model = never();
    let mut config = abuses("drops them", &model);
    config.limits.model_calls_pending_max = 1;
    let plugin = world.load(config).await;
    assert_eq!(run_one(&plugin, 100).await, Ok(100));
    // Also those that had not reached the model yet.
    let all = "consort_plugin_model_calls_total{plugin=\"abuses_pending\",model=\"a\",\
               outcome=\"cancelled\"} 100";
    while !world.metrics().lines().any(|line| line == all) {
        tokio::task::yield_now().await;
    }
    let asked = model.asked().len();
    abandoned(&model, asked).await;
}

#[tokio::test]
async fn calls_that_nobody_waits_for_end_with_the_guests() {
    let world = world();
    for instances in [Instances::Fresh, Instances::Reuse] {
        let model = never();
        let config = PluginConfig {
            instances,
            ..abuses("waits for none", &model)
        };
        let plugin = world.load(config).await;
        assert_eq!(run_one(&plugin, 5).await, Ok(5));
        let asked = model.asked().len();
        abandoned(&model, asked).await;
        assert_eq!(world.metric("consort_plugin_instances "), 0.0);
    }
}

#[tokio::test]
async fn waiting_for_nothing_is_an_error_of_the_guest() {
    let world = world();
    let plugin = world
        .load(abuses("waits for an empty list", &never()))
        .await;
    let failure = run_one(&plugin, 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PluginFailed);
    assert!(failure.message.contains("the list is empty"), "{failure}");
}

#[tokio::test]
async fn waiting_for_one_call_many_times_is_limited() {
    let world = world();
    let model = Arc::new(model());
    let plugin = world.load(abuses("waits for one many times", &model)).await;
    assert_eq!(run_one(&plugin, 256).await, Ok(0));
    let failure = run_one(&plugin, 257).await.unwrap_err();
    assert!(
        failure
            .message
            .contains("model_calls_pending_max: 257 calls are more than 256"),
        "{failure}"
    );
    // More than any guest may have handles of.
    let failure = run_one(&plugin, 1 << 20).await.unwrap_err();
    assert!(
        failure.kind.fault() == consort_inference::Fault::Plugin,
        "{failure}"
    );
}

#[tokio::test]
async fn a_trap_abandons_the_calls_and_nobody_else() {
    let world = world();
    let model = never();
    let plugin = world.load(abuses("panics", &model)).await;
    let xs: Vec<i64> = (0..40).collect();
    for (x, result) in xs.iter().zip(run(&plugin, &xs).await) {
        match *x {
            MARK => assert_eq!(result.unwrap_err().kind, FailureKind::PluginTrapped),
            x => assert_eq!(result, Ok(x)),
        }
    }
    let asked = model.asked().len();
    abandoned(&model, asked).await;
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
}

#[tokio::test]
async fn a_loop_with_calls_under_way_is_stopped() {
    let world = world();
    let model = never();
    let mut config = abuses("loops", &model);
    config.limits.call_time_max = Duration::from_millis(30);
    let plugin = world.load(config).await;
    let failure = run_one(&plugin, 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PluginLimit);
    assert!(
        failure.message.contains("call_time_ms_max = 30"),
        "{failure}"
    );
    let asked = model.asked().len();
    abandoned(&model, asked).await;
}

/// Answers with many numbers.
fn large() -> Arc<FakeModel> {
    let x: &[(&str, Datatype, &[Option<usize>])] = &[("x", Datatype::Int64, &[Some(1)])];
    let y: &[(&str, Datatype, &[Option<usize>])] = &[("y", Datatype::Int64, &[None])];
    Arc::new(FakeModel::new("a", signature(x, y), |_| {
        let y = Tensor::from_slice(vec![1 << 17], &vec![0i64; 1 << 17]).unwrap();
        Ok(Tensors::from_named([("y".into(), y)]).unwrap())
    }))
}

/// A model's answers are held to the limit while the guest has not asked for them.
#[tokio::test]
async fn answers_that_nobody_asks_for_take_no_more_than_the_limit() {
    let world = world();
    let mut config = abuses("never asks for the answers", &large());
    // A mebibyte each, and the inputs.
    config.limits.output_bytes_max = (10 << 20) + 1024;
    let plugin = world.load(config).await;
    assert_eq!(run_one(&plugin, 7).await, Ok(7));
    assert_eq!(run_one(&plugin, 40).await, Ok(10));
    assert!(limit_hits(&world, "output_bytes_max") >= 1.0);
}

#[tokio::test]
async fn calls_kept_for_the_next_call_are_not_there() {
    let world = world();
    let model = never();
    let config = PluginConfig {
        instances: Instances::Reuse,
        ..abuses("keeps them for the next call", &model)
    };
    let plugin = world.load(config).await;
    for _ in 0..3 {
        assert_eq!(run_one(&plugin, 1).await, Ok(0));
    }
    let asked = model.asked().len();
    abandoned(&model, asked).await;
}

#[tokio::test]
async fn rows_of_all_calls_together_are_limited() {
    let world = world();
    let mut config = abuses("holds rows", &never());
    config.limits.tensors_max = 100;
    let plugin = world.load(config).await;
    assert_eq!(run_one(&plugin, 50).await, Ok(50));
    let failure = run_one(&plugin, 51).await.unwrap_err();
    let part = "tensors_max: 51 rows beside the 51 of calls under way are more than 100";
    assert!(failure.message.contains(part), "{failure}");
}

#[tokio::test]
async fn nothing_is_begun_while_the_plugin_is_loaded() {
    let world = world();
    let model = never();
    let refusal = world.refusal(abuses("submits in init", &model)).await;
    assert!(
        refusal.contains("cannot be called while the plugin is loaded"),
        "{refusal}"
    );
    assert!(model.asked().is_empty());
}

#[tokio::test]
async fn results_of_an_ensemble_are_counted_and_checked() {
    let world = world();
    let model = Arc::new(model());
    for (what, part) in [
        ("loses a result", "0 results were returned for 1 examples"),
        ("gives another tensor", "tensor \"x\" is missing"),
    ] {
        let plugin = world.load(abuses(what, &model)).await;
        let failure = run_one(&plugin, 1).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::PluginContract, "{failure}");
        assert!(failure.message.contains(part), "{failure}");
    }
}
