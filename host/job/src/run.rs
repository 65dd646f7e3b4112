//! The job itself: lets chunks in as there is room, sees each to its end, and stops well.

use crate::answer::Caller;
use crate::budget::Budget;
use crate::feed;
use crate::load::Loader;
use crate::metrics::CallMetrics;
use crate::progress::Bar;
use crate::render::Lines;
use crate::source::{Chunk, SourceError, SourceState};
use crate::start::{self, Beginning, Begun, Named};
use crate::task::{Abandon, Admission, Fatal, Stations};
use crate::turns::Turns;
use crate::writer::{self, Tally, Verdict, WriteEnd, WriterHandle};
use crate::{Config, Ended, JobError, Outputs, Pace, Source, Summary};
use consort_inference::Endpoint;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

/// Runs a job to its end: reads `source`, asks `endpoint`, writes `outputs`.
///
/// Every example that is read becomes exactly one line, a prediction or a dead letter.
/// When `cancel` resolves, nothing more is read; what is in flight has
/// [`Config::cancel_grace`] to finish and becomes a dead letter (`cancelled`) after that.
/// Failures of examples are no error: see [`Summary::failures`].
///
/// Dropping the future stops the job; whole lines that were finished are still written.
pub async fn run(
    endpoint: Arc<dyn Endpoint>,
    source: Source,
    outputs: Outputs,
    config: Config,
    cancel: impl Future<Output = ()>,
) -> Result<Summary, JobError> {
    let started = Instant::now();
    start::check(&*endpoint, &source, &outputs, &config)?;
    let mut bar = Bar::new(config.progress, &outputs);
    // The source first: nothing is emptied for a job that cannot begin.
    let (signature, opening) = (endpoint.signature().clone(), config.clone());
    let (name, version) = (endpoint.name().to_owned(), endpoint.version().to_owned());
    let begin = move || {
        let named = Named {
            name,
            version,
            signature,
        };
        start::begin(named, source, &outputs, &opening)
    };
    let begun = tokio::task::spawn_blocking(begin).await.map_err(defect)??;
    let Begun {
        source,
        destination,
        own,
        done,
        resumed,
        style,
        dead_letters,
    } = match begun {
        Beginning::Begun(begun) => *begun,
        Beginning::Finished(tally) => {
            let mut summary = Summary::new(
                tally.predicted,
                tally.failures,
                Ended::Complete,
                started.elapsed(),
            );
            summary.resumed = summary.examples();
            return Ok(summary);
        }
    };
    bar.resume(resumed);
    if let Some(pace) = &config.pace {
        pace.resume(resumed);
    }
    let bar = Arc::new(bar);
    let state = Arc::new(SourceState::default());
    let _stop = StopOnDrop(state.clone());
    if bar.is_drawn() && config.sample.is_none() {
        let (files, folders) = (own.files.clone(), own.folders.clone());
        source.count(files, folders, state.clone(), config.limit, bar.clone())?;
    }
    let verdict = Arc::new(Verdict::default());
    let output_ids = own.files.clone();
    let chunks = feed::start(source.kind, &config, own, done, state.clone())?;
    let ordered = config.ordered;
    let writer = writer::start(destination, verdict.clone(), ordered, bar.clone())?;
    let (give_up, abandon) = Abandon::channel();
    let loader = Loader::new(
        config.files.clone(),
        endpoint.signature().clone(),
        &config,
        abandon.clone(),
        output_ids,
        verdict.output_met.clone(),
    );
    let keeps_state = endpoint.keeps_state();
    let asks = !config.dry_run;
    let caller = asks.then(|| Caller::new(endpoint, &config, abandon.clone()));
    let job = Job {
        stations: Arc::new(Stations {
            tenant: config.tenant.clone(),
            loader: Arc::new(loader),
            caller,
            lines: Lines {
                style,
                dead_letters,
                example_bytes_max: config.dead_letter_example_bytes_max,
            },
            abandon,
            fail_fast: config.fail_fast,
            keeps_state,
        }),
        turns: keeps_state.then(Turns::default),
        feed: Feed::new(chunks, &config),
        tasks: JoinSet::new(),
        writer,
        verdict,
        give_up,
        chunks_read: 0,
        read: 0,
        resumed,
        broken: None,
        fatal: None,
        cancelled: false,
    };
    let outcome = job.run(cancel, &config, &state).await;
    bar.clear();
    outcome?.conclude(&state, &bar, started)
}

fn defect(error: JoinError) -> JobError {
    JobError::Defect(error.to_string())
}

fn no_last_words() -> JobError {
    JobError::Defect("the writer's thread ended without a word".to_owned())
}

/// Tells the source's threads that nobody wants more, however the job ends.
struct StopOnDrop(Arc<SourceState>);

