//! What the tests share.

use consort_import::{Config, Environment, ImportError, Imported, Port};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The Python that set-up made for scikit-learn, XGBoost and LightGBM.
pub(crate) fn tabular_python() -> PathBuf {
    let python = match std::env::var_os("CONSORT_TABULAR_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => here().join("../../.setup/tabular/bin/python"),
    };
    assert!(
        python.exists(),
        "{} is missing: run `cargo xtask setup`",
        python.display()
    );
    python
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a script of `tests/models` that fills a folder.
pub(crate) fn models(python: &Path, script: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command
        .args(["-I", "-B"])
        .arg(here().join("tests/models").join(script));
    command
        .arg(folder.path())
        .env("ORT_DISABLE_TELEMETRY", "1")
        .env("CUDA_VISIBLE_DEVICES", "");
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    folder
}

/// An import into a folder of its own.
pub(crate) fn config(python: &Path, model: PathBuf, output: &Path) -> Config {
    let mut config = Config::new(model, Environment::Python(python.to_owned()));
    config.output = Some(output.to_owned());
    config.trust_pickle = true;
    config
}

pub(crate) fn import(config: Config) -> Result<Imported, ImportError> {
    consort_import::run(config, &mut |_| {})
}

/// Ports as one text: `x FP32 [-1, 4]`.
pub(crate) fn shown(ports: &[Port]) -> String {
    let one = |port: &Port| format!("{} {} {:?}", port.name, port.datatype, port.shape);
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The result says what the model says, on the rows that were made up.
pub(crate) fn check_agreement(imported: &Imported) {
    let agreement = imported
        .agreement
        .unwrap_or_else(|| panic!("{:?}", imported.warnings));
    assert_eq!(agreement.labels_differ, 0, "{imported:?}");
    assert!(agreement.worst < 1e-5, "{imported:?}");
    assert!(agreement.rows > 0);
}
