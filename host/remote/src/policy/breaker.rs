//! The circuit breaker: a server that is gone is left alone, and asked again by one probe.
//!
//! Closed, it counts failures in a row; at the limit it opens and refuses every call at once.
//! After a pause one call, the probe, is let through: its success closes the breaker, its
//! failure opens it again for twice as long, up to a limit. An answer that reaches it from
//! before its last change of state says nothing about now and is passed over.

use crate::config::BreakerConfig;
use std::time::Duration;
use tokio::time::Instant;

/// Counts failures of the calls that it lets through.
#[derive(Debug)]
pub(crate) struct Breaker {
    failures_max: u32,
    pause_initial: Duration,
    pause_max: Duration,
    state: Inner,
    /// Raised with every change of state; a ticket of another is out of date.
    generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inner {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    HalfOpen { probing: bool, pause: Duration },
}

/// What a breaker does, for metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls are refused, but for one probe.
    HalfOpen,
    /// Calls are refused.
    Open,
}

/// A call that was let through; its end is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a probe whose end is never told keeps the breaker from closing"]
pub(crate) struct Ticket {
    generation: u64,
    probe: bool,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It goes through.
    Go(Ticket),
    /// It does not; the next may after this wait (nothing while a probe is under way).
    Refused(Duration),
}

// === impl Breaker ===

impl Breaker {
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        Self {
            failures_max: config.failures_max.max(1),
            pause_initial: config.pause_initial,
            pause_max: config.pause_max.max(config.pause_initial),
            state: Inner::Closed { failures: 0 },
            generation: 0,
        }
    }

    /// Lets a call through, or not.
    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        if let Inner::Open { until, pause } = self.state {
            if now < until {
                return Admission::Refused(until - now);
            }
            self.change(Inner::HalfOpen {
                probing: false,
                pause,
            });
        }
        match &mut self.state {
            Inner::HalfOpen { probing: true, .. } => Admission::Refused(Duration::ZERO),
            Inner::HalfOpen { probing, .. } => {
                *probing = true;
                Admission::Go(self.ticket(true))
            }
            Inner::Closed { .. } | Inner::Open { .. } => Admission::Go(self.ticket(false)),
        }
    }

    /// The server answered.
    pub(crate) fn succeeded(&mut self, ticket: Ticket) {
        if ticket.generation != self.generation {
            return;
        }
        match &mut self.state {
            Inner::Closed { failures } => *failures = 0,
            Inner::HalfOpen { .. } => self.change(Inner::Closed { failures: 0 }),
            Inner::Open { .. } => {}
        }
    }

    /// The server could not be reached or did not answer.
    pub(crate) fn failed(&mut self, ticket: Ticket, now: Instant) {
        if ticket.generation != self.generation {
            return;
        }
        match &mut self.state {
            Inner::Closed { failures } => {
                *failures += 1;
                if *failures >= self.failures_max {
                    self.open(self.pause_initial, now);
                }
            }
            Inner::HalfOpen { pause, .. } => {
                let pause = pause.saturating_mul(2).min(self.pause_max);
                self.open(pause, now);
            }
            Inner::Open { .. } => {}
        }
    }

    /// The call was given up before anything was known.
    pub(crate) fn abandoned(&mut self, ticket: Ticket) {
        if let Inner::HalfOpen { probing, .. } = &mut self.state
            && ticket.generation == self.generation
        {
            *probing = false;
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.state {
            Inner::Closed { .. } => BreakerState::Closed,
            Inner::HalfOpen { .. } => BreakerState::HalfOpen,
            Inner::Open { .. } => BreakerState::Open,
        }
    }

    fn open(&mut self, pause: Duration, now: Instant) {
        let until = now + pause;
        self.change(Inner::Open { until, pause });
    }

    fn change(&mut self, state: Inner) {
        self.state = state;
        self.generation += 1;
    }

    fn ticket(&self, probe: bool) -> Ticket {
        Ticket {
            generation: self.generation,
            probe,
        }
    }
}

// === impl Ticket ===

impl Ticket {
    /// Whether this is the one call by which a half-open breaker learns.
    pub(crate) fn is_probe(self) -> bool {
        self.probe
    }
}

// === impl BreakerState ===

impl BreakerState {
    /// The metric's value: the higher, the less goes through.
    pub(crate) fn level(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(&BreakerConfig {
            failures_max: 3,
            pause_initial: S * 5,
            pause_max: S * 15,
        })
    }

    fn go(breaker: &mut Breaker, now: Instant) -> Ticket {
        match breaker.admit(now) {
            Admission::Go(ticket) => ticket,
            Admission::Refused(wait) => panic!("refused for {wait:?}"),
        }
    }

