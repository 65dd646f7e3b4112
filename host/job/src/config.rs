//! What a job may use, each limit by name.

use crate::{Columns, FileTensors, Format, Pace, Sample};
use consort_inference::TenantId;
use std::time::Duration;

/// The settings of a job. Limits of zero count as one.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose examples they are.
    pub tenant: TenantId,
    /// How a file becomes an example; empty where the endpoint takes no files.
    pub files: FileTensors,
    /// How columns of rows (CSV, Parquet, flat JSON lines) become tensors. Unset, each
    /// input is the column of its name.
    pub columns: Columns,
    /// The format of the predictions; `None` goes by the output's extension, and is JSON
    /// lines where that says nothing.
    pub output_format: Option<Format>,
    /// What separates the fields of CSV; `None` is a tab in files that end in `.tsv` and a
    /// comma elsewhere.
    pub csv_delimiter: Option<u8>,
    /// Whether predictions carry the tensors of their example.
    pub include_example: bool,
    /// The most bytes of the original example in a dead letter; a longer one is cut off.
    pub dead_letter_example_bytes_max: usize,
    /// The most files that folders and patterns of rows may stand for.
    pub input_files_max: usize,
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
    /// The longest line or record of input; a longer one is a dead letter.
    pub line_bytes_max: usize,
    /// The largest page (and footer) of a Parquet file, packed or unpacked. A page is the
    /// least that can be read: of each column that is used one is in memory.
    pub page_bytes_max: usize,
    /// How many bytes of predictions become one row group of Parquet.
    pub row_group_bytes_max: usize,
    /// The most threads that read files or parse lines at once.
    pub read_threads_max: usize,
    /// Whether lines are written in the order of the input. Examples that are done but
    /// not yet due count as in flight, so a slow one holds back at most `inflight_max`.
    pub ordered: bool,
    /// Stop after this many examples.
    pub limit: Option<u64>,
    /// Take only some of the rows.
    pub sample: Option<Sample>,
    /// Read and check everything, but ask the endpoint nothing and write nothing.
    pub dry_run: bool,
    /// Write by parts beside the output, and go on where an earlier run of the same job
    /// stopped, whatever stopped it. Needs outputs that are files, and inputs that are.
    pub resume: bool,
    /// The most examples in one part.
    pub part_examples_max: u64,
    /// How long a part may be open before it is kept, as long as anything is in it.
    pub part_interval: Duration,
    /// How often an example is tried again after a transient failure
    /// ([`consort_inference::FailureKind::is_transient`]), a full queue aside.
    pub retries_max: u32,
    /// The wait before the first of those; it doubles up to
    /// [`Config::RETRY_BACKOFF_MAX`].
    pub retry_backoff: Duration,
    /// Stop at the first example that fails for good.
    pub fail_fast: bool,
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
    /// Where the job waits for whoever runs it; `None`, the default: nowhere.
    pub pace: Option<Pace>,
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

    /// The longest wait before another try.
    pub const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(5);

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
            columns: Columns::default(),
            output_format: None,
            csv_delimiter: None,
            include_example: false,
            dead_letter_example_bytes_max: 64 << 10,
            input_files_max: 1_000_000,
            inflight_max: 512,
            call_examples_max: None,
            inflight_bytes_max: 256 << 20,
            line_bytes_max: 16 << 20,
            page_bytes_max: 64 << 20,
            row_group_bytes_max: 16 << 20,
            read_threads_max: 8,
            ordered: false,
            limit: None,
            sample: None,
            dry_run: false,
            resume: false,
            part_examples_max: 65_536,
            part_interval: Duration::from_secs(10),
            retries_max: 2,
            retry_backoff: Duration::from_millis(100),
            fail_fast: false,
            call_timeout: None,
            cancel_grace: Duration::from_secs(10),
            write_grace: Duration::from_secs(10),
            queue_full_patience: Duration::from_secs(60),
            progress: Progress::Auto,
            pace: None,
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
