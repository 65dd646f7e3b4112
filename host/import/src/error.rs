//! Why a model was not imported: what was wrong, where, and what to do.

use crate::Kind;
use crate::kind::Form;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a model was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The model is not there, or cannot be read.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// The model.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of another kind.
    #[error(
        "{path} is {seen}; what can be imported is a pickle of scikit-learn, XGBoost or LightGBM, \
         XGBoost's .json or .ubj, LightGBM's .txt, the folder of a SavedModel, a TorchScript \
         archive or a program of torch.export",
        path = path.display()
    )]
    UnknownForm {
        /// The model.
        path: PathBuf,
        /// What it looks like.
        seen: &'static str,
    },
    /// Nothing to do.
    #[error(
        "{path} is ONNX already: name it in the manifest as it is, with path = \"...\"",
        path = path.display()
    )]
    AlreadyOnnx {
        /// The model.
        path: PathBuf,
    },
    /// Another kind than the one asked for.
    #[error(
        "{path} is {found} and no model of {asked}; leave --kind out, or name another file",
        path = path.display()
    )]
    WrongKind {
        /// The model.
        path: PathBuf,
        /// What was asked for.
        asked: Kind,
        /// What it is.
        found: FormName,
    },
    /// A kind that is not known.
    #[error(
        "\"{0}\" is no kind of model; the kinds are sklearn, xgboost, lightgbm, tensorflow, \
         torchscript and torch-export"
    )]
    UnknownKind(String),
    /// A name that no model can have.
    #[error(
        "\"{0}\" cannot be the name of a model: it has letters, digits, '.', '_' and '-', and \
         begins with a letter or digit"
    )]
    InvalidName(String),
    /// An input that cannot be read.
    #[error("the input \"{text}\" is not NAME=DTYPE[a,b]: {problem}")]
    InvalidInput {
        /// As it was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that is code.
    #[error(
        "{path} is {form}: opening it runs whatever code its author put into it, with your \
         rights. If you trust where it comes from, pass --trust-pickle: it is then opened in a \
         process of its own with an empty environment, which is no sandbox. Without pickles: save \
         XGBoost as .json, LightGBM as .txt, or export to ONNX where the model was trained",
        path = path.display()
    )]
    PickleNotTrusted {
        /// The model.
        path: PathBuf,
        /// What it is.
        form: FormName,
    },
    /// A model is there already.
    #[error(
        "{path} is there already; name another folder with --output, or replace it with --force",
        path = .0.display()
    )]
    OutputExists(PathBuf),
    /// No Python to make an environment with.
    #[error(
        "{python} cannot be run ({problem}); install Python 3.11 or newer (on Debian or Ubuntu, \
         `apt install python3 python3-venv`), or name one that has the converters with --python",
        python = python.display()
    )]
    PythonMissing {
        /// What was tried.
        python: PathBuf,
        /// Why it failed.
        problem: String,
    },
    /// A Python for which no packages are pinned.
    #[error(
        "{python} is Python {found}, and the converters for {kind} are pinned for 3.11 to \
         {newest}; name an environment of your own that has them with --python",
        python = python.display()
    )]
    PythonVersion {
        /// The Python.
        python: PathBuf,
        /// Its version.
        found: String,
        /// The kind of model.
        kind: Kind,
        /// The newest version that will do.
        newest: &'static str,
    },
    /// An environment could not be made.
    #[error(
        "the Python environment could not be made: `{command}` {ended}{tail}\n  what to do: see \
         whether pip reaches a package index from here (a proxy is PIP_PROXY, an index of your own \
         PIP_INDEX_URL), or name an environment that has the converters with --python",
        tail = last_lines(tail)
    )]
    EnvironmentFailed {
        /// The command.
        command: String,
        /// How it ended.
        ended: String,
        /// Its last lines.
        tail: Vec<String>,
    },
    /// A converter that is not installed.
    #[error(
        "{python} has no package {package}, which the conversion needs; install it there, or \
         leave --python out and let Consort make an environment of its own",
        python = python.display()
    )]
    PackageMissing {
        /// The package.
        package: String,
        /// Where it was looked for.
        python: PathBuf,
    },
    /// A model that no converter knows.
    #[error(
        "the model cannot be converted: {message}\n  what to do: look whether a newer converter \
         knows it (--python names an environment of your own), or train with an estimator that has \
         one"
    )]
    Unsupported {
        /// What is in the way.
        message: String,
    },
    /// Inputs that are missing or do not fit.
    #[error("the inputs do not fit the model: {message}")]
    Inputs {
        /// What to write.
        message: String,
    },
    /// A file that the library it comes from refuses.
    #[error(
        "{path} is damaged, or was written by another version: {message}\n  what to do: --python \
         names an environment with the version that wrote it",
        path = path.display()
    )]
    Damaged {
        /// The model.
        path: PathBuf,
        /// What the library says.
        message: String,
    },
    /// The converter failed.
    #[error("the converter failed: {message}{tail}", tail = last_lines(tail))]
    ConverterFailed {
        /// What it says.
        message: String,
        /// The last lines of its log.
        tail: Vec<String>,
    },
    /// The conversion took too long and was ended.
    #[error(
        "the conversion was ended after {} seconds{tail}\n  what to do: allow more with \
         --timeout-seconds",
        limit.as_secs(), tail = last_lines(tail)
    )]
    TimedOut {
        /// The time it had.
        limit: Duration,
        /// The last lines of its log.
        tail: Vec<String>,
    },
    /// The converting process ended without an answer.
    #[error(
        "the converting process {ended} without an answer{tail}\n  what to do: see whether the \
         model is damaged, by loading it where it was trained",
        tail = last_lines(tail)
    )]
    NoAnswer {
        /// How it ended.
        ended: String,
        /// The last lines of its log.
        tail: Vec<String>,
    },
    /// An answer that is none.
    #[error("the converting process answered what it should not: {0}")]
    Garbled(String),
    /// A file that could not be handled.
    #[error("{doing} {path}: {source}", path = path.display())]
    File {
        /// What was tried, as the beginning of a sentence.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// What a file is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormName(pub(crate) Form);

// === impl FormName ===

impl std::fmt::Display for FormName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

// === impl ImportError ===

impl ImportError {
    /// For `map_err` on an operation on a file.
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}

fn last_lines(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("\n  its last lines:\n    {}", lines.join("\n    "))
}
