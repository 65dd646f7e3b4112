//! A call that waits for its results.

use crate::exchange::Exchange;
use crate::queue::Place;
use crate::reply::{Answer, Reply};
use std::future::poll_fn;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// A call that waits. Dropping it abandons its examples.
pub(crate) struct Pending {
    exchange: Arc<Exchange>,
    reply: Arc<Reply>,
    places: Vec<Place>,
    arrived: Instant,
    finished: bool,
}

// === impl Pending ===

impl Pending {
    pub(crate) fn new(
        exchange: Arc<Exchange>,
        reply: Arc<Reply>,
        places: Vec<Place>,
        arrived: Instant,
    ) -> Self {
        Self {
            exchange,
            reply,
            places,
            arrived,
            finished: false,
        }
    }

    /// One answer for each example, at the deadline at the latest.
    pub(crate) async fn wait(mut self, deadline: Option<Instant>) -> Vec<Answer> {
        let reply = self.reply.clone();
        let answers = poll_fn(|cx| reply.poll(cx));
        let answers = match deadline {
            None => Some(answers.await),
            Some(deadline) => timeout_at(deadline, answers).await.ok(),
        };
        self.finished = true;
        answers.unwrap_or_else(|| self.expire())
    }

    /// The deadline has passed: takes what there is.
    fn expire(&self) -> Vec<Answer> {
        let now = Instant::now();
        let waited = now.saturating_duration_since(self.arrived);
        let serving = self.exchange.serving();
        let events = &serving.events;
        let answers = self.reply.close();
        let removed = self.exchange.withdraw(&self.places);
        let mut queued = vec![false; answers.len()];
        for row in removed.iter().flat_map(|segment| &segment.rows) {
            if let Some(queued) = queued.get_mut(row.index as usize) {
                *queued = true;
            }
        }
        events.expired(removed, now);
        let answers = answers.into_iter().zip(queued);
        let fill = |(answer, queued): (Option<Answer>, bool)| match answer {
            Some(answer) => answer,
            None if queued => Err(events.expiry_in_queue(waited)),
            None => Err(events.expiry_in_run(waited)),
        };
        answers.map(fill).collect()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.finished {
            drop(self.reply.close());
            let removed = self.exchange.withdraw(&self.places);
            self.exchange.serving().events.abandoned(&removed);
        }
    }
}
