//! A call: as many tries as it takes and may take, with all the waiting between.
//!
//! Before each try stand, in this order: the circuit breaker, adaptive throttling (a probe of
//! the breaker passes it by), the rate limit, and a place among the requests under way.
//! Nothing waits beyond the call's deadline.

use crate::config::Config;
use crate::metrics::{HeldBack, ModelMetrics, TryOutcome};
use crate::policy::{
    Admission, Backoff, Breaker, BreakerState, Dice, Pace, Throttle, Ticket, retry_after,
};
use crate::text::{error_text, excerpt};
use crate::transport::{Answer, Outgoing, SendError, Transport};
use hyper::header::{LOCATION, RETRY_AFTER};
use hyper::{StatusCode, Uri};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout_at};

/// The shortest wait of a call that was held back, so that it does not spin.
const HELD_BACK_MIN: Duration = Duration::from_millis(1);

/// Calls one server.
pub(crate) struct Caller {
    transport: Arc<dyn Transport>,
    dice: Arc<dyn Dice>,
    metrics: ModelMetrics,
    model: Arc<str>,
    backoff: Backoff,
    retries_max: u32,
    throttle: Option<Mutex<Throttle>>,
    throttle_delay: Duration,
    breaker: Option<Mutex<Breaker>>,
    pace: Option<Mutex<Pace>>,
    places: Semaphore,
    request_timeout: Duration,
    call_timeout: Duration,
}

/// Why a call gave nothing. Every message names the URL, the number of tries and what the
/// server said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The server cannot be reached or asks for patience.
    #[error("{0}")]
    Unavailable(String),
    /// The server refuses the request as it is.
    #[error("{message}")]
    Refused {
        /// With this status.
        status: StatusCode,
        /// In words.
        message: String,
    },
    /// The answer is beyond the limit of its size.
    #[error("{0}")]
    TooLarge(String),
    /// The answer cannot be taken for another reason.
    #[error("{0}")]
    Invalid(String),
}

/// A try that the breaker let through; given up unless its end is told.
struct Passage<'a> {
    caller: &'a Caller,
    ticket: Option<Ticket>,
    is_told: bool,
    is_sent: bool,
}

/// What a try that failed leaves.
struct Failed {
    what: String,
    /// The wait that the server asks for.
    retry_after: Option<Duration>,
}

/// The tries of one call so far.
struct Tries<'a> {
    url: &'a Uri,
    started: Instant,
    count: u32,
    last: Option<Failed>,
}

/// What becomes of a call after a try.
enum Tried {
    Answered(Answer),
    Again(Failed),
    Given(CallError),
}

// === impl Caller ===

impl Caller {
    pub(crate) fn new(
        config: &Config,
        transport: Arc<dyn Transport>,
        dice: Arc<dyn Dice>,
        metrics: ModelMetrics,
    ) -> Self {
        let now = Instant::now();
        let throttle_delay = config.throttle.map_or(HELD_BACK_MIN, |config| config.delay);
        metrics.breaker_is(BreakerState::Closed);
        Self {
            transport,
            dice,
            metrics,
            model: config.id.to_string().into(),
            backoff: Backoff::new(&config.retry),
            retries_max: config.retry.retries_max,
            throttle: config
                .throttle
                .map(|config| Mutex::new(Throttle::new(&config, now))),
            throttle_delay,
            breaker: config
                .breaker
                .map(|config| Mutex::new(Breaker::new(&config))),
            pace: config
                .requests_per_second_max
                .map(|per_second| Mutex::new(Pace::new(per_second))),
            places: Semaphore::new(config.connections_max),
            request_timeout: config.request_timeout,
            call_timeout: config.call_timeout,
        }
    }

    /// Tries until there is an answer with a status of success, or a reason to stop.
    pub(crate) async fn call(
        &self,
        request: &Outgoing,
        deadline: Option<Instant>,
    ) -> Result<Answer, CallError> {
        let mut tries = Tries::of(request);
        let limit = tries.started + self.call_timeout;
        let deadline = deadline.map_or(limit, |deadline| deadline.min(limit));
        loop {
            if let Some(failed) = &tries.last {
                let delay = self.backoff.delay(tries.count - 1, self.dice.unit());
                let delay = failed.retry_after.map_or(delay, |wait| wait.max(delay));
                let at = Instant::now().checked_add(delay);
                let Some(at) = at.filter(|at| *at < deadline) else {
                    let wait = delay.as_secs_f64();
                    let why = format!("no time is left to wait {wait:.1} s for another try");
                    return Err(tries.given_up(&why));
                };
                sleep_until(at).await;
                self.metrics.retry();
            }
            let passage = self.pass(deadline).await;
            let mut passage = passage.map_err(|why| tries.given_up(&why))?;
            let place = self.place(deadline).await;
            let _place = place.map_err(|why| tries.given_up(why))?;
            tries.count += 1;
            match self.attempt(request, deadline, &mut passage).await {
                Tried::Answered(answer) => return Ok(answer),
                Tried::Given(error) => return Err(error),
                Tried::Again(failed) => {
                    let (model, url) = (&*self.model, tries.url);
                    tracing::debug!(model, %url, tries = tries.count, "a try failed: {}", failed.what);
                    tries.last = Some(failed);
                    if tries.count > self.retries_max {
                        return Err(tries.given_up("the server could not be had"));
                    }
                }
            }
        }
    }

