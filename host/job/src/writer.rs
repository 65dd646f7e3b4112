//! The thread that writes: it alone orders, writes and counts what is finished.
//!
//! It is a thread of its own, not of the runtime's, because a reader that takes nothing
//! from standard output must not hold up the end of the process.

use crate::JobError;
use crate::feed::Done;
use crate::parts::Parts;
use crate::progress::Bar;
use crate::render::{FAILURES_LOGGED_MAX, Rendered};
use crate::reorder::Reorder;
use crate::sink::OpenOutputs;
use crate::summary::Failures;
use crate::task::Finished;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Finished chunks that may wait for the thread.
const CHUNKS_WAITING_MAX: usize = 64;
/// Bytes of lines that are collected for one write, while there are more.
const PAGE_BYTES: usize = 128 << 10;

/// What was written so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) predicted: u64,
    pub(crate) failures: Failures,
}

/// The thread, seen from the job.
pub(crate) struct WriterHandle {
    /// Takes finished chunks; the thread ends when it is gone.
    pub(crate) finished: Option<mpsc::Sender<Finished>>,
    /// Comes once, also before the end when an output cannot take more.
    pub(crate) end: oneshot::Receiver<WriteEnd>,
    tally: Arc<Mutex<Tally>>,
}

/// Where everything goes.
pub(crate) enum Destination {
    /// To the outputs, as it comes.
    Outputs(Box<OpenOutputs>),
    /// To parts, from which the outputs are made at the end.
    Parts(Box<Parts>),
    /// Nowhere, in a dry run; failures are told.
    Nowhere,
}

/// What the writer learns from the job when nothing more comes.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// All of the source was answered, so parts make an output.
    pub(crate) complete: AtomicBool,
    /// An output was met among the inputs, so that it keeps its content.
    pub(crate) output_met: Arc<AtomicBool>,
}

/// How writing ended.
#[derive(Debug)]
pub(crate) enum WriteEnd {
    /// Everything was written.
    Done,
    /// Whoever reads the output has left.
    Closed,
    /// An output cannot take more.
    Failed {
        name: String,
        lines_written: u64,
        source: io::Error,
    },
}

/// The thread's own.
struct Writer {
    destination: Option<Destination>,
    verdict: Arc<Verdict>,
    reorder: Reorder<Finished>,
    bar: Arc<Bar>,
    page: Page,
    tally: Arc<Mutex<Tally>>,
    logged: usize,
    /// Whether a chunk of this run was given up: no part goes past it.
    gave_up: bool,
    /// Examples without a failure that came here.
    seen: u64,
}

/// Lines that are written at once.
#[derive(Default)]
struct Page {
    rendered: Rendered,
    /// How far in the source it goes.
    done: Done,
    /// Given back when the page is written.
    in_flight: Vec<OwnedSemaphorePermit>,
}

/// Starts the thread. It ends when all senders are gone or an output cannot take more;
/// either way it reports.
pub(crate) fn start(
    destination: Destination,
    verdict: Arc<Verdict>,
    ordered: bool,
    bar: Arc<Bar>,
) -> Result<WriterHandle, JobError> {
    let (sender, mut finished) = mpsc::channel(CHUNKS_WAITING_MAX);
    let (reporter, end) = oneshot::channel();
    let tally = Arc::<Mutex<Tally>>::default();
    // Parts are ranges of the input, one after another.
    let ordered = ordered || matches!(destination, Destination::Parts(_));
    let mut writer = Writer {
        destination: Some(destination),
        verdict,
        reorder: Reorder::new(ordered),
        bar,
        page: Page::default(),
        tally: tally.clone(),
        logged: 0,
        gave_up: false,
        seen: 0,
    };
    const NAME: &str = "consort-writer";
    let thread = std::thread::Builder::new().name(NAME.to_owned());
    let work = move || {
        let end = writer.run(&mut finished).err().unwrap_or(WriteEnd::Done);
        drop(writer.count());
        // Files and the lock on parts are given back before anybody hears of the end and
        // begins the job anew.
        drop(writer);
        // Nobody listens any more: then nobody wants to know.
        let _ = reporter.send(end);
    };
    match thread.spawn(work) {
        Ok(_) => Ok(WriterHandle {
            finished: Some(sender),
            end,
            tally,
        }),
        Err(source) => Err(JobError::Thread { name: NAME, source }),
    }
}

// === impl WriterHandle ===

impl WriterHandle {
    /// What was written so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

// === impl Writer ===

impl Writer {
    fn run(&mut self, finished: &mut mpsc::Receiver<Finished>) -> Result<(), WriteEnd> {
        while let Some(chunk) = finished.blocking_recv() {
            self.take(chunk)?;
            while let Ok(chunk) = finished.try_recv() {
                self.take(chunk)?;
            }
            self.write_page()?;
        }
        // A gap is left where a task ended without an answer; what is behind it is kept,
        // but for parts, which have no gaps.
        let rest = std::mem::replace(&mut self.reorder, Reorder::new(false));
        if !self.is_parts() {
            for chunk in rest.into_rest() {
                self.page.add(chunk);
            }
        }
        self.write_page()?;
        let failures = self.count().failures.total();
        let unwritten = match &self.destination {
            Some(Destination::Outputs(outputs)) => outputs.dead_letters.is_none(),
            _ => false,
        };
        if unwritten && failures > 0 {
            self.bar.suspend(|| {
                tracing::warn!(
                    failures,
                    "failures were not written; give a dead-letter file"
                );
            });
        }
        self.settle()
    }

