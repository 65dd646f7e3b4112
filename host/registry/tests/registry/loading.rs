//! Loading, keeping, publishing and draining.

use crate::fake::{Workshop, ask, example, name};
use consort_inference::ModelHandler;
use consort_inference::{
    BoxFuture, Call, Endpoint, Example, Failure, FailureKind, Prediction, Signature,
};
use consort_registry::{
    BoxError, LoadError, ModelConfig, ModelFile, OutputCheck, Source, WarmUp, WarmUpError,
    WarmUpReport,
};
use std::sync::Arc;

struct Named(&'static str, Signature);

impl Endpoint for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn version(&self) -> &str {
        "1"
    }

    fn platform(&self) -> &str {
        "test"
    }

    fn signature(&self) -> &Signature {
        &self.1
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn infer(&self, _: Vec<Example>, _: Call) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        Box::pin(async { Vec::new() })
    }
}

#[tokio::test]
async fn a_loaded_model_answers_until_it_is_drained() {
    let shop = Workshop::new();
    let model = shop.model("m", "5 bytes=12").await;
    assert_eq!(ask(&model, 4).await, (5, "1".to_owned()));
    assert_eq!(model.id().to_string(), "m:1");
    assert_eq!(model.totals().examples, 1);
    let labels = "{model=\"m\",version=\"1\"}";
    assert_eq!(shop.metric(&format!("model_byte_size{labels}")), "12");
    assert_eq!(
        shop.metric(&format!("load_model_latency_milli_secs_count{labels}")),
        "1"
    );
    assert_eq!(shop.metric("consort_models_loaded_bytes"), "12");
    assert_eq!(shop.metric("consort_model_loads_total{result=\"ok\"}"), "1");

    shop.registry.drain().await;
    let (results, _) = model.infer(vec![example(4)], Call::default()).await;
    assert_eq!(
        results[0].as_ref().unwrap_err().kind,
        FailureKind::Unavailable
    );
}

#[tokio::test]
async fn one_name_is_one_model() {
    let shop = Workshop::new();
    shop.model("m", "5").await;
    let again = shop.registry.load(shop.config("m"), shop.loader()).await;
    let message = "a model \"m\" is loaded already";
    assert_eq!(again.err().unwrap().to_string(), message);
    let declared = shop.registry.declare(shop.config("m"), shop.loader());
    assert_eq!(declared.unwrap_err().to_string(), message);
    assert_eq!(shop.registry.models().len(), 1);
}

#[tokio::test]
async fn two_loads_of_one_name_at_a_time_are_one_model() {
    let shop = Workshop::new();
    shop.write("m", "5");
    let load = || shop.registry.load(shop.config("m"), shop.loader());
    let (one, two) = tokio::join!(load(), load());
    assert!(one.is_ok() != two.is_ok());
    assert_eq!(shop.seen.loads(), 1);
}

#[tokio::test]
async fn a_name_whose_load_failed_is_free() {
    let shop = Workshop::new();
    shop.write("m", "no number");
    assert!(
        shop.registry
            .load(shop.config("m"), shop.loader())
            .await
            .is_err()
    );
    shop.model("m", "5").await;
}

#[tokio::test]
async fn the_file_must_be_the_one_asked_for() {
    let shop = Workshop::new();
    let path = shop.write("m", "5");
    let mut config = shop.config("m");
    config.sha256 = Some("0".repeat(64));
    let error = shop
        .registry
        .load(config.clone(), shop.loader())
        .await
        .err()
        .unwrap();
    assert!(matches!(error, LoadError::DigestMismatch { .. }));
    // `printf 5 | sha256sum`
    let right = "ef2d127de37b942baad06145e54b0c619a1f22327b2ebbcfbec78f5564afe39d";
    assert!(error.to_string().contains(right), "{error}");
    assert_eq!(
        shop.seen.loads(),
        0,
        "a wrong file is not opened as a model"
    );
    config.sha256 = Some(right.to_uppercase());
    let model = shop.load(config).await;
    std::fs::remove_file(path).unwrap();
    assert_eq!(ask(&model, 1).await.0, 5);
    assert_eq!(model.status().current.digest.unwrap().to_string(), right);
}

#[tokio::test]
async fn what_the_runtime_says_is_kept() {
    let shop = Workshop::new();
    let fails = |file: ModelFile<'_>, _: Option<usize>| {
        let ModelFile::Path(path) = file else {
            panic!("nobody asked for a digest")
        };
        let odd = std::io::Error::other(format!("{} is odd", path.display()));
        Err::<Arc<dyn ModelHandler>, BoxError>(odd.into())
    };
    let config = ModelConfig::new(name("m"), "1", Source::File("m.onnx".into()));
    let error = shop
        .registry
        .load(config, Arc::new(fails))
        .await
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "m.onnx is odd");
    let LoadError::Handler(source) = error else {
        panic!("{error}")
    };
    assert!(source.downcast_ref::<std::io::Error>().is_some());
    assert!(shop.registry.models().is_empty());
}

#[tokio::test]
async fn a_loader_that_panics_is_an_error() {
    let shop = Workshop::new();
    shop.write("m", "5 panic");
    let loaded = shop.registry.load(shop.config("m"), shop.loader()).await;
    assert!(matches!(loaded.err().unwrap(), LoadError::BrokenOff(_)));
}

#[tokio::test]
async fn a_model_without_a_file_is_loaded_too() {
    let shop = Workshop::new();
    let model = shop
        .load(ModelConfig::new(name("m"), "1", Source::Remote))
        .await;
    assert_eq!(ask(&model, 1).await.0, 7);
    assert_eq!(model.status().current.warm_up, WarmUpReport::Off);
}

#[tokio::test]
async fn zeros_are_tried_and_may_be_refused_at_first() {
    let shop = Workshop::new();
    let done = shop.model("a", "5").await.status().current.warm_up;
    assert_eq!(done, WarmUpReport::Done { examples: 1 });
    let ignored = shop.model("b", "5 no-zeros").await.status().current.warm_up;
    assert!(matches!(
        ignored,
        WarmUpReport::Ignored(WarmUpError::Predict { example: 1, .. })
    ));
}

#[tokio::test]
async fn given_examples_must_work() {
    let shop = Workshop::new();
    let error = async |words: &str, check: OutputCheck| {
        shop.write("m", &format!("5 {words}"));
        let mut config = shop.config("m");
        config.warm_up = WarmUp::Rows(vec![crate::fake::input(0), crate::fake::input(2)].into());
        config.update_check = check;
        let loaded = shop.registry.load(config, shop.loader()).await;
        loaded.err().unwrap().to_string()
    };
    assert_eq!(
        error("no-zeros", OutputCheck::Signature).await,
        "the model failed its warm-up: on warm-up example 1: 0 is not for me"
    );
    assert_eq!(
        error("nan", OutputCheck::Finite).await,
        "the model failed its warm-up: output \"f\" on warm-up example 1 holds NaN or infinity"
    );
    assert_eq!(
        error("short", OutputCheck::Signature).await,
        "the model failed its warm-up: 1 examples gave 0 predictions"
    );
    let wide = error("wide", OutputCheck::Signature).await;
    assert!(
        wide.contains("warm-up example 1 does not fit the model"),
        "{wide}"
    );
}

#[test]
fn the_latest_endpoint_of_a_name_answers() {
    let registry = Workshop::new().registry;
    let publish = |name| registry.publish(Arc::new(Named(name, Signature::default())));
    assert!(publish("a").is_none() && publish("b").is_none());
    assert!(publish("a").is_some());
    let endpoints = registry.endpoints();
    let names: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.name()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(registry.endpoint("c").is_none());
}