    /// Waits until a request may be sent, or says why none may.
    async fn pass(&self, deadline: Instant) -> Result<Passage<'_>, String> {
        loop {
            let now = Instant::now();
            if now >= deadline {
                return Err("the deadline passed".to_owned());
            }
            let ticket = match self.admit(now) {
                None => None,
                Some(Admission::Go(ticket)) => Some(ticket),
                Some(Admission::Refused(wait)) => {
                    self.metrics.held_back(HeldBack::Breaker);
                    return Err(if wait.is_zero() {
                        "not called: the circuit breaker is half-open, and another call tries \
                         whether the server is back"
                            .to_owned()
                    } else {
                        let wait = wait.as_secs_f64();
                        format!("not called: the circuit breaker is open for {wait:.1} s more")
                    });
                }
            };
            let passage = Passage {
                caller: self,
                ticket,
                is_told: false,
                is_sent: false,
            };
            let is_probe = ticket.is_some_and(Ticket::is_probe);
            if !is_probe && !self.throttle_admits(now) {
                drop(passage);
                self.metrics.held_back(HeldBack::Throttle);
                let part = 0.5 + self.dice.unit() / 2.0;
                let delay = self.throttle_delay.mul_f64(part).max(HELD_BACK_MIN);
                let at = now + delay;
                if at >= deadline {
                    return Err(
                        "not called: held back by adaptive throttling, since the server \
                                refused too many requests of late"
                            .to_owned(),
                    );
                }
                self.wait_throttled(now, at).await;
                continue;
            }
            if let Some(pace) = &self.pace {
                let at = lock(pace).reserve(now, deadline);
                let Some(at) = at else {
                    self.metrics.held_back(HeldBack::Rate);
                    return Err(
                        "not called: the rate limit (requests_per_second_max) leaves no \
                                place before the deadline"
                            .to_owned(),
                    );
                };
                if at > now {
                    self.metrics.held_back(HeldBack::Rate);
                    self.wait_throttled(now, at).await;
                }
            }
            return Ok(passage);
        }
    }

    /// Counts the time even where the wait is given up on the way.
    async fn wait_throttled(&self, from: Instant, until: Instant) {
        struct Counted<'a>(&'a ModelMetrics, Instant);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.throttled(self.1.elapsed());
            }
        }
        let _counted = Counted(&self.metrics, from);
        sleep_until(until).await;
    }

    async fn place(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, &'static str> {
        match timeout_at(deadline, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(
                "not called: as many requests are under way as may be (connections_max), and \
                 none ended before the deadline",
            ),
        }
    }

    async fn attempt(
        &self,
        request: &Outgoing,
        deadline: Instant,
        passage: &mut Passage<'_>,
    ) -> Tried {
        let url = &request.uri;
        let begun = Instant::now();
        let limit = begun + self.request_timeout;
        passage.is_sent = true;
        let sent = timeout_at(limit.min(deadline), self.transport.send(request)).await;
        let again = |what: String| {
            Tried::Again(Failed {
                what,
                retry_after: None,
            })
        };
        match sent {
            Err(_) => {
                passage.failed(TryOutcome::Timeout);
                let waited = begun.elapsed().as_secs_f64();
                let key = if limit <= deadline {
                    "request_timeout"
                } else {
                    "the deadline"
                };
                Tried::Given(CallError::Unavailable(format!(
                    "{url}: no answer within {waited:.1} s ({key})"
                )))
            }
            Ok(Err(SendError::Connect(what))) => {
                passage.failed(TryOutcome::Unreachable);
                again(SendError::Connect(what).to_string())
            }
            Ok(Err(error @ SendError::Secret(_))) => {
                // The server was not asked, and nothing is known of it.
                passage.is_sent = false;
                Tried::Given(CallError::Unavailable(format!("{url}: {error}")))
            }
            Ok(Err(error @ SendError::Tls(_))) => {
                passage.failed(TryOutcome::Unreachable);
                Tried::Given(CallError::Unavailable(format!("{url}: {error}")))
            }
            Ok(Err(error @ SendError::Broken(_))) => {
                passage.failed(TryOutcome::Broken);
                Tried::Given(CallError::Unavailable(format!("{url}: {error}")))
            }
            Ok(Err(error @ SendError::TooLarge(_))) => {
                passage.answered(TryOutcome::Invalid);
                Tried::Given(CallError::TooLarge(format!("{url}: {error}")))
            }
            Ok(Err(error @ SendError::Encoded(_))) => {
                passage.answered(TryOutcome::Invalid);
                Tried::Given(CallError::Invalid(format!("{url}: {error}")))
            }
            Ok(Ok(answer)) => {
                self.metrics.request_answered(begun.elapsed());
                self.judge(request, answer, passage)
            }
        }
    }

    /// What an answer's status means.
    fn judge(&self, request: &Outgoing, answer: Answer, passage: &mut Passage<'_>) -> Tried {
        if answer.status.is_success() {
            passage.answered(TryOutcome::Answered);
            return Tried::Answered(answer);
        }
        let said = match error_text(&answer.body) {
            Some(said) => format!("{}: {said}", answer.status),
            None => answer.status.to_string(),
        };
        if is_retryable(answer.status) {
            // A server that answers 408 or 429 is there, and says itself how to be treated.
            match answer.status {
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                    passage.overloaded();
                }
                _ => passage.failed(TryOutcome::Overloaded),
            }
            let header = answer.headers.get(RETRY_AFTER);
            return Tried::Again(Failed {
                what: said,
                retry_after: header
                    .and_then(|header| retry_after(header.as_bytes(), SystemTime::now())),
            });
        }
        passage.answered(TryOutcome::Refused);
        let url = &request.uri;
        let message = match answer.headers.get(LOCATION) {
            Some(to) if answer.status.is_redirection() => {
                let to = excerpt(to.as_bytes());
                format!(
                    "{url}: {} to {to}, which is not followed; write the right place into url",
                    answer.status
                )
            }
            _ => format!("{url}: {said}"),
        };
        Tried::Given(CallError::Refused {
            status: answer.status,
            message,
        })
    }

    fn admit(&self, now: Instant) -> Option<Admission> {
        let breaker = self.breaker.as_ref()?;
        Some(self.change(breaker, |breaker| breaker.admit(now)))
    }

    fn throttle_admits(&self, now: Instant) -> bool {
        let unit = self.dice.unit();
        let throttle = self.throttle.as_ref();
        throttle.is_none_or(|throttle| lock(throttle).admits(now, unit))
    }

    /// Does something to the breaker, and tells of what became of it.
    fn change<T>(&self, breaker: &Mutex<Breaker>, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let (before, after, result) = {
            let mut breaker = lock(breaker);
            let before = breaker.state();
            let result = act(&mut breaker);
            let after = breaker.state();
            if before != after {
                // Told under the lock, so that the gauge never shows an older state.
                self.metrics.breaker_is(after);
            }
            (before, after, result)
        };
        if before != after {
            let model = &*self.model;
            match after {
                BreakerState::Open => tracing::warn!(
                    model,
                    "the circuit breaker opened: the server does not answer, calls fail at once"
                ),
                BreakerState::HalfOpen => tracing::info!(
                    model,
                    "the circuit breaker is half-open: one call tries whether the server is back"
                ),
                BreakerState::Closed => tracing::info!(
                    model,
                    "the circuit breaker closed: the server answers again"
                ),
            }
        }
        result
    }
}

