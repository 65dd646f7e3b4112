//! Plugins that call models: the role around a model, and models called from other roles.

use crate::common::*;
use crate::fake_model::{FakeModel, add_one, failing, grant, signature};
use consort_inference::{
    ArgValue, Batch, Call, Datatype, Example, FailureKind, InferenceArgs, PredictError, Tensor,
    Tensors,
};
use consort_plugin::{Config, Instances, Limits, NotThisModel, PluginConfig, Snapshot};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn column(tensors: &Tensors, name: &str) -> Vec<i64> {
    tensors.tensor(name).unwrap().to_vec().unwrap()
}

/// Doubles each token and counts those that are not masked.
fn bert() -> Arc<FakeModel> {
    let any: &[Option<usize>] = &[None];
    let signature = signature(
        &[
            ("input_ids", Datatype::Int64, any),
            ("attention_mask", Datatype::Int64, any),
        ],
        &[
            ("doubled", Datatype::Int64, any),
            ("count", Datatype::Int64, &[]),
        ],
    );
    Arc::new(FakeModel::new("bert", signature, |example: &Example| {
        let ids = column(&example.tensors, "input_ids");
        let doubled: Vec<i64> = ids.iter().map(|id| 2 * id).collect();
        let count: i64 = column(&example.tensors, "attention_mask").iter().sum();
        let doubled = Tensor::from_slice(vec![ids.len()], &doubled).unwrap();
        let count = Tensor::from_slice(vec![], &[count]).unwrap();
        let outputs = [("doubled".into(), doubled), ("count".into(), count)];
        Ok(Tensors::from_named(outputs).unwrap())
    }))
}

fn tokens(ids: &[i64]) -> Tensors {
    let ids = Tensor::from_slice(vec![ids.len()], ids).unwrap();
    Tensors::from_named([("ids".into(), ids)]).unwrap()
}

fn of_tenant(batch: Batch, tenant: &str) -> Batch {
    batch.with_tenant(tenant.parse().unwrap())
}

fn batch(xs: &[i64]) -> Batch {
    let rows = xs.iter().map(|x| tensors(*x)).collect();
    of_tenant(Batch::new(rows).unwrap(), "default")
}

#[tokio::test]
async fn a_handler_pads_calls_and_splits() {
    let world = world();
    let bert = bert();
    let plugin = world.load(grant(config("token_glue"), [&bert])).await;
    assert_eq!(plugin.load_report().snapshot, Snapshot::Taken);
    let description = plugin.model_handler("bert").unwrap();
    assert_eq!(description.signature.inputs[0].to_string(), "INT64 [-1]");
    let hints = &description.hints;
    assert_eq!(hints.max_batch_size, Some(64));
    assert_eq!(hints.preferred_batch_sizes, [8, 32]);
    assert!(hints.ragged && hints.single_tenant);

    let rows = vec![tokens(&[5]), tokens(&[1, 2, 3]), tokens(&[])];
    let args: InferenceArgs = [("k".into(), ArgValue::Int(3))].into_iter().collect();
    let deadline = Instant::now() + Duration::from_secs(5);
    let batch = of_tenant(Batch::ragged(rows).unwrap(), "a")
        .with_args(args.clone())
        .with_deadline(Some(deadline.into_std()));
    let outputs = plugin.run_model_handler("bert", &batch).await.unwrap();
    let read = |name| -> Vec<Vec<i64>> { outputs.iter().map(|row| column(row, name)).collect() };
    assert_eq!(read("doubled"), [vec![10], vec![2, 4, 6], vec![]]);
    assert_eq!(read("count"), [[1], [3], [0]]);

    let asked = bert.asked();
    let [(examples, call)] = &asked[..] else {
        panic!("{} calls", asked.len());
    };
    let ids: Vec<_> = examples
        .iter()
        .map(|e| column(&e.tensors, "input_ids"))
        .collect();
    assert_eq!(ids, [[5, 0, 0], [1, 2, 3], [0, 0, 0]]);
    assert!(
        examples
            .iter()
            .all(|example| example.tenant.as_str() == "a")
    );
    assert_eq!(call.args, args);
    assert_eq!(call.deadline, Some(deadline.into_std()));
    let calls = "consort_plugin_calls_total{plugin=\"token_glue\",role=\"model-handler\",\
                 tenant=\"a\",outcome=\"ok\"}";
    assert_eq!(world.metric(calls), 1.0);
    let calls = "consort_plugin_model_calls_total{plugin=\"token_glue\",model=\"bert\",\
                 outcome=\"ok\"}";
    assert_eq!(world.metric(calls), 1.0);
}

