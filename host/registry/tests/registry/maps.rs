//! A model for each key.

use crate::fake::{Workshop, example, keyed, name, number};
use consort_inference::{Call, Endpoint, Example, FailureKind};
use consort_registry::{Config, KeyPattern, MapError, ModelMap, ModelMapConfig, Template, WarmUp};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Loads models of these numbers under these names.
async fn shop(models: &[(&str, i64)]) -> Workshop {
    let shop = Workshop::new();
    for (name, number) in models {
        shop.model(name, &number.to_string()).await;
    }
    shop
}

fn config(keys: &[(&str, &str)], default: Option<&str>) -> ModelMapConfig {
    let key = |(pattern, model): &(&str, &str)| (KeyPattern::new(pattern), name(model));
    ModelMapConfig {
        keys: keys.iter().map(key).collect(),
        default: default.map(name),
        ..ModelMapConfig::new(name("map"), "1")
    }
}

fn template(shop: &Workshop, path: &str) -> Template {
    let mut model = shop.config("template");
    model.version = "9".to_owned();
    Template {
        path: shop.path(path).to_str().unwrap().parse().unwrap(),
        model,
        loader: shop.loader(),
    }
}

async fn open(shop: &Workshop, config: ModelMapConfig) -> ModelMap {
    ModelMap::open(shop.registry.clone(), config).await.unwrap()
}

/// What each example was answered by: a model's id, or a kind of failure.
async fn answers(map: &ModelMap, examples: Vec<Example>) -> Vec<String> {
    let given: Vec<_> = examples.iter().map(|example| example.key.clone()).collect();
    let results = map.infer(examples, Call::default()).await;
    assert_eq!(results.len(), given.len());
    let results = results.into_iter().zip(given);
    let text = |(result, key): (Result<consort_inference::Prediction, _>, _)| match result {
        Ok(prediction) => {
            assert_eq!(prediction.key, key, "keys are forwarded untouched");
            prediction.model_id.to_string()
        }
        Err(consort_inference::Failure { kind, .. }) => kind.to_string(),
    };
    results.map(text).collect()
}

#[tokio::test]
async fn the_most_specific_key_wins() {
    let shop = shop(&[("all", 1), ("de", 2), ("by", 3), ("one", 4), ("rest", 5)]).await;
    let keys = [
        ("*x*", "all"),
        ("de-*", "de"),
        ("de-by-*", "by"),
        ("de-by-m", "one"),
    ];
    let map = open(&shop, config(&keys, Some("rest"))).await;
    let keys = ["de-by-m", "de-by-n", "de-x", "x", "z"];
    let mut examples: Vec<Example> = keys.iter().map(|key| keyed(key, 1)).collect();
    examples.push(example(1));
    assert_eq!(
        answers(&map, examples).await,
        ["one:1", "by:1", "de:1", "all:1", "rest:1", "rest:1"]
    );
}

