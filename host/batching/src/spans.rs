//! What a batch is to the calls in it that are traced: a wait, and a run with others.

use crate::reply::Reply;
use crate::taken::Taken;
use std::sync::Arc;
use tokio::time::Instant;

/// One run of a batch, or of a piece of one.
pub(crate) struct Run {
    pub(crate) replica: usize,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// Whether its examples come from the queue.
    pub(crate) waited: bool,
}

/// What one call has in a batch.
struct Share<'a> {
    reply: &'a Arc<Reply>,
    arrived: Instant,
    examples: usize,
}

// === impl Run ===

impl Run {
    /// Adds its spans to the trace of each call that has one.
    pub(crate) fn tell(&self, taken: &Taken) {
        let mut shares: Vec<Share<'_>> = Vec::new();
        for (part, seats) in taken.runs() {
            if part.reply.trace().is_none() {
                continue;
            }
            let known = shares
                .iter_mut()
                .find(|share| Arc::ptr_eq(share.reply, &part.reply));
            match known {
                Some(share) => share.examples += seats.len(),
                None => shares.push(Share {
                    reply: &part.reply,
                    arrived: part.arrived,
                    examples: seats.len(),
                }),
            }
        }
        for share in shares {
            self.tell_one(&share, taken.len());
        }
    }

    fn tell_one(&self, share: &Share<'_>, examples: usize) {
        let Some(trace) = share.reply.trace() else {
            return;
        };
        let [arrived, began, ended] =
            [share.arrived, self.began, self.ended].map(Instant::into_std);
        let own = share.examples;
        if self.waited {
            trace.span(
                "the queue",
                "queue",
                arrived,
                began,
                format!("{own} examples"),
            );
        }
        let detail = format!("{own} of {examples} examples, replica {}", self.replica);
        trace.span("a batch", "batch", began, ended, detail);
    }
}
