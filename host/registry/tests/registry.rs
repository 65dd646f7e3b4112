//! Loading, keeping, publishing and draining, with a handler that negates numbers.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use consort_batching::Metrics;
use consort_inference::{
    Batch, BoxFuture, Call, Datatype, Endpoint, Example, Failure, ModelHandler, PredictError,
    Prediction, Signature, TenantId, Tensor, TensorSpec, Tensors,
};
use consort_registry::{LoadError, ModelConfig, ModelFile, Registry};
use prometheus_client::registry::Registry as MetricsRegistry;
use std::path::Path;
use std::sync::Arc;

struct Negate(Signature);

impl Negate {
    fn load(_: ModelFile<'_>) -> Result<Arc<dyn ModelHandler>, std::io::Error> {
        let spec = |name: &str| TensorSpec::new(name, Datatype::Int64, vec![Some(1)]);
        Ok(Arc::new(Self(Signature {
            inputs: vec![spec("x")],
            outputs: vec![spec("y")],
        })))
    }
}

impl ModelHandler for Negate {
    fn signature(&self) -> &Signature {
        &self.0
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        let negate = |row: &Tensors| {
            let x = row.tensor("x").unwrap().to_vec::<i64>().unwrap();
            let y: Vec<i64> = x.iter().map(|x| -x).collect();
            let y = Tensor::from_slice(vec![1], &y).unwrap();
            Tensors::from_named([("y".into(), y)]).unwrap()
        };
        Ok(batch.rows().iter().map(negate).collect())
    }

    fn model_byte_size(&self) -> u64 {
        12
    }

    fn platform(&self) -> &str {
        "test"
    }
}

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

fn registry() -> (Registry, MetricsRegistry) {
    let mut metrics = MetricsRegistry::default();
    (Registry::new(Metrics::register(&mut metrics)), metrics)
}

fn config(path: &Path, sha256: Option<&str>) -> ModelConfig {
    ModelConfig {
        name: "negate".parse().unwrap(),
        version: "3".to_owned(),
        path: path.to_owned(),
        sha256: sha256.map(str::to_owned),
        batching: consort_batching::Config::default(),
    }
}

fn example(x: i64) -> Example {
    let tensor = Tensor::from_slice(vec![1], &[x]).unwrap();
    Example {
        tenant: TenantId::default(),
        key: None,
        tensors: Tensors::from_named([("x".into(), tensor)]).unwrap(),
    }
}

#[tokio::test]
async fn a_loaded_model_answers_until_it_is_drained() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (registry, metrics) = registry();
    let model = registry
        .load(config(file.path(), None), Negate::load)
        .await
        .unwrap();
    let answers = model
        .batcher()
        .infer(vec![example(4)], Call::default())
        .await;
    let y = answers[0].as_ref().unwrap().tensor("y").unwrap();
    assert_eq!(y.to_vec::<i64>().unwrap(), [-4]);
    assert_eq!(model.id().to_string(), "negate:3");

    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &metrics).unwrap();
    assert!(
        text.contains("model_byte_size{model=\"negate\",version=\"3\"} 12"),
        "{text}"
    );
    assert!(text.contains("load_model_latency_milli_secs_count{model=\"negate\",version=\"3\"} 1"));

    registry.drain().await;
    let answers = model
        .batcher()
        .infer(vec![example(4)], Call::default())
        .await;
    assert!(answers[0].is_err());
}

#[tokio::test]
async fn one_name_is_one_model() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (registry, _) = registry();
    registry
        .load(config(file.path(), None), Negate::load)
        .await
        .unwrap();
    let error = registry
        .load(config(file.path(), None), Negate::load)
        .await
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "a model \"negate\" is loaded already");
    assert_eq!(registry.models().len(), 1);
}

#[tokio::test]
async fn the_file_must_be_the_one_asked_for() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "abc").unwrap();
    let (registry, _) = registry();
    let wrong = "0".repeat(64);
    let refused = |_: ModelFile<'_>| -> Result<Arc<dyn ModelHandler>, std::io::Error> {
        panic!("a file with the wrong digest must not be opened as a model")
    };
    let error = registry
        .load(config(file.path(), Some(&wrong)), refused)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, LoadError::DigestMismatch { .. }));
    assert!(error.to_string().contains("ba7816bf") && error.to_string().contains(&wrong));
    // FIPS 180-2, appendix B.1.
    let right = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    let load = |file: ModelFile<'_>| {
        assert!(matches!(file, ModelFile::Checked(b"abc")));
        Negate::load(file)
    };
    registry
        .load(config(file.path(), Some(right)), load)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_the_runtime_says_is_kept() {
    let (registry, _) = registry();
    let fails = |file: ModelFile<'_>| -> Result<Arc<dyn ModelHandler>, std::io::Error> {
        let ModelFile::Path(path) = file else {
            panic!("nobody asked for a digest")
        };
        Err(std::io::Error::other(format!("{} is odd", path.display())))
    };
    let error = registry
        .load(config(Path::new("m.onnx"), None), fails)
        .await
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "m.onnx is odd");
    assert!(registry.models().is_empty());
}

#[test]
fn the_latest_endpoint_of_a_name_answers() {
    let (registry, _) = registry();
    assert!(
        registry
            .publish(Arc::new(Named("a", Signature::default())))
            .is_none()
    );
    assert!(
        registry
            .publish(Arc::new(Named("b", Signature::default())))
            .is_none()
    );
    assert!(
        registry
            .publish(Arc::new(Named("a", Signature::default())))
            .is_some()
    );
    let endpoints = registry.endpoints();
    let names: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.name()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(registry.endpoint("c").is_none());
}