#[tokio::test]
async fn without_a_default_unknown_keys_fail_alone() {
    let shop = shop(&[("a", 1)]).await;
    let map = open(&shop, config(&[("a*", "a")], None)).await;
    let examples = vec![keyed("b", 1), keyed("a1", 2), example(3)];
    assert_eq!(
        answers(&map, examples).await,
        ["not_found", "a:1", "invalid_argument"]
    );
    let results = map.infer(vec![keyed("b\u{7}", 1)], Call::default()).await;
    let message = &results[0].as_ref().unwrap_err().message;
    assert_eq!(
        message,
        "no model has the key \"b\\u{7}\", and there is no default model"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_share_a_model_share_a_batch() {
    let shop = Workshop::new();
    let model = shop.model("m", "1").await;
    let map = open(&shop, config(&[("*", "m")], None)).await;
    let examples = (1..=20).map(|x| keyed(&format!("k{x}"), x)).collect();
    answers(&map, examples).await;
    // Beam runs one batch a key. The batcher does not know the model yet and begins small.
    let totals = model.totals();
    assert_eq!(totals.examples, 20);
    assert!(totals.batches < 20 && totals.largest > 1, "{totals:?}");
}

#[tokio::test]
async fn a_file_for_each_key() {
    let shop = shop(&[("rest", 7)]).await;
    for key in ["a", "b"] {
        shop.write(&format!("models/{key}.onnx"), "5");
    }
    let with = |default: Option<&str>| ModelMapConfig {
        template: Some(template(&shop, "models/{key}.onnx")),
        ..config(&[], default)
    };
    let map = open(&shop, with(None)).await;
    let keys = ["a", "b", "c", "../models/a", "a"];
    let examples = || keys.iter().map(|key| keyed(key, 3)).collect::<Vec<_>>();
    assert_eq!(
        answers(&map, examples()).await,
        ["map.a:9", "map.b:9", "not_found", "not_found", "map.a:9"]
    );
    let map = open(&shop, with(Some("rest"))).await;
    assert_eq!(
        answers(&map, examples()).await,
        ["map.a:9", "map.b:9", "rest:1", "rest:1", "map.a:9"]
    );
    // A file that comes later is found.
    shop.write("models/c.onnx", "6");
    assert_eq!(answers(&map, vec![keyed("c", 1)]).await, ["map.c:9"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_named_models_under_a_budget() {
    const MODELS: i64 = 300;
    let shop = Workshop::with(Config {
        model_bytes_max: Some(1_000),
        ..Config::default()
    });
    let named = |number: i64| format!("m{number}");
    let mut keys = Vec::new();
    for number in 0..MODELS {
        shop.write(&named(number), &format!("{number:<100}"));
        let mut model = shop.config(&named(number));
        // One in a hundred stays, once it is loaded.
        model.pinned = number % 100 == 7;
        shop.registry.declare(model, shop.loader()).unwrap();
        keys.push((KeyPattern::new(&format!("k{number}")), name(&named(number))));
    }
    let config = ModelMapConfig {
        keys,
        ..config(&[], None)
    };
    let map = Arc::new(open(&shop, config).await);
    assert_eq!(shop.seen.loads(), 1, "one, to know what all read and write");
    let calls = (0..4).map(|call: i64| {
        let map = map.clone();
        tokio::spawn(async move {
            for number in (0..MODELS).map(|number| (number * 7 + call * 75) % MODELS) {
                let asked = vec![keyed(&format!("k{number}"), 5)];
                let results = map.infer(asked, Call::default()).await;
                let prediction = results[0].as_ref().unwrap();
                assert_eq!(prediction.model_id.to_string(), format!("m{number}:1"));
                assert_eq!(number, self::number(&prediction.outputs, "made"));
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert!(shop.seen.bytes_max.load(Ordering::SeqCst) <= 1_000);
    let in_memory: Vec<String> = shop
        .registry
        .models()
        .iter()
        .map(|model| model.name().to_string())
        .collect();
    assert!(in_memory.len() <= 10, "{in_memory:?}");
    for pinned in ["m7", "m107", "m207"] {
        assert!(in_memory.iter().any(|name| name == pinned), "{in_memory:?}");
    }
    let evictions: i64 = shop
        .metric("consort_model_evictions_total")
        .parse()
        .unwrap();
    assert!(evictions >= MODELS - 10, "{evictions}");
    assert_eq!(shop.seen.loads() as i64 - evictions, in_memory.len() as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_models_under_a_budget() {
    const MODELS: i64 = 300;
    let shop = Workshop::with(Config {
        model_bytes_max: Some(1_000),
        ..Config::default()
    });
    for number in 0..MODELS {
        shop.write(&format!("models/k{number}.onnx"), &format!("{number:<100}"));
    }
    let template = template(&shop, "models/{key}.onnx");
    let map = Arc::new(
        open(
            &shop,
            ModelMapConfig {
                template: Some(template),
                ..config(&[], None)
            },
        )
        .await,
    );
    // All of them in one call, and in many at the same time.
    let all: Vec<Example> = (0..MODELS)
        .map(|n| keyed(&format!("k{n}"), n + 1))
        .collect();
    let calls = (0..4).map(|call| {
        let (map, all) = (map.clone(), all.clone());
        tokio::spawn(async move {
            let examples: Vec<Example> = match call {
                0 => all,
                step => all.into_iter().step_by(step).collect(),
            };
            let asked = examples.clone();
            let results = map.infer(examples, Call::default()).await;
            for (example, result) in asked.iter().zip(results) {
                let outputs = result.unwrap().outputs;
                let key = example.key.as_ref().unwrap();
                assert_eq!(format!("k{}", number(&outputs, "made")), **key);
                assert_eq!(number(&outputs, "y"), -number(&example.tensors, "x"));
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert!(shop.seen.bytes_max.load(Ordering::SeqCst) <= 1_000);
    assert!(shop.registry.models().len() <= 10);
    let evictions: i64 = shop
        .metric("consort_model_evictions_total")
        .parse()
        .unwrap();
    assert!(evictions >= MODELS - 10, "{evictions}");
}

#[tokio::test]
async fn a_call_waits_for_a_model_no_longer_than_its_deadline() {
    let shop = Workshop::with(Config {
        model_bytes_max: Some(50),
        ..Config::default()
    });
    for key in ["a", "b"] {
        shop.write(&format!("{key}.onnx"), &format!("{:<30}", 1));
        let mut config = shop.config(key);
        config.source = consort_registry::Source::File(shop.path(&format!("{key}.onnx")));
        shop.registry.declare(config, shop.loader()).unwrap();
    }
    let map = open(&shop, config(&[("a", "a"), ("b", "b")], None)).await;
    let held = shop.registry.hold(&name("a")).await.unwrap();
    // Paused, time goes on by itself when there is nothing else to do.
    tokio::time::pause();
    let late = answers(&map, vec![keyed("b", 1)]).await;
    assert_eq!(late, ["deadline_exceeded"]);
    tokio::time::resume();
    drop(held);
    assert_eq!(
        answers(&map, vec![keyed("b", 1), keyed("a", 1)]).await,
        ["b:1", "a:1"]
    );
}

#[tokio::test]
async fn models_must_fit_the_map() {
    let shop = shop(&[("a", 1)]).await;
    shop.write("w", "2 wide");
    let mut wide = shop.config("w");
    wide.warm_up = WarmUp::Off;
    shop.registry.declare(wide, shop.loader()).unwrap();
    let both = config(&[("w", "w")], Some("a"));
    // Not loaded yet, so that it is found out later.
    let map = open(&shop, both.clone()).await;
    assert_eq!(
        answers(&map, vec![keyed("w", 1), keyed("a", 1)]).await,
        ["model_contract", "a:1"]
    );
    let shop = shop_with_wide().await;
    let error = ModelMap::open(shop.registry.clone(), both)
        .await
        .unwrap_err();
    assert!(matches!(&error, MapError::OtherSignature { .. }), "{error}");
}

async fn shop_with_wide() -> Workshop {
    let shop = shop(&[("a", 1)]).await;
    let path = shop.write("w", "2 wide");
    let mut wide = shop.config("w");
    wide.warm_up = WarmUp::Off;
    wide.source = consort_registry::Source::File(path);
    shop.load(wide).await;
    shop
}

#[tokio::test]
async fn a_map_says_what_it_lacks() {
    let shop = shop(&[("a", 1)]).await;
    let error = async |config| {
        let opened = ModelMap::open(shop.registry.clone(), config).await;
        opened.unwrap_err().to_string()
    };
    assert_eq!(
        error(config(&[("x", "b")], None)).await,
        "there is no model \"b\" for the map to use"
    );
    let nothing = error(config(&[], None)).await;
    assert!(nothing.contains("name a default model"), "{nothing}");
    let empty = ModelMapConfig {
        template: Some(template(&shop, "none/{key}.onnx")),
        ..config(&[], None)
    };
    assert_eq!(error(empty).await, nothing);
}

#[tokio::test]
async fn examples_come_back_if_the_call_asks_for_them() {
    let shop = shop(&[("a", 1)]).await;
    let map = open(&shop, config(&[], Some("a"))).await;
    let call = Call {
        keep_example: true,
        ..Call::default()
    };
    let results = map.infer(vec![keyed("k", 5)], call).await;
    let kept = results[0].as_ref().unwrap().example.as_ref().unwrap();
    assert_eq!(number(kept, "x"), 5);
    let results = map.infer(vec![keyed("k", 5)], Call::default()).await;
    assert!(results[0].as_ref().unwrap().example.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever the keys: each example is answered once, in its place, by the model of its
    /// key or by a failure of its own.
    #[test]
    fn every_example_is_answered_in_its_place(keys in proptest::collection::vec("[abc]?[0-9]{0,2}|\\PC{0,3}", 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let shop = shop(&[("a", 1), ("b", 2)]).await;
            for digit in 0..5 {
                shop.write(&format!("f/{digit}"), "3");
            }
            let map = open(&shop, ModelMapConfig {
                template: Some(template(&shop, "f/{key}")),
                ..config(&[("a*", "a"), ("b?", "b")], None)
            }).await;
            let examples = keys.iter().zip(1..).map(|(key, x)| keyed(key, x)).collect();
            let results = map.run(examples, Call::default()).await;
            assert_eq!(results.len(), keys.len());
            for ((result, key), x) in results.iter().zip(&keys).zip(1..) {
                let expected = match key.chars().collect::<Vec<_>>()[..] {
                    ['a', ..] => Some("a".to_owned()),
                    ['b', _] => Some("b".to_owned()),
                    ['0'..='4'] => Some(format!("map.{key}")),
                    _ => None,
                };
                match (result, expected) {
                    (Ok((outputs, id)), Some(expected)) => {
                        assert_eq!((&*id.name, number(outputs, "y")), (&*expected, -x));
                    }
                    (Err(failure), None) => assert_eq!(failure.kind, FailureKind::NotFound),
                    (result, expected) => panic!("{key:?}: {result:?}, not {expected:?}"),
                }
            }
            let ran = shop.seen.runs();
            assert!(ran.values().all(|count| *count == 1));
        });
    }
}
