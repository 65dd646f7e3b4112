//! What happens to guests that misbehave towards models and around them.

use crate::common::*;
use crate::fake_model::{FakeModel, add_one, grant, signature};
use consort_inference::{Batch, Datatype, FailureKind, PredictError, Tensor, Tensors};
use consort_plugin::{Instances, Limits, PluginConfig};
use std::sync::Arc;
use std::time::Duration;

fn limit_hits(world: &World, plugin: &str, limit: &str) -> f64 {
    world.metric(&format!(
        "consort_plugin_limit_hits_total{{plugin=\"{plugin}\",tenant=\"default\",limit=\"{limit}\"}}"
    ))
}

#[tokio::test]
async fn endless_calls_to_a_model_are_limited() {
    let world = world();
    let model = Arc::new(add_one());
    let mut config = grant(config("calls_model"), [&model]);
    config.config = "add_one".into();
    config.limits.model_calls_max = 50;
    let plugin = world.load(config).await;
    let results = post(&plugin, "default", [1, MARK, 2]).await;
    let [Ok(1), Err(failure), Ok(2)] = &results[..] else {
        panic!("{results:?}");
    };
    assert_eq!(failure.kind, FailureKind::PluginLimit);
    assert!(
        failure.message.contains("model_calls_max = 50"),
        "{failure}"
    );
    assert!(limit_hits(&world, "calls_model", "model_calls_max") >= 1.0);
    assert!(
        model.asked().len() <= 3 * 50 + 10,
        "{}",
        model.asked().len()
    );
    // The limit is for each call.
    assert_eq!(post_one(&plugin, 50).await, Ok(50));
    assert!(post_one(&plugin, 51).await.is_err());
}

#[tokio::test]
async fn a_model_that_is_not_granted_is_not_there() {
    let world = world();
    let model = Arc::new(add_one());
    for (config, known) in [
        (config("calls_denied_model"), "none is"),
        (
            grant(config("calls_denied_model"), [&model]),
            "granted: \"add_one\"",
        ),
    ] {
        let plugin = world.load(config).await;
        let failure = post_one(&plugin, 1).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::PluginFailed);
        let line = "write `models = [\"secret\\u{1b}[31m\"]` under [plugin.calls_denied_model]";
        assert!(failure.message.contains(line), "{failure}");
        assert!(failure.message.contains(known), "{failure}");
    }
    assert!(model.asked().is_empty());
}

#[tokio::test]
async fn kept_handles_of_models_are_limited() {
    let world = world();
    let model = Arc::new(add_one());
    let mut config = grant(config("keeps_models"), [&model]);
    config.limits.resources_max = 20;
    let plugin = world.load(config.clone()).await;
    assert_eq!(post_one(&plugin, 10).await, Ok(10));
    let failure = post_one(&plugin, 40).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PluginFailed);
    assert!(failure.message.contains("resources_max"), "{failure}");
    assert_eq!(limit_hits(&world, "keeps_models", "resources_max"), 1.0);
    // In an instance that lives on they add up, up to the same limit.
    let plugin = world
        .load(PluginConfig {
            instances: Instances::Reuse,
            ..config
        })
        .await;
    assert_eq!(post_one(&plugin, 10).await, Ok(10));
    assert!(post_one(&plugin, 15).await.is_err());
}

#[tokio::test]
async fn floods_of_host_calls_are_stopped() {
    let world = world();
    let mut config = config("host_call_flood");
    config.limits.host_calls_max = 10_000;
    let plugin = world.load(config).await;
    assert_eq!(post_one(&plugin, 9_000).await, Ok(9_000));
    let failure = post_one(&plugin, 10_000).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PluginLimit);
    assert!(
        failure.message.contains("host_calls_max = 10000"),
        "{failure}"
    );
    assert_eq!(limit_hits(&world, "host_call_flood", "host_calls_max"), 1.0);
    // Each call has all of them.
    assert_eq!(post_one(&plugin, 9_000).await, Ok(9_000));
}

fn wrong(what: &str, model: &Arc<FakeModel>) -> PluginConfig {
    let mut config = grant(config("wrong_model_handler"), [model]);
    config.config = what.into();
    config
}

fn batch(xs: &[i64]) -> Batch {
    let rows = xs.iter().map(|x| tensors(*x)).collect();
    let batch = Batch::new(rows).unwrap();
    batch.with_tenant("default".parse().unwrap())
}

