//! The same models on OpenVINO and on ONNX Runtime. OpenVINO is an optional part of set-up:
//! these tests are ignored unless asked for, and `cargo xtask test` asks for them where it is
//! set up.

use consort_inference::{Batch, Datatype, ModelHandler, Tensor, Tensors};
use consort_onnx::OnnxHandler;
use consort_tests::{prepared, root};
use consort_wasi_nn::{OpenVinoHandler, OpenVinoLibrary, Precision};
use std::path::Path;

fn onnx_runtime() -> consort_onnx::Library {
    let path = std::env::var_os("ORT_DYLIB_PATH")
        .is_none_or(|path| path.is_empty())
        .then(|| prepared(".setup/onnxruntime-1.32.0/lib/libonnxruntime.so.1.32.0"));
    consort_onnx::load_library(path.as_deref()).unwrap()
}

fn openvino() -> OpenVinoLibrary {
    consort_wasi_nn::load_library(None).unwrap()
}

fn on_onnx_runtime(path: &Path) -> OnnxHandler {
    let config = consort_onnx::Config::new("model".parse().unwrap());
    let source = consort_onnx::ModelSource::File(path);
    OnnxHandler::load(&onnx_runtime(), source, &config).unwrap()
}

/// In single precision: left to itself, OpenVINO computes in `BF16` on some machines.
fn on_openvino(path: &Path) -> OpenVinoHandler {
    let config = consort_wasi_nn::Config {
        precision: Some(Precision::F32),
        ..consort_wasi_nn::Config::new("model".parse().unwrap())
    };
    let source = consort_wasi_nn::ModelSource::File(path);
    OpenVinoHandler::load(&openvino(), source, &config).unwrap()
}

/// Rows that fit the signature: numbers that differ from element to element and row to row.
fn rows(handler: &dyn ModelHandler, count: usize) -> Vec<Tensors> {
    let number = |row: usize, at: usize| (row * 31 + at * 7) % 257;
    let tensor = |spec: &consort_inference::TensorSpec, row: usize| {
        let shape: Vec<usize> = spec.shape.iter().map(|axis| axis.unwrap_or(3)).collect();
        let numbers = (0..shape.iter().product()).map(|at| number(row, at));
        match spec.datatype {
            Datatype::Fp32 => {
                let numbers: Vec<f32> = numbers.map(|n| n as f32 / 128.0 - 1.0).collect();
                Tensor::from_slice(shape, &numbers).unwrap()
            }
            Datatype::Int32 => {
                let numbers: Vec<i32> = numbers.map(|n| n as i32).collect();
                Tensor::from_slice(shape, &numbers).unwrap()
            }
            other => panic!("no numbers are made for {other}"),
        }
    };
    (0..count)
        .map(|row| {
            let inputs = handler.signature().inputs.iter();
            let named = inputs.map(|spec| (spec.name.clone(), tensor(spec, row)));
            Tensors::from_named(named).unwrap()
        })
        .collect()
}

/// Both runtimes promise the same and, on the same rows, say the same.
fn agree(one: &dyn ModelHandler, other: &dyn ModelHandler, batch_size: usize) {
    let sorted = |handler: &dyn ModelHandler| {
        let mut signature = handler.signature().clone();
        signature.inputs.sort_by(|a, b| a.name.cmp(&b.name));
        signature.outputs.sort_by(|a, b| a.name.cmp(&b.name));
        signature
    };
    assert_eq!(sorted(one), sorted(other));
    let batch = Batch::new(rows(one, batch_size)).unwrap();
    let (ours, theirs) = (one.predict(&batch).unwrap(), other.predict(&batch).unwrap());
    assert_eq!((ours.len(), theirs.len()), (batch_size, batch_size));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours.len(), theirs.len());
        for (name, tensor) in ours.iter() {
            let other = theirs.tensor(name).unwrap();
            assert_eq!(tensor.shape(), other.shape(), "{name}");
            let pairs = tensor.to_vec::<f32>().unwrap();
            for (a, b) in pairs.iter().zip(other.to_vec::<f32>().unwrap()) {
                assert!((a - b).abs() <= 1e-5, "{name}: {a} and {b}");
            }
        }
    }
    // Or else rows that were mixed up would pass.
    assert!(batch_size == 1 || ours.first() != ours.last());
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn the_classifier_is_the_same_on_both() {
    let reference = on_onnx_runtime(&root().join("host/onnx/fixtures/mlp.onnx"));
    for path in [
        "host/wasi-nn/fixtures/mlp.xml",
        "host/onnx/fixtures/mlp.onnx",
    ] {
        let ours = on_openvino(&root().join(path));
        for batch_size in [1, 3, 64] {
            agree(&ours, &reference, batch_size);
        }
    }
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn the_file_type_model_is_the_same_on_both() {
    let path = prepared("examples/file-type/model/model.onnx");
    let (ours, reference) = (on_openvino(&path), on_onnx_runtime(&path));
    for batch_size in [1, 4] {
        agree(&ours, &reference, batch_size);
    }
}
