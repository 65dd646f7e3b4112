//! What is under way, and how it ends when the server does.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were under way when shutdown began and were answered.
    pub finished: u64,
    /// Requests that were cut off when the time for draining was over.
    pub cut_off: u64,
}

/// The server's phase and what is under way.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    phase: AtomicU8,
    under_way: AtomicUsize,
    finished: AtomicU64,
    cut_off: AtomicU64,
    idle: Notify,
}

const SERVING: u8 = 0;
const DRAINING: u8 = 1;
const CUTTING: u8 = 2;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its response was handed over completely.
    Finished,
    /// The client left.
    Abandoned,
    /// The server stopped.
    CutOff,
}

// === impl Drain ===

impl Drain {
    /// Requests are no longer taken in.
    pub(crate) fn begin(&self) {
        self.phase.store(DRAINING, Ordering::SeqCst);
    }

    /// What is still under way is about to be dropped.
    pub(crate) fn cut(&self) {
        self.phase.store(CUTTING, Ordering::SeqCst);
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == SERVING
    }

    pub(crate) fn request_begins(&self) {
        self.under_way.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts a request's end and says of what kind it was.
    pub(crate) fn request_ends(&self, is_complete: bool) -> End {
        let phase = self.phase.load(Ordering::SeqCst);
        let end = match (is_complete, phase) {
            (true, _) => End::Finished,
            (false, CUTTING) => End::CutOff,
            (false, _) => End::Abandoned,
        };
        match end {
            End::Finished if phase != SERVING => {
                self.finished.fetch_add(1, Ordering::SeqCst);
            }
            End::CutOff => {
                self.cut_off.fetch_add(1, Ordering::SeqCst);
            }
            End::Finished | End::Abandoned => {}
        }
        if self.under_way.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.idle.notify_waiters();
        }
        end
    }

    /// Waits until nothing is under way.
    pub(crate) async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.under_way.load(Ordering::SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }

    pub(crate) fn outcome(&self) -> Drained {
        Drained {
            finished: self.finished.load(Ordering::SeqCst),
            cut_off: self.cut_off.load(Ordering::SeqCst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let drain = Drain::default();
        (0..5).for_each(|_| drain.request_begins());
        assert_eq!(drain.request_ends(true), End::Finished);
        drain.begin();
        assert!(!drain.is_serving());
        assert_eq!(drain.request_ends(true), End::Finished);
        assert_eq!(drain.request_ends(false), End::Abandoned);
        drain.cut();
        assert_eq!(drain.request_ends(false), End::CutOff);
        assert_eq!(drain.request_ends(true), End::Finished);
        let expected = Drained {
            finished: 2,
            cut_off: 1,
        };
        assert_eq!(drain.outcome(), expected);
    }
}
