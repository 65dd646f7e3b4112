//! The thread that writes: it alone orders, writes and counts what is finished.
//!
//! It is a thread of its own, not of the runtime's, because a reader that takes nothing
//! from standard output must not hold up the end of the process.

use crate::JobError;
use crate::progress::Bar;
use crate::render::{FAILURES_LOGGED_MAX, Rendered};
use crate::reorder::Reorder;
use crate::sink::{OpenOutputs, OpenSink};
use crate::summary::Failures;
use crate::task::Finished;
use std::io;
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
    outputs: OpenOutputs,
    reorder: Reorder<Finished>,
    bar: Arc<Bar>,
    page: Page,
    tally: Arc<Mutex<Tally>>,
    logged: usize,
}

/// Lines that are written at once.
#[derive(Default)]
struct Page {
    rendered: Rendered,
    /// Given back when the page is written.
    in_flight: Vec<OwnedSemaphorePermit>,
}

/// Starts the thread. It ends when all senders are gone or an output cannot take more;
/// either way it reports.
pub(crate) fn start(
    outputs: OpenOutputs,
    ordered: bool,
    bar: Arc<Bar>,
) -> Result<WriterHandle, JobError> {
    let (sender, mut finished) = mpsc::channel(CHUNKS_WAITING_MAX);
    let (reporter, end) = oneshot::channel();
    let tally = Arc::<Mutex<Tally>>::default();
    let mut writer = Writer {
        outputs,
        reorder: Reorder::new(ordered),
        bar,
        page: Page::default(),
        tally: tally.clone(),
        logged: 0,
    };
    const NAME: &str = "consort-writer";
    let thread = std::thread::Builder::new().name(NAME.to_owned());
    let work = move || {
        let end = writer.run(&mut finished).err().unwrap_or(WriteEnd::Done);
        drop(writer.count());
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
        // A gap is left where a task ended without an answer; what is behind it is kept.
        let rest = std::mem::replace(&mut self.reorder, Reorder::new(false));
        for chunk in rest.into_rest() {
            self.page.add(chunk);
        }
        self.write_page()?;
        let failures = self.count().failures.total();
        if self.outputs.dead_letters.is_none() && failures > 0 {
            self.bar.suspend(|| {
                tracing::warn!(
                    failures,
                    "failures were not written; give a dead-letter file"
                );
            });
        }
        settle(&mut self.outputs.predictions)?;
        self.outputs.dead_letters.as_mut().map_or(Ok(()), settle)
    }

    fn take(&mut self, chunk: Finished) -> Result<(), WriteEnd> {
        self.reorder.push(chunk.sequence, chunk);
        while let Some(chunk) = self.reorder.pop() {
            self.page.add(chunk);
            if self.page.byte_len() >= PAGE_BYTES {
                self.write_page()?;
            }
        }
        Ok(())
    }

    fn write_page(&mut self) -> Result<(), WriteEnd> {
        let rendered = &mut self.page.rendered;
        write(&mut self.outputs.predictions, &rendered.predictions)?;
        if let Some(sink) = &mut self.outputs.dead_letters {
            write(sink, &rendered.dead_letters)?;
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
        self.bar.advance(rendered.predicted + failed, failed);
        self.count().failures.merge(&self.page.rendered.failures);
        self.page.clear();
        Ok(())
    }

    /// Brings the tally up to the last whole line.
    fn count(&self) -> MutexGuard<'_, Tally> {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.predicted = self.outputs.predictions.lines_written();
        tally
    }
}

fn write(sink: &mut OpenSink, lines: &[u8]) -> Result<(), WriteEnd> {
    sink.write_lines(lines)
        .map_err(|error| WriteEnd::of(sink, error))
}

fn settle(sink: &mut OpenSink) -> Result<(), WriteEnd> {
    sink.settle().map_err(|error| WriteEnd::of(sink, error))
}

// === impl WriteEnd ===

impl WriteEnd {
    fn of(sink: &OpenSink, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed {
                name: sink.name().to_owned(),
                lines_written: sink.lines_written(),
                source,
            },
        }
    }
}

// === impl Page ===

impl Page {
    fn byte_len(&self) -> usize {
        self.rendered.predictions.len() + self.rendered.dead_letters.len()
    }

    fn add(&mut self, chunk: Finished) {
        let page = &mut self.rendered;
        let mut chunk_lines = chunk.rendered;
        page.predictions.append(&mut chunk_lines.predictions);
        page.dead_letters.append(&mut chunk_lines.dead_letters);
        page.predicted += chunk_lines.predicted;
        page.failures.merge(&chunk_lines.failures);
        page.unwritten.append(&mut chunk_lines.unwritten);
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
