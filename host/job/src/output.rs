//! Where the lines go.

use crate::JobError;
use crate::os::FileId;
use std::path::PathBuf;

/// Where a job writes.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// One line for each prediction.
    pub predictions: Sink,
    /// One line for each failure. Without it the first few failures are logged and all
    /// are counted.
    pub dead_letters: Option<Sink>,
}

/// Something that takes lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// A file, created or emptied when the job starts.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

// === impl Outputs ===

impl Outputs {
    /// Refuses, before anything is emptied, an output that is one of `inputs`.
    pub(crate) fn check_against(&self, inputs: &[PathBuf]) -> Result<(), JobError> {
        let files = [Some(&self.predictions), self.dead_letters.as_ref()];
        for sink in files.into_iter().flatten() {
            let Sink::File(path) = sink else { continue };
            let Some(id) = FileId::of_path(path) else {
                continue;
            };
            if inputs
                .iter()
                .any(|input| FileId::of_path(input) == Some(id))
            {
                return Err(JobError::OutputIsInput { path: path.clone() });
            }
        }
        Ok(())
    }
}
