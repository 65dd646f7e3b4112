//! No more than so many requests in a second.

use std::time::Duration;
use tokio::time::Instant;

/// Hands out instants that lie at least one interval apart. There are no bursts: a pause does
/// not save up requests, so that no second ever sees more than the rate, whatever came before.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    free_at: Option<Instant>,
}

// === impl Pace ===

impl Pace {
    /// At most `per_second` requests; a finite number above zero (the caller checked).
    pub(crate) fn new(per_second: f64) -> Self {
        let interval = Duration::try_from_secs_f64(per_second.recip());
        Self {
            interval: interval.unwrap_or(Duration::MAX),
            free_at: None,
        }
    }

    /// Takes the next free instant, at `now` or later; `None`, and nothing taken, where that
    /// is not before `latest`.
    pub(crate) fn reserve(&mut self, now: Instant, latest: Instant) -> Option<Instant> {
        let at = self.free_at.map_or(now, |free_at| free_at.max(now));
        if at > now && at >= latest {
            return None;
        }
        // An interval beyond what the clock can count ends in no second request at all.
        self.free_at = Some(at.checked_add(self.interval).unwrap_or(latest.max(at)));
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn requests_queue_up_one_interval_apart() {
        let now = Instant::now();
        let mut pace = Pace::new(10.0);
        let latest = now + MS * 250;
        let taken = [(); 4].map(|()| pace.reserve(now, latest));
        assert_eq!(
            taken,
            [Some(now), Some(now + MS * 100), Some(now + MS * 200), None]
        );
        // What was refused was not taken.
        let later = now + MS * 300;
        assert_eq!(pace.reserve(later, later + MS), Some(later));
    }

    proptest! {
        #[test]
        fn never_faster_than_the_rate(waits in prop::collection::vec(0u64..500, 1..80)) {
            let mut now = Instant::now();
            let mut pace = Pace::new(20.0);
            let mut last: Option<Instant> = None;
            for wait in waits {
                now += MS * u32::try_from(wait).unwrap();
                let latest = now + MS * 120;
                if let Some(at) = pace.reserve(now, latest) {
                    prop_assert!(at >= now && at < latest);
                    if let Some(last) = last {
                        prop_assert!(at >= last + MS * 50);
                    }
                    last = Some(at);
                } else {
                    // Only where all that is left lies too late.
                    prop_assert!(last.unwrap() + MS * 50 >= latest);
                }
            }
        }
    }
}