#[tokio::test]
async fn a_handler_says_for_which_models_it_is_one() {
    let world = world();
    let (bert, other) = (bert(), Arc::new(add_one()));
    let plugin = world
        .load(grant(config("token_glue"), [&bert, &other]))
        .await;
    assert!(plugin.model_handler("bert").is_ok());
    let refused = plugin.model_handler("add_one").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the plugin \"token_glue\" is no handler for model \"add_one\": the model reads no tokens"
    );
    let denied = plugin.model_handler("gpt").unwrap_err();
    assert!(matches!(denied, NotThisModel::NotGranted(_)));
    let denied = denied.to_string();
    assert!(
        denied.contains("`models = [\"gpt\"]` under [plugin.token_glue]"),
        "{denied}"
    );
    assert!(
        denied.contains("granted: \"add_one\", \"bert\""),
        "{denied}"
    );
    for model in ["gpt", "add_one"] {
        let ran = plugin.run_model_handler(model, &batch(&[1])).await;
        assert!(matches!(ran, Err(PredictError::Failed(_))), "{ran:?}");
    }
    let plugin = world.guest("identity").await;
    let none = plugin.model_handler("bert").unwrap_err();
    assert_eq!(
        none,
        NotThisModel::NoRole {
            plugin: "identity".into()
        }
    );
}

#[tokio::test]
async fn batches_for_a_handler_are_checked() {
    let world = world();
    let bert = bert();
    let plugin = world.load(grant(config("token_glue"), [&bert])).await;
    let nobodys = Batch::new(vec![tokens(&[1])]).unwrap();
    let ran = plugin.run_model_handler("bert", &nobodys).await;
    assert!(ran.unwrap_err().to_string().contains("one tenant"));
    let ran = plugin.run_model_handler("bert", &batch(&[1])).await;
    let expected = "tensor \"ids\" is missing; INT64 [-1] is expected";
    assert_eq!(ran, Err(PredictError::InvalidInput(expected.to_owned())));
    assert!(bert.asked().is_empty());
}

#[tokio::test]
async fn a_handlers_instance_is_reused_within_its_tenant() {
    let world = world();
    let bert = bert();
    let config = PluginConfig {
        instances: Instances::Reuse,
        ..grant(config("token_glue"), [&bert])
    };
    let plugin = world.load(config).await;
    for tenant in ["a", "a", "b"] {
        let batch = of_tenant(Batch::new(vec![tokens(&[1, 2])]).unwrap(), tenant);
        let outputs = plugin.run_model_handler("bert", &batch).await.unwrap();
        assert_eq!(column(&outputs[0], "doubled"), [2, 4]);
    }
    assert_eq!(world.metric("consort_plugin_instances "), 2.0);
}

async fn calls_model(
    world: &World,
    model: &Arc<FakeModel>,
    limits: Limits,
) -> consort_plugin::Plugin {
    let mut config = grant(config("calls_model"), [model]);
    config.config = consort_inference::Endpoint::name(&**model).to_owned();
    config.limits = limits;
    world.load(config).await
}

#[tokio::test]
async fn any_role_calls_models() {
    let world = world();
    let model = Arc::new(add_one());
    let plugin = calls_model(&world, &model, Limits::default()).await;
    assert_eq!(post(&plugin, "b", [3, 0, 2]).await, [Ok(3), Ok(0), Ok(2)]);
    let asked = model.asked();
    assert_eq!(asked.len(), 5);
    for (examples, call) in asked {
        assert_eq!(examples.len(), 1);
        assert_eq!(examples[0].tenant.as_str(), "b");
        assert!(call.deadline.is_some() && call.args.is_empty());
    }
}

