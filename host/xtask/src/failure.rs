//! Everything that can end a task, each with what was wrong, where, and what to do.

use crate::digest::DigestMismatch;
use crate::process::ProcessError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a task ended without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Process(#[from] ProcessError),

    #[error("{doing} {path}: {source}", path = .path.display())]
    File {
        /// What was tried, as the start of a sentence: "cannot read".
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error(
        "{0}\n  what to do: delete that file and run `cargo xtask setup` again; if it stays, the \
         package index serves something else than it did when the digest was pinned: do not use it"
    )]
    Digest(#[from] DigestMismatch),

    #[error(
        "no ONNX Runtime is pinned for {os} on {arch} (there is one for: {known})\n  what to do: \
         set ORT_DYLIB_PATH to a libonnxruntime {version} of your own"
    )]
    Platform {
        os: &'static str,
        arch: &'static str,
        known: String,
        version: &'static str,
    },

    #[error("ORT_DYLIB_PATH is {path}, and there is no such file\n  what to do: correct it or unset it",
        path = .0.display())]
    DylibPath(PathBuf),

    #[error(
        "no OpenVINO is pinned for {os} on {arch} (there is one for: {known})\n  what to do: set \
         OPENVINO_INSTALL_DIR to the folder of an OpenVINO {version} of your own"
    )]
    OpenVinoPlatform {
        os: &'static str,
        arch: &'static str,
        known: String,
        version: &'static str,
    },

    #[error("OPENVINO_INSTALL_DIR is {path}, and there is nothing\n  what to do: correct it or unset it",
        path = .0.display())]
    OpenVinoPath(PathBuf),

    #[error(
        "python3 is {found}, and the Python side of Consort needs {least} or newer\n  what to \
             do: install a newer Python, or set up without it: `cargo xtask setup --no-python`"
    )]
    PythonTooOld { found: String, least: &'static str },

    #[error(
        "this python3 has no module `{module}`\n  what to do: on Debian or Ubuntu, `apt install {package}`"
    )]
    PythonModule {
        module: &'static str,
        package: &'static str,
    },

    #[error(
        "line {line} of host/xtask/requirements.txt: {problem}\n  what to do: write the file anew with `python3 host/xtask/lock.py`"
    )]
    Requirement { line: usize, problem: String },

    #[error("cargo's metadata could not be read: {0}")]
    Metadata(#[from] serde_json::Error),

    #[error("{made} was built, but {missing} is not there\n  what to do: see whether the crate is still named so and is a cdylib",
        missing = .missing.display())]
    NotMade { made: String, missing: PathBuf },

    #[error("{0} dependency arrow(s) point where they may not; each is said above")]
    Arrows(usize),

    #[error("these benches failed: {}", .0.join(", "))]
    Benches(Vec<String>),

    /// The task has told its user already, and its last words shall stay the last.
    #[error("failed, as said above")]
    Said,

    #[error("no bench is named {0:?}; `cargo xtask bench --list` names them")]
    NoSuchBench(String),

    #[error("there is no example `{name}`; there are:\n{known}")]
    NoSuchExample { name: String, known: String },

    #[error("{path}, line {line}, is not a prediction: {problem}", path = .path.display())]
    Prediction {
        path: PathBuf,
        line: usize,
        problem: String,
    },

    #[error("{0}\n\n{usage}", usage = crate::USAGE)]
    Usage(String),
}

impl Failure {
    /// For `map_err` on an operation on a file.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}
