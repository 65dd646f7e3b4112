//! Where examples come from, and the thread that looks for them.
//!
//! The thread is one of its own, not of the runtime's: standard input cannot be read with
//! a way out, and a thread that waits for it must not hold up the end of the process.

use crate::lines::{LineChunk, Lines};
use crate::os::FileId;
use crate::progress::Bar;
use crate::walk::{Step, Walk};
use crate::{Config, FileTensors, JobError};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Chunks that the source may be ahead.
const CHUNKS_AHEAD: usize = 2;

/// Where examples come from.
#[derive(Debug)]
pub enum Source {
    /// Files, and folders that are walked in order of name. Links to folders are followed
    /// only when given here, and the job's own outputs are left out.
    Files(Vec<PathBuf>),
    /// Paths of files, one after another; a folder among them is a dead letter.
    Paths {
        /// The text.
        text: Text,
        /// What ends a path.
        separator: Separator,
    },
    /// JSON lines: `{"key": .., "inputs": {NAME: VALUE}}` or `{"key": .., "path": ".."}`.
    Jsonl(Text),
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
pub(crate) enum Chunk {
    /// Steps of a walk: files, and folders that cannot be listed.
    Steps(Vec<Step>),
    /// Lines that are paths.
    Paths(LineChunk),
    /// Lines that are JSON.
    Jsonl(LineChunk),
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

/// The sending side, with the limit on examples.
struct Feed {
    chunks: mpsc::Sender<Result<Chunk, SourceError>>,
    state: Arc<SourceState>,
    left: u64,
}

// === impl Source ===

impl Source {
    /// Whether each example is a file, so that the endpoint has to take files.
    pub(crate) fn is_files(&self) -> bool {
        matches!(self, Self::Files(_) | Self::Paths { .. })
    }

