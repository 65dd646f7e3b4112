//! One of several runners of a model: takes work, judges how it went, takes failing
//! batches apart.
//!
//! A batch that fails is split in two and both halves run again, until the examples that
//! fail do so alone; the others succeed. One poison among n costs about 2 log2(n) more
//! runs, and a model on which everything fails at most 2n - 1 runs in all. The pieces stay
//! with their replica and run before anything else, dropped if nobody waits any longer.
//! When memory runs out the batch is cut into pieces of half its size, and that size is
//! the largest from then on.

use crate::events::Events;
use crate::exchange::Exchange;
use crate::former::Next;
use crate::queue::Entry;
use crate::runner::{Ran, RunError};
use crate::scatter::{fail_all, scatter};
use consort_inference::{Batch, FailureKind, PredictError, Signature};
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::watch;
use tokio::time::Instant;

/// What one replica knows; how it sleeps and runs is its driver's business.
pub(crate) struct Replica {
    number: usize,
    exchange: Arc<Exchange>,
    signature: Arc<Signature>,
    /// Pieces of a batch that failed, the next one last.
    pieces: Vec<Vec<Entry>>,
    /// Counts the replicas that live.
    live: watch::Sender<usize>,
    stopped: bool,
}

/// A batch on its way through the model. The entries' tensors are in the batch.
pub(crate) struct Work {
    entries: Vec<Entry>,
    batch: Batch,
    started: Instant,
}

// === impl Work ===

impl Work {
    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }
}

// === impl Replica ===

impl Replica {
    pub(crate) fn new(
        number: usize,
        exchange: Arc<Exchange>,
        signature: Arc<Signature>,
        live: watch::Sender<usize>,
    ) -> Self {
        exchange.events().replica_started();
        Self {
            number,
            exchange,
            signature,
            pieces: Vec::new(),
            live,
            stopped: false,
        }
    }

    fn events(&self) -> &Events {
        self.exchange.events()
    }

    /// The next thing to do; whoever is told to wait is woken through `waker`.
    pub(crate) fn next(&mut self, waker: &Waker) -> Next<Work> {
        loop {
            let entries = match self.next_piece() {
                Some(piece) => piece,
                None => match self.exchange.next(self.number, waker) {
                    Next::Run(entries) => entries,
                    Next::Wait(until) => return Next::Wait(until),
                    Next::Stop => {
                        self.stopped = true;
                        return Next::Stop;
                    }
                },
            };
            if let Some(work) = self.begin(entries) {
                return Next::Run(work);
            }
        }
    }

    /// The next piece of a failed batch, without those that nobody waits for.
    fn next_piece(&mut self) -> Option<Vec<Entry>> {
        while let Some(piece) = self.pieces.pop() {
            let now = Instant::now();
            let (expired, waiting): (Vec<_>, Vec<_>) = piece
                .into_iter()
                .partition(|e| e.deadline.is_some_and(|deadline| deadline <= now));
            let (abandoned, wanted): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|e| e.ticket.is_abandoned());
            self.events().expired(expired, now);
            self.events().abandoned(abandoned);
            if !wanted.is_empty() {
                return Some(wanted);
            }
        }
        None
    }

    fn begin(&self, mut entries: Vec<Entry>) -> Option<Work> {
        let rows = entries
            .iter_mut()
            .map(|entry| std::mem::take(&mut entry.tensors));
        match Batch::new(rows.collect()) {
            Ok(batch) => {
                self.events().run_started();
                let started = Instant::now();
                Some(Work {
                    entries,
                    batch,
                    started,
                })
            }
            Err(error) => {
                let message = format!("the host formed no batch: {error}; please report this");
                fail_all(self.events(), entries, FailureKind::Internal, &message);
                None
            }
        }
    }

    /// Judges a run: every example of it is answered or runs again.
    pub(crate) fn finish(&mut self, work: Work, ran: Ran) {
        let took = work.started.elapsed();
        self.events().run_ended();
        let examples = work.entries.len();
        let (kind, message) = match ran {
            Ok(outputs) => {
                if outputs.len() == examples {
                    let bytes = work.entries.iter().map(|entry| entry.bytes).sum();
                    self.events().batch_succeeded(examples, bytes, took);
                }
                return scatter(self.events(), &self.signature, work.entries, outputs);
            }
            Err(RunError::Predict(error)) => (kind_of(&error), error.to_string()),
            Err(RunError::Panicked(text)) => {
                self.events().handler_panicked();
                let message = format!("the model's handler panicked: {text}");
                (FailureKind::Internal, message)
            }
        };
        self.events().batch_failed(examples, kind, &message);
        let size = match kind {
            FailureKind::OutOfMemory => examples / 2,
            _ => examples.div_ceil(2),
        };
        if kind == FailureKind::OutOfMemory && size > 0 {
            self.exchange.lower_batch_size_max(size);
        }
        let as_a_whole = [FailureKind::ModelContract, FailureKind::Unavailable];
        if examples == 1 || as_a_whole.contains(&kind) {
            return fail_all(self.events(), work.entries, kind, &message);
        }
        self.events().batch_split(kind);
        self.split(work, size);
    }

    /// Takes a batch apart into pieces of at most `size` examples, the first to run first.
    fn split(&mut self, work: Work, size: usize) {
        let rows = work.batch.rows();
        let mut entries: Vec<Entry> = work.entries;
        for (entry, row) in entries.iter_mut().zip(rows) {
            entry.tensors = row.clone();
        }
        while !entries.is_empty() {
            let cut = entries.len().saturating_sub(1) / size * size;
            self.pieces.push(entries.split_off(cut));
        }
    }
}

impl Drop for Replica {
    /// A replica that is gone is counted out; the last one leaves no caller waiting.
    fn drop(&mut self) {
        self.events().replica_ended();
        if !self.stopped {
            self.events().replica_lost(self.number);
        }
        let mut left = 0;
        self.live.send_modify(|live| {
            *live -= 1;
            left = *live;
        });
        if left == 0 {
            self.exchange.abort();
        }
    }
}

fn kind_of(error: &PredictError) -> FailureKind {
    match error {
        PredictError::OutOfMemory(_) => FailureKind::OutOfMemory,
        PredictError::Contract(_) => FailureKind::ModelContract,
        PredictError::InvalidInput(_) => FailureKind::InvalidArgument,
        PredictError::Unavailable(_) => FailureKind::Unavailable,
        _ => FailureKind::ModelFailed,
    }
}
