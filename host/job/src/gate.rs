//! How many examples the endpoint is asked at once: fewer after it refused some.
//!
//! A job has more examples than any queue holds, so it must not lose one to its own
//! flooding. Each refusal for a full queue (`queue_full`) lowers the number of examples
//! the job keeps in the endpoint to those that were not refused, so that the refused ones
//! wait here until others were answered, instead of being prepared and refused again and
//! again. The number grows again slowly.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// After how many answers, as a multiple of the limit, the limit grows by one.
const GROWTH_INTERVAL: usize = 16;

/// The limit on examples in the endpoint.
#[derive(Debug)]
pub(crate) struct Gate {
    places: Semaphore,
    state: Mutex<State>,
}

/// Places for examples in the endpoint, until dropped.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    permit: SemaphorePermit<'a>,
    lowered: u64,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// The most places in use since the limit was last lowered.
    used_max: usize,
    /// How often the limit was lowered.
    lowered: u64,
    limit_max: usize,
    answered_since_growth: usize,
    last_answer: Instant,
}

// === impl Places ===

impl Places<'_> {
    /// For how many examples.
    pub(crate) fn count(&self) -> usize {
        self.permit.num_permits()
    }
}

// === impl Gate ===

impl Gate {
    pub(crate) fn new(limit_max: usize) -> Self {
        let limit = limit_max.max(1);
        Self {
            places: Semaphore::new(limit),
            state: Mutex::new(State {
                limit,
                used_max: 0,
                lowered: 0,
                limit_max: limit,
                answered_since_growth: 0,
                last_answer: Instant::now(),
            }),
        }
    }

    /// Waits for a place for at least one example; takes as many as there are, at most
    /// `wanted`.
    pub(crate) async fn enter(&self, wanted: usize) -> Option<Places<'_>> {
        let mut permit = self.places.acquire().await.ok()?;
        let more = self
            .places
            .available_permits()
            .min(wanted.saturating_sub(1));
        // Others may have been faster: then one place will do.
        if let Some(more) = u32::try_from(more).ok().filter(|more| *more > 0)
            && let Ok(more) = self.places.try_acquire_many(more)
        {
            permit.merge(more);
        }
        let mut state = self.state();
        let used = state.limit.saturating_sub(self.places.available_permits());
        state.used_max = state.used_max.max(used);
        let lowered = state.lowered;
        drop(state);
        Some(Places { permit, lowered })
    }

    /// Examples were answered, well or badly.
    pub(crate) fn answered(&self, count: usize) {
        let mut state = self.state();
        state.last_answer = Instant::now();
        state.answered_since_growth += count;
        let due = state.answered_since_growth >= state.limit * GROWTH_INTERVAL;
        if due && state.limit < state.limit_max {
            state.answered_since_growth = 0;
            state.limit += 1;
            self.places.add_permits(1);
        }
    }

    /// Examples that hold `places` were refused. Places that nobody used and as many as
    /// were refused are given up, but one is always left.
    pub(crate) fn refused(&self, places: &mut Places<'_>, count: usize) {
        let mut state = self.state();
        // Once for all who entered under the same limit: what becomes free because others
        // of them were answered are good places.
        if places.lowered == state.lowered {
            state.lowered += 1;
            let unused = state.limit.saturating_sub(state.used_max);
            state.limit -= self.places.forget_permits(unused);
            state.used_max = 0;
        }
        let fewer = count.min(state.limit - 1);
        if let Some(given_up) = places.permit.split(fewer) {
            given_up.forget();
            state.limit -= fewer;
        }
        state.answered_since_growth = 0;
    }

    /// How long no example has been answered.
    pub(crate) fn stalled(&self) -> Duration {
        self.state().last_answer.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn enter(gate: &Gate, wanted: usize) -> Option<Places<'_>> {
        gate.enter(wanted).now_or_never().flatten()
    }

    fn room(gate: &Gate) -> usize {
        enter(gate, usize::MAX).unwrap().count()
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_lower_the_limit_and_answers_raise_it() {
        let gate = Gate::new(8);
        let mut places = enter(&gate, 10).unwrap();
        assert_eq!(places.count(), 8);
        assert!(enter(&gate, 1).is_none());
        gate.refused(&mut places, 6);
        drop(places);
        assert_eq!(room(&gate), 2);
        let mut places = enter(&gate, 10).unwrap();
        gate.refused(&mut places, 2);
        drop(places);
        assert_eq!(room(&gate), 1);
        gate.answered(GROWTH_INTERVAL - 1);
        assert_eq!(room(&gate), 1);
        gate.answered(1);
        assert_eq!(room(&gate), 2);
        (0..1000).for_each(|_| gate.answered(100));
        assert_eq!(room(&gate), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_becomes_what_was_accepted_in_whatever_order_calls_return() {
        for last_first in [false, true] {
            let gate = Gate::new(100);
            let mut calls: Vec<_> = (0..5).map(|_| enter(&gate, 4).unwrap()).collect();
            // 20 are asked, 6 accepted: all of the first call, two of the second.
            let mut refused = vec![0, 2, 4, 4, 4];
            if last_first {
                calls.reverse();
                refused.reverse();
            }
            for (mut places, count) in calls.into_iter().zip(refused) {
                if count > 0 {
                    gate.refused(&mut places, count);
                }
            }
            assert_eq!(room(&gate), 6);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_the_time_without_an_answer() {
        let gate = Gate::new(1);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(gate.stalled(), Duration::from_secs(3));
        gate.answered(1);
        assert_eq!(gate.stalled(), Duration::ZERO);
    }
}
