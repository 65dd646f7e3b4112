//! Versions that take one another's place while the model is used.

use crate::fake::{Workshop, ask, check, example, name, until};
use consort_inference::{Call, FailureKind};
use consort_registry::{
    Model, OutputCheck, Source, Trigger, Update, UpdateError, Updated, Versions,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The file of that name as the version of that name.
fn update(shop: &Workshop, file: &str, text: &str, version: &str) -> Update {
    Update {
        path: Some(shop.write(file, text)),
        version: Some(version.to_owned()),
        sha256: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_updates_at_load_lose_nothing() {
    const UPDATES: i64 = 50;
    const CALLERS: i64 = 8;
    let shop = Workshop::new();
    shop.write("m", "0");
    let mut config = shop.config("m");
    config.version = "0".to_owned();
    config.batching.replicas = 2;
    let model = shop.load(config).await;
    let (stop, next, latest) = (
        AtomicBool::new(false),
        AtomicI64::new(1),
        AtomicI64::new(-1),
    );
    let (stop, next, latest) = (Arc::new(stop), Arc::new(next), Arc::new(latest));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (model, stop) = (model.clone(), stop.clone());
            let (next, latest) = (next.clone(), latest.clone());
            tokio::spawn(async move {
                let mut by_version: BTreeMap<i64, usize> = BTreeMap::new();
                while !stop.load(Ordering::SeqCst) {
                    let count = 1 + caller % 4;
                    let first = next.fetch_add(count, Ordering::SeqCst);
                    let examples = (first..first + count).map(example).collect();
                    let (results, id) = model.infer(examples, Call::default()).await;
                    assert_eq!(results.len() as i64, count);
                    for (x, result) in (first..).zip(&results) {
                        let (made, version) = check(x, result, &id);
                        assert_eq!(made.to_string(), version, "made by what it says");
                        *by_version.entry(made).or_default() += 1;
                        latest.fetch_max(made, Ordering::SeqCst);
                    }
                }
                by_version
            })
        })
        .collect();
    for number in 0..=UPDATES {
        if number > 0 {
            let text = number.to_string();
            let updated = model
                .update(update(&shop, "n", &text, &text))
                .await
                .unwrap();
            let Updated::Switched { from, to } = updated else {
                panic!("{updated:?}")
            };
            assert_eq!(
                (&*from.version, &*to.version),
                (&*(number - 1).to_string(), &*text)
            );
        }
        until(|| latest.load(Ordering::SeqCst) == number).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut versions = BTreeSet::new();
    let mut answered = 0;
    for caller in callers {
        let by_version = caller.await.unwrap();
        answered += by_version.values().sum::<usize>();
        versions.extend(by_version.into_keys());
    }
    assert_eq!(versions, (0..=UPDATES).collect());
    let runs = shop.seen.runs();
    assert_eq!(runs.len(), answered);
    assert!(
        runs.values().all(|count| *count == 1),
        "an example ran twice"
    );
    // What answers, and what a rollback would go back to.
    until(|| shop.seen.alive.load(Ordering::SeqCst) == 2).await;
    until(|| shop.metric("consort_models_loaded ") == "2").await;
    assert_eq!(model.totals().examples as usize, answered);
    assert_eq!(model.status().updates, 50);
    let labels = "{model=\"m\",result=\"ok\"}";
    assert_eq!(
        shop.metric(&format!("consort_model_updates_total{labels}")),
        "50"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_version_answers_while_the_new_one_loads() {
    let shop = Workshop::new();
    let model = shop.model("m", "1").await;
    shop.seen.gate.shut();
    let (updated, new) = (model.clone(), update(&shop, "n", "2 gate", "2"));
    let updating = tokio::spawn(async move { updated.update(new).await });
    shop.seen.gate.reached(1).await;
    assert_eq!(ask(&model, 5).await, (1, "1".to_owned()));
    shop.seen.gate.open();
    updating.await.unwrap().unwrap();
    assert_eq!(ask(&model, 6).await, (2, "2".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_does_not_end_delays_nobody() {
    let shop = Workshop::new();
    let model = shop.model("m", "1").await;
    shop.seen.gate.shut();
    let (updated, new) = (model.clone(), update(&shop, "n", "2 gate", "2"));
    let updating = tokio::spawn(async move { updated.update(new).await });
    shop.seen.gate.reached(1).await;
    // A call that waited for the load would wait for ever: until its deadline.
    for round in 0..10 {
        let calls = (1..=20).map(|call| {
            let (model, x) = (model.clone(), 100 * round + call);
            tokio::spawn(async move {
                let call = Call {
                    deadline: Some((Instant::now() + Duration::from_secs(60)).into_std()),
                    ..Call::default()
                };
                let (results, id) = model.infer(vec![example(x)], call).await;
                check(x, &results[0], &id)
            })
        });
        for call in calls.collect::<Vec<_>>() {
            assert_eq!(call.await.unwrap(), (1, "1".to_owned()));
        }
        assert!(!updating.is_finished());
    }
    shop.seen.gate.open();
    updating.await.unwrap().unwrap();
    assert_eq!(ask(&model, 1).await, (2, "2".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_under_way_end_where_they_began() {
    let shop = Workshop::new();
    let model = shop.model("m", "1 slow").await;
    shop.seen.gate.shut();
    let asking = |x| {
        let model = model.clone();
        tokio::spawn(async move { ask(&model, x).await })
    };
    // One runs, one waits in the queue.
    let running = asking(5);
    shop.seen.gate.reached(1).await;
    let waiting = asking(6);
    until(|| model.current().batcher().queue_depth() == 1).await;
    model.update(update(&shop, "n", "2", "2")).await.unwrap();
    assert_eq!(
        ask(&model, 7).await,
        (2, "2".to_owned()),
        "the new one waits for nobody"
    );
    shop.seen.gate.open();
    assert_eq!(running.await.unwrap(), (1, "1".to_owned()));
    assert_eq!(waiting.await.unwrap(), (1, "1".to_owned()));
    assert!(shop.seen.runs().values().all(|count| *count == 1));
}

/// Tries an update that must fail; returns why. The old version must answer as before.
async fn fail(shop: &Workshop, model: &Arc<Model>, new: Update) -> String {
    let before = ask(model, 3).await;
    let error = model.update(new).await.unwrap_err();
    assert_eq!(ask(model, 4).await, before);
    let status = model.status();
    let last = status.last_error.unwrap();
    assert_eq!(
        (last.message.clone(), last.trigger),
        (error.to_string(), Trigger::Call)
    );
    assert_eq!(
        shop.seen.alive.load(Ordering::SeqCst),
        1,
        "nothing is left of it"
    );
    last.message
}

#[tokio::test]
async fn an_update_that_fails_keeps_the_old_one_and_shows_why() {
    let shop = Workshop::new();
    shop.write("m", "1");
    let mut config = shop.config("m");
    config.update_check = OutputCheck::Finite;
    let model = shop.load(config).await;
    let new = |text: &str| update(&shop, "n", text, "2");
    assert_eq!(
        fail(&shop, &model, new("x")).await,
        "invalid digit found in string"
    );
    assert_eq!(
        fail(&shop, &model, new("2 no-zeros")).await,
        "the model failed its warm-up: on warm-up example 1: 0 is not for me"
    );
    let nan = fail(&shop, &model, new("2 nan")).await;
    assert!(nan.contains("NaN"), "{nan}");
    let short = fail(&shop, &model, new("2 short")).await;
    assert!(short.contains("1 examples gave 0 predictions"), "{short}");
    assert_eq!(
        fail(&shop, &model, new("2 wide")).await,
        "the new version does not fit those who use the model: input \"x\" is INT64 [2], \
         and was INT64 [1]"
    );
    let panicked = fail(&shop, &model, new("2 panic")).await;
    assert!(panicked.contains("broken off"), "{panicked}");
    let mut wrong = new("2");
    wrong.sha256 = Some("0".repeat(64));
    assert!(
        fail(&shop, &model, wrong)
            .await
            .contains("the manifest says 0000")
    );
    let mut same = new("2");
    same.version = Some("1".to_owned());
    assert!(
        fail(&shop, &model, same)
            .await
            .contains("version \"1\" answers already")
    );
    let missing = Update {
        path: Some(shop.path("missing")),
        ..Update::default()
    };
    assert!(
        fail(&shop, &model, missing)
            .await
            .contains("cannot be read")
    );
    assert_eq!(model.status().failed_updates, 9);
    let labels = "{model=\"m\",result=\"failed\"}";
    assert_eq!(
        shop.metric(&format!("consort_model_updates_total{labels}")),
        "9"
    );

    model.update(new("2")).await.unwrap();
    assert!(model.status().last_error.is_none(), "a success clears it");
}

#[tokio::test]
async fn zeros_that_the_first_version_refused_prove_nothing() {
    let shop = Workshop::new();
    let model = shop.model("m", "1 no-zeros").await;
    model
        .update(update(&shop, "n", "2 no-zeros", "2"))
        .await
        .unwrap();
    assert_eq!(ask(&model, 1).await.0, 2);
}

#[tokio::test]
async fn a_rollback_goes_back_and_forth() {
    let shop = Workshop::new();
    let model = shop.model("m", "1").await;
    let nothing = model.rollback().await.unwrap_err();
    assert!(matches!(nothing, UpdateError::NothingKept(_)), "{nothing}");
    model.update(update(&shop, "n", "2", "2")).await.unwrap();
    model.update(update(&shop, "n", "3", "3")).await.unwrap();
    until(|| shop.seen.alive.load(Ordering::SeqCst) == 2).await;
    let status = model.status();
    assert_eq!(&*status.previous.unwrap().id.version, "2");
    assert_eq!(status.bytes, 2, "what is kept counts");

    let loads = shop.seen.loads();
    shop.registry.rollback(&name("m")).await.unwrap();
    assert_eq!(ask(&model, 1).await, (2, "2".to_owned()));
    shop.registry.rollback(&name("m")).await.unwrap();
    assert_eq!(ask(&model, 2).await, (3, "3".to_owned()));
    assert_eq!(shop.seen.loads(), loads, "both are in memory");
    assert_eq!(
        model.status().last_update.unwrap().trigger,
        Trigger::Rollback
    );
    let labels = "{model=\"m\",result=\"rolled_back\"}";
    assert_eq!(
        shop.metric(&format!("consort_model_updates_total{labels}")),
        "2"
    );
}

#[tokio::test]
async fn nothing_is_kept_if_nothing_is_to_be() {
    let shop = Workshop::new();
    shop.write("m", "1");
    let mut config = shop.config("m");
    config.keep_previous = false;
    let model = shop.load(config).await;
    model.update(update(&shop, "n", "2", "2")).await.unwrap();
    until(|| shop.seen.alive.load(Ordering::SeqCst) == 1).await;
    let error = model.rollback().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "there is nothing to go back to: keep_previous is false"
    );
}

#[tokio::test]
async fn a_file_that_brings_no_version_is_named_by_its_digest() {
    let shop = Workshop::new();
    let model = shop.model("m", "1").await;
    shop.write("m", "5");
    let again = || shop.registry.update(model.name(), Update::default());
    again().await.unwrap();
    // `printf 5 | sha256sum`
    assert_eq!(ask(&model, 1).await, (5, "1-ef2d127de37b".to_owned()));
    let unchanged = again().await.unwrap();
    assert_eq!(unchanged, Updated::Unchanged(model.id()));
    let unknown = shop.registry.update(&name("z"), Update::default()).await;
    assert!(matches!(unknown.unwrap_err(), UpdateError::Unknown(_)));
}

#[tokio::test]
async fn a_version_is_taken_from_its_folder() {
    let shop = Workshop::new();
    for version in ["1", "2", "10"] {
        shop.write(&format!("m/{version}/model.onnx"), version);
    }
    let mut config = shop.config("m");
    config.source = Source::Versions {
        folder: shop.path("m"),
        serve: Versions::Latest,
    };
    let model = shop.load(config).await;
    assert_eq!(ask(&model, 1).await, (10, "10".to_owned()));
    let version = |version: &str| Update {
        version: Some(version.to_owned()),
        ..Update::default()
    };
    model.update(version("2")).await.unwrap();
    assert_eq!(ask(&model, 2).await, (2, "2".to_owned()));
    let error = model.update(version("3")).await.unwrap_err().to_string();
    assert!(error.contains("no version 3; it has 1, 2, 10"), "{error}");
    model.update(Update::default()).await.unwrap();
    assert_eq!(ask(&model, 3).await, (10, "10".to_owned()));
}

#[tokio::test]
async fn all_versions_answer_by_name() {
    let shop = Workshop::new();
    for version in ["1", "2", "3"] {
        shop.write(&format!("m/{version}.onnx"), version);
    }
    let mut config = shop.config("m");
    config.source = Source::Versions {
        folder: shop.path("m"),
        serve: Versions::Only(vec![3, 1]),
    };
    let model = shop.load(config).await;
    let by = async |version: &str| {
        let answered = model
            .infer_version(version, vec![example(9)], Call::default())
            .await;
        answered.map(|(results, id)| check(9, &results[0], &id))
    };
    assert_eq!(ask(&model, 1).await.0, 3);
    assert_eq!(by("1").await, Some((1, "1".to_owned())));
    assert_eq!(by("3").await, Some((3, "3".to_owned())));
    assert_eq!(by("2").await, None);
    let loads = shop.seen.loads();
    let first = Update {
        version: Some("1".to_owned()),
        ..Update::default()
    };
    model.update(first).await.unwrap();
    assert_eq!(ask(&model, 1).await.0, 1);
    assert_eq!(by("3").await, Some((3, "3".to_owned())));
    model.rollback().await.unwrap();
    assert_eq!(ask(&model, 1).await.0, 3);
    assert_eq!(shop.seen.loads(), loads, "one copy of each");
    assert_eq!(shop.seen.alive.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stopped_model_is_not_updated() {
    let shop = Workshop::new();
    let model = shop.model("m", "1").await;
    shop.registry.drain().await;
    let error = model
        .update(update(&shop, "n", "2", "2"))
        .await
        .unwrap_err();
    assert!(matches!(error, UpdateError::Stopping), "{error}");
    let (results, _) = model.infer(vec![example(1)], Call::default()).await;
    assert_eq!(
        results[0].as_ref().unwrap_err().kind,
        FailureKind::Unavailable
    );
}
