//! What the tests share.

use consort_inference::{Batch, ModelHandler, PredictError, Tensor, Tensors};
use consort_onnx::{BatchAxis, Config, Library, LoadError, ModelSource, OnnxHandler, load_library};
use std::path::PathBuf;

/// The library that set-up has installed.
pub(crate) fn library() -> Library {
    load_library(None).unwrap_or_else(|error| {
        panic!("these tests need ONNX Runtime; `cargo xtask setup` installs it. {error}")
    })
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

pub(crate) fn config(name: &str) -> Config {
    Config::new(name.parse().unwrap())
}

pub(crate) fn unbatched(name: &str) -> Config {
    Config {
        batch_axis: BatchAxis::None,
        ..config(name)
    }
}

pub(crate) fn try_load(config: &Config) -> Result<OnnxHandler, LoadError> {
    let path = fixture(&format!("{}.onnx", config.name));
    OnnxHandler::load(&library(), ModelSource::File(&path), config)
}

pub(crate) fn load(config: &Config) -> OnnxHandler {
    try_load(config).unwrap_or_else(|error| panic!("{}: {error}", config.name))
}

pub(crate) fn load_error(config: &Config) -> String {
    try_load(config)
        .expect_err("it should not load")
        .to_string()
}

pub(crate) fn row<const N: usize>(tensors: [(&str, Tensor); N]) -> Tensors {
    Tensors::from_named(tensors.map(|(name, tensor)| (name.into(), tensor))).unwrap()
}

pub(crate) fn floats(shape: &[usize], elements: &[f32]) -> Tensor {
    Tensor::from_slice(shape.to_vec(), elements).unwrap()
}

pub(crate) fn predict(handler: &OnnxHandler, rows: Vec<Tensors>) -> Vec<Tensors> {
    let count = rows.len();
    let predictions = try_predict(handler, rows).unwrap();
    assert_eq!(predictions.len(), count);
    for prediction in &predictions {
        handler.signature().check_outputs(prediction).unwrap();
    }
    predictions
}

pub(crate) fn try_predict(
    handler: &OnnxHandler,
    rows: Vec<Tensors>,
) -> Result<Vec<Tensors>, PredictError> {
    handler.predict(&Batch::new(rows).unwrap())
}

/// The input of the classifier's row `row`, as `fixtures/make.py` has it.
pub(crate) fn mlp_row(row: usize) -> Tensors {
    let x: Vec<f32> = (0..16)
        .map(|i| ((7 * row + 3 * i) % 16) as f32 / 8.0 - 1.0)
        .collect();
    self::row([("x", floats(&[16], &x))])
}
