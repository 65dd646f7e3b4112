//! What the tests share: models as text, and the runs of them.

use consort_inference::{Batch, ModelHandler, PredictError, Tensor, Tensors};
use consort_wasi_nn::{
    BatchAxis, Config, LoadError, ModelSource, OpenVinoHandler, OpenVinoLibrary, Precision,
    load_library,
};
use std::path::PathBuf;

/// The library that set-up has installed.
pub(crate) fn library() -> OpenVinoLibrary {
    load_library(None).unwrap_or_else(|error| panic!("these tests need OpenVINO. {error}"))
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// The fixture that the ONNX tests use.
pub(crate) fn onnx_fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../onnx/fixtures")
        .join(name)
}

/// As wasmtime-wasi-nn's own backend compiles it.
pub(crate) fn plain() -> Config {
    Config::new("model".parse().unwrap())
}

/// As it is compiled where something is asked for.
pub(crate) fn tuned() -> Config {
    Config {
        threads: Some(1),
        concurrent_runs: Some(2),
        precision: Some(Precision::F32),
        ..plain()
    }
}

pub(crate) fn unbatched() -> Config {
    Config {
        batch_axis: BatchAxis::None,
        ..plain()
    }
}

/// A model that gives back its inputs, each through an operator that changes nothing.
pub(crate) fn pass_through(inputs: &[(&str, &str, &str)]) -> String {
    let mut layers = String::new();
    let mut edges = String::new();
    for (index, (name, element, shape)) in inputs.iter().enumerate() {
        let dims: String = shape
            .split(',')
            .filter(|axis| !axis.is_empty())
            .map(|axis| format!("<dim>{}</dim>", axis.parse().unwrap_or(-1)))
            .collect();
        let port = |id: u32, names: &str| {
            let precision = precision(element);
            format!("<port id=\"{id}\" precision=\"{precision}\"{names}>{dims}</port>")
        };
        let (id, middle, end) = (3 * index, 3 * index + 1, 3 * index + 2);
        layers += &format!(
            "<layer id=\"{id}\" name=\"in{id}\" type=\"Parameter\" version=\"opset1\">\
             <data shape=\"{shape}\" element_type=\"{element}\"/><output>{}</output></layer>\
             <layer id=\"{middle}\" name=\"convert{id}\" type=\"Convert\" version=\"opset1\">\
             <data destination_type=\"{element}\"/><input>{}</input><output>{}</output></layer>\
             <layer id=\"{end}\" name=\"out{id}\" type=\"Result\" version=\"opset1\" \
             output_names=\"{name}_out\"><input>{}</input></layer>",
            port(0, &format!(" names=\"{name}\"")),
            port(0, ""),
            port(1, &format!(" names=\"{name}_out\"")),
            port(0, ""),
        );
        edges += &format!(
            "<edge from-layer=\"{id}\" from-port=\"0\" to-layer=\"{middle}\" to-port=\"0\"/>\
             <edge from-layer=\"{middle}\" from-port=\"1\" to-layer=\"{end}\" to-port=\"0\"/>"
        );
    }
    format!(
        "<?xml version=\"1.0\"?><net name=\"n\" version=\"11\"><layers>{layers}</layers>\
         <edges>{edges}</edges></net>"
    )
}

fn precision(element: &str) -> String {
    match element {
        "f16" | "f32" | "f64" => element.replace('f', "FP"),
        "boolean" => "BOOL".to_owned(),
        other => other.to_uppercase(),
    }
}

pub(crate) fn try_load(graph: &str, config: &Config) -> Result<OpenVinoHandler, LoadError> {
    let graph = graph.as_bytes();
    let weights = &[];
    OpenVinoHandler::load(&library(), ModelSource::Bytes { graph, weights }, config)
}

pub(crate) fn load(graph: &str, config: &Config) -> OpenVinoHandler {
    try_load(graph, config).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn mlp(config: &Config) -> OpenVinoHandler {
    let path = fixture("mlp.xml");
    OpenVinoHandler::load(&library(), ModelSource::File(&path), config).unwrap()
}

pub(crate) fn row<const N: usize>(tensors: [(&str, Tensor); N]) -> Tensors {
    Tensors::from_named(tensors.map(|(name, tensor)| (name.into(), tensor))).unwrap()
}

pub(crate) fn floats(shape: &[usize], elements: &[f32]) -> Tensor {
    Tensor::from_slice(shape.to_vec(), elements).unwrap()
}

pub(crate) fn predict(handler: &OpenVinoHandler, rows: Vec<Tensors>) -> Vec<Tensors> {
    let count = rows.len();
    let predictions = try_predict(handler, rows).unwrap();
    assert_eq!(predictions.len(), count);
    for prediction in &predictions {
        handler.signature().check_outputs(prediction).unwrap();
    }
    predictions
}

pub(crate) fn try_predict(
    handler: &OpenVinoHandler,
    rows: Vec<Tensors>,
) -> Result<Vec<Tensors>, PredictError> {
    handler.predict(&Batch::new(rows).unwrap())
}

/// The input of the classifier's row `row`, as `make.py` of the ONNX fixtures has it.
pub(crate) fn mlp_row(row: usize) -> Tensors {
    let x: Vec<f32> = (0..16)
        .map(|i| ((7 * row + 3 * i) % 16) as f32 / 8.0 - 1.0)
        .collect();
    self::row([("x", floats(&[16], &x))])
}

/// The classes' probabilities for the first rows, computed without any runtime.
pub(crate) fn mlp_expected() -> Vec<Vec<f32>> {
    let text = std::fs::read_to_string(onnx_fixture("mlp_expected.txt")).unwrap();
    let numbers = |line: &str| {
        line.split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect()
    };
    text.lines().map(numbers).collect()
}

pub(crate) fn probabilities(prediction: &Tensors) -> Vec<f32> {
    prediction
        .tensor("probabilities")
        .unwrap()
        .to_vec()
        .unwrap()
}

#[track_caller]
pub(crate) fn assert_close(ours: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), expected.len());
    for (one, other) in ours.iter().zip(expected) {
        assert!(
            (one - other).abs() <= tolerance,
            "{ours:?}, expected {expected:?}"
        );
    }
}
