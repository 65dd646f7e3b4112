//! Why a job could not be started or had to stop. A single example that fails is no
//! [`JobError`]: it is a dead letter.

use crate::Summary;
use consort_inference::Mismatch;
use std::io;
use std::path::PathBuf;

/// Why a job did not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// An output cannot be created.
    #[error("cannot create the output {path:?}: {source}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Predictions and dead letters would overwrite each other.
    #[error("predictions and dead letters both go to {path:?}; give them two files")]
    SameOutput {
        /// The file that was given twice.
        path: PathBuf,
    },
    /// An output would overwrite an input.
    #[error("{path:?} is an input of this job, writing there would destroy it; give another file")]
    OutputIsInput {
        /// The file that is both.
        path: PathBuf,
    },
    /// Files are given to an endpoint that takes none.
    #[error(
        "\"{endpoint}\" does not say how a file becomes an example: add [ensemble.{endpoint}.files] \
         to the manifest, or give the input as JSON lines"
    )]
    NoFileTensors {
        /// The endpoint.
        endpoint: String,
    },
    /// The tensors made from a file are not those the endpoint takes.
    #[error("the tensors made from a file do not fit \"{endpoint}\": {mismatch}")]
    FileTensors {
        /// The endpoint.
        endpoint: String,
        /// The first difference.
        mismatch: Mismatch,
    },
    /// The source broke; what had been read before is written.
    #[error("cannot read {name}: {source}; what had been read before it is written")]
    Read {
        /// The source.
        name: String,
        /// The system's reason.
        source: io::Error,
        /// What was done until then.
        summary: Box<Summary>,
    },
    /// An output cannot take more; what was written is whole lines.
    #[error("cannot write {name}: {source}; {lines_written} whole lines were written to it")]
    Write {
        /// The output.
        name: String,
        /// The system's reason.
        source: io::Error,
        /// Whole lines that were written to it.
        lines_written: u64,
        /// What was done until then.
        summary: Box<Summary>,
    },
    /// A thread cannot be started.
    #[error("cannot start the {name} thread: {source}")]
    Thread {
        /// What it would have done.
        name: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A defect of the host.
    #[error("defect of the job: {0}; what was written is kept")]
    Defect(String),
}
