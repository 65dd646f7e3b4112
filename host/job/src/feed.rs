//! The thread that looks for examples and hands them over chunk by chunk.

use crate::files;
use crate::lines::Lines;
use crate::os::{self, FileId};
use crate::rows::{Opener, Origin, RowReader};
use crate::sample::Pick;
use crate::source::{Body, Chunk, OpenKind, Separator, SourceError, SourceState, Text, spawn};
use crate::walk::{Step, Walk};
use crate::{Config, JobError};
use consort_inference::FailureKind;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

/// Chunks that the source may be ahead.
const CHUNKS_AHEAD: usize = 2;

/// What an earlier run of the same job did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Done {
    /// Rows of the source that were dealt with.
    pub(crate) rows: u64,
    /// What was listed up to there, in short.
    pub(crate) listing: u64,
}

/// What a job leaves out of its own input.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own {
    /// Its outputs.
    pub(crate) files: Vec<FileId>,
    /// The folders of its parts.
    pub(crate) folders: Vec<PathBuf>,
}

/// How many rows a chunk may have.
#[derive(Debug, Clone, Copy)]
struct ChunkMax {
    files: usize,
    lines: usize,
}

/// The sending side, with the choice of rows.
struct Feed {
    chunks: mpsc::Sender<Result<Chunk, SourceError>>,
    state: Arc<SourceState>,
    pick: Pick,
    done: Done,
    listing: Listing,
}

/// The paths that were listed, in short (FNV-1a): a resumed run must list the same.
#[derive(Debug, Clone, Copy)]
struct Listing(u64);

