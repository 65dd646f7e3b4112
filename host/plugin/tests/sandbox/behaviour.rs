//! What plugins get: their config and assets, tensors, answers, errors, instances.

use crate::common::*;
use consort_inference::{
    Call, Datatype, Example, FailureKind, Fault, Outcome, StageKind, TenantId, Tensor, Tensors,
};
use consort_plugin::{Config, Instances, PluginConfig, Snapshot};
use std::time::Duration;
use tokio::time::Instant;

fn text(text: &str, key: Option<&str>) -> Example {
    let tensor = Tensor::from_byte_strings(vec![1], [text]).unwrap();
    Example {
        tenant: TenantId::default(),
        key: key.map(Into::into),
        tensors: Tensors::from_named([("text".into(), tensor)]).unwrap(),
    }
}

#[tokio::test]
async fn config_assets_key_and_text_arrive() {
    let world = world();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config("echo");
    config.config = "{\"a\": 1}".into();
    for (name, content) in [("b.txt", "bee"), ("a.txt", "ä")] {
        std::fs::write(folder.path().join(name), content).unwrap();
        config.assets.insert(name.into(), folder.path().join(name));
    }
    let plugin = world.load(config).await;
    assert_eq!(plugin.load_report().snapshot, Snapshot::Taken);
    assert_eq!(plugin.name().as_str(), "echo");
    assert_eq!(plugin.version(), "1");
    assert!(plugin.preprocess().is_none());
    let signature = plugin.postprocess().unwrap();
    assert_eq!(signature.inputs[0].to_string(), "BYTES [1]");

    let examples = vec![text("one", Some("k")), text("two", None)];
    let results = plugin.run_postprocess(examples, Call::default()).await;
    let said: Vec<String> = results
        .into_iter()
        .map(|result| {
            let strings = result
                .unwrap()
                .tensor("text")
                .unwrap()
                .byte_strings()
                .unwrap();
            String::from_utf8(strings[0].to_vec()).unwrap()
        })
        .collect();
    let known = "{\"a\": 1} a.txt=ä b.txt=bee [no asset \"no such\\u{7} file\": there are \
                 \"a.txt\", \"b.txt\"]";
    assert_eq!(
        said,
        [
            format!("{known} key=Some(\"k\") text=one"),
            format!("{known} key=None text=two")
        ]
    );
}

#[tokio::test]
async fn both_roles_pass_tensors_without_a_copy() {
    let world = world();
    let plugin = world.guest("identity").await;
    assert!(plugin.preprocess().is_some() && plugin.postprocess().is_some());
    assert!(plugin.preprocess().unwrap().answers.is_empty());
    let example = number("default", 5);
    let before = example.tensors.tensor("x").unwrap().data().as_ptr();
    let results = plugin.run_preprocess(vec![example], Call::default()).await;
    let Ok(Outcome::Forward(tensors)) = &results[0] else {
        panic!("{results:?}");
    };
    assert_eq!(tensors.tensor("x").unwrap().data().as_ptr(), before);
    assert_eq!(post(&plugin, "default", 0..3).await, [Ok(0), Ok(1), Ok(2)]);
    assert_eq!(post(&plugin, "default", []).await, []);
}