    /// Makes sure that what was written stays written, and is where it should be.
    fn settle(&mut self) -> Result<(), WriteEnd> {
        let outputs = match self.destination.as_mut() {
            None | Some(Destination::Nowhere) => return Ok(()),
            Some(Destination::Parts(parts)) => {
                let closed = parts.close();
                closed.map_err(|error| WriteEnd::of(parts.name(), 0, error))?;
                drop(self.count());
                if !self.verdict.complete.load(Ordering::Acquire) {
                    return Ok(());
                }
                let Some(Destination::Parts(parts)) = self.destination.take() else {
                    return Ok(());
                };
                let name = parts.name();
                let finished = parts.finish();
                return finished.map_err(|error| WriteEnd::of(name, 0, error));
            }
            Some(Destination::Outputs(outputs)) => outputs,
        };
        let settled = outputs.predictions.settle();
        let sink = &outputs.predictions;
        settled
            .map_err(|error| WriteEnd::of(sink.name().to_owned(), sink.lines_written(), error))?;
        outputs.dead_letters.as_mut().map_or(Ok(()), |sink| {
            let settled = sink.settle();
            settled
                .map_err(|error| WriteEnd::of(sink.name().to_owned(), sink.lines_written(), error))
        })?;
        for replacement in &outputs.replacements {
            let done = match self.verdict.output_met.load(Ordering::Acquire) {
                false => replacement.done(),
                true => Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!(
                        "the input names it as well, so it keeps its content; what was written \
                         is in {:?}",
                        replacement.from
                    ),
                )),
            };
            done.map_err(|error| {
                let lines = outputs.predictions.lines_written();
                WriteEnd::of(format!("{:?}", replacement.to), lines, error)
            })?;
        }
        Ok(())
    }

    fn is_parts(&self) -> bool {
        matches!(self.destination, Some(Destination::Parts(_)))
    }

    fn take(&mut self, chunk: Finished) -> Result<(), WriteEnd> {
        self.reorder.push(chunk.sequence, chunk);
        while let Some(chunk) = self.reorder.pop() {
            if self.is_parts() && (chunk.given_up || self.gave_up) {
                // The next run begins here.
                self.gave_up = true;
                continue;
            }
            self.page.add(chunk);
            if self.page.byte_len() >= PAGE_BYTES {
                self.write_page()?;
            }
        }
        Ok(())
    }

    fn write_page(&mut self) -> Result<(), WriteEnd> {
        let done = self.page.done;
        let rendered = &mut self.page.rendered;
        let is_empty = rendered.predicted + rendered.failures.total() == 0;
        match &mut self.destination {
            _ if is_empty => {}
            None | Some(Destination::Nowhere) => {}
            Some(Destination::Parts(parts)) => {
                let written = parts.write(rendered, done);
                written.map_err(|error| WriteEnd::of(parts.name(), 0, error))?;
            }
            Some(Destination::Outputs(outputs)) => {
                let sink = &mut outputs.predictions;
                let written = sink.write(rendered);
                written.map_err(|error| {
                    WriteEnd::of(sink.name().to_owned(), sink.lines_written(), error)
                })?;
                if let Some(sink) = &mut outputs.dead_letters {
                    let written = sink.write_lines(&rendered.dead_letters);
                    written.map_err(|error| {
                        WriteEnd::of(sink.name().to_owned(), sink.lines_written(), error)
                    })?;
                }
            }
        }
        for (key, failure) in rendered.unwritten.drain(..) {
            if self.logged == FAILURES_LOGGED_MAX {
                break;
            }
            self.logged += 1;
            let (stage, kind) = (&failure.stage, failure.kind);
            self.bar.suspend(|| {
                tracing::warn!(%key, %stage, %kind, message = %failure.message, "example failed");
            });
        }
        let failed = rendered.failures.total();
        self.seen += rendered.predicted;
        self.bar.advance(rendered.predicted + failed, failed);
        if !self.is_parts() {
            self.count().failures.merge(&self.page.rendered.failures);
        } else {
            drop(self.count());
        }
        self.page.clear();
        Ok(())
    }

    /// Brings the tally up to the last whole line, or the last whole part.
    fn count(&self) -> MutexGuard<'_, Tally> {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.destination {
            Some(Destination::Outputs(outputs)) => {
                tally.predicted = outputs.predictions.lines_written();
            }
            Some(Destination::Parts(parts)) => tally.clone_from(parts.tally()),
            Some(Destination::Nowhere) => tally.predicted = self.seen,
            None => {}
        }
        tally
    }
}

// === impl WriteEnd ===

impl WriteEnd {
    fn of(name: String, lines_written: u64, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed {
                name,
                lines_written,
                source,
            },
        }
    }
}

// === impl Page ===

impl Page {
    fn byte_len(&self) -> usize {
        let rendered = &self.rendered;
        rendered.predictions.len() + rendered.dead_letters.len() + rendered.table.byte_len()
    }

    fn add(&mut self, chunk: Finished) {
        let page = &mut self.rendered;
        let mut chunk_lines = chunk.rendered;
        page.predictions.append(&mut chunk_lines.predictions);
        page.table.append(&mut chunk_lines.table);
        page.dead_letters.append(&mut chunk_lines.dead_letters);
        page.predicted += chunk_lines.predicted;
        page.failures.merge(&chunk_lines.failures);
        page.unwritten.append(&mut chunk_lines.unwritten);
        self.done = chunk.done;
        self.in_flight.push(chunk.examples);
    }

    /// Forgets the lines but keeps their memory for the next, unless it grew large.
    fn clear(&mut self) {
        for lines in [
            &mut self.rendered.predictions,
            &mut self.rendered.dead_letters,
        ] {
            lines.clear();
            lines.shrink_to(2 * PAGE_BYTES);
        }
        self.rendered.predicted = 0;
        self.rendered.failures = Failures::default();
        self.rendered.unwritten.clear();
        self.in_flight.clear();
    }
}
