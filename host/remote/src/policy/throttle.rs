//! Adaptive throttling: a server that refuses is asked less, in proportion to its refusals.
//!
//! The formula is Beam's, who took it from the book "Site Reliability Engineering" (Handling
//! Overload): of `all` requests that were wanted in the window and `ok` that the server
//! answered, the next is held back with probability
//! `max(0, (all - overload_ratio * ok) / (all + 1))`. Requests held back count in `all`.

use crate::config::ThrottleConfig;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The window is kept in so many slices; a slice leaves it as a whole.
const SLICES: u32 = 60;

/// What was wanted and what was answered within the window.
#[derive(Debug)]
pub(crate) struct Throttle {
    overload_ratio: f64,
    slice_length: Duration,
    /// Slices that are over, the oldest first.
    past: VecDeque<Slice>,
    current: Slice,
    /// The sums over all slices.
    all: u64,
    ok: u64,
}

#[derive(Debug)]
struct Slice {
    begins: Instant,
    all: u64,
    ok: u64,
}

// === impl Throttle ===

impl Throttle {
    pub(crate) fn new(config: &ThrottleConfig, now: Instant) -> Self {
        Self {
            overload_ratio: config.overload_ratio,
            slice_length: (config.window / SLICES).max(Duration::from_nanos(1)),
            past: VecDeque::new(),
            current: Slice::beginning(now),
            all: 0,
            ok: 0,
        }
    }

    /// Whether a request may be sent now; `unit` is random in `[0, 1)`. It counts either way.
    pub(crate) fn admits(&mut self, now: Instant, unit: f64) -> bool {
        let admits = unit >= self.probability(now);
        self.current.all += 1;
        self.all += 1;
        admits
    }

    /// The server answered.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        self.turn(now);
        self.current.ok += 1;
        self.ok += 1;
    }

    /// The part of requests that is held back now, in `[0, 1)`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a window never holds 2^52 requests"
    )]
    pub(crate) fn probability(&mut self, now: Instant) -> f64 {
        self.turn(now);
        let (all, ok) = (self.all as f64, self.ok as f64);
        ((all - self.overload_ratio * ok) / (all + 1.0)).max(0.0)
    }

    /// Ends the slice that is over, and forgets those that have left the window.
    fn turn(&mut self, now: Instant) {
        if now.saturating_duration_since(self.current.begins) >= self.slice_length {
            let ended = std::mem::replace(&mut self.current, Slice::beginning(now));
            if ended.all + ended.ok > 0 {
                self.past.push_back(ended);
            }
        }
        let window = self.slice_length.saturating_mul(SLICES);
        while let Some(oldest) = self.past.front() {
            if now.saturating_duration_since(oldest.begins) < window {
                return;
            }
            self.all -= oldest.all;
            self.ok -= oldest.ok;
            self.past.pop_front();
        }
    }
}

// === impl Slice ===

impl Slice {
    fn beginning(begins: Instant) -> Self {
        Self {
            begins,
            all: 0,
            ok: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: Duration = Duration::from_secs(1);

    fn throttle(now: Instant) -> Throttle {
        Throttle::new(&ThrottleConfig::default(), now)
    }

    #[test]
    fn the_formula_holds() {
        let now = Instant::now();
        let mut throttle = throttle(now);
        assert_eq!(throttle.probability(now), 0.0);
        for _ in 0..9 {
            throttle.admits(now, 0.0);
        }
        assert_eq!(throttle.probability(now), 0.9);
        for _ in 0..3 {
            throttle.succeeded(now);
        }
        // (9 - 2 * 3) / 10
        assert!((throttle.probability(now) - 0.3).abs() < 1e-12);
        assert!(!throttle.admits(now, 0.29));
        throttle.succeeded(now);
        throttle.succeeded(now);
        assert_eq!(throttle.probability(now), 0.0);
        assert!(throttle.admits(now, 0.0));
    }

    #[test]
    fn the_window_forgets() {
        let now = Instant::now();
        let mut throttle = throttle(now);
        for second in 0..60 {
            throttle.admits(now + S * second, 0.0);
        }
        assert!(throttle.probability(now + S * 119) > 0.9);
        let later = throttle.probability(now + S * 150);
        assert!(later > 0.9 && throttle.all < 60, "{later}");
        assert_eq!(throttle.probability(now + S * 182), 0.0);
        assert_eq!((throttle.all, throttle.ok), (0, 0));
        assert!(throttle.past.is_empty());
    }

    #[test]
    fn a_server_that_takes_half_is_asked_no_more_than_twice_what_it_takes() {
        // The book's claim for a ratio of 2, in the long run: as many requests are let
        // through as are refused.
        let start = Instant::now();
        let mut throttle = throttle(start);
        let mut random = fastrand::Rng::with_seed(7);
        let (mut sent, mut answered) = (0u32, 0u32);
        for step in 0u32..60_000 {
            let now = start + Duration::from_millis(10) * step;
            let takes = step % 10 == 0;
            if throttle.admits(now, random.f64()) && step > 20_000 {
                sent += 1;
            }
            if takes {
                throttle.succeeded(now);
                answered += u32::from(step > 20_000);
            }
        }
        let ratio = f64::from(sent) / f64::from(answered);
        assert!((1.8..2.2).contains(&ratio), "{ratio}");
    }

    proptest! {
        /// Against a list of all events: what is counted lies within one slice of the window.
        #[test]
        fn sums_are_those_of_the_window(
            events in prop::collection::vec((0u32..4_000, any::<bool>()), 1..300),
        ) {
            let start = Instant::now();
            let mut throttle = throttle(start);
            let mut now = start;
            let mut log = Vec::new();
            for (wait, ok) in events {
                now += Duration::from_millis(wait.into());
                if ok {
                    throttle.succeeded(now);
                } else {
                    throttle.admits(now, 0.5);
                }
                log.push((now, ok));
                let within = |length: Duration, ok: bool| {
                    let recent = |at: &Instant| now - *at < length;
                    log.iter().filter(|(at, is_ok)| *is_ok == ok && recent(at)).count() as u64
                };
                for (sum, ok) in [(throttle.ok, true), (throttle.all, false)] {
                    prop_assert!(within(S * 118, ok) <= sum && sum <= within(S * 122, ok));
                }
                let probability = throttle.probability(now);
                prop_assert!((0.0..1.0).contains(&probability));
                prop_assert!(throttle.past.len() <= 61);
            }
        }
    }
}
