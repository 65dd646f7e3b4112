//! Where examples come from.

use crate::format::Format;
use crate::inputs;
use crate::lines::LineChunk;
use crate::os::FileId;
use crate::progress::Bar;
use crate::rows::{Opener, Origin, RowChunk, RowReader};
use crate::walk::{Step, Walk};
use crate::{Config, FileTensors, JobError};
use consort_inference::{Failure, Signature};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Where examples come from.
#[derive(Debug)]
pub enum Source {
    /// Files, and folders that are walked in order of name. Links to folders are followed
    /// only when given here, and the job's own outputs are left out. A path that is not
    /// there and has one of `*?[` in it is a pattern.
    Files(Vec<PathBuf>),
    /// Paths of files, one after another; a folder among them is a dead letter.
    Paths {
        /// The text.
        text: Text,
        /// What ends a path.
        separator: Separator,
    },
    /// JSON lines: `{"key": .., "inputs": {NAME: VALUE}}`, `{"key": .., "path": ".."}`, or
    /// flat rows `{"key": .., COLUMN: VALUE}` whose columns become tensors by
    /// [`Config::columns`].
    Jsonl(Text),
    /// Rows of files one after another. A file here may also be a folder, of which all
    /// files are read whose extension names a format, or a pattern (`*?[`).
    Rows {
        /// The files and texts.
        inputs: Vec<Text>,
        /// Their format; `None` goes by each file's extension.
        format: Option<Format>,
    },
}

/// Something that is read as text.
pub enum Text {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
    /// Anything else, under a name for messages.
    Reader(String, Box<dyn io::Read + Send>),
}

/// What ends a path in a list of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Separator {
    /// A line feed, as `find` prints.
    #[default]
    Newline,
    /// A zero byte, as `find -print0` prints: for names with line feeds.
    Nul,
}

/// Some examples that are still to be read.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) body: Body,
    /// Rows of the source up to the end of this chunk, those that were passed over too.
    pub(crate) rows_end: u64,
    /// What was listed up to there, in short.
    pub(crate) listing: u64,
}

/// What is in a chunk.
#[derive(Debug)]
pub(crate) enum Body {
    /// Steps of a walk: files, and folders that cannot be listed.
    Steps(Vec<Step>),
    /// Lines that are paths.
    Paths(LineChunk),
    /// Rows.
    Rows(RowChunk, Arc<Origin>),
    /// A file whose rows cannot be read.
    Unusable(PathBuf, Failure),
}

/// A source that broke.
#[derive(Debug)]
pub(crate) struct SourceError {
    pub(crate) name: String,
    pub(crate) error: io::Error,
}

/// What the job and its source thread tell each other.
#[derive(Debug, Default)]
pub(crate) struct SourceState {
    /// Set by the job: no more is wanted.
    pub(crate) stop: AtomicBool,
    /// Set by the thread: the source was read to its end, and all of it was handed over.
    pub(crate) finished: AtomicBool,
    /// Links to folders that were not followed.
    pub(crate) links_skipped: AtomicU64,
}

/// A source that can be read.
pub(crate) struct OpenSource {
    pub(crate) kind: OpenKind,
    /// What the input is, for a later run of the same job; `None` where it cannot be read
    /// a second time.
    pub(crate) identity: Option<String>,
}

/// What is read, and how.
pub(crate) enum OpenKind {
    Files(Vec<PathBuf>),
    Paths {
        text: Text,
        separator: Separator,
    },
    Rows {
        opener: Box<Opener>,
        first: Option<(RowReader, Arc<Origin>)>,
        rest: Vec<Text>,
    },
}

// === impl Source ===

impl Source {
    /// Whether each example is a file, so that the endpoint has to take files.
    pub(crate) fn is_files(&self) -> bool {
        matches!(self, Self::Files(_) | Self::Paths { .. })
    }

    /// Whether the text that is read names files.
    pub(crate) fn may_name_files(&self, files: &FileTensors) -> bool {
        !matches!(self, Self::Files(_)) && !files.is_empty()
    }

    /// The files that are read and known by name beforehand.
    pub(crate) fn known_files(&self) -> Vec<PathBuf> {
        match self {
            Self::Files(roots) => roots.clone(),
            Self::Paths { text, .. } | Self::Jsonl(text) => {
                text.path().map(Path::to_owned).into_iter().collect()
            }
            Self::Rows { inputs, .. } => {
                let paths = inputs.iter().filter_map(Text::path);
                paths.map(Path::to_owned).collect()
            }
        }
    }

