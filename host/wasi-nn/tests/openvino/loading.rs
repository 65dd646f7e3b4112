//! Models that load and models that do not.

use crate::support::{fixture, library, onnx_fixture, pass_through, plain, try_load, tuned};
use consort_wasi_nn::{Config, ModelSource, OpenVinoHandler};

fn refused(source: ModelSource<'_>, config: &Config) -> String {
    OpenVinoHandler::load(&library(), source, config)
        .expect_err("it should not load")
        .to_string()
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn datatypes_that_the_backend_lacks_are_refused_at_load() {
    for (element, name) in [
        ("boolean", "BOOL"),
        ("i8", "INT8"),
        ("u64", "UINT64"),
        ("i4", "i4"),
    ] {
        let graph = pass_through(&[("x", element, "?,2")]);
        let error = try_load(&graph, &plain()).unwrap_err().to_string();
        let start = format!("input \"x\" has elements of type {name}, and wasi-nn");
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn truncated_weights_are_counted() {
    let graph = std::fs::read(fixture("mlp.xml")).unwrap();
    let weights = std::fs::read(fixture("mlp.bin")).unwrap();
    let source = ModelSource::Bytes {
        graph: &graph,
        weights: &weights[..21_771],
    };
    assert_eq!(
        refused(source, &plain()),
        "the weights are truncated: 21772 bytes are needed, 21771 are there"
    );
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn what_openvino_refuses_is_said_on_one_line_with_its_version() {
    let graph = pass_through(&[("x", "f32", "?,2")]).replace("\"Convert\"", "\"Levitate\"");
    for config in [plain(), tuned()] {
        let error = try_load(&graph, &config).unwrap_err().to_string();
        assert!(error.starts_with("OpenVINO 20"), "{error}");
        assert!(
            error.contains("Levitate") && !error.contains('\n'),
            "{error}"
        );
    }
    let noise: Vec<u8> = (0..4_096u32).map(|i| (i * 31 % 251) as u8).collect();
    let source = ModelSource::Bytes {
        graph: &noise,
        weights: &[],
    };
    let error = refused(source, &plain());
    assert!(error.starts_with("OpenVINO 20"), "{error}");
}

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn onnx_models_keep_the_rules_of_the_signature() {
    let load = |name: &str| {
        let path = onnx_fixture(name);
        refused(ModelSource::File(&path), &plain())
    };
    let four = load("fixed_four.onnx");
    assert!(four.contains("takes 4 rows or more"), "{four}");
    let strings = load("strings.onnx");
    assert!(strings.contains("has elements of type"), "{strings}");
    let missing = load("no_such.onnx");
    assert!(
        missing.ends_with("no_such.onnx\" does not exist"),
        "{missing}"
    );
}