#[tokio::test]
async fn a_handlers_results_are_counted_and_checked() {
    let world = world();
    let model = Arc::new(add_one());
    let ran = |what: &'static str, xs: &'static [i64]| {
        let (world, config) = (&world, wrong(what, &model));
        async move {
            let plugin = world.load(config).await;
            plugin.run_model_handler("add_one", &batch(xs)).await
        }
    };
    assert_eq!(ran("does well", &[1, 2]).await.unwrap().len(), 2);
    for (what, part) in [
        ("loses a result", "1 results were returned for 2 examples"),
        ("adds a result", "3 results were returned for 2 examples"),
        ("gives another tensor", "tensor \"x\" is missing"),
        (
            "gives more tensors",
            "2 tensors were returned, 1 are described",
        ),
    ] {
        let error = ran(what, &[1, 2]).await.unwrap_err();
        assert!(matches!(error, PredictError::Contract(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(
        ran("refuses the batch", &[1]).await,
        Err(PredictError::InvalidInput("I will not".to_owned()))
    );
    let error = ran("panics at the marked example", &[1, MARK])
        .await
        .unwrap_err();
    assert!(matches!(error, PredictError::Failed(_)), "{error:?}");
    assert!(error.to_string().contains("this one again"), "{error}");
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
}

#[tokio::test]
async fn one_row_that_fails_leaves_the_others_their_outputs() {
    let world = world();
    let config = wrong("refuses the marked example", &Arc::new(add_one()));
    let plugin = world.load(config).await;
    let rows = plugin
        .run_model_handler_rows("add_one", &batch(&[1, MARK, 3]))
        .await;
    let rows = rows.unwrap();
    assert_eq!((x_of(rows[0].as_ref().unwrap()), rows.len()), (1, 3));
    assert_eq!(
        rows[1],
        Err(PredictError::Failed("not this one".to_owned()))
    );
    let whole = plugin
        .run_model_handler("add_one", &batch(&[1, MARK]))
        .await;
    assert_eq!(whole, Err(PredictError::Failed("not this one".to_owned())));
}

#[tokio::test]
async fn a_handler_that_loops_is_stopped() {
    let world = world();
    let mut config = wrong("loops", &Arc::new(add_one()));
    config.limits.call_time_max = Duration::from_millis(30);
    let plugin = world.load(config).await;
    let error = plugin
        .run_model_handler("add_one", &batch(&[1]))
        .await
        .unwrap_err();
    assert!(matches!(error, PredictError::Failed(_)), "{error:?}");
    assert!(
        error.to_string().contains("call_time_ms_max = 30"),
        "{error}"
    );
    assert_eq!(
        limit_hits(&world, "wrong_model_handler", "call_time_ms_max"),
        1.0
    );
}

#[tokio::test]
async fn wrong_descriptions_of_a_handler_stop_the_load() {
    let world = world();
    let model = Arc::new(add_one());
    for (what, part) in [
        ("describes a batch of nothing", "max-batch-size is 0"),
        ("describes falling sizes", "must rise"),
        (
            "describes a tensor twice",
            "the output \"x\" is listed twice",
        ),
    ] {
        let refusal = world.refusal(wrong(what, &model)).await;
        let role = "the role `model-handler` describes itself wrongly: ";
        assert!(
            refusal.starts_with(role) && refusal.contains(part),
            "{refusal}"
        );
    }
    let plugin = world.load(wrong("refuses to describe", &model)).await;
    let refused = plugin.model_handler("add_one").unwrap_err().to_string();
    assert!(
        refused.ends_with("not with this model\\u{1b}[1m"),
        "{refused}"
    );
}

/// Reads two numbers of a datatype and answers with them.
fn echo(datatype: Datatype) -> Arc<FakeModel> {
    let x: &[(&str, Datatype, &[Option<usize>])] = &[("x", datatype, &[Some(1)])];
    let model = FakeModel::new(datatype.as_str(), signature(x, x), |example| {
        Ok(example.tensors.clone())
    });
    Arc::new(model)
}

#[tokio::test]
async fn guests_of_the_standard_run_with_all_its_types() {
    let world = world();
    let models = [
        Datatype::Fp16,
        Datatype::Fp32,
        Datatype::Fp64,
        Datatype::Bf16,
        Datatype::Uint8,
        Datatype::Int32,
        Datatype::Int64,
    ]
    .map(echo);
    let plugin = world
        .load(grant(config("nn_runs_model"), models.each_ref()))
        .await;
    for x in 0..7 {
        assert_eq!(post_one(&plugin, x).await, Ok(x));
    }
    for model in models {
        let asked = model.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].0.len(), 2, "two rows of a batch");
    }
}

#[tokio::test]
async fn guests_of_the_standard_need_models() {
    let world = world();
    let refusal = world.refusal(config("nn_runs_model")).await;
    assert!(refusal.contains("wasi:nn/"), "{refusal}");
    assert!(
        refusal.contains("`models = [\"...\"]` under [plugin.nn_runs_model]"),
        "{refusal}"
    );
}

fn texts() -> Arc<FakeModel> {
    let x: &[(&str, Datatype, &[Option<usize>])] = &[("x", Datatype::Int64, &[Some(1)])];
    let y: &[(&str, Datatype, &[Option<usize>])] = &[("y", Datatype::Bytes, &[Some(1)])];
    let model = FakeModel::new("texts", signature(x, y), |_| {
        let text = Tensor::from_byte_strings(vec![1], ["text"]).unwrap();
        Ok(Tensors::from_named([("y".into(), text)]).unwrap())
    });
    Arc::new(model)
}

#[tokio::test]
async fn abuse_of_the_standard_is_an_error_of_the_guest() {
    let logged = Logged::begin();
    let world = world();
    let model = Arc::new(add_one());
    let plugin = world
        .load(grant(config("nn_abuses"), [&model, &texts()]))
        .await;
    for x in 0..14 {
        assert_eq!(post_one(&plugin, x).await, Ok(x));
    }
    assert!(model.asked().is_empty());
    let told = logged.lines();
    let line = "the model \"secret\\u{1b}[31m\" is not granted to this plugin";
    assert!(told.iter().any(|told| told.contains(line)), "{told:?}");
}

#[tokio::test]
async fn the_standard_has_the_same_limits() {
    let world = world();
    let model = Arc::new(add_one());
    let config = PluginConfig {
        limits: Limits {
            output_bytes_max: 8 << 20,
            ..Limits::default()
        },
        ..grant(config("nn_abuses"), [&model])
    };
    let plugin = world.load(config).await;
    for (x, limit) in [
        (100, "tensors_max"),
        (101, "resources_max"),
        (102, "resources_max"),
        (103, "output_bytes_max"),
        (104, "tensor_axes_max"),
    ] {
        let failure = post_one(&plugin, x).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::PluginLimit, "{x}: {failure}");
        assert!(failure.message.contains(limit), "{x}: {failure}");
    }
    assert_eq!(post_one(&plugin, 0).await, Ok(0));
}
