//! Examples on their way through the model: what to tell whom.

use crate::reply::{Answer, Reply};
use consort_inference::{Failure, TenantId, Tensors};
use std::sync::Arc;
use tokio::time::Instant;

/// The examples of one batch, or of a piece of one. Those that are dropped without an
/// answer are told to be lost.
#[derive(Default)]
pub(crate) struct Taken {
    parts: Arc<Vec<Part>>,
    seats: Vec<Seat>,
    /// Each example's tensors, while they are not in a batch.
    pub(crate) rows: Vec<Tensors>,
}

/// What the examples of one segment have in common.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) reply: Arc<Reply>,
    pub(crate) tenant: TenantId,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Option<Instant>,
}

/// One example's way back.
#[derive(Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) part: u32,
    pub(crate) index: u32,
}

/// Why an example of a piece is not run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Wanted,
    Expired,
    Abandoned,
}

// === impl Taken ===

impl Taken {
    pub(crate) fn new(parts: Vec<Part>, seats: Vec<Seat>, rows: Vec<Tensors>) -> Self {
        Self {
            parts: Arc::new(parts),
            seats,
            rows,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Each run of neighbours that came together: what they have in common, and their places
    /// in their call.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (&Part, &[Seat])> {
        let runs = self.seats.chunk_by(|a, b| a.part == b.part);
        runs.filter_map(|seats| {
            let part = self.parts.get(seats.first()?.part as usize)?;
            Some((part, seats))
        })
    }

    /// When nobody waits for any of them any more, `None` when somebody waits for ever.
    pub(crate) fn latest_deadline(&self) -> Option<Instant> {
        let deadlines = self.runs().map(|(part, _)| part.deadline);
        deadlines.reduce(|a, b| Some(a?.max(b?))).flatten()
    }

    /// How many examples each tenant has. Few tenants share a batch: a list beats a map.
    pub(crate) fn tenants(&self) -> Vec<(TenantId, usize)> {
        let mut tally: Vec<(TenantId, usize)> = Vec::new();
        for (part, seats) in self.runs() {
            match tally.iter_mut().find(|(known, _)| *known == part.tenant) {
                Some((_, examples)) => *examples += seats.len(),
                None => tally.push((part.tenant.clone(), seats.len())),
            }
        }
        tally
    }

    /// Gives each example its answer, in order. An example without one is lost.
    pub(crate) fn resolve(mut self, answers: impl IntoIterator<Item = Answer>) {
        let mut answers = answers.into_iter();
        let seats = std::mem::take(&mut self.seats);
        for run in seats.chunk_by(|a, b| a.part == b.part) {
            let part = run
                .first()
                .and_then(|seat| self.parts.get(seat.part as usize));
            if let Some(part) = part {
                let mut own = answers.by_ref().take(run.len());
                let mut told = 0;
                let pairs = run.iter().map(|seat| seat.index).zip(own.by_ref());
                part.reply.fill(pairs.inspect(|_| told += 1));
                // A caller that has left takes none of its answers: they are nobody else's.
                told += own.count();
                if told < run.len() && !part.reply.is_closed() {
                    part.reply.lost(run.iter().map(|seat| seat.index));
                }
            }
        }
    }

    /// Gives all examples one failure.
    pub(crate) fn fail(self, failure: &Failure) {
        let answers = std::iter::repeat_n(failure, self.len());
        self.resolve(answers.map(|failure| Err(failure.clone())));
    }

    /// Cuts off what comes after the first `count` examples.
    pub(crate) fn split_off(&mut self, count: usize) -> Self {
        Self {
            parts: self.parts.clone(),
            seats: self.seats.split_off(count.min(self.seats.len())),
            rows: self.rows.split_off(count.min(self.rows.len())),
        }
    }

    /// Sorts out those that nobody waits for any longer: what is left, the expired, and the
    /// abandoned.
    pub(crate) fn sift(self, now: Instant) -> [Self; 3] {
        let fate = |part: &Part| match part.deadline {
            Some(deadline) if deadline <= now => Fate::Expired,
            _ if part.reply.is_closed() => Fate::Abandoned,
            _ => Fate::Wanted,
        };
        let fates: Vec<Fate> = self.parts.iter().map(fate).collect();
        if fates.iter().all(|fate| *fate == Fate::Wanted) {
            return [self, Self::default(), Self::default()];
        }
        let mut this = self;
        let (seats, rows) = (
            std::mem::take(&mut this.seats),
            std::mem::take(&mut this.rows),
        );
        let mut sifted = [(); 3].map(|()| Self::new(Vec::new(), Vec::new(), Vec::new()));
        for taken in &mut sifted {
            taken.parts = this.parts.clone();
        }
        let [wanted, expired, abandoned] = &mut sifted;
        for (seat, row) in seats.into_iter().zip(rows) {
            let to = match fates.get(seat.part as usize) {
                Some(Fate::Expired) => &mut *expired,
                Some(Fate::Abandoned) => &mut *abandoned,
                _ => &mut *wanted,
            };
            to.seats.push(seat);
            to.rows.push(row);
        }
        sifted
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        for (part, seats) in self.runs() {
            part.reply.lost(seats.iter().map(|seat| seat.index));
        }
    }
}