/// Statuses by which a server asks for another try, now or later.
fn is_retryable(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// A panic elsewhere leaves nothing half done: each step is a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Tries ===

impl<'a> Tries<'a> {
    fn of(request: &'a Outgoing) -> Self {
        Self {
            url: &request.uri,
            started: Instant::now(),
            count: 0,
            last: None,
        }
    }

    fn given_up(&self, why: &str) -> CallError {
        let mut message = format!("{}: {why}", self.url);
        if let Some(last) = &self.last {
            let times = if self.count == 1 { "try" } else { "tries" };
            let (count, elapsed) = (self.count, self.started.elapsed().as_secs_f64());
            let what = &last.what;
            message.push_str(&format!(
                " ({count} {times} in {elapsed:.1} s; the last: {what})"
            ));
        }
        CallError::Unavailable(message)
    }
}

// === impl Passage ===

impl Passage<'_> {
    /// The server answered, and could take more.
    fn answered(&mut self, outcome: TryOutcome) {
        if let Some(throttle) = &self.caller.throttle {
            lock(throttle).succeeded(Instant::now());
        }
        self.tell(outcome, Breaker::succeeded);
    }

    /// The server is there, but can take no more.
    fn overloaded(&mut self) {
        self.tell(TryOutcome::Overloaded, Breaker::succeeded);
    }

    /// The server is not there, or is no help.
    fn failed(&mut self, outcome: TryOutcome) {
        let now = Instant::now();
        self.tell(outcome, |breaker, ticket| breaker.failed(ticket, now));
    }

    fn tell(&mut self, outcome: TryOutcome, act: impl FnOnce(&mut Breaker, Ticket)) {
        self.is_told = true;
        self.caller.metrics.request_done(outcome);
        if let (Some(breaker), Some(ticket)) = (&self.caller.breaker, self.ticket) {
            self.caller.change(breaker, |breaker| act(breaker, ticket));
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.is_told {
            return;
        }
        if self.is_sent {
            self.caller.metrics.request_done(TryOutcome::Abandoned);
        }
        if let (Some(breaker), Some(ticket)) = (&self.caller.breaker, self.ticket) {
            self.caller
                .change(breaker, |breaker| breaker.abandoned(ticket));
        }
    }
}

#[cfg(test)]
#[path = "caller_tests.rs"]
mod tests;
