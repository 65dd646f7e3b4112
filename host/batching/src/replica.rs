//! One of several runners of a model: takes work, judges how it went, takes failing
//! batches apart.
//!
//! A batch that fails is split in two and both halves run again, until the examples that
//! fail do so alone; the others succeed. One poison among n costs about 2 log2(n) more
//! runs, and a model on which everything fails at most 2n - 1 runs in all. The pieces stay
//! with their replica and run before anything else, dropped if nobody waits any longer.
//! When memory runs out the batch is cut into pieces of half its size, and that size is
//! the largest until a larger one is tried again (see `ceilings.rs`). The pieces run on the
//! handler on which their batch failed, even when another has replaced it since.

use crate::costs::Charge;
use crate::exchange::{Exchange, Job};
use crate::former::{Feedback, Formed, Next};
use crate::kind::{LaneKey, padding_waste};
use crate::policy::RunOutcome;
use crate::runner::{Ran, RunError};
use crate::scatter::{fail_all, scatter};
use crate::serving::{Replicas, Serving};
use crate::spans;
use crate::taken::Taken;
use consort_inference::{Batch, FailureKind, PredictError};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What one replica knows; how it sleeps and runs is its driver's business.
pub(crate) struct Replica {
    number: usize,
    exchange: Arc<Exchange>,
    /// Pieces of a batch that failed, the next one last.
    pieces: Vec<Piece>,
    /// When the last run was over, while nothing has been waited for since.
    free_since: Option<Instant>,
    /// Counts the replicas that live.
    live: watch::Sender<usize>,
    stopped: bool,
}

/// Examples that are to run together.
struct Piece {
    taken: Taken,
    key: LaneKey,
    serving: Arc<Serving>,
    /// Whether it was part of a batch that ran out of memory.
    memory_ran_out: bool,
    predicted: Option<Duration>,
    /// What its tenants were charged, where they were for this run.
    charge: Option<Charge>,
}

/// A batch on its way through the model. The examples' tensors are in the batch.
pub(crate) struct Work {
    piece: Piece,
    batch: Batch,
    began: Instant,
    /// When the replica became free for it: what forming a batch costs the host is a part of
    /// what the batch costs, and for quick models the greater one.
    free_since: Instant,
}

// === impl Work ===

impl Work {
    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    pub(crate) fn handler(&self) -> &Replicas {
        &self.piece.serving.handler
    }
}

// === impl Replica ===

