//! Threads and replicas that are found when a model is loaded. What is found depends on the
//! machine; that the search is right is tested beside it.

use crate::fake::{Workshop, ask, until};
use consort_registry::{Setting, Tune, TuneReport, Update, WarmUp};
use std::sync::atomic::Ordering;
use std::time::Duration;

fn tune(shop: &Workshop) -> Tune {
    Tune {
        time_max: Duration::from_millis(50),
        cores: Some(2),
        cache_dir: Some(shop.path("cache")),
        ..Tune::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_start_knows_what_the_first_found() {
    let shop = Workshop::new();
    shop.write("m", "1");
    let mut config = shop.config("m");
    config.tune = Some(tune(&shop));
    let model = shop.load(config.clone()).await;
    let Some(TuneReport::Measured(found)) = model.tuning().cloned() else {
        panic!("{:?}", model.tuning())
    };
    assert!([1, 2].contains(&found.threads) && (1..=3).contains(&found.replicas));
    assert!(found.examples_per_second > 0.0);
    let loads = shop.seen.loads.lock().unwrap().clone();
    assert!(
        loads.contains(&Some(1)) && !loads.contains(&None),
        "{loads:?}"
    );
    assert_eq!(
        shop.seen.alive.load(Ordering::SeqCst),
        1,
        "what was tried is gone"
    );
    assert_eq!(ask(&model, 1).await.0, 1);

    let again = Workshop::new();
    again.write("m", "1");
    let mut config = again.config("m");
    config.tune = Some(tune(&shop));
    let model = again.load(config).await;
    assert_eq!(model.tuning(), Some(&TuneReport::Kept(found)));
    assert_eq!(*again.seen.loads.lock().unwrap(), [Some(found.threads)]);

    // Another model is another matter.
    let other = Workshop::new();
    other.write("m", "2");
    let mut config = other.config("m");
    config.tune = Some(tune(&shop));
    let model = other.load(config).await;
    assert!(matches!(model.tuning(), Some(TuneReport::Measured(_))));
}

#[tokio::test(start_paused = true)]
async fn what_was_found_holds_for_updates() {
    let shop = Workshop::new();
    shop.write("m", "1");
    let mut config = shop.config("m");
    config.tune = Some(Tune {
        threads: Setting::Fixed(3),
        replicas: Setting::Fixed(2),
        cap_batch_size: true,
        ..tune(&shop)
    });
    let model = shop.load(config).await;
    shop.write("m", "2");
    model.update(Update::default()).await.unwrap();
    let loads = shop.seen.loads.lock().unwrap().clone();
    assert!(loads.iter().all(|threads| *threads == Some(3)), "{loads:?}");
    let found = *model.tuning().unwrap().tuning();
    assert_eq!((found.threads, found.replicas), (3, 2));
    let version = model.id().version;
    let labels = format!("{{model=\"m\",version=\"{version}\"}}");
    until(|| shop.metric(&format!("consort_replicas{labels}")) == "2").await;
    assert_eq!(
        shop.metric(&format!("consort_batch_size_max{labels}")),
        found.batch_size.to_string()
    );
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_be_tried_gets_a_guess() {
    let shop = Workshop::new();
    shop.write("m", "1 no-zeros");
    let mut config = shop.config("m");
    config.tune = Some(tune(&shop));
    let model = shop.load(config.clone()).await;
    let Some(TuneReport::Guessed(guess, reason)) = model.tuning() else {
        panic!("{:?}", model.tuning())
    };
    assert_eq!((guess.threads, guess.replicas), (1, 2));
    assert_eq!(reason, "0 is not for me");
    assert!(!shop.path("cache").exists(), "a guess is not kept");
    assert_eq!(ask(&model, 1).await.0, 1);

    shop.write("n", "1 no-zeros");
    let mut config = shop.config("n");
    config.tune = Some(tune(&shop));
    config.warm_up = WarmUp::Rows(vec![crate::fake::input(5)].into());
    let model = shop.load(config).await;
    assert!(matches!(model.tuning(), Some(TuneReport::Measured(_))));
}
