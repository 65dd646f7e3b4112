//! Files and folders that are watched, on a paused clock.

use crate::fake::{Workshop, ask, check, example, remove};
use consort_inference::Call;
use consort_registry::{Model, Source, Trigger, Versions};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// Lets the watch look three times: once to see, once to be sure, once more.
async fn looks() {
    sleep(SECOND * 3 + SECOND / 2).await;
}

async fn watched(shop: &Workshop, name: &str, text: &str) -> Arc<Model> {
    shop.write(name, text);
    let mut config = shop.config(name);
    config.watch_interval = Some(SECOND);
    shop.load(config).await
}

async fn folder(shop: &Workshop, serve: Versions) -> Arc<Model> {
    let mut config = shop.config("m");
    config.watch_interval = Some(SECOND);
    config.source = Source::Versions {
        folder: shop.path("m"),
        serve,
    };
    shop.load(config).await
}

#[tokio::test(start_paused = true)]
async fn another_content_is_an_update() {
    let shop = Workshop::new();
    let model = watched(&shop, "m", "1").await;
    looks().await;
    assert_eq!(shop.seen.loads(), 1);
    shop.write("m", "5");
    looks().await;
    // `printf 5 | sha256sum`
    assert_eq!(ask(&model, 1).await, (5, "1-ef2d127de37b".to_owned()));
    assert_eq!(model.status().last_update.unwrap().trigger, Trigger::Watch);
    looks().await;
    assert_eq!(shop.seen.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_same_content_is_none() {
    let shop = Workshop::new();
    let model = watched(&shop, "m", "1").await;
    shop.write("m", "1");
    looks().await;
    assert_eq!((shop.seen.loads(), model.status().updates), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_being_written_is_left_alone() {
    let shop = Workshop::new();
    let model = watched(&shop, "m", "1").await;
    for length in 1..6 {
        // Another length at every look: somebody is at it.
        shop.write("m", &format!("5{}", " ".repeat(length)));
        sleep(SECOND).await;
        assert_eq!(shop.seen.loads(), 1);
    }
    looks().await;
    assert_eq!(ask(&model, 1).await.0, 5);
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_is_tried_once() {
    let shop = Workshop::new();
    let model = watched(&shop, "m", "1").await;
    shop.write("m", "broken");
    looks().await;
    looks().await;
    assert_eq!(ask(&model, 1).await, (1, "1".to_owned()));
    let status = model.status();
    assert_eq!(status.last_error.unwrap().trigger, Trigger::Watch);
    assert_eq!((status.failed_updates, shop.seen.loads()), (1, 2));
    remove(&shop.path("m"));
    looks().await;
    assert_eq!(ask(&model, 1).await.0, 1, "no file is no update");
    shop.write("m", "6");
    looks().await;
    assert_eq!(ask(&model, 1).await.0, 6);
}

#[tokio::test(start_paused = true)]
async fn what_was_rolled_back_does_not_come_again() {
    let shop = Workshop::new();
    let model = watched(&shop, "m", "1").await;
    shop.write("m", "5");
    looks().await;
    model.rollback().await.unwrap();
    looks().await;
    // Touched, with the same content.
    shop.write("m", "5");
    looks().await;
    assert_eq!(ask(&model, 1).await, (1, "1".to_owned()));
    shop.write("m", "6");
    looks().await;
    assert_eq!(ask(&model, 1).await.0, 6);
    // Somebody means it.
    shop.write("m", "5");
    looks().await;
    assert_eq!(ask(&model, 1).await.0, 5);
}

#[tokio::test(start_paused = true)]
async fn a_version_beside_others_that_fails_is_shown() {
    let shop = Workshop::new();
    shop.write("m/3.onnx", "3");
    let model = folder(&shop, Versions::All).await;
    shop.write("m/1.onnx", "broken");
    shop.write("m/2/a.onnx", "2");
    shop.write("m/2/b.onnx", "2");
    looks().await;
    looks().await;
    let status = model.status();
    assert_eq!(status.failed_updates, 2);
    let message = status.last_error.unwrap().message;
    assert!(
        message.contains("invalid digit") || message.contains("cannot be told"),
        "{message}"
    );
    assert_eq!(ask(&model, 1).await.0, 3);
}

#[tokio::test(start_paused = true)]
async fn a_higher_version_in_the_folder_is_an_update() {
    let shop = Workshop::new();
    shop.write("m/3.onnx", "3");
    let model = folder(&shop, Versions::Latest).await;
    shop.write("m/2.onnx", "2");
    looks().await;
    assert_eq!(ask(&model, 1).await, (3, "3".to_owned()), "2 is not higher");
    shop.write("m/10/model.onnx", "10");
    looks().await;
    assert_eq!(ask(&model, 1).await, (10, "10".to_owned()));
    assert_eq!(model.versions().len(), 1);
    shop.write("m/11.onnx", "broken");
    looks().await;
    looks().await;
    assert_eq!(ask(&model, 1).await.0, 10);
    assert_eq!(model.status().failed_updates, 1);
    shop.write("m/11.onnx", "11");
    looks().await;
    assert_eq!(ask(&model, 1).await.0, 11);
    model.rollback().await.unwrap();
    looks().await;
    assert_eq!(ask(&model, 1).await.0, 10, "only what is new is an update");
}

#[tokio::test(start_paused = true)]
async fn all_versions_come_and_go() {
    let shop = Workshop::new();
    shop.write("m/3.onnx", "3");
    let model = folder(&shop, Versions::All).await;
    for version in ["1", "4"] {
        shop.write(&format!("m/{version}.onnx"), version);
    }
    looks().await;
    let by = async |version: &str| {
        let answered = model
            .infer_version(version, vec![example(9)], Call::default())
            .await;
        answered.map(|(results, id)| check(9, &results[0], &id).0)
    };
    assert_eq!(ask(&model, 1).await.0, 4);
    assert_eq!(
        (by("1").await, by("3").await, by("4").await),
        (Some(1), Some(3), Some(4))
    );
    remove(&shop.path("m/3.onnx"));
    looks().await;
    assert_eq!(
        (by("1").await, by("3").await, by("4").await),
        (Some(1), None, Some(4))
    );
    remove(&shop.path("m/4.onnx"));
    looks().await;
    assert_eq!((by("4").await, ask(&model, 1).await.0), (None, 1));
    remove(&shop.path("m/1.onnx"));
    looks().await;
    assert_eq!(ask(&model, 1).await.0, 1, "the last one stays");
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_cannot_be_read_is_one_problem() {
    let shop = Workshop::new();
    shop.write("m/3.onnx", "3");
    let model = folder(&shop, Versions::Latest).await;
    shop.write("m/03.onnx", "3");
    looks().await;
    looks().await;
    let status = model.status();
    assert!(status.last_error.unwrap().message.contains("are version 3"));
    assert_eq!(status.failed_updates, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_model_is_not_watched() {
    let shop = Workshop::new();
    shop.write("m", "1");
    let mut config = shop.config("m");
    config.watch_interval = Some(SECOND);
    shop.registry.declare(config, shop.loader()).unwrap();
    drop(shop.registry.hold(&crate::fake::name("m")).await.unwrap());
    shop.registry.drain().await;
    shop.write("m", "2");
    looks().await;
    assert_eq!(shop.seen.loads(), 1);
}
