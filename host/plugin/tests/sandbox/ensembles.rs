//! Ensembles in code: guests that call several models at a time.

use crate::common::*;
use crate::fake_model::{FakeModel, add_one, failing, grant, signature};
use consort_inference::{
    ArgValue, Call, Datatype, Example, Failure, FailureKind, InferenceArgs, Outcome, Priority,
    StageKind, Tensors, Trace,
};
use consort_plugin::{Config, Plugin, PluginConfig, Role, Sandbox, Snapshot};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Adds so much to a number.
fn adds(name: &str, what: i64) -> FakeModel {
    let x: &[(&str, Datatype, &[Option<usize>])] = &[("x", Datatype::Int64, &[Some(1)])];
    FakeModel::new(name, signature(x, x), move |example| {
        Ok(tensors(x_of(&example.tensors) + what))
    })
}

/// The same for numbers that are not negative.
fn natural(name: &str, what: i64) -> FakeModel {
    let x: &[(&str, Datatype, &[Option<usize>])] = &[("x", Datatype::Int64, &[Some(1)])];
    FakeModel::new(name, signature(x, x), move |example| {
        match x_of(&example.tensors) {
            x @ 0.. => Ok(tensors(x + what)),
            x => Err((FailureKind::InvalidArgument, format!("{x} is negative"))),
        }
    })
}

/// A guest that does `what` with two models.
fn ensemble(what: &str, a: &Arc<FakeModel>, b: &Arc<FakeModel>) -> PluginConfig {
    PluginConfig {
        config: what.to_owned(),
        ..grant(config("code_ensemble"), [a, b])
    }
}

async fn run(plugin: &Plugin, xs: &[i64]) -> Vec<Result<i64, Failure>> {
    run_for(plugin, "default", xs, Call::default()).await
}

async fn run_for(
    plugin: &Plugin,
    tenant: &str,
    xs: &[i64],
    call: Call,
) -> Vec<Result<i64, Failure>> {
    let examples = numbers(tenant, xs.iter().copied());
    let results = plugin.run_ensemble(examples, call).await;
    let results = results.into_iter();
    results
        .map(|result| result.map(|outcome| x_made(&outcome)))
        .collect()
}

async fn run_one(plugin: &Plugin, x: i64) -> Result<i64, Failure> {
    run(plugin, &[x]).await.remove(0)
}

#[tokio::test]
async fn two_models_work_at_the_same_time() {
    let world = world();
    let (three, two) = (Duration::from_secs(3), Duration::from_secs(2));
    let (a, b) = (adds("a", 1).slow(three), adds("b", 10).slow(two));
    let (a, b) = (Arc::new(a), Arc::new(b));
    let plugin = world.load(ensemble("adds both", &a, &b)).await;
    tokio::time::pause();
    let begun = Instant::now();
    assert_eq!(run_one(&plugin, 5).await, Ok(6 + 15));
    let took = begun.elapsed();
    assert!(took >= three && took < three + two, "{took:?}");
}

