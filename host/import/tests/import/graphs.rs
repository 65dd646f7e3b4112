//! TensorFlow and torch. Ignored, since their packages are large: name a Python that has them in
//! `CONSORT_TENSORFLOW_PYTHON` or `CONSORT_TORCH_PYTHON` and run with `--ignored`.

use crate::support::{check_agreement, config, import, models, shown};
use consort_import::{Config, ImportError, Kind};
use std::path::PathBuf;
use tempfile::TempDir;

struct Graphs {
    python: PathBuf,
    folder: TempDir,
}

impl Graphs {
    fn new(variable: &str, script: &str) -> Self {
        let python = std::env::var_os(variable);
        let python = PathBuf::from(python.unwrap_or_else(|| panic!("{variable} is not set")));
        let folder = models(&python, script);
        Self { python, folder }
    }

    fn config(&self, name: &str, inputs: &[&str]) -> Config {
        let output = self.folder.path().join("out").join(name);
        let mut config = config(&self.python, self.folder.path().join(name), &output);
        config.overwrite = true;
        config.inputs = inputs.iter().map(|text| text.parse().unwrap()).collect();
        config
    }

    fn check(&self, name: &str, given: &[&str], inputs: &str, outputs: &str) {
        let imported = import(self.config(name, given));
        let imported = imported.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(shown(&imported.inputs), inputs, "{name}");
        assert_eq!(shown(&imported.outputs), outputs, "{name}");
        assert!(!imported.entry.contains("batching"), "{}", imported.entry);
        check_agreement(&imported);
    }
}

#[test]
#[ignore = "needs TensorFlow: CONSORT_TENSORFLOW_PYTHON"]
fn saved_models_of_tensorflow() {
    let graphs = Graphs::new("CONSORT_TENSORFLOW_PYTHON", "graphs_tensorflow.py");
    graphs.check("keras", &[], "x FP32 [-1, 4]", "output_0 FP32 [-1, 3]");
    graphs.check(
        "two",
        &[],
        "a FP32 [-1, 4], b FP32 [-1, 2]",
        "first FP32 [-1, 1], sum FP32 [-1, 2]",
    );
    let error = import(graphs.config("keras", &["x=FP32[4]"])).unwrap_err();
    assert!(error.to_string().contains("leave --input out"), "{error}");
}

#[test]
#[ignore = "needs torch and onnxscript: CONSORT_TORCH_PYTHON"]
fn programs_of_torch() {
    let graphs = Graphs::new("CONSORT_TORCH_PYTHON", "graphs_torch.py");
    let (one, output) = ("x FP32 [-1, 4]", "output FP32 [-1, 3]");
    graphs.check("script.pt", &["x=FP32[4]"], one, output);
    graphs.check("trace.pt", &["x=FP32[4]"], one, output);
    graphs.check("one.pt2", &[], one, output);
    graphs.check(
        "keyed.pt2",
        &[],
        "a FP32 [-1, 4], b FP32 [-1, 3]",
        "sum FP32 [-1, 3], total FP32 [-1]",
    );
    let error = import(graphs.config("script.pt", &[])).unwrap_err();
    assert!(error.to_string().contains("--input x=FP32[...]"), "{error}");
    let error = import(graphs.config("weights.pt", &[])).unwrap_err();
    assert!(matches!(error, ImportError::UnknownForm { .. }), "{error}");
    let mut untrusted = graphs.config("one.pt2", &[]);
    untrusted.trust_pickle = false;
    let error = import(untrusted).unwrap_err();
    assert!(
        matches!(error, ImportError::PickleNotTrusted { .. }),
        "{error}"
    );
    let mut wrong = graphs.config("script.pt", &[]);
    wrong.kind = Some(Kind::TorchExport);
    let error = import(wrong).unwrap_err();
    assert!(matches!(error, ImportError::WrongKind { .. }), "{error}");
}
