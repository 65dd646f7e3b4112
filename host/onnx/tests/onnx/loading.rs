//! Models that load, and models that do not and why.

use crate::support::{
    config, fixture, floats, library, load, load_error, mlp_row, predict, row, unbatched,
};
use consort_inference::ModelHandler;
use consort_onnx::{BatchAxis, Config, LoadError, ModelSource, OnnxHandler, Optimization};
use std::path::Path;

fn load_file(path: &Path) -> Result<OnnxHandler, LoadError> {
    OnnxHandler::load(&library(), ModelSource::File(path), &config("model"))
}

fn load_bytes(bytes: &[u8]) -> Result<OnnxHandler, LoadError> {
    OnnxHandler::load(&library(), ModelSource::Bytes(bytes), &config("model"))
}

#[test]
fn a_model_loads_from_a_file_and_from_memory_alike() {
    let path = fixture("mlp.onnx");
    let bytes = std::fs::read(&path).unwrap();
    let (from_file, from_bytes) = (load_file(&path).unwrap(), load_bytes(&bytes).unwrap());
    assert_eq!(from_file.signature(), from_bytes.signature());
    assert_eq!(from_file.signature().inputs[0].to_string(), "FP32 [16]");
    assert_eq!(from_file.signature().outputs[0].to_string(), "FP32 [3]");
    for handler in [&from_file, &from_bytes] {
        let size = handler.model_byte_size();
        assert!(
            (bytes.len()..2 * bytes.len()).contains(&(size as usize)),
            "{size}"
        );
        assert_eq!(handler.platform(), "onnxruntime_onnx");
        assert_eq!(handler.batch_axis(), BatchAxis::Leading);
    }
    let rows = || (0..5).map(mlp_row).collect();
    assert_eq!(predict(&from_file, rows()), predict(&from_bytes, rows()));
}

#[test]
fn every_way_to_load_it_gives_the_same_predictions() {
    let rows = || (0..4).map(mlp_row).collect();
    let usual = predict(&load(&config("mlp")), rows());
    let usual = |i: usize| {
        usual[i]
            .tensor("probabilities")
            .unwrap()
            .to_vec::<f32>()
            .unwrap()
    };
    let levels = [
        Optimization::None,
        Optimization::Basic,
        Optimization::Extended,
        Optimization::All,
    ];
    for optimization in levels {
        for (threads, inter_threads) in [(0, 1), (1, 1), (2, 2)] {
            for flag in [false, true] {
                let handler = load(&Config {
                    optimization,
                    threads,
                    inter_threads,
                    spinning: flag,
                    memory_pattern: flag,
                    ..config("mlp")
                });
                for (i, prediction) in predict(&handler, rows()).iter().enumerate() {
                    let actual = prediction
                        .tensor("probabilities")
                        .unwrap()
                        .to_vec::<f32>()
                        .unwrap();
                    for (actual, usual) in actual.iter().zip(usual(i)) {
                        assert!((actual - usual).abs() < 1e-6, "{optimization} {threads}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("model.onnx");
    let error = load_file(&missing).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("model file \"{}\" does not exist", missing.display())
    );
    assert!(matches!(error, LoadError::Missing(_)));
    let error = load_file(folder.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("cannot be read: it is not a file"),
        "{error}"
    );
}

#[test]
fn what_is_no_model_is_told_from_one_that_is_cut_off() {
    let error = load_bytes(b"this is not a model").unwrap_err();
    assert!(matches!(error, LoadError::NotOnnx(_)), "{error}");
    let error = load_bytes(b"").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model is not an ONNX file: it is empty"
    );
    let whole = std::fs::read(fixture("mlp.onnx")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.onnx");
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    for error in [
        load_file(&path).unwrap_err(),
        load_bytes(&whole[..whole.len() / 2]).unwrap_err(),
    ] {
        assert!(
            error
                .to_string()
                .starts_with("the model is truncated: at least "),
            "{error}"
        );
    }
}

#[test]
fn weights_in_a_file_of_their_own_are_found_counted_and_missed() {
    let (model, weights) = (fixture("external.onnx"), fixture("external.bin"));
    let length = |path: &Path| std::fs::metadata(path).unwrap().len();
    let handler = load_file(&model).unwrap();
    assert!(handler.model_byte_size() >= length(&model) + length(&weights));
    let prediction = predict(&handler, vec![row([("x", floats(&[256], &[1.0; 256]))])]);
    let y = prediction[0].tensor("y").unwrap().to_vec::<f32>().unwrap();
    assert_eq!(y, (0..256).map(|i| 1.0 + i as f32).collect::<Vec<_>>());

    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("external.onnx");
    std::fs::copy(&model, &copy).unwrap();
    let error = load_file(&copy).unwrap_err();
    assert!(
        matches!(error, LoadError::ExternalDataMissing(_)),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("external.bin\", which does not exist"),
        "{error}"
    );
    std::fs::write(folder.path().join("external.bin"), [0; 1000]).unwrap();
    let error = load_file(&copy).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1024 bytes are needed, 1000 are there"),
        "{error}"
    );
    // In memory it has no folder; ONNX Runtime would look in the working directory.
    let error = load_bytes(&std::fs::read(&model).unwrap()).unwrap_err();
    assert!(
        matches!(error, LoadError::ExternalDataOfBytes(_)),
        "{error}"
    );
}

#[test]
fn a_model_for_a_newer_library_says_which_opset_it_asks_for() {
    let error = load_error(&config("future_opset"));
    let version = library().version().to_owned();
    assert_eq!(
        error,
        format!(
            "the model asks for version 999 of the operators of ai.onnx, which ONNX Runtime \
             {version} does not know; export it for an older version, or use a newer ONNX Runtime"
        )
    );
    let error = load_error(&config("unknown_operator"));
    assert!(
        error.starts_with(&format!("ONNX Runtime {version} cannot load the model")),
        "{error}"
    );
    assert!(
        error.contains("Frobnicate") && !error.contains('\n'),
        "{error}"
    );
}

#[test]
fn what_is_no_tensor_is_named() {
    let error = |name| load_error(&config(name));
    assert_eq!(
        error("optional_output"),
        "output \"maybe\" is an optional value; tensors can be served, and as outputs also \
         sequences of tensors and of maps to numbers"
    );
    assert_eq!(
        error("eight_bit_input"),
        "input \"x\" has elements of type float8e4m3fn, for which the protocol has no datatype"
    );
    assert!(
        error("unknown_rank").starts_with("output \"y\" does not declare how many axes it has")
    );
}

#[test]
fn what_cannot_be_batched_is_named_with_what_to_write() {
    for (name, begin) in [
        ("fixed_four", "input \"x\" takes exactly 4 rows"),
        ("scalar_input", "input \"factor\" has no axes"),
        ("scalar_output", "output \"mean\" has no axes"),
        ("sums_batch", "output \"sum\" always has 3 rows"),
        (
            "disagreeing",
            "input \"two\" takes exactly 2 rows and input \"three\" takes exactly 3",
        ),
    ] {
        let error = load_error(&config(name));
        assert!(error.starts_with(begin), "{error}");
        assert!(error.contains("batching = \"off\""), "{error}");
        // And what it says to write is right.
        let handler = load(&unbatched(name));
        assert_eq!(handler.batch_hints().max_batch_size, Some(1));
    }
}