    fn fail(breaker: &mut Breaker, now: Instant, times: usize) {
        for _ in 0..times {
            let ticket = go(breaker, now);
            breaker.failed(ticket, now);
        }
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let now = Instant::now();
        let mut breaker = breaker();
        fail(&mut breaker, now, 2);
        let ticket = go(&mut breaker, now);
        breaker.succeeded(ticket);
        fail(&mut breaker, now, 2);
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&mut breaker, now, 1);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit(now + S * 2), Admission::Refused(S * 3));
    }

    #[test]
    fn one_probe_closes_it() {
        let now = Instant::now();
        let mut breaker = breaker();
        fail(&mut breaker, now, 3);
        let probe = go(&mut breaker, now + S * 5);
        assert!(probe.is_probe());
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(
            breaker.admit(now + S * 9),
            Admission::Refused(Duration::ZERO)
        );
        breaker.succeeded(probe);
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(!go(&mut breaker, now + S * 9).is_probe());
    }

    #[test]
    fn a_probe_that_fails_doubles_the_pause_up_to_its_limit() {
        let mut now = Instant::now();
        let mut breaker = breaker();
        fail(&mut breaker, now, 3);
        for pause in [5, 10, 15, 15] {
            assert_eq!(breaker.admit(now), Admission::Refused(S * pause));
            now += S * pause;
            let probe = go(&mut breaker, now);
            breaker.failed(probe, now);
        }
        // Closed again, the next opening begins with the first pause.
        now += S * 15;
        let probe = go(&mut breaker, now);
        breaker.succeeded(probe);
        fail(&mut breaker, now, 3);
        assert_eq!(breaker.admit(now), Admission::Refused(S * 5));
    }

    #[test]
    fn a_probe_that_is_given_up_makes_room_for_another() {
        let now = Instant::now();
        let mut breaker = breaker();
        fail(&mut breaker, now, 3);
        let probe = go(&mut breaker, now + S * 5);
        breaker.abandoned(probe);
        assert!(go(&mut breaker, now + S * 5).is_probe());
    }

    #[test]
    fn what_comes_from_before_says_nothing_of_now() {
        let now = Instant::now();
        let mut breaker = breaker();
        let (early, late) = (go(&mut breaker, now), go(&mut breaker, now));
        fail(&mut breaker, now, 3);
        breaker.succeeded(early);
        assert_eq!(breaker.state(), BreakerState::Open);
        let probe = go(&mut breaker, now + S * 5);
        breaker.failed(late, now + S * 5);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.abandoned(early);
        assert!(matches!(breaker.admit(now + S * 5), Admission::Refused(_)));
        breaker.succeeded(probe);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[derive(Debug, Clone)]
    enum Event {
        Wait(u64),
        Admit,
        End(usize, u8),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            (0u64..8).prop_map(Event::Wait),
            Just(Event::Admit),
            (any::<usize>(), 0u8..4).prop_map(|(which, how)| Event::End(which, how)),
        ];
        prop::collection::vec(event, 1..300)
    }

    proptest! {
        /// Whatever comes in whatever order: nothing goes through an open breaker before its
        /// pause is over, at most one probe is under way, and the server is always asked
        /// again in the end.
        #[test]
        fn it_keeps_its_word(events in events()) {
            let mut now = Instant::now();
            let mut breaker = breaker();
            let mut under_way: Vec<Ticket> = Vec::new();
            for event in events {
                match event {
                    Event::Wait(seconds) => now += Duration::from_secs(seconds),
                    Event::Admit => {
                        let before = breaker.state;
                        match breaker.admit(now) {
                            Admission::Go(ticket) => {
                                if let Inner::Open { until, .. } = before {
                                    prop_assert!(now >= until && ticket.is_probe());
                                }
                                under_way.push(ticket);
                            }
                            Admission::Refused(wait) => {
                                prop_assert!(wait <= S * 15);
                                prop_assert!(breaker.state() != BreakerState::Closed);
                            }
                        }
                    }
                    Event::End(which, how) if !under_way.is_empty() => {
                        let ticket = under_way.swap_remove(which % under_way.len());
                        match how {
                            0 => breaker.succeeded(ticket),
                            1 => breaker.abandoned(ticket),
                            _ => breaker.failed(ticket, now),
                        }
                    }
                    Event::End(..) => {}
                }
                let is_current = |ticket: &&Ticket| {
                    ticket.is_probe() && ticket.generation == breaker.generation
                };
                let probes = under_way.iter().filter(is_current).count();
                let probing = matches!(breaker.state, Inner::HalfOpen { probing: true, .. });
                prop_assert_eq!(probes, usize::from(probing));
            }
            for ticket in under_way {
                breaker.abandoned(ticket);
            }
            let asked = matches!(breaker.admit(now + S * 15), Admission::Go(_));
            prop_assert!(asked);
        }
    }
}