#[tokio::test]
async fn answers_and_errors_are_told_apart() {
    let world = world();
    let plugin = world.guest("answers_negatives").await;
    assert_eq!(plugin.preprocess().unwrap().answers.len(), 1);
    let results = pre(&plugin, &[-4, 7, 0, 1]).await;
    match &results[..] {
        [
            Ok(Outcome::Answer(answer)),
            Ok(Outcome::Forward(forward)),
            Err(zero),
            Err(one),
        ] => {
            assert_eq!((x_of(answer), x_of(forward)), (-8, 7));
            assert_eq!(zero.kind, FailureKind::InvalidArgument);
            assert_eq!(zero.message, "zero is not accepted\\u{1b}[31m");
            assert_eq!(zero.stage.kind, StageKind::Preprocess);
            assert_eq!(&*zero.stage.name, "answers_negatives");
            assert_eq!(one.kind, FailureKind::PluginFailed);
            assert_eq!(one.message, "one is too much for me");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        world.metric(
            "consort_plugin_calls_total{plugin=\"answers_negatives\",role=\"preprocess\",\
             tenant=\"default\",outcome=\"ok\"}"
        ),
        1.0
    );
    let times = "consort_plugin_call_duration_seconds_count{plugin=\"answers_negatives\",\
                 role=\"preprocess\"}";
    assert_eq!(world.metric(times), 1.0);
}

#[tokio::test]
async fn an_answer_that_was_not_promised_breaks_the_contract() {
    let world = world();
    let mut config = config("answers_negatives");
    config.config = "promise nothing".into();
    let plugin = world.load(config).await;
    let results = pre(&plugin, &[-4, 7]).await;
    let failure = results[0].as_ref().unwrap_err();
    assert_eq!(failure.kind, FailureKind::PluginContract);
    assert!(failure.message.contains("lists no answers"), "{failure}");
    assert!(results[1].is_ok());
}

#[tokio::test]
async fn every_tensor_operation_works_and_refuses() {
    let world = world();
    let plugin = world.guest("tensor_operations").await;
    assert_eq!(post_one(&plugin, 3).await, Ok(3));
}

#[tokio::test]
async fn clocks_random_and_output_work() {
    let logged = Logged::begin();
    let world = world();
    let plugin = world.guest("clocks_and_random").await;
    assert_eq!(post_one(&plugin, 3).await, Ok(3));
    assert!(logged.contains("stream=\"stdout\""), "{:?}", logged.lines());
    assert!(logged.contains("on standard output plugin=clocks_and_random tenant=\"default\""));
    assert!(logged.contains("on standard error, unfinished"));
}

#[tokio::test]
async fn inputs_are_checked_before_the_guest_sees_them() {
    let world = world();
    let plugin = world.guest("identity").await;
    let mut missing = number("default", 1);
    missing.tensors = Tensors::new();
    let mut wrong = number("default", 1);
    let float = Tensor::from_slice(vec![1], &[1f32]).unwrap();
    wrong.tensors.insert("x", float);
    let mut more = number("default", 4);
    let other = Tensor::from_slice(vec![1], &[1u8]).unwrap();
    more.tensors.insert("unread", other);
    let examples = vec![missing, number("default", 2), wrong, more];
    let results = plugin.run_postprocess(examples, Call::default()).await;
    let message = |index: usize| {
        let failure = results[index].as_ref().unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidArgument);
        failure.message.clone()
    };
    assert_eq!(message(0), "tensor \"x\" is missing; INT64 [1] is expected");
    assert_eq!(message(2), "tensor \"x\" is FP32, INT64 is expected");
    assert_eq!(x_of(results[1].as_ref().unwrap()), 2);
    let passed = results[3].as_ref().unwrap();
    assert_eq!((x_of(passed), passed.len()), (4, 1));
    assert_eq!(passed.tensor("x").unwrap().datatype(), Datatype::Int64);
}

#[tokio::test]
async fn a_role_that_is_not_there_is_not_found() {
    let world = world();
    let plugin = world.guest("loop_forever").await;
    let results = pre(&plugin, &[1]).await;
    let failure = results[0].as_ref().unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    assert_eq!(failure.kind.fault(), Fault::Client);
}

fn reusing(name: &str) -> PluginConfig {
    PluginConfig {
        instances: Instances::Reuse,
        ..config(name)
    }
}

#[tokio::test]
async fn a_fresh_instance_remembers_nothing() {
    let world = world();
    let plugin = world.guest("remembers_previous_call").await;
    assert_eq!(plugin.instances(), Instances::Fresh);
    for _ in 0..3 {
        assert_eq!(post(&plugin, "a", [5]).await, [Ok(5)]);
    }
    // Within one call the examples share an instance.
    assert_eq!(post(&plugin, "a", [1, 2, 3]).await, [Ok(1), Ok(3), Ok(6)]);
}