/// Starts the thread. It ends at the end of the source, when it is told to stop, or when
/// the receiver is gone.
pub(crate) fn start(
    kind: OpenKind,
    config: &Config,
    own: Own,
    done: Done,
    state: Arc<SourceState>,
) -> Result<mpsc::Receiver<Result<Chunk, SourceError>>, JobError> {
    let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let mut feed = Feed {
        chunks,
        state,
        pick: Pick::new(config.sample, config.limit, done.rows),
        done,
        listing: Listing::new(),
    };
    let max = ChunkMax {
        files: config.chunk_files_max(),
        lines: config.chunk_lines_max(),
    };
    let line_bytes_max = config.line_bytes_max;
    spawn("consort-source", move || {
        let all = match kind {
            OpenKind::Files(roots) => {
                let walk = Walk::new(roots, own.files).without(own.folders);
                feed.walk(walk, max.files)
            }
            OpenKind::Paths { text, separator } => {
                feed.paths(text, separator, line_bytes_max, max.files)
            }
            OpenKind::Rows {
                opener,
                first,
                rest,
            } => feed.files_of_rows(&opener, first, rest, max.lines),
        };
        match all.and_then(|all| feed.end(all)) {
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
                return Ok(steps.is_empty() || self.send(Body::Steps(steps)));
            };
            // Listing a folder can take long. Files found before it do not wait for it
            // while there is nothing else to do.
            let entered = matches!(step, Step::Entered);
            if let Step::File(path) | Step::Unlistable(path, _) = &step {
                self.check_listing()?;
                self.listing.add(path);
                if self.pick.takes_next() {
                    steps.push(step);
                }
            }
            let idle = entered && self.chunks.capacity() == self.chunks.max_capacity();
            let full = steps.len() == files_max || self.pick.left() == 0;
            if (full || idle)
                && !steps.is_empty()
                && !self.send(Body::Steps(std::mem::take(&mut steps)))
            {
                return Ok(false);
            }
        }
        Ok(self.pick.left() == 0)
    }

    /// Hands over lines that are paths; `true` when that were all.
    fn paths(
        &mut self,
        text: Text,
        separator: Separator,
        line_bytes_max: usize,
        lines_max: usize,
    ) -> Result<bool, SourceError> {
        let name = text.name();
        let broken = |error| SourceError {
            name: name.clone(),
            error,
        };
        let reader = text.open().map_err(broken)?;
        let mut lines = Lines::new(reader, separator.byte(), line_bytes_max);
        while self.wanted() {
            let Some(mut cut) = lines.next_chunk(self.most(lines_max)).map_err(broken)? else {
                return Ok(true);
            };
            cut.retain(|| self.pick.takes_next());
            if cut.len() > 0 && !self.send(Body::Paths(cut)) {
                return Ok(false);
            }
        }
        Ok(self.pick.left() == 0)
    }

    /// Hands over the rows of one file after another; `true` when that were all.
    fn files_of_rows(
        &mut self,
        opener: &Opener,
        first: Option<(RowReader, Arc<Origin>)>,
        rest: Vec<Text>,
        rows_max: usize,
    ) -> Result<bool, SourceError> {
        if let Some((reader, origin)) = first
            && !self.rows(reader, &origin, rows_max)?
        {
            return Ok(self.pick.left() == 0);
        }
        for text in rest {
            let path = text.path().map(Path::to_owned);
            match opener.open(text) {
                Ok((reader, origin)) => {
                    if !self.rows(reader, &origin, rows_max)? {
                        return Ok(self.pick.left() == 0);
                    }
                }
                // A file that cannot be used is one example that failed: the others go on.
                Err(error) => {
                    if !self.unusable(path.unwrap_or_default(), &error.to_string()) {
                        return Ok(self.pick.left() == 0);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Hands over the rows of a file; `false` when no more are wanted.
    fn rows(
        &mut self,
        mut reader: RowReader,
        origin: &Arc<Origin>,
        rows_max: usize,
    ) -> Result<bool, SourceError> {
        while self.wanted() {
            let mut chunk = match reader.next_chunk(self.most(rows_max)) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(true),
                Err(error) => match &origin.path {
                    Some(path) => return Ok(self.unusable(path.clone(), &error.to_string())),
                    None => return Err(error.into_error(origin.text.clone())),
                },
            };
            chunk.retain(|| self.pick.takes_next());
            if chunk.len() > 0 && !self.send(Body::Rows(chunk, origin.clone())) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    fn unusable(&mut self, path: PathBuf, what: &str) -> bool {
        if !self.wanted() {
            return false;
        }
        let failure = files::failure(&path, FailureKind::Unreadable, what);
        !self.pick.takes_next() || self.send(Body::Unusable(path, failure))
    }

    /// How many rows are looked at for a chunk.
    fn most(&self, rows_max: usize) -> usize {
        // Each row is one of those that are left, or none: fewer will not be enough.
        usize::try_from(self.pick.left()).map_or(rows_max, |left| left.min(rows_max))
    }

    fn wanted(&self) -> bool {
        self.pick.left() > 0 && !self.state.stop.load(Ordering::Relaxed)
    }

    /// Where an earlier run stopped, it must have listed the same.
    fn check_listing(&self) -> Result<(), SourceError> {
        if self.done.rows == 0 || self.pick.rows() != self.done.rows {
            return Ok(());
        }
        match self.listing.0 == self.done.listing {
            true => Ok(()),
            false => Err(self.other_input("other files are found than in the run that is resumed")),
        }
    }

    /// At the end of the source, whether that was all of it.
    fn end(&self, all: bool) -> Result<bool, SourceError> {
        if all && self.pick.rows() < self.done.rows {
            return Err(self.other_input("it has become shorter since the run that is resumed"));
        }
        if all {
            self.check_listing()?;
        }
        Ok(all)
    }

    fn other_input(&self, what: &str) -> SourceError {
        let what = format!("{what}; remove the parts to begin anew");
        SourceError {
            name: "the input".to_owned(),
            error: io::Error::new(io::ErrorKind::InvalidData, what),
        }
    }

    fn send(&self, body: Body) -> bool {
        let chunk = Chunk {
            body,
            rows_end: self.pick.rows(),
            listing: self.listing.0,
        };
        self.chunks.blocking_send(Ok(chunk)).is_ok()
    }
}

// === impl Listing ===

impl Listing {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, path: &Path) {
        // No path has a zero byte, so that it can end one.
        for byte in os::path_bytes(path).iter().chain(&[0]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
