//! Models that are loaded on demand, under a budget.

use crate::fake::{Workshop, ask, name, until};
use consort_registry::{Config, LoadError, Update};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn shop(model_bytes_max: u64) -> Workshop {
    Workshop::with(Config {
        model_bytes_max: Some(model_bytes_max),
        ..Config::default()
    })
}

/// Declares a model whose file has that number and so many bytes.
fn declare(shop: &Workshop, file: &str, number: i64, bytes: usize, pinned: bool) {
    shop.write(file, &format!("{:<bytes$}", format!("{number} ")));
    let mut config = shop.config(file);
    config.pinned = pinned;
    shop.registry.declare(config, shop.loader()).unwrap();
}

fn loaded(shop: &Workshop) -> Vec<String> {
    let models = shop.registry.models();
    models
        .iter()
        .map(|model| model.name().to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_loaded_once_for_all_who_ask() {
    let shop = Workshop::new();
    shop.write("slow", "1 gate");
    shop.registry
        .declare(shop.config("slow"), shop.loader())
        .unwrap();
    declare(&shop, "quick", 2, 10, false);
    shop.seen.gate.shut();
    let asking: Vec<_> = (0..20)
        .map(|x| {
            let registry = shop.registry.clone();
            tokio::spawn(async move {
                let held = registry.hold(&name("slow")).await.unwrap();
                ask(&held, x).await.0
            })
        })
        .collect();
    shop.seen.gate.reached(1).await;
    let quick = shop.registry.hold(&name("quick")).await.unwrap();
    assert_eq!(ask(&quick, 1).await.0, 2, "others do not wait");
    assert_eq!(shop.seen.loads(), 2);
    shop.seen.gate.open();
    for asked in asking {
        assert_eq!(asked.await.unwrap(), 1);
    }
    assert_eq!(shop.seen.loads(), 2);
}

#[tokio::test]
async fn the_least_recently_used_goes_and_pinned_ones_stay() {
    let shop = shop(100);
    declare(&shop, "pinned", 0, 30, true);
    for (number, file) in ["a", "b", "c"].iter().enumerate() {
        declare(&shop, file, number as i64, 30, false);
    }
    for file in ["pinned", "a", "b", "a"] {
        drop(shop.registry.hold(&name(file)).await.unwrap());
    }
    assert_eq!(loaded(&shop), ["a", "b", "pinned"]);
    assert_eq!(shop.metric("consort_models_on_demand_bytes"), "90");
    drop(shop.registry.hold(&name("c")).await.unwrap());
    assert_eq!(loaded(&shop), ["a", "c", "pinned"]);
    assert_eq!(shop.metric("consort_model_evictions_total"), "1");
    drop(shop.registry.hold(&name("b")).await.unwrap());
    assert_eq!(loaded(&shop), ["b", "c", "pinned"]);
    assert_eq!(shop.seen.bytes_max.load(Ordering::SeqCst), 90);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_in_use_goes_when_its_users_have() {
    let shop = shop(50);
    declare(&shop, "a", 1, 30, false);
    declare(&shop, "b", 2, 30, false);
    let held = shop.registry.hold(&name("a")).await.unwrap();
    let registry = shop.registry.clone();
    let waiting = tokio::spawn(async move {
        let held = registry.hold(&name("b")).await.unwrap();
        ask(&held, 7).await.0
    });
    // It is on its way out: nobody new gets it.
    until(|| loaded(&shop).is_empty()).await;
    assert_eq!(ask(&held, 5).await.0, 1, "who holds it is served");
    assert!(!waiting.is_finished());
    let registry = shop.registry.clone();
    let again = tokio::spawn(async move {
        let held = registry.hold(&name("a")).await.unwrap();
        ask(&held, 8).await.0
    });
    drop(held);
    assert_eq!(waiting.await.unwrap(), 2);
    assert_eq!(again.await.unwrap(), 1);
    assert_eq!(shop.seen.bytes_max.load(Ordering::SeqCst), 30);
}

#[tokio::test]
async fn a_model_that_can_never_fit_says_so() {
    let shop = shop(100);
    declare(&shop, "pinned", 0, 30, true);
    declare(&shop, "big", 1, 71, false);
    drop(shop.registry.hold(&name("pinned")).await.unwrap());
    let error = shop.registry.hold(&name("big")).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "model \"big\" needs 71 bytes, and model_bytes_max = 100 can never hold it beside what \
         is pinned: \"pinned\" (30 bytes); raise model_bytes_max in [registry]"
    );
    assert_eq!(shop.seen.loads(), 1, "it was not even loaded");
}

#[tokio::test]
async fn what_a_model_holds_counts_and_not_its_file() {
    let shop = shop(100);
    declare(&shop, "a", 1, 30, false);
    declare(&shop, "b", 2, 30, false);
    shop.write("large", "3 bytes=60");
    shop.registry
        .declare(shop.config("large"), shop.loader())
        .unwrap();
    shop.write("huge", "4 bytes=101");
    shop.registry
        .declare(shop.config("huge"), shop.loader())
        .unwrap();
    for file in ["a", "b", "large"] {
        drop(shop.registry.hold(&name(file)).await.unwrap());
    }
    assert_eq!(loaded(&shop), ["b", "large"]);
    let error = shop.registry.hold(&name("huge")).await.err().unwrap();
    assert!(
        matches!(&*error, LoadError::NoRoom(room) if room.needed == 101),
        "{error}"
    );
    until(|| shop.seen.alive.load(Ordering::SeqCst) <= 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_turns_out_larger_waits_for_those_in_use() {
    let shop = shop(100);
    declare(&shop, "a", 1, 50, false);
    shop.write("large", "3 bytes=60");
    shop.registry
        .declare(shop.config("large"), shop.loader())
        .unwrap();
    let held = shop.registry.hold(&name("a")).await.unwrap();
    let registry = shop.registry.clone();
    let waiting = tokio::spawn(async move {
        let held = registry.hold(&name("large")).await.unwrap();
        ask(&held, 7).await.0
    });
    // Loaded, found too large, and put away until the other one is gone.
    until(|| shop.seen.loads() == 2 && shop.seen.alive.load(Ordering::SeqCst) == 1).await;
    until(|| loaded(&shop).is_empty()).await;
    drop(held);
    assert_eq!(waiting.await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_broken_model_is_not_read_at_every_call() {
    let shop = Workshop::new();
    declare(&shop, "m", 1, 10, false);
    shop.write("m", "broken");
    for _ in 0..5 {
        assert!(shop.registry.hold(&name("m")).await.is_err());
    }
    assert_eq!(shop.seen.loads(), 1);
    shop.write("m", "2");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = shop.registry.hold(&name("m")).await.unwrap();
    assert_eq!(ask(&held, 1).await.0, 2);
}

#[tokio::test]
async fn an_update_counts_against_the_budget() {
    let shop = shop(100);
    declare(&shop, "a", 1, 40, false);
    declare(&shop, "b", 2, 40, false);
    drop(shop.registry.hold(&name("b")).await.unwrap());
    let a = shop.registry.hold(&name("a")).await.unwrap();
    shop.write("a", &format!("{:<50}", "3"));
    shop.registry
        .update(&name("a"), Update::default())
        .await
        .unwrap();
    assert_eq!(ask(&a, 1).await.0, 3);
    assert_eq!(loaded(&shop), ["a"], "b made room");
    assert_eq!(shop.metric("consort_models_on_demand_bytes"), "90");
    assert_eq!(shop.seen.bytes_max.load(Ordering::SeqCst), 90);
    shop.write("a", &format!("{:<60}", "4"));
    let error = shop
        .registry
        .update(&name("a"), Update::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("needs 150 bytes"), "{error}");
    assert_eq!(ask(&a, 2).await.0, 3);
    assert_eq!(shop.metric("consort_models_on_demand_bytes"), "90");
}

#[tokio::test]
async fn an_update_does_not_wait_for_models_in_use() {
    let shop = shop(100);
    declare(&shop, "a", 1, 40, false);
    declare(&shop, "b", 2, 40, false);
    let a = shop.registry.hold(&name("a")).await.unwrap();
    let b = shop.registry.hold(&name("b")).await.unwrap();
    shop.write("a", &format!("{:<40}", "3"));
    shop.write("b", &format!("{:<40}", "4"));
    let update = async |model: &str| {
        let updated = shop.registry.update(&name(model), Update::default()).await;
        updated.map_err(|error| error.to_string())
    };
    let (one, two) = (name("a"), name("b"));
    let both = tokio::join!(
        shop.registry.update(&one, Update::default()),
        shop.registry.update(&two, Update::default()),
    );
    let (one, two) = (
        both.0.unwrap_err().to_string(),
        both.1.unwrap_err().to_string(),
    );
    assert!(one.contains("both need 80 bytes"), "{one}");
    assert_eq!(one, two);
    assert_eq!((ask(&a, 1).await.0, ask(&b, 2).await.0), (1, 2));
    drop(b);
    update("a").await.unwrap();
    assert_eq!(ask(&a, 3).await.0, 3);
    assert!(shop.seen.bytes_max.load(Ordering::SeqCst) <= 100);
}

#[tokio::test]
async fn whoever_leaves_is_not_waited_for() {
    let shop = shop(50);
    declare(&shop, "a", 1, 30, false);
    declare(&shop, "b", 2, 30, false);
    declare(&shop, "c", 3, 30, false);
    let held = shop.registry.hold(&name("a")).await.unwrap();
    for file in ["b", "c"] {
        let asking = name(file);
        let mut waiting = Box::pin(shop.registry.hold(&asking));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("there is no room"),
            () = std::future::ready(()) => {}
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    drop(held);
    let again = shop.registry.hold(&name("a")).await.unwrap();
    assert_eq!(ask(&again, 1).await.0, 1);
    let loads = shop.seen.loads();
    assert!(loads <= 4, "{loads} loads: nobody waited for most of them");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Many tasks use many models at random: each is served by the model it asked for, and
    /// what is in memory never exceeds the budget.
    #[test]
    fn the_budget_holds_whoever_asks(
        seed in any::<u64>(),
        sizes in proptest::collection::vec(5..40usize, 2..12),
        tasks in 1..6u64,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let shop = Arc::new(shop(100));
            for (number, size) in sizes.iter().enumerate() {
                declare(&shop, &format!("m{number}"), number as i64, *size, number == 0);
            }
            let asking: Vec<_> = (0..tasks)
                .map(|task| {
                    let (shop, count) = (shop.clone(), sizes.len() as u64);
                    tokio::spawn(async move {
                        let mut state = seed ^ task.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                        for _ in 0..25 {
                            state ^= state << 13;
                            state ^= state >> 7;
                            state ^= state << 17;
                            let number = (state % count) as i64;
                            let model = name(&format!("m{number}"));
                            let held = shop.registry.hold(&model).await.unwrap();
                            assert_eq!(ask(&held, 1).await.0, number);
                            assert_eq!(held.name(), &model);
                        }
                    })
                })
                .collect();
            for asked in asking {
                asked.await.unwrap();
            }
            assert!(shop.seen.bytes_max.load(Ordering::SeqCst) <= 100);
        });
    }
}