#[tokio::test]
async fn the_quicker_one_is_taken_and_the_other_abandoned() {
    let world = world();
    let slow = Duration::from_secs(20);
    let (a, b) = (adds("a", 1).slow(slow), adds("b", 10));
    let (a, b) = (Arc::new(a), Arc::new(b));
    let plugin = world.load(ensemble("takes the quicker", &a, &b)).await;
    tokio::time::pause();
    let begun = Instant::now();
    assert_eq!(run_one(&plugin, 5).await, Ok(15));
    assert!(begun.elapsed() < slow);
    while a.abandoned() == 0 {
        tokio::task::yield_now().await;
    }
    let calls = |model, outcome| {
        world.metric(&format!(
            "consort_plugin_model_calls_total{{plugin=\"code_ensemble\",model=\"{model}\",\
             outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!((calls("a", "cancelled"), calls("b", "ok")), (1.0, 1.0));
}

#[tokio::test]
async fn the_dear_model_is_asked_only_when_the_cheap_one_is_unsure() {
    let world = world();
    let (cheap, dear) = (Arc::new(adds("a", 0)), Arc::new(adds("b", 100)));
    let what = "asks the dear one when unsure";
    let plugin = world.load(ensemble(what, &cheap, &dear)).await;
    assert_eq!(run(&plugin, &[3, 30]).await, [Ok(103), Ok(30)]);
    assert_eq!((cheap.asked().len(), dear.asked().len()), (2, 1));
}

#[tokio::test]
async fn another_model_stands_in_for_one_that_fails() {
    let world = world();
    let mut a = failing(FailureKind::ModelFailed);
    a.rename("a");
    let (a, b) = (Arc::new(a), Arc::new(adds("b", 10)));
    let plugin = world.load(ensemble("falls back", &a, &b)).await;
    assert_eq!(run(&plugin, &[1, 2]).await, [Ok(11), Ok(12)]);
}

/// Its plugin is compiled once: what it is to do is said by an argument.
#[tokio::test]
async fn ensembles_in_python_do_the_same() {
    let world = world();
    for name in ["code_ensemble", "code_ensemble_python"] {
        // Negative numbers are beyond the first model.
        let (a, b) = (natural("a", 1), adds("b", 10).slow(Duration::from_secs(5)));
        let (a, b) = (Arc::new(a), Arc::new(b));
        let plugin = world.load(grant(config(name), [&a, &b])).await;
        tokio::time::pause();
        for (what, x, sum) in [
            ("adds both", 5, Ok(6 + 15)),
            ("takes the quicker", 5, Ok(6)),
            ("asks the dear one when unsure", 5, Ok(15)),
            ("asks the dear one when unsure", 50, Ok(51)),
            ("falls back", -1, Ok(9)),
            ("reads ends and widens", 0, Ok(2 + 6 + 3 + 6)),
        ] {
            let args = [("what".into(), ArgValue::Text(what.into()))];
            let call = Call {
                args: args.into_iter().collect(),
                ..Call::default()
            };
            let results = run_for(&plugin, "default", &[x], call).await;
            assert_eq!(results, [sum], "{name} {what}");
        }
        assert_eq!(a.asked().len(), 5, "{name}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn it_is_described_measured_and_inspected() {
    let world = world();
    let (a, b) = (Arc::new(adds("a", 1)), Arc::new(adds("b", 1)));
    let plugin = world.load(ensemble("adds both", &a, &b)).await;
    assert_eq!(plugin.load_report().snapshot, Snapshot::Taken);
    let described = plugin.ensemble().unwrap();
    assert_eq!(described.inputs[0].to_string(), "INT64 [1]");
    assert!(plugin.preprocess().is_none() && plugin.postprocess().is_none());
    assert_eq!(run_one(&plugin, 1).await, Ok(4));
    let calls = "consort_plugin_calls_total{plugin=\"code_ensemble\",role=\"ensemble\",\
                 tenant=\"default\",outcome=\"ok\"}";
    assert_eq!(world.metric(calls), 1.0);
    let inspection = Sandbox::inspect(&guest("code_ensemble")).unwrap();
    assert_eq!(inspection.roles, [Role::Ensemble]);
    assert_eq!(Role::Ensemble.stage(), StageKind::Inference);

    let other = world.guest("identity").await;
    let failure = run_one(&other, 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    let wrong = plugin
        .run_ensemble(
            vec![Example {
                tensors: Tensors::new(),
                ..number("default", 1)
            }],
            Call::default(),
        )
        .await;
    let failure = wrong[0].as_ref().unwrap_err();
    assert_eq!(failure.kind, FailureKind::InvalidArgument);
}

#[tokio::test]
async fn what_the_caller_said_reaches_the_models() {
    let world = world();
    let (a, b) = (
        adds("a", 1).reading(&["x-user"]),
        adds("b", 1).reading(&["x-lab", "x-user"]),
    );
    let (a, b) = (Arc::new(a), Arc::new(b));
    let plugin = world.load(ensemble("adds both", &a, &b)).await;
    let read: Vec<&str> = plugin.headers().iter().map(|name| &**name).collect();
    assert_eq!(read, ["x-lab", "x-user"]);
    let args: InferenceArgs = [("k".into(), ArgValue::Int(3))].into_iter().collect();
    let trace = Trace::default();
    let deadline = Instant::now() + Duration::from_secs(5);
    let call = Call {
        deadline: Some(deadline.into_std()),
        priority: Priority(7),
        args: args.clone(),
        keep_example: true,
        headers: [("x-user".into(), "ann".into())].into_iter().collect(),
        trace: Some(trace.clone()),
        ..Call::default()
    };
    let example = Example {
        key: Some("order 17".into()),
        ..number("somebody", 1)
    };
    let results = plugin.run_ensemble(vec![example], call).await;
    assert_eq!(x_made(results[0].as_ref().unwrap()), 4);
    for model in [a, b] {
        let asked = model.asked();
        let [(examples, call)] = &asked[..] else {
            panic!("{} calls", asked.len());
        };
        assert_eq!(examples[0].tenant.as_str(), "somebody");
        assert_eq!(examples[0].key.as_deref(), Some("order 17"));
        assert_eq!(call.deadline, Some(deadline.into_std()));
        assert_eq!((call.priority, &call.args), (Priority(7), &args));
        assert!(!call.keep_example);
        assert_eq!(
            call.headers.value("x-user").map(|user| &**user),
            Some("ann")
        );
    }
    let spans = trace.spans();
    let mut told: Vec<_> = spans.iter().map(|span| (&*span.name, span.kind)).collect();
    told.sort_unstable();
    let inside = ("ensemble", "guest");
    let waited = ("an instance", "instance");
    assert_eq!(told, [("a", "call"), waited, ("b", "call"), inside]);
    assert!(spans.iter().all(|span| span.end.is_some()));
    let mut calls = spans.iter().filter(|span| span.kind == "call");
    assert!(calls.all(|span| span.detail == "examples: 1, ok"));
}

#[tokio::test]
async fn predictions_tell_which_ways_the_models_went() {
    let world = world();
    let (a, b) = (adds("a", 1).going("left"), adds("b", 10).going("right"));
    let (a, b) = (Arc::new(a), Arc::new(b));
    let arms = async |what: &str, xs: &[i64]| {
        let plugin = world.load(ensemble(what, &a, &b)).await;
        let examples = numbers("default", xs.iter().copied());
        let results = plugin.run_ensemble(examples, Call::default()).await;
        let arms = |result: Result<Outcome, Failure>| match result.unwrap() {
            Outcome::Predicted(_, origin) => {
                assert_eq!(&*origin.model_id.name, "code_ensemble");
                let told = origin
                    .arms
                    .iter()
                    .map(|arm| format!("{}: {}", arm.step, arm.arm));
                told.collect::<BTreeSet<String>>()
            }
            other => panic!("{other:?}"),
        };
        results.into_iter().map(arms).collect::<Vec<_>>()
    };
    let set = |arms: &[&str]| {
        arms.iter()
            .map(|arm| (*arm).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let both = set(&["a: left", "b: right"]);
    assert_eq!(arms("adds both", &[5]).await, std::slice::from_ref(&both));
    assert_eq!(
        arms("passes on", &[5, 6]).await,
        [set(&["a: left"]), set(&["a: left"])]
    );
    // Below nine the dear one is asked too.
    let unsure = arms("asks the dear one when unsure", &[5, 50]).await;
    assert_eq!(unsure, [both, set(&["a: left"])]);
}

/// On one thread: all guests must wait at both models at once for either to answer any.
#[tokio::test]
async fn fifty_guests_wait_and_block_no_thread() {
    let world = world_of(Config {
        instances_max: 64,
        ..small()
    });
    let (a, b) = (adds("a", 1).together(50), adds("b", 10).together(50));
    let (a, b) = (Arc::new(a), Arc::new(b));
    let plugin = world.load(ensemble("adds both", &a, &b)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for tenant in 0..50 {
        let plugin = plugin.clone();
        let tenant = format!("t{tenant}");
        tasks.spawn(async move { run_for(&plugin, &tenant, &[1], Call::default()).await });
    }
    while let Some(done) = tasks.join_next().await {
        assert_eq!(done.unwrap(), [Ok(13)]);
    }
    let asked = a.asked();
    let tenants: BTreeSet<_> = asked
        .iter()
        .map(|(examples, _)| &examples[0].tenant)
        .collect();
    assert_eq!(tenants.len(), 50);
}

/// What one guest does one after another, the others need not wait for.
#[tokio::test]
async fn examples_of_one_call_are_spread_over_instances() {
    let world = world_of(Config {
        instances_max: 64,
        ..small()
    });
    let (a, b) = (adds("a", 1).together(16), adds("b", 10).together(16));
    let (a, b) = (Arc::new(a), Arc::new(b));
    let plugin = world.load(ensemble("adds both", &a, &b)).await;
    let xs: Vec<i64> = (0..32).collect();
    let sums: Vec<_> = xs.iter().map(|x| Ok(2 * x + 11)).collect();
    assert_eq!(run(&plugin, &xs).await, sums);
}

#[tokio::test]
async fn a_failure_that_is_passed_on_stays_what_it_was() {
    for kind in [
        FailureKind::QueueFull,
        FailureKind::Unavailable,
        FailureKind::ModelFailed,
        FailureKind::InvalidArgument,
    ] {
        let world = world();
        let mut a = failing(kind);
        a.rename("a");
        let (a, b) = (Arc::new(a), Arc::new(add_one()));
        let plugin = world.load(ensemble("passes on", &a, &b)).await;
        let failure = run_one(&plugin, 1).await.unwrap_err();
        assert_eq!(failure.kind, kind);
        assert!(failure.message.contains("so it is"), "{failure}");
        assert_eq!(&*failure.stage.name, "code_ensemble");
    }
}

#[tokio::test]
async fn batches_and_single_examples_are_called_alike() {
    let world = world();
    let (a, b) = (Arc::new(adds("a", 1)), Arc::new(add_one()));
    let plugin = world.load(ensemble("calls with rows", &a, &b)).await;
    assert_eq!(run_one(&plugin, 4).await, Ok(4 * 5));
    assert_eq!(a.asked()[0].0.len(), 4);
    let plugin = world.load(ensemble("counts axes", &a, &b)).await;
    assert_eq!(run_one(&plugin, 1).await, Ok(21));
    let whole = Arc::new(adds("a", 1).without_batch_axis());
    let plugin = world.load(ensemble("counts axes", &whole, &b)).await;
    assert_eq!(run_one(&plugin, 1).await, Ok(11));
    let plugin = world.load(ensemble("passes on", &whole, &b)).await;
    assert_eq!(run_one(&plugin, 1).await, Ok(2));
}

#[tokio::test]
async fn the_deadline_holds_while_waiting_for_several() {
    let world = world();
    let slow = Duration::from_secs(3600);
    let (a, b) = (adds("a", 1).slow(slow), adds("b", 1).slow(slow));
    let (a, b) = (Arc::new(a), Arc::new(b));
    for what in ["adds both", "takes the quicker", "passes on"] {
        let plugin = world.load(ensemble(what, &a, &b)).await;
        let call = Call {
            deadline: Some((Instant::now() + Duration::from_millis(50)).into_std()),
            ..Call::default()
        };
        let results = run_for(&plugin, "default", &[1], call).await;
        let failure = results[0].as_ref().unwrap_err();
        assert_eq!(failure.kind, FailureKind::DeadlineExceeded, "{what}");
    }
    while a.abandoned() + b.abandoned() < 5 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
}

#[test]
fn ensembles_can_be_sent() {
    fn send<T: Send>(_: impl Fn(&'static Plugin, Vec<Example>) -> T) {}
    send(|plugin, examples| plugin.run_ensemble(examples, Call::default()));
}
