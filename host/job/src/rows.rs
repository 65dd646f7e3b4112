//! Rows of files, whatever their format: which files, how each is opened, and their
//! chunks.

use crate::columns::Plan;
use crate::csv_rows::{CsvChunk, CsvRows};
use crate::format::{self, Format};
use crate::key::RowKey;
use crate::lines::{LineChunk, Lines};
use crate::parquet_rows::{ColumnChunk, ParquetRows};
use crate::source::{SourceError, Text};
use crate::{Columns, Config};
use consort_inference::{Failure, FailureKind, Signature, Stage, StageKind};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where rows come from: what is needed to read them, and to speak of them.
#[derive(Debug)]
pub(crate) struct Origin {
    /// What it is called in messages; nothing where there is only one and it is a text of
    /// lines, whose messages have always been without.
    pub(crate) name: Option<String>,
    /// What it is called all the same.
    pub(crate) text: String,
    /// Where it is, if it is one of several files.
    pub(crate) path: Option<PathBuf>,
    /// All columns; nothing for JSON lines.
    pub(crate) header: Vec<String>,
    /// The columns that are used.
    pub(crate) plan: Plan,
    /// Whether other origins have rows of the same numbers.
    pub(crate) several: bool,
}

/// Some rows.
#[derive(Debug)]
pub(crate) enum RowChunk {
    Jsonl(LineChunk),
    Csv(CsvChunk),
    Parquet(ColumnChunk),
}

/// A file or text that is being read.
pub(crate) enum RowReader {
    Jsonl(Lines<Box<dyn io::Read + Send>>),
    Csv(Box<CsvRows<Box<dyn io::Read + Send>>>),
    Parquet(Box<ParquetRows>),
}

/// What is needed to open any of the files.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    pub(crate) format: Option<Format>,
    pub(crate) signature: Signature,
    pub(crate) several: bool,
    columns: Columns,
    delimiter: Option<u8>,
    line_bytes_max: usize,
    page_bytes_max: usize,
}

/// Why a file of rows cannot be read, in words.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// The system says so.
    Io(io::Error),
    /// Its content or columns are not what is needed.
    Content(String),
}

// === impl Origin ===

impl Origin {
    /// The key of a row that has none of its own.
    pub(crate) fn key(&self, number: u64) -> RowKey {
        RowKey::of_row(self.name.as_deref().filter(|_| self.several), number)
    }

    /// Why a row of columns is no example: the file, the row, the column and what was
    /// expected.
    pub(crate) fn failure(
        &self,
        number: u64,
        column: Option<&str>,
        kind: FailureKind,
        what: &str,
    ) -> Failure {
        let column = column.map_or(String::new(), |column| format!(", column \"{column}\""));
        Failure::new(
            Stage::new(StageKind::Read, "row"),
            kind,
            format!("{}, row {number}{column}: {what}", self.text),
        )
    }
}

// === impl Opener ===

impl Opener {
    pub(crate) fn new(format: Option<Format>, signature: &Signature, config: &Config) -> Self {
        Self {
            format,
            signature: signature.clone(),
            several: false,
            columns: config.columns.clone(),
            delimiter: config.csv_delimiter,
            line_bytes_max: config.line_bytes_max,
            page_bytes_max: config.page_bytes_max,
        }
    }

    /// Opens a file or text and finds its columns.
    pub(crate) fn open(&self, text: Text) -> Result<(RowReader, Arc<Origin>), Unusable> {
        let path = text.path().map(Path::to_owned);
        let of_path = path.as_deref().and_then(Format::of_path);
        let format = self.format.or(of_path).unwrap_or(Format::Jsonl);
        let name = Some(text.name()).filter(|_| self.several || format != Format::Jsonl);
        let called = text.name();
        let of_several = path.clone().filter(|_| self.several);
        let origin = |header, plan| {
            Arc::new(Origin {
                name,
                text: called,
                path: of_several,
                header,
                plan,
                several: self.several,
            })
        };
        match format {
            Format::Jsonl => {
                let lines = Lines::new(text.open()?, b'\n', self.line_bytes_max);
                let plan = self.columns.plan_members(&self.signature);
                Ok((RowReader::Jsonl(lines), origin(Vec::new(), plan)))
            }
            Format::Csv => {
                let delimiter = format::delimiter(self.delimiter, path.as_deref());
                let mut rows = CsvRows::new(text.open()?, delimiter, self.line_bytes_max);
                let header = rows.header()?;
                let plan = match header.is_empty() {
                    // Nothing at all is no rows.
                    true => self.columns.plan_members(&self.signature),
                    false => self.plan(&header)?,
                };
                Ok((RowReader::Csv(Box::new(rows)), origin(header, plan)))
            }
            Format::Parquet => {
                let Some(path) = path else {
                    let what = "Parquet is read from its end, so it has to be a file";
                    return Err(Unusable::Content(what.to_owned()));
                };
                let file = ParquetRows::open(File::open(path)?, self.page_bytes_max);
                let mut rows = file.map_err(|error| Unusable::Content(error.to_string()))?;
                let header = rows.header();
                let plan = self.plan(&header)?;
                rows.choose(&plan.places).map_err(Unusable::Content)?;
                Ok((RowReader::Parquet(Box::new(rows)), origin(header, plan)))
            }
        }
    }

    fn plan(&self, header: &[String]) -> Result<Plan, Unusable> {
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let plan = self.columns.plan(&self.signature, &header);
        plan.map_err(Unusable::Content)
    }
}

// === impl Unusable ===

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Content(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl Unusable {
    /// As the error of a source that nothing can be read from.
    pub(crate) fn into_error(self, name: String) -> SourceError {
        let error = match self {
            Self::Io(error) => error,
            Self::Content(what) => io::Error::new(io::ErrorKind::InvalidInput, what),
        };
        SourceError { name, error }
    }
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Content(what) => f.write_str(what),
        }
    }
}

// === impl RowReader ===

impl RowReader {
    /// The next rows, at least one and at most `rows_max`; `None` at the end.
    pub(crate) fn next_chunk(&mut self, rows_max: usize) -> Result<Option<RowChunk>, Unusable> {
        Ok(match self {
            Self::Jsonl(lines) => lines.next_chunk(rows_max)?.map(RowChunk::Jsonl),
            Self::Csv(rows) => rows.next_chunk(rows_max)?.map(RowChunk::Csv),
            Self::Parquet(rows) => {
                let chunk = rows.next_chunk(rows_max);
                let chunk = chunk.map_err(|error| Unusable::Content(error.to_string()))?;
                chunk.map(RowChunk::Parquet)
            }
        })
    }
}

// === impl RowChunk ===

impl RowChunk {
    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Jsonl(lines) => lines.len(),
            Self::Csv(rows) => rows.len(),
            Self::Parquet(rows) => rows.len(),
        }
    }

    /// Bytes held.
    pub(crate) fn byte_len(&self) -> usize {
        match self {
            Self::Jsonl(lines) => lines.byte_len(),
            Self::Csv(rows) => rows.byte_len(),
            Self::Parquet(rows) => rows.byte_len(),
        }
    }

    /// Leaves out rows.
    pub(crate) fn retain(&mut self, keep: impl FnMut() -> bool) {
        match self {
            Self::Jsonl(lines) => lines.retain(keep),
            Self::Csv(rows) => rows.retain(keep),
            Self::Parquet(rows) => rows.retain(keep),
        }
    }
}