/// Chunks of the source, let in one by one.
struct Feed {
    chunks: mpsc::Receiver<Result<Chunk, SourceError>>,
    /// Received, and waiting for room.
    pending: Option<Chunk>,
    examples: Arc<Semaphore>,
    text: Budget,
    pace: Option<Pace>,
    open: bool,
}

/// A job while it runs.
struct Job {
    stations: Arc<Stations>,
    /// The order of chunks, where it makes a difference.
    turns: Option<Turns>,
    feed: Feed,
    tasks: JoinSet<Result<Option<Fatal>, JoinError>>,
    writer: WriterHandle,
    verdict: Arc<Verdict>,
    give_up: watch::Sender<bool>,
    chunks_read: u64,
    /// Examples let in so far.
    read: u64,
    /// Examples that an earlier run had done.
    resumed: u64,
    broken: Option<SourceError>,
    fatal: Option<Fatal>,
    cancelled: bool,
}

/// A job that has ended.
struct Outcome {
    end: WriteEnd,
    tally: Tally,
    calls: CallMetrics,
    dry_run: bool,
    by_parts: bool,
    resumed: u64,
    fatal: Option<Fatal>,
    read: u64,
    /// Examples that were received but not let in.
    waiting: u64,
    broken: Option<SourceError>,
    cancelled: bool,
}

// === impl StopOnDrop ===

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

// === impl Feed ===

impl Feed {
    fn new(chunks: mpsc::Receiver<Result<Chunk, SourceError>>, config: &Config) -> Self {
        Self {
            chunks,
            pending: None,
            examples: Arc::new(Semaphore::new(config.inflight_max.max(1))),
            text: Budget::new(config.inflight_bytes_max),
            pace: config.pace.clone(),
            open: true,
        }
    }

    /// The next chunk as soon as there is room for it; `None` at the end. Nothing is lost
    /// when the future is dropped.
    async fn next(&mut self) -> Result<Option<(Chunk, Admission)>, SourceError> {
        if self.pending.is_none() {
            self.pending = self.chunks.recv().await.transpose()?;
        }
        let Some(chunk) = &self.pending else {
            return Ok(None);
        };
        if let Some(pace) = &self.pace {
            pace.wait().await;
        }
        let count = u32::try_from(chunk.body.len()).unwrap_or(u32::MAX);
        let examples = self.examples.clone().acquire_many_owned(count).await;
        let text = self.text.acquire(chunk.body.byte_len()).await;
        // Both are there: nobody closes the semaphores.
        let (Ok(examples), Some(text)) = (examples, text) else {
            return Ok(None);
        };
        let admission = Admission { examples, text };
        Ok(self.pending.take().map(|chunk| (chunk, admission)))
    }

    /// Lets nothing more in; how many examples were received and are left out.
    fn close(&mut self) -> u64 {
        self.open = false;
        self.chunks.close();
        let mut waiting = self
            .pending
            .take()
            .map_or(0, |chunk| chunk.body.len() as u64);
        while let Ok(received) = self.chunks.try_recv() {
            waiting += received.map_or(0, |chunk| chunk.body.len() as u64);
        }
        waiting
    }
}

// === impl Job ===