    /// The files that are read and known by name beforehand.
    pub(crate) fn known_files(&self) -> &[PathBuf] {
        match self {
            Self::Files(roots) => roots,
            Self::Paths { text, .. } | Self::Jsonl(text) => text.known_file(),
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

    /// Opens a text that is read, so that a job whose source is not there does nothing.
    pub(crate) fn opened(self) -> Result<Self, SourceError> {
        Ok(match self {
            Self::Paths { text, separator } => Self::Paths {
                text: text.opened()?,
                separator,
            },
            Self::Jsonl(text) => Self::Jsonl(text.opened()?),
            Self::Files(roots) => Self::Files(roots),
        })
    }

    /// Starts the thread that looks for examples. It ends at the end of the source, when
    /// it is told to stop, or when the receiver is gone.
    pub(crate) fn start(
        self,
        config: &Config,
        outputs: Vec<FileId>,
        state: Arc<SourceState>,
    ) -> Result<mpsc::Receiver<Result<Chunk, SourceError>>, JobError> {
        let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let mut feed = Feed {
            chunks,
            state,
            left: config.limit.unwrap_or(u64::MAX),
        };
        let files_max = config.chunk_files_max();
        let lines_max = config.chunk_lines_max();
        let line_bytes_max = config.line_bytes_max;
        spawn("consort-source", move || {
            let done = match self {
                Self::Files(roots) => feed.walk(Walk::new(roots, outputs), files_max),
                Self::Paths { text, separator } => feed.cut(
                    text,
                    separator.byte(),
                    line_bytes_max,
                    files_max,
                    Chunk::Paths,
                ),
                Self::Jsonl(text) => feed.cut(text, b'\n', line_bytes_max, lines_max, Chunk::Jsonl),
            };
            match done {
                Ok(true) => feed.state.finished.store(true, Ordering::Release),
                Ok(false) => {}
                Err(error) => {
                    // Nobody listens any more: then nobody wants to know.
                    let _ = feed.chunks.blocking_send(Err(error));
                }
            }
        })?;
        Ok(receiver)
    }

    /// Starts a thread that counts the files beforehand, for the bar's total.
    pub(crate) fn count(
        &self,
        outputs: Vec<FileId>,
        state: Arc<SourceState>,
        limit: Option<u64>,
        bar: Arc<Bar>,
    ) -> Result<(), JobError> {
        let Self::Files(roots) = self else {
            return Ok(());
        };
        let walk = Walk::new(roots.clone(), outputs);
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

fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<(), JobError> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    match thread.spawn(work) {
        Ok(_) => Ok(()),
        Err(source) => Err(JobError::Thread { name, source }),
    }
}

// === impl Feed ===

impl Feed {
    /// Hands over what a walk finds; `true` when that was all.
    fn walk(&mut self, mut walk: Walk, files_max: usize) -> Result<bool, SourceError> {
        let mut steps = Vec::new();
        while self.wanted() {
            let step = walk.next();
            let skipped = walk.links_skipped();
            self.state.links_skipped.store(skipped, Ordering::Relaxed);
            let Some(step) = step else {
                return Ok(steps.is_empty() || self.send(Chunk::Steps(steps)));
            };
            // Listing a folder can take long. Files found before it do not wait for it
            // while there is nothing else to do.
            let entered = matches!(step, Step::Entered);
            if !entered {
                self.left -= 1;
                steps.push(step);
            }
            let idle = entered && self.chunks.capacity() == self.chunks.max_capacity();
            let full = steps.len() == files_max || self.left == 0;
            if (full || idle && !steps.is_empty())
                && !self.send(Chunk::Steps(std::mem::take(&mut steps)))
            {
                return Ok(false);
            }
        }
        Ok(self.left == 0)
    }

    /// Hands over lines; `true` when that were all.
    fn cut(
        &mut self,
        text: Text,
        separator: u8,
        line_bytes_max: usize,
        lines_max: usize,
        chunk: fn(LineChunk) -> Chunk,
    ) -> Result<bool, SourceError> {
        let name = text.name();
        let broken = |error| SourceError {
            name: name.clone(),
            error,
        };
        let reader = text.open().map_err(broken)?;
        let mut lines = Lines::new(reader, separator, line_bytes_max);
        while self.wanted() {
            let most = usize::try_from(self.left).map_or(lines_max, |left| left.min(lines_max));
            let Some(cut) = lines.next_chunk(most).map_err(broken)? else {
                return Ok(true);
            };
            self.left = self.left.saturating_sub(cut.len() as u64);
            if !self.send(chunk(cut)) {
                return Ok(false);
            }
        }
        Ok(self.left == 0)
    }

    fn wanted(&self) -> bool {
        self.left > 0 && !self.state.stop.load(Ordering::Relaxed)
    }

    fn send(&self, chunk: Chunk) -> bool {
        self.chunks.blocking_send(Ok(chunk)).is_ok()
    }
}

// === impl Text ===

impl Text {
    fn name(&self) -> String {
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

    fn open(self) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(match self {
            Self::Stdin => Box::new(io::stdin()),
            Self::File(path) => Box::new(File::open(path)?),
            Self::Reader(_, reader) => reader,
        })
    }

    fn known_file(&self) -> &[PathBuf] {
        match self {
            Self::File(path) => std::slice::from_ref(path),
            Self::Stdin | Self::Reader(..) => &[],
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
    fn byte(self) -> u8 {
        match self {
            Self::Newline => b'\n',
            Self::Nul => 0,
        }
    }
}

// === impl Chunk ===

impl Chunk {
    /// How many examples there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Steps(steps) => steps.len(),
            Self::Paths(lines) | Self::Jsonl(lines) => lines.len(),
        }
    }

    /// Bytes of input held.
    pub(crate) fn byte_len(&self) -> usize {
        match self {
            Self::Steps(_) => 0,
            Self::Paths(lines) | Self::Jsonl(lines) => lines.byte_len(),
        }
    }
}
