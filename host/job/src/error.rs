//! Why a job could not be started or had to stop. A single example that fails is no
//! [`JobError`]: it is a dead letter.

use crate::{ColumnsError, Summary};
use consort_inference::{Failure, Mismatch};
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
    /// The columns named for rows do not fit the endpoint.
    #[error("the columns do not fit \"{endpoint}\": {source}")]
    Columns {
        /// The endpoint.
        endpoint: String,
        /// What does not fit.
        source: ColumnsError,
    },
    /// Predictions as rows of columns, of an endpoint that does not say what it yields.
    #[error(
        "\"{endpoint}\" does not say what its outputs are, so they cannot become columns; write \
         JSON lines"
    )]
    NoColumns {
        /// The endpoint.
        endpoint: String,
    },
    /// A job that cannot be resumed was to be.
    #[error("the job cannot be resumed: {what}")]
    NotResumable {
        /// What is in the way.
        what: String,
    },
    /// The parts found beside the output are those of another job.
    #[error(
        "{folder:?} has the parts of another job: {difference}; give the same input and settings, \
         or remove that folder to begin anew"
    )]
    OtherJob {
        /// The folder of the parts.
        folder: PathBuf,
        /// The first thing that differs.
        difference: String,
    },
    /// An example failed, and the job was to stop at that.
    #[error("example {key:?} failed ({failure}), and the job stops at the first failure")]
    FailFast {
        /// Which example.
        key: String,
        /// Why it failed.
        failure: Failure,
        /// What was done until then.
        summary: Box<Summary>,
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