impl Job {
    async fn run(
        mut self,
        cancel: impl Future<Output = ()>,
        config: &Config,
        source: &SourceState,
    ) -> Result<Outcome, JobError> {
        let mut cancel = pin!(cancel);
        let mut give_up_at = None;
        let mut waiting = 0;
        let end = loop {
            if !self.feed.open && self.tasks.is_empty() {
                let whole = source.finished.load(Ordering::Acquire) && waiting == 0;
                let stopped = self.cancelled || self.broken.is_some() || self.fatal.is_some();
                self.verdict
                    .complete
                    .store(whole && !stopped, Ordering::Release);
                break self.last_words(&mut cancel, config.write_grace).await?;
            }
            let due = give_up_at.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = &mut cancel, if !self.cancelled => {
                    self.cancelled = true;
                    waiting += self.feed.close();
                    give_up_at = Some(Instant::now() + config.cancel_grace);
                }
                end = &mut self.writer.end => break end.map_err(|_| no_last_words())?,
                Some(task) = self.tasks.join_next() => {
                    let fatal = task.flatten().map_err(defect)?;
                    if fatal.is_some() && self.fatal.is_none() {
                        // As if it were cancelled, but with something to tell.
                        self.fatal = fatal;
                        waiting += self.feed.close();
                        give_up_at.get_or_insert(Instant::now() + config.cancel_grace);
                    }
                }
                () = sleep_until(due), if give_up_at.is_some() => {
                    if self.give_up.send_replace(true) {
                        break self.stuck();
                    }
                    give_up_at = Some(Instant::now() + config.write_grace);
                }
                next = self.feed.next(), if self.feed.open => self.admit(next),
            }
        };
        waiting += self.feed.close();
        Ok(Outcome {
            end,
            tally: self.writer.tally(),
            calls: self
                .stations
                .caller
                .as_ref()
                .map(Caller::metrics)
                .unwrap_or_default(),
            dry_run: config.dry_run,
            by_parts: config.resume && !config.dry_run,
            resumed: self.resumed,
            fatal: self.fatal,
            read: self.read,
            waiting,
            broken: self.broken,
            cancelled: self.cancelled,
        })
    }

    /// Starts a chunk on its way, or notes the end of the source.
    fn admit(&mut self, next: Result<Option<(Chunk, Admission)>, SourceError>) {
        let (chunk, admission) = match next {
            Ok(Some(admitted)) => admitted,
            Ok(None) => return self.feed.open = false,
            Err(error) => {
                self.broken = Some(error);
                self.feed.open = false;
                return;
            }
        };
        let Some(finished) = self.writer.finished.clone() else {
            return;
        };
        let sequence = self.chunks_read;
        self.chunks_read += 1;
        let count = chunk.body.len();
        self.read += count as u64;
        let (stations, pace) = (self.stations.clone(), self.feed.pace.clone());
        let turn = self.turns.as_mut().map(Turns::next);
        if let Some(pace) = &pace {
            pace.let_in(count);
        }
        self.tasks.spawn(async move {
            let (lines, fatal) = stations.pass(sequence, chunk, admission, turn).await?;
            if let Some(pace) = pace {
                pace.answered(count);
            }
            // Without a writer the job has ended, and says so itself.
            let _ = finished.send(lines).await;
            Ok(fatal)
        });
    }

    /// Tells the writer that nothing more will come and waits for its end; not forever
    /// once the job is cancelled.
    async fn last_words(
        &mut self,
        cancel: &mut (impl Future<Output = ()> + Unpin),
        write_grace: Duration,
    ) -> Result<WriteEnd, JobError> {
        self.writer.finished = None;
        if !self.cancelled {
            tokio::select! {
                biased;
                end = &mut self.writer.end => return end.map_err(|_| no_last_words()),
                // Too late to leave anything out, but not to stop waiting.
                () = cancel => {}
            }
        }
        match timeout(write_grace, &mut self.writer.end).await {
            Ok(end) => end.map_err(|_| no_last_words()),
            Err(_) => Ok(self.stuck()),
        }
    }

    /// What is said for a writer that does not come back.
    fn stuck(&self) -> WriteEnd {
        let what = "nobody takes what is written, and the job was told to stop";
        WriteEnd::Failed {
            name: "the output".to_owned(),
            lines_written: self.writer.tally().predicted,
            source: io::Error::new(io::ErrorKind::TimedOut, what),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    fn conclude(
        self,
        state: &SourceState,
        bar: &Bar,
        started: Instant,
    ) -> Result<Summary, JobError> {
        let ended = match (&self.end, &self.broken, self.cancelled) {
            (WriteEnd::Failed { .. }, _, _) | (_, Some(_), _) => Ended::Failed,
            _ if self.fatal.is_some() => Ended::Failed,
            (WriteEnd::Closed, ..) => Ended::OutputClosed,
            (WriteEnd::Done, None, true) => Ended::Interrupted,
            (WriteEnd::Done, None, false) => Ended::Complete,
        };
        let Tally {
            predicted,
            failures,
        } = self.tally;
        let mut summary = Summary::new(predicted, failures, ended, started.elapsed());
        summary.calls = self.calls;
        summary.dry_run = self.dry_run;
        summary.resumable = self.by_parts && ended != Ended::Complete;
        summary.resumed = self.resumed;
        let total = bar
            .known_total()
            .map(|total| total.saturating_sub(self.resumed));
        summary.unread = match state.finished.load(Ordering::Acquire) {
            true => Some(self.waiting),
            false => total.map(|total| total.saturating_sub(self.read)),
        };
        summary.unwritten = (self.read + self.resumed).saturating_sub(summary.examples());
        summary.links_skipped = state.links_skipped.load(Ordering::Relaxed);
        let summary = Box::new(summary);
        if let WriteEnd::Failed {
            name,
            lines_written,
            source,
        } = self.end
        {
            return Err(JobError::Write {
                name,
                source,
                lines_written,
                summary,
            });
        }
        if let Some(Fatal { key, failure }) = self.fatal {
            return Err(JobError::FailFast {
                key: key.to_string(),
                failure,
                summary,
            });
        }
        match self.broken {
            Some(SourceError { name, error }) => Err(JobError::Read {
                name,
                source: error,
                summary,
            }),
            None => Ok(*summary),
        }
    }
}
