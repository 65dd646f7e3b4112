//! What a job may use, each limit by name.

use crate::FileTensors;
use consort_inference::TenantId;
use std::time::Duration;

/// The settings of a job. Limits of zero count as one.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose examples they are.
    pub tenant: TenantId,
    /// How a file becomes an example; empty where the endpoint takes no files.
    pub files: FileTensors,
    /// The most examples between the source and the written line, and so the most that
    /// are lost from sight when a machine dies.
    pub inflight_max: usize,
    /// The most examples handed to [`consort_inference::Endpoint::infer`] at once. `None`
    /// chooses by source: [`Config::CALL_FILES_MAX`] files, or a quarter of
    /// `inflight_max` but at most [`Config::CALL_LINES_MAX`] lines. Several calls are in
    /// flight at the same time, so that no replica waits for the slowest of a call.
    pub call_examples_max: Option<usize>,
    /// The most bytes of input (text of lines, windows of files) between the source and
    /// the endpoint's answer. One example that is larger passes alone.
    pub inflight_bytes_max: usize,
    /// The longest line of input; a longer one is a dead letter.
    pub line_bytes_max: usize,
    /// The most threads that read files or parse lines at once.
    pub read_threads_max: usize,
    /// Whether lines are written in the order of the input. Examples that are done but
    /// not yet due count as in flight, so a slow one holds back at most `inflight_max`.
    pub ordered: bool,
    /// Stop after this many examples.
    pub limit: Option<u64>,
    /// How long an example may take from the call of the endpoint on; `None` waits.
    pub call_timeout: Option<Duration>,
    /// How long examples in flight may take to finish after the job is cancelled.
    pub cancel_grace: Duration,
    /// How long writing may take after that, until a job whose output nobody takes gives
    /// up on it.
    pub write_grace: Duration,
    /// How long the endpoint's queue may stay full, without one example of the job being
    /// answered, until the refused examples become dead letters.
    pub queue_full_patience: Duration,
    /// Whether a progress bar may be drawn.
    pub progress: Progress,
}

/// When a progress bar is drawn on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// When standard error is a terminal.
    #[default]
    Auto,
    /// Not at all.
    Never,
}

// === impl Config ===

impl Config {
    /// Files handed to the endpoint at once, unless the configuration says otherwise.
    pub const CALL_FILES_MAX: usize = 16;
    /// The most lines handed to the endpoint at once, unless the configuration says
    /// otherwise.
    pub const CALL_LINES_MAX: usize = 256;

    /// How many examples a chunk of files may hold.
    pub(crate) fn chunk_files_max(&self) -> usize {
        self.chunk_max(Self::CALL_FILES_MAX)
    }

    /// How many examples a chunk of lines may hold.
    pub(crate) fn chunk_lines_max(&self) -> usize {
        self.chunk_max(Self::CALL_LINES_MAX)
    }

    fn chunk_max(&self, default_max: usize) -> usize {
        let quarter = (self.inflight_max / 4).max(1);
        self.call_examples_max
            .unwrap_or(quarter.min(default_max))
            .clamp(1, self.inflight_max.max(1))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tenant: TenantId::default(),
            files: FileTensors::default(),
            inflight_max: 512,
            call_examples_max: None,
            inflight_bytes_max: 256 << 20,
            line_bytes_max: 16 << 20,
            read_threads_max: 8,
            ordered: false,
            limit: None,
            call_timeout: None,
            cancel_grace: Duration::from_secs(10),
            write_grace: Duration::from_secs(10),
            queue_full_patience: Duration::from_secs(60),
            progress: Progress::Auto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_leaves_room_for_others_in_flight() {
        let config = Config::default();
        assert_eq!(config.chunk_files_max(), 16);
        assert_eq!(config.chunk_lines_max(), 128);
        let config = Config {
            inflight_max: 8,
            ..Config::default()
        };
        assert_eq!(config.chunk_files_max(), 2);
        let config = Config {
            inflight_max: 0,
            call_examples_max: Some(7),
            ..Config::default()
        };
        assert_eq!(config.chunk_lines_max(), 1);
    }
}
