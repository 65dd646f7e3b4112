//! Models that an operator takes out of memory and brings in again.

use crate::fake::{Workshop, ask, check, example, name, until};
use consort_inference::{ArgValue, Call, FailureKind};
use consort_registry::{
    Config, Source, Update, UpdateError, Updated, Versions, WarmUp, WarmUpRows,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn loaded(shop: &Workshop) -> usize {
    shop.seen.alive.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unloaded_model_says_so_until_it_is_loaded() {
    let shop = Workshop::new();
    let model = shop.model("m", "1 slow").await;
    shop.seen.gate.shut();
    let busy = tokio::spawn({
        let model = model.clone();
        async move { ask(&model, 5).await }
    });
    shop.seen.gate.reached(1).await;
    shop.registry.unload(&name("m")).await.unwrap();
    assert!(!model.is_loaded());
    let (results, _) = model
        .infer(vec![example(1), example(2)], Call::default())
        .await;
    for result in results {
        let failure = result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable);
        assert!(
            failure.message.contains("/v2/repository/models/m/load"),
            "{failure}"
        );
    }
    shop.seen.gate.open();
    assert_eq!(busy.await.unwrap().0, 1, "what was under way is answered");
    until(|| loaded(&shop) == 0).await;
    assert_eq!(shop.metric("consort_models_loaded_bytes"), "0");
    // Once more changes nothing.
    shop.registry.unload(&name("m")).await.unwrap();
    assert!(matches!(
        shop.registry.rollback(&name("m")).await,
        Err(UpdateError::NothingKept(_))
    ));

    shop.write("m", "2");
    let updated = shop.registry.load_now(&name("m"), Update::default()).await;
    assert!(matches!(updated.unwrap(), Updated::Switched { .. }));
    assert!(model.is_loaded());
    let (made, version) = ask(&model, 3).await;
    assert_eq!((made, version), (2, model.id().version.to_string()));
    assert_eq!(loaded(&shop), 1);
}

#[tokio::test]
async fn a_failed_load_leaves_the_model_out() {
    let shop = Workshop::new();
    let model = shop.model("m", "1").await;
    shop.registry.unload(&name("m")).await.unwrap();
    shop.write("m", "no number");
    let m = name("m");
    let load = || shop.registry.load_now(&m, Update::default());
    assert!(load().await.is_err());
    assert!(!model.is_loaded());
    shop.write("m", "3");
    load().await.unwrap();
    assert_eq!(ask(&model, 1).await.0, 3);
    // Of a model that is in memory the call is an update, and a failure keeps the old one.
    shop.write("m", "no number");
    assert!(load().await.is_err());
    assert_eq!(ask(&model, 1).await.0, 3);
    shop.write("m", "4");
    load().await.unwrap();
    assert_eq!(ask(&model, 1).await.0, 4);
    assert!(matches!(load().await.unwrap(), Updated::Unchanged(_)));
    let unknown = shop.registry.load_now(&name("x"), Update::default()).await;
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "there is no model \"x\" in memory"
    );
    assert!(shop.registry.unload(&name("x")).await.is_err());
}

#[tokio::test]
async fn all_versions_come_back() {
    let shop = Workshop::new();
    for number in 1..=3 {
        shop.write(&format!("versions/{number}.onnx"), &number.to_string());
    }
    let mut config = shop.config("m");
    config.source = Source::Versions {
        folder: shop.path("versions"),
        serve: Versions::All,
    };
    config.watch_interval = Some(Duration::from_secs(60));
    let model = shop.load(config).await;
    shop.registry.unload(&name("m")).await.unwrap();
    until(|| loaded(&shop) == 0).await;
    assert!(
        model
            .infer_version("1", vec![example(1)], Call::default())
            .await
            .is_none()
    );
    shop.registry
        .load_now(&name("m"), Update::default())
        .await
        .unwrap();
    assert_eq!(ask(&model, 1).await, (3, "3".to_owned()));
    for number in 1..=3 {
        let version = number.to_string();
        let answered = model.infer_version(&version, vec![example(4)], Call::default());
        let (results, id) = answered.await.unwrap();
        assert_eq!(check(4, &results[0], &id), (number, version));
    }
}

#[tokio::test]
async fn on_demand_models_come_when_asked_for() {
    let shop = Workshop::with(Config {
        model_bytes_max: Some(1_000),
        ..Config::default()
    });
    shop.write("m", "1");
    shop.registry
        .declare(shop.config("m"), shop.loader())
        .unwrap();
    let m = name("m");
    let load = || shop.registry.load_now(&m, Update::default());
    assert!(matches!(load().await.unwrap(), Updated::Loaded(id) if &*id.version == "1"));
    assert_eq!(loaded(&shop), 1);
    shop.registry.unload(&name("m")).await.unwrap();
    until(|| loaded(&shop) == 0).await;
    until(|| shop.registry.models().is_empty()).await;
    assert_eq!(shop.metric("consort_model_evictions_total"), "0");
    // Nothing is in memory, and that is well.
    shop.registry.unload(&name("m")).await.unwrap();
    let held = shop.registry.hold(&name("m")).await.unwrap();
    assert_eq!(ask(&held, 2).await.0, 1);
}

#[tokio::test]
async fn warm_up_rows_are_fetched_for_each_version() {
    let shop = Workshop::new();
    let fetched = Arc::new(AtomicUsize::new(0));
    let rows = {
        let fetched = fetched.clone();
        WarmUpRows::new(move |signature| {
            assert_eq!(&*signature.inputs[0].name, "x");
            match fetched.fetch_add(1, Ordering::SeqCst) {
                2 => Err("the file is gone".into()),
                _ => Ok(vec![crate::fake::input(7)]),
            }
        })
    };
    shop.write("m", "1");
    let mut config = shop.config("m");
    config.warm_up = WarmUp::Rows(rows);
    let model = shop.load(config).await;
    assert_eq!(shop.seen.runs()[&7], 1, "before anybody is answered");
    shop.write("m", "2");
    model.update(Update::default()).await.unwrap();
    assert_eq!(
        (fetched.load(Ordering::SeqCst), shop.seen.runs()[&7]),
        (2, 2)
    );
    shop.write("m", "3");
    let error = model.update(Update::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "the warm-up examples: the file is gone");
    assert_eq!(ask(&model, 1).await.0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_a_model_does_not_take_keep_nobody_apart() {
    let shop = Workshop::new();
    let model = shop.model("m", "1 slow").await;
    shop.seen.gate.shut();
    // The first waits in the model while the others gather.
    let asking: Vec<_> = (1..=9)
        .map(|x| {
            let model = model.clone();
            let args = [("trace".into(), ArgValue::Int(x))].into_iter().collect();
            let call = Call {
                args,
                ..Call::default()
            };
            tokio::spawn(async move { model.infer(vec![example(x)], call).await })
        })
        .collect();
    shop.seen.gate.reached(1).await;
    let waiting = "consort_queue_examples{model=\"m\",version=\"1\"}";
    until(|| shop.metric(waiting) == "8").await;
    shop.seen.gate.open();
    for (x, asked) in (1..).zip(asking) {
        let (results, id) = asked.await.unwrap();
        check(x, &results[0], &id);
    }
    let totals = model.totals();
    assert_eq!(totals.examples, 9);
    assert!(totals.batches < 9, "{totals:?}");
}