#[tokio::test]
async fn a_reused_instance_remembers_its_own_tenant_only() {
    let world = world();
    let plugin = world.load(reusing("remembers_previous_call")).await;
    assert_eq!(post(&plugin, "a", [1]).await, [Ok(1)]);
    assert_eq!(post(&plugin, "b", [10]).await, [Ok(10)]);
    assert_eq!(post(&plugin, "a", [2]).await, [Ok(3)]);
    assert_eq!(post(&plugin, "b", [20]).await, [Ok(30)]);
    assert_eq!(world.metric("consort_plugin_instances "), 2.0);
    drop(plugin);
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
}

#[tokio::test]
async fn tenants_never_meet_in_an_instance() {
    let world = world();
    for config in [
        config("remembers_previous_call"),
        reusing("remembers_previous_call"),
    ] {
        let plugin = world.load(config).await;
        let mixed = [("a", 1), ("b", 10), ("a", 2), ("c", 100), ("b", 20)];
        let examples = mixed.map(|(tenant, x)| number(tenant, x)).to_vec();
        let results = plugin.run_postprocess(examples, Call::default()).await;
        let sums: Vec<i64> = results.iter().map(|r| x_of(r.as_ref().unwrap())).collect();
        assert_eq!(sums, [1, 10, 3, 100, 30]);
    }
}