#[tokio::test]
async fn a_model_without_a_batch_axis_takes_its_input_as_it_is() {
    let world = world();
    let x: &[(&str, Datatype, &[Option<usize>])] = &[("x", Datatype::Int64, &[Some(1), None])];
    let model = FakeModel::new("whole", signature(x, x), crate::fake_model::next);
    let model = Arc::new(model.without_batch_axis());
    let plugin = calls_model(&world, &model, Limits::default()).await;
    assert_eq!(post_one(&plugin, 2).await, Ok(2));
    let (examples, _) = &model.asked()[0];
    assert_eq!(examples[0].tensors.tensor("x").unwrap().shape(), [1, 1]);
}

/// Each call takes the model longer than a tick: if that counted, a few would be too many.
#[tokio::test]
async fn waiting_for_a_model_is_not_computing() {
    let world = world();
    let model = Arc::new(add_one().slow(Duration::from_millis(2)));
    let limits = Limits {
        call_time_max: Duration::from_millis(100),
        ..Limits::default()
    };
    let plugin = calls_model(&world, &model, limits).await;
    assert_eq!(post_one(&plugin, 300).await, Ok(300));
}

#[tokio::test]
async fn waiting_for_a_model_ends_at_the_wall_clock() {
    let world = world();
    let model = Arc::new(add_one().slow(Duration::from_secs(3600)));
    let limits = Limits {
        wall_time_max: Duration::from_millis(50),
        ..Limits::default()
    };
    let plugin = calls_model(&world, &model, limits).await;
    let failure = post_one(&plugin, 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::PluginLimit);
    assert!(
        failure.message.contains("wall_time_ms_max = 50"),
        "{failure}"
    );
    assert_eq!(model.abandoned(), 1);
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
}

#[tokio::test]
async fn a_model_learns_when_nobody_waits_any_more() {
    let world = world();
    let model = Arc::new(add_one().slow(Duration::from_secs(3600)));
    let plugin = calls_model(&world, &model, Limits::default()).await;
    let deadline = Instant::now() + Duration::from_millis(50);
    let call = Call {
        deadline: Some(deadline.into_std()),
        ..Call::default()
    };
    let results = plugin.run_postprocess(numbers("a", [1]), call).await;
    let failure = results[0].as_ref().unwrap_err();
    assert_eq!(failure.kind, FailureKind::DeadlineExceeded);
    assert_eq!(model.asked()[0].1.deadline, Some(deadline.into_std()));
    assert_eq!(model.abandoned(), 1);
}

#[tokio::test]
async fn an_abandoned_call_abandons_the_models_too() {
    let world = world();
    let model = Arc::new(add_one().slow(Duration::from_secs(3600)));
    let plugin = calls_model(&world, &model, Limits::default()).await;
    let call = tokio::spawn({
        let plugin = plugin.clone();
        async move { post_one(&plugin, 1).await }
    });
    while model.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(model.abandoned(), 1);
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
}