    /// Whether files can be read as examples by `files`, for an endpoint of this name.
    pub(crate) fn check(&self, files: &FileTensors, endpoint: &str) -> Result<(), JobError> {
        match self.is_files() && files.is_empty() {
            false => Ok(()),
            true => Err(JobError::NoFileTensors {
                endpoint: endpoint.to_owned(),
            }),
        }
    }

    /// Finds the files and opens the first text that is read, so that a job whose source
    /// is not there, or has not the columns, does nothing. Leaves out the job's `own`
    /// files where a folder or pattern stands for them. Blocks.
    pub(crate) fn open(
        self,
        config: &Config,
        signature: &Signature,
        own: &[PathBuf],
    ) -> Result<OpenSource, SourceError> {
        match self {
            Self::Paths { text, separator } => Ok(OpenSource {
                identity: inputs::identity([&text])?,
                kind: OpenKind::Paths {
                    text: text.opened()?,
                    separator,
                },
            }),
            Self::Files(roots) => {
                let roots = inputs::matching(roots, config.input_files_max)?;
                Ok(OpenSource {
                    identity: Some(inputs::identity_of_roots(&roots)),
                    kind: OpenKind::Files(roots),
                })
            }
            Self::Jsonl(text) => {
                let opener = Opener::new(Some(Format::Jsonl), signature, config);
                OpenSource::rows(opener, vec![text])
            }
            Self::Rows { inputs, format } => {
                let mut opener = Opener::new(format, signature, config);
                let texts = inputs::files_of_rows(inputs, format, own, config.input_files_max)?;
                opener.several = texts.len() > 1;
                OpenSource::rows(opener, texts)
            }
        }
    }
}

// === impl OpenSource ===

impl OpenSource {
    fn rows(opener: Opener, texts: Vec<Text>) -> Result<Self, SourceError> {
        let identity = inputs::identity(&texts)?;
        let mut texts = texts.into_iter();
        let first = texts.next().map(|text| {
            let name = text.name();
            opener.open(text).map_err(|error| error.into_error(name))
        });
        let kind = OpenKind::Rows {
            first: first.transpose()?,
            rest: texts.collect(),
            opener: Box::new(opener),
        };
        Ok(Self { kind, identity })
    }

    /// Starts a thread that counts the files beforehand, for the bar's total.
    pub(crate) fn count(
        &self,
        outputs: Vec<FileId>,
        own: Vec<PathBuf>,
        state: Arc<SourceState>,
        limit: Option<u64>,
        bar: Arc<Bar>,
    ) -> Result<(), JobError> {
        let OpenKind::Files(roots) = &self.kind else {
            return Ok(());
        };
        let walk = Walk::new(roots.clone(), outputs).without(own);
        spawn("consort-count", move || {
            let mut total = 0;
            for step in walk {
                if state.stop.load(Ordering::Relaxed) {
                    return;
                }
                total += u64::from(!matches!(step, Step::Entered));
            }
            bar.total(total.min(limit.unwrap_or(u64::MAX)));
        })
    }
}

/// Starts a thread that is not one of the runtime's: standard input cannot be read with a
/// way out, and a thread that waits for it must not hold up the end of the process.
pub(crate) fn spawn(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), JobError> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    match thread.spawn(work) {
        Ok(_) => Ok(()),
        Err(source) => Err(JobError::Thread { name, source }),
    }
}

// === impl Text ===

impl Text {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) => format!("{path:?}"),
            Self::Reader(name, _) => name.clone(),
        }
    }

    fn opened(self) -> Result<Self, SourceError> {
        let name = self.name();
        match self {
            Self::File(path) => match File::open(path) {
                Ok(file) => Ok(Self::Reader(name, Box::new(file))),
                Err(error) => Err(SourceError { name, error }),
            },
            opened => Ok(opened),
        }
    }

    pub(crate) fn open(self) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(match self {
            Self::Stdin => Box::new(io::stdin()),
            Self::File(path) => Box::new(File::open(path)?),
            Self::Reader(_, reader) => reader,
        })
    }

    /// Where it is, if it is a file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stdin | Self::Reader(..) => None,
        }
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

// === impl Separator ===

impl Separator {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Newline => b'\n',
            Self::Nul => 0,
        }
    }
}

// === impl Body ===

impl Body {
    /// How many examples there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Steps(steps) => steps.len(),
            Self::Paths(lines) => lines.len(),
            Self::Rows(rows, _) => rows.len(),
            Self::Unusable(..) => 1,
        }
    }

    /// Bytes of input held.
    pub(crate) fn byte_len(&self) -> usize {
        match self {
            Self::Steps(_) | Self::Unusable(..) => 0,
            Self::Paths(lines) => lines.byte_len(),
            Self::Rows(rows, _) => rows.byte_len(),
        }
    }
}