#[tokio::test]
async fn many_tenants_at_once_never_see_one_another() {
    let world = world();
    let plugin = world.load(reusing("remembers_previous_call")).await;
    let mut tasks = tokio::task::JoinSet::new();
    for tenant in 0..6i64 {
        let plugin = plugin.clone();
        tasks.spawn(async move {
            let name = format!("tenant-{tenant}");
            let unit = 1_000i64.pow(1 + (tenant % 3) as u32) * (1 + tenant / 3);
            for _ in 0..40 {
                let sum = post(&plugin, &name, [unit]).await.remove(0).unwrap();
                assert_eq!(sum % unit, 0, "{name} sees what others left");
                assert!(sum / unit <= 40);
                tokio::task::yield_now().await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_trapped_instance_is_never_used_again() {
    let world = world();
    let plugin = world.load(reusing("panics_on_marked_example")).await;
    assert!(post_one(&plugin, MARK).await.is_err());
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
    assert_eq!(post_one(&plugin, 1).await, Ok(1));
    assert_eq!(world.metric("consort_plugin_instances "), 1.0);
}

#[tokio::test]
async fn an_abandoned_instance_is_never_used_again() {
    let world = world();
    let plugin = world.load(reusing("sleep_forever")).await;
    assert_eq!(post_one(&plugin, 1).await, Ok(1));
    let abandoned = post_one(&plugin, MARK);
    let abandoned = tokio::time::timeout(Duration::from_millis(50), abandoned).await;
    assert!(abandoned.is_err());
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
    assert_eq!(post_one(&plugin, 1).await, Ok(1));
}

#[tokio::test]
async fn idle_instances_give_way_to_others() {
    let world = world_of(Config {
        instances_max: 2,
        idle_instances_max: 2,
        ..small()
    });
    let keeps = world.load(reusing("remembers_previous_call")).await;
    for tenant in ["a", "b"] {
        assert_eq!(post(&keeps, tenant, [1]).await, [Ok(1)]);
    }
    assert_eq!(world.metric("consort_plugin_instances "), 2.0);
    // Both permits are held by idle instances; another plugin still gets one.
    let other = world.guest("identity").await;
    assert_eq!(post_one(&other, 7).await, Ok(7));
    assert_eq!(post(&keeps, "b", [1]).await, [Ok(2)]);
    assert_eq!(post(&keeps, "a", [1]).await, [Ok(1)], "the oldest gave way");
}

#[tokio::test]
async fn no_more_idle_instances_are_kept_than_allowed() {
    let world = world_of(Config {
        idle_instances_max: 2,
        ..small()
    });
    let plugin = world.load(reusing("remembers_previous_call")).await;
    for tenant in ["a", "b", "c", "d"] {
        assert_eq!(post(&plugin, tenant, [1]).await, [Ok(1)]);
    }
    assert_eq!(world.metric("consort_plugin_instances "), 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_idle_instances_end() {
    let world = world_of(Config {
        idle_time_max: Duration::ZERO,
        ..small()
    });
    let plugin = world.load(reusing("identity")).await;
    assert_eq!(post_one(&plugin, 1).await, Ok(1));
    let begun = Instant::now();
    while world.metric("consort_plugin_instances ") > 0.0 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it is still there"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn waiting_for_an_instance_ends_at_the_deadline() {
    let world = world_of(Config {
        instances_max: 1,
        ..small()
    });
    let plugin = world.guest("sleep_forever").await;
    let sleeper = tokio::spawn({
        let plugin = plugin.clone();
        async move { post_one(&plugin, MARK).await }
    });
    while world.metric("consort_plugin_instances ") == 0.0 {
        tokio::task::yield_now().await;
    }
    let call = Call {
        deadline: Some((Instant::now() + Duration::from_millis(30)).into_std()),
        ..Call::default()
    };
    let results = plugin.run_postprocess(numbers("b", [1]), call).await;
    let failure = results[0].as_ref().unwrap_err();
    assert_eq!(failure.kind, FailureKind::DeadlineExceeded);
    assert!(failure.message.contains("instances_max"), "{failure}");
    sleeper.abort();
    let _ = sleeper.await;
    assert_eq!(post_one(&plugin, 1).await, Ok(1));
}

#[tokio::test]
async fn more_calls_than_instances_all_succeed() {
    let world = world_of(Config {
        instances_max: 2,
        ..small()
    });
    let plugin = world.guest("clocks_and_random").await;
    let mut tasks = tokio::task::JoinSet::new();
    for x in 0..20 {
        let plugin = plugin.clone();
        tasks.spawn(async move { (x, post_one(&plugin, x).await) });
    }
    while let Some(done) = tasks.join_next().await {
        let (x, result) = done.unwrap();
        assert_eq!(result, Ok(x));
    }
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
}

#[tokio::test]
async fn a_call_past_its_deadline_does_not_begin() {
    let world = world();
    let plugin = world.guest("identity").await;
    let call = Call {
        deadline: Some(Instant::now().into_std()),
        ..Call::default()
    };
    let results = plugin.run_postprocess(numbers("a", 0..9), call).await;
    assert_eq!(results.len(), 9);
    for result in results {
        assert_eq!(result.unwrap_err().kind, FailureKind::DeadlineExceeded);
    }
    let calls = "consort_plugin_calls_total{plugin=\"identity\",role=\"postprocess\",\
                 tenant=\"a\",outcome=\"deadline_exceeded\"}";
    assert_eq!(world.metric(calls), 1.0);
}

/// The ensemble boxes these futures and sends them between threads.
#[test]
fn calls_can_be_sent() {
    fn send<T: Send>(_: impl Fn(&'static consort_plugin::Plugin) -> T) {}
    send(|plugin| plugin.run_preprocess(vec![], Call::default()));
    send(|plugin| plugin.run_postprocess(vec![], Call::default()));
}

/// The author is told, and the answers are right.
#[tokio::test]
async fn columns_that_are_not_of_all_examples_are_done_one_by_one() {
    let world = world();
    let plugin = world.guest("wrong_columns").await;
    let logged = Logged::begin();
    let results = post(&plugin, "default", 1..=5).await;
    assert_eq!(results, [Ok(2), Ok(4), Ok(6), Ok(8), Ok(10)]);
    assert!(
        logged.contains("they are done one by one"),
        "{:?}",
        logged.lines()
    );
}