/// On one thread: all must be suspended at the model at once for it to answer any.
#[tokio::test]
async fn guests_that_wait_keep_nobody_from_working() {
    let world = world();
    let model = Arc::new(add_one().together(8));
    let plugin = calls_model(&world, &model, Limits::default()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for tenant in 0..8 {
        let plugin = plugin.clone();
        tasks.spawn(async move { post(&plugin, &format!("t{tenant}"), [1]).await });
    }
    while let Some(done) = tasks.join_next().await {
        assert_eq!(done.unwrap(), [Ok(1)]);
    }
    let tenants: std::collections::BTreeSet<String> = (model.asked().iter())
        .map(|(examples, _)| examples[0].tenant.to_string())
        .collect();
    assert_eq!(tenants.len(), 8);
}

#[tokio::test]
async fn a_models_failure_is_whose_fault_it_was() {
    for (kind, seen, text) in [
        (
            FailureKind::InvalidArgument,
            FailureKind::InvalidArgument,
            "so it is",
        ),
        (
            FailureKind::ModelFailed,
            FailureKind::PluginFailed,
            "so it is",
        ),
        (
            FailureKind::QueueFull,
            FailureKind::PluginFailed,
            "so it is",
        ),
    ] {
        let world = world();
        let plugin = calls_model(&world, &Arc::new(failing(kind)), Limits::default()).await;
        let failure = post_one(&plugin, 1).await.unwrap_err();
        assert_eq!(failure.kind, seen);
        assert!(failure.message.contains(text), "{failure}");
        let calls = format!(
            "consort_plugin_model_calls_total{{plugin=\"calls_model\",model=\"failing\",\
             outcome=\"{kind}\"}}"
        );
        assert_eq!(world.metric(&calls), 1.0);
    }
}

#[tokio::test]
async fn what_passes_stays_so_through_a_handler() {
    type Is = fn(&PredictError) -> bool;
    let cases: [(FailureKind, Is); 5] = [
        (FailureKind::OutOfMemory, |e| {
            matches!(e, PredictError::OutOfMemory(_))
        }),
        (FailureKind::QueueFull, |e| {
            matches!(e, PredictError::Unavailable(_))
        }),
        (FailureKind::Unavailable, |e| {
            matches!(e, PredictError::Unavailable(_))
        }),
        (FailureKind::InvalidArgument, |e| {
            matches!(e, PredictError::InvalidInput(_))
        }),
        (FailureKind::ModelFailed, |e| {
            matches!(e, PredictError::Failed(_))
        }),
    ];
    for (kind, is) in cases {
        let world = world();
        let model = Arc::new(failing(kind));
        let mut config = grant(config("wrong_model_handler"), [&model]);
        config.config = "passes on what the model says".into();
        let plugin = world.load(config).await;
        let error = plugin
            .run_model_handler("failing", &batch(&[1]))
            .await
            .unwrap_err();
        assert!(is(&error), "{kind}: {error:?}");
    }
}

#[tokio::test]
async fn models_can_be_looked_at_in_init_but_not_called() {
    let world = world();
    let model = Arc::new(add_one());
    let granted = |what: &str| {
        let mut config = grant(config("model_in_init"), [&model]);
        config.config = what.into();
        config
    };
    let plugin = world.load(granted("")).await;
    assert_eq!(plugin.load_report().snapshot, Snapshot::Taken);
    assert_eq!(post_one(&plugin, 4).await, Ok(5));
    let refusal = world.refusal(granted("call")).await;
    assert!(
        refusal.contains("cannot be called while the plugin is loaded"),
        "{refusal}"
    );
    // A handle cannot be in a picture: init runs in each instance then.
    let plugin = world.load(granted("keep")).await;
    let Snapshot::NotPossible { reason } = &plugin.load_report().snapshot else {
        panic!("a snapshot was taken of an open handle");
    };
    assert!(reason.contains("models"), "{reason}");
    for x in 0..3 {
        assert_eq!(post_one(&plugin, x).await, Ok(x + 1));
    }
}

/// What `init` saw of a model is in the picture: another version of it needs another.
#[tokio::test]
async fn a_picture_belongs_to_the_models_it_was_taken_with() {
    let folder = tempfile::tempdir().unwrap();
    let world = world_of(Config {
        cache_dir: Some(folder.path().join("cache")),
        ..small()
    });
    for (version, cached) in [("1", false), ("1", true), ("2", false)] {
        let model = Arc::new(add_one().version_is(version));
        let plugin = world.load(grant(config("model_in_init"), [&model])).await;
        assert_eq!(plugin.load_report().cached, cached, "version {version}");
    }
}

#[test]
fn handlers_can_be_sent() {
    fn send<T: Send>(_: impl Fn(&'static consort_plugin::Plugin, &'static Batch) -> T) {}
    send(|plugin, batch| plugin.run_model_handler("m", batch));
    send(|plugin, batch| plugin.run_model_handler_rows("m", batch));
}
