//! Turns models of other libraries into ONNX: what `consort import` does.
//!
//! The converters are those that people trust (skl2onnx, onnxmltools, tf2onnx, torch.onnx), run
//! by a Python program of ours in an environment of its own or one that the user names. What was
//! run is said: command lines, versions, operator sets. The result is an ONNX file, its labels,
//! and an entry for a manifest.
//!
//! Nothing is ever unpickled, imported or run in the process of the host. A pickle is code: it
//! is refused unless the user trusts it, and then opened in a child process with an emptied
//! environment, a home folder of its own and a time limit. That process can still reach the
//! user's files and the network: it is no sandbox, and the refusal says so.
//!
//! This room never loads the result, and never writes outside of the output folder, the scratch
//! folder and the environment's.
//!
//! # Kinds and environments
//!
//! | kind | forms | environment |
//! |---|---|---|
//! | `sklearn` | pickle, joblib | `tabular` |
//! | `xgboost` | .json, .ubj, pickle | `tabular` |
//! | `lightgbm` | .txt, pickle | `tabular` |
//! | `tensorflow` | SavedModel | `tensorflow` |
//! | `torchscript`, `torch-export` | archive | `torch` |
//!
//! scikit-learn, XGBoost and LightGBM share one environment, since pipelines mix them.
//! `requirements/*.txt` pin every package with its digests.

mod child;
mod config;
mod convert;
mod entry;
mod environment;
mod error;
mod files;
mod kind;
mod report;

pub use config::{Config, Environment, InputSpec};
pub use error::{FormName, ImportError};
pub use kind::Kind;
pub use report::{Agreement, Label, Port};

use entry::Entry;
use kind::Form;
use std::fs;
use std::path::PathBuf;

/// The name of the model's file in the output folder.
const MODEL_FILE: &str = "model.onnx";

/// The name of the manifest in the output folder.
const MANIFEST_FILE: &str = "consort.toml";

/// A model that was imported.
#[derive(Debug)]
pub struct Imported {
    /// Its name in the manifest.
    pub name: String,
    /// What it was.
    pub kind: Kind,
    /// The ONNX file.
    pub model: PathBuf,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: String,
    /// The `[model.NAME]` entry; its path is relative to the folder of the file.
    pub entry: String,
    /// The manifest beside the file, and whether it was written now. One that was there already
    /// is left as it is.
    pub manifest: (PathBuf, bool),
    /// What the model takes, with the axis of the batch.
    pub inputs: Vec<Port>,
    /// What the model gives, with the axis of the batch.
    pub outputs: Vec<Port>,
    /// The classes in the order of the probabilities; also in `labels.json` beside the file.
    pub labels: Option<Vec<Label>>,
    /// How it compares with the model itself. A large difference is also a warning.
    pub agreement: Option<Agreement>,
    /// The operator sets it asks for.
    pub opsets: Vec<(String, i64)>,
    /// Versions of Python and of the packages.
    pub versions: Vec<(String, String)>,
    /// The commands that were run, as a person would type them.
    pub commands: Vec<String>,
    /// What the libraries warned of.
    pub warnings: Vec<String>,
}

/// Imports a model. What goes on is told to `progress`, one line at a time.
pub fn run(config: Config, progress: &mut dyn FnMut(&str)) -> Result<Imported, ImportError> {
    let name = config.model_name()?;
    let form = Form::of(&config.model)?;
    let kind = form.kind(config.kind, &config.model)?;
    if form.is_pickle() && !config.trust_pickle {
        return Err(ImportError::PickleNotTrusted {
            path: config.model,
            form: FormName(form),
        });
    }
    let output = config
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(&name));
    let model = output.join(MODEL_FILE);
    if model.exists() && !config.overwrite {
        return Err(ImportError::OutputExists(model));
    }
    let mut commands = Vec::new();
    let python = environment::python(&config, kind, &mut commands, progress)?;
    let scratch = tempfile::tempdir().map_err(ImportError::file(
        "cannot make a folder in",
        std::env::temp_dir(),
    ))?;
    let told = convert::run(
        &config,
        &python,
        kind,
        form,
        scratch.path(),
        &mut commands,
        progress,
    )?;
    fs::create_dir_all(&output).map_err(ImportError::file("cannot make the folder", &output))?;
    // The model last: files that it names are there before it is.
    let made = scratch.path().join("out");
    for name in told.files.iter().filter(|name| *name != MODEL_FILE) {
        files::place(&made.join(name), &output.join(name))?;
    }
    if let Some(labels) = &told.labels {
        files::write(&output.join(entry::LABELS_FILE), &entry::labels(labels)?)?;
    }
    files::place(&made.join(MODEL_FILE), &model)?;
    let sha256 = files::sha256(&model)?;
    let source = config.model.file_name().unwrap_or_default();
    let entry = Entry {
        name: &name,
        source: &source.to_string_lossy(),
        kind,
        told: &told,
        sha256: &sha256,
    }
    .render();
    let manifest = output.join(MANIFEST_FILE);
    let is_new = !manifest.exists();
    if is_new {
        files::write(&manifest, &format!("consort = 1\n\n{entry}"))?;
    }
    Ok(Imported {
        name,
        kind,
        model,
        sha256,
        entry,
        manifest: (manifest, is_new),
        inputs: told.inputs,
        outputs: told.outputs,
        labels: told.labels,
        agreement: told.agreement,
        opsets: told.opsets,
        versions: told.versions,
        commands,
        warnings: told.warnings,
    })
}