impl Replica {
    pub(crate) fn new(number: usize, exchange: Arc<Exchange>, live: watch::Sender<usize>) -> Self {
        Self {
            number,
            exchange,
            pieces: Vec::new(),
            free_since: None,
            live,
            stopped: false,
        }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The next thing to do; whoever is told to wait is woken through `waker`.
    pub(crate) fn next(&mut self, waker: &Waker) -> Next<Work> {
        let free_since = self.free_since.take().unwrap_or_else(Instant::now);
        loop {
            let piece = match self.next_piece() {
                Some(piece) => piece,
                None => match self.exchange.next(self.number, waker) {
                    Next::Run(job) => Piece::from(job),
                    Next::Wait(until) => return Next::Wait(until),
                    Next::Stop => {
                        self.stopped = true;
                        return Next::Stop;
                    }
                },
            };
            if let Some(work) = begin(piece, free_since) {
                return Next::Run(work);
            }
        }
    }

    /// The next piece of a failed batch, without those that nobody waits for.
    fn next_piece(&mut self) -> Option<Piece> {
        while let Some(mut piece) = self.pieces.pop() {
            let now = Instant::now();
            let taken = std::mem::take(&mut piece.taken);
            let [wanted, expired, abandoned] = taken.sift(now);
            let events = &piece.serving.events;
            events.expired_in_pieces(expired, now);
            events.abandoned_in_pieces(abandoned);
            if wanted.is_empty() {
                continue;
            }
            piece.taken = wanted;
            if piece.memory_ran_out {
                // Another piece may have failed since this one was cut.
                let fits = self.exchange.known_to_fit(&piece.key.kind).max(1);
                if piece.taken.len() > fits {
                    let rest = piece.taken.split_off(fits);
                    let rest = piece.cut(rest);
                    self.pieces.push(rest);
                }
            }
            return Some(piece);
        }
        None
    }

    /// Judges a run: every example of it is answered or runs again.
    pub(crate) fn finish(&mut self, work: Work, ran: Ran) {
        let took = work.began.elapsed();
        let Work {
            mut piece,
            batch,
            began,
            free_since,
        } = work;
        let serving = piece.serving.clone();
        let events = &serving.events;
        let size = piece.taken.len();
        events.run_ended(size, took);
        let run = spans::Run {
            replica: self.number,
            began,
            ended: began + took,
            // A piece of a batch that failed has waited before.
            waited: piece.charge.is_some(),
        };
        run.tell(&piece.taken);
        let charged = piece.charge.take();
        let charged = charged.map(|charge| (charge, piece.taken.tenants()));
        let kind = piece.key.kind.clone();
        let predicted = piece.predicted;
        let outcome = match ran {
            Ok((outputs, bytes)) => {
                let whole = outputs.len() == size;
                if whole {
                    events.batch_succeeded(size, bytes, took);
                    if serving.sorter.is_ragged() {
                        events.padded(padding_waste(batch.rows()));
                    }
                }
                scatter(&serving, piece.taken, outputs);
                match whole {
                    true => RunOutcome::Succeeded,
                    false => RunOutcome::Failed,
                }
            }
            Err(error) => self.failed(piece, batch, error),
        };
        let over = Instant::now();
        let elapsed = over.saturating_duration_since(free_since);
        if outcome == RunOutcome::Succeeded {
            events.cost_predicted(predicted, elapsed);
        }
        self.free_since = Some(over);
        let feedback = Feedback {
            kind,
            size,
            elapsed,
            outcome,
            charged,
        };
        self.exchange.learn(&serving, feedback);
    }

    /// A run failed as a whole.
    fn failed(&mut self, piece: Piece, batch: Batch, error: RunError) -> RunOutcome {
        let serving = piece.serving.clone();
        let events = &serving.events;
        let (kind, message) = match error {
            RunError::Predict(error) => (kind_of(&error), error.to_string()),
            RunError::Panicked(text) => {
                events.handler_panicked();
                let message = format!("the model's handler panicked: {text}");
                (FailureKind::Internal, message)
            }
        };
        let size = piece.taken.len();
        events.batch_failed(size, kind, &message);
        let outcome = match kind {
            FailureKind::OutOfMemory => RunOutcome::OutOfMemory,
            _ => RunOutcome::Failed,
        };
        let as_a_whole = [FailureKind::ModelContract, FailureKind::Unavailable];
        if size == 1 || as_a_whole.contains(&kind) {
            fail_all(events, piece.taken, kind, &message);
            return outcome;
        }
        events.batch_split(kind);
        let half = match outcome {
            RunOutcome::OutOfMemory => size / 2,
            _ => size.div_ceil(2),
        };
        self.split(piece, &batch, half, outcome == RunOutcome::OutOfMemory);
        outcome
    }

    /// Takes a batch apart into pieces of at most `size` examples, the first to run first.
    fn split(&mut self, mut piece: Piece, batch: &Batch, size: usize, memory_ran_out: bool) {
        piece.taken.rows = batch.rows().to_vec();
        piece.memory_ran_out |= memory_ran_out;
        piece.predicted = None;
        while piece.taken.len() > size {
            let cut = (piece.taken.len() - 1) / size * size;
            let rest = piece.taken.split_off(cut);
            let rest = piece.cut(rest);
            self.pieces.push(rest);
        }
        self.pieces.push(piece);
    }
}

impl Drop for Replica {
    /// A replica that is gone is counted out; the last one leaves no caller waiting.
    fn drop(&mut self) {
        self.pieces.clear();
        self.exchange.gone(self.number);
        if !self.stopped {
            self.exchange.serving().events.replica_lost(self.number);
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

// === impl Piece ===

impl From<Job> for Piece {
    fn from(job: Job) -> Self {
        let Job { formed, serving } = job;
        let Formed {
            taken,
            key,
            predicted,
            charge,
            ..
        } = formed;
        Self {
            taken,
            key,
            serving,
            memory_ran_out: false,
            predicted,
            charge: Some(charge),
        }
    }
}

impl Piece {
    /// Other examples of the same batch.
    fn cut(&self, taken: Taken) -> Self {
        Self {
            taken,
            key: self.key.clone(),
            serving: self.serving.clone(),
            memory_ran_out: self.memory_ran_out,
            predicted: None,
            charge: None,
        }
    }
}

/// Makes a batch of a piece.
fn begin(mut piece: Piece, free_since: Instant) -> Option<Work> {
    let began = Instant::now();
    let rows = std::mem::take(&mut piece.taken.rows);
    let formed = match piece.serving.sorter.is_ragged() {
        true => Batch::ragged(rows),
        false => Batch::new(rows),
    };
    let events = &piece.serving.events;
    match formed {
        Ok(batch) => {
            let deadline = piece.taken.latest_deadline().map(Instant::into_std);
            let mut batch = batch
                .with_args(piece.key.args.clone())
                .with_deadline(deadline);
            if let Some(tenant) = &piece.key.tenant {
                batch = batch.with_tenant(tenant.clone());
            }
            events.run_started();
            Some(Work {
                piece,
                batch,
                began,
                free_since,
            })
        }
        Err(error) => {
            let message = format!("the host formed no batch: {error}; please report this");
            fail_all(events, piece.taken, FailureKind::Internal, &message);
            None
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
