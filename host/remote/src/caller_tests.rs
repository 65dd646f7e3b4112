//! Calls on a paused clock, against a server that follows a script.

use super::*;
use crate::config::{Api, BreakerConfig, OpenInference, RetryConfig, ThrottleConfig};
use crate::metrics::Metrics;
use bytes::Bytes;
use consort_inference::{BoxFuture, ModelId};
use hyper::HeaderMap;
use prometheus_client::registry::Registry;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Answers with one step of its script after the other, and with 200 when it is over.
#[derive(Default)]
struct Scripted {
    steps: Mutex<VecDeque<Step>>,
    /// When each request came, since the start.
    times: Mutex<Vec<Duration>>,
    started: Mutex<Option<Instant>>,
}

#[derive(Clone)]
enum Step {
    Status(u16, Option<&'static str>),
    Fails(SendError),
    Takes(Duration),
}

/// Always the same number.
struct Loaded(AtomicU64);

struct Stage {
    server: Arc<Scripted>,
    dice: Arc<Loaded>,
    registry: Registry,
    caller: Caller,
}

impl Transport for Scripted {
    fn send<'a>(&'a self, _: &'a Outgoing) -> BoxFuture<'a, Result<Answer, SendError>> {
        Box::pin(async move {
            let started = *lock(&self.started).get_or_insert_with(Instant::now);
            lock(&self.times).push(started.elapsed());
            let step = lock(&self.steps).pop_front();
            let (status, header) = match step {
                Some(Step::Fails(error)) => return Err(error),
                Some(Step::Status(status, header)) => (status, header),
                Some(Step::Takes(time)) => {
                    tokio::time::sleep(time).await;
                    (200, None)
                }
                None => (200, None),
            };
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(RETRY_AFTER, header.parse().unwrap());
            }
            Ok(Answer {
                status: StatusCode::from_u16(status).unwrap(),
                headers,
                body: Bytes::from_static(b"{\"error\":\"busy\\u001b\"}"),
            })
        })
    }
}

impl Dice for Loaded {
    fn unit(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Stage {
    /// With waits of their full length, and no request held back.
    fn new(steps: impl IntoIterator<Item = Step>, change: impl FnOnce(&mut Config)) -> Self {
        let api = Api::OpenInference(OpenInference::new("m"));
        let mut config = Config::new(ModelId::new("m", "1"), "http://server", api);
        config.throttle = None;
        config.breaker = None;
        change(&mut config);
        let server = Arc::new(Scripted::default());
        lock(&server.steps).extend(steps);
        *lock(&server.started) = Some(Instant::now());
        let dice = Arc::new(Loaded(AtomicU64::new(1f64.to_bits())));
        let mut registry = Registry::default();
        let metrics = ModelMetrics::new(&Metrics::register(&mut registry), &config.id);
        let caller = Caller::new(&config, server.clone(), dice.clone(), metrics);
        Self {
            server,
            dice,
            registry,
            caller,
        }
    }

    async fn call(&self, within: Option<Duration>) -> Result<(), String> {
        let request = Outgoing::asking("http://server/x".parse().unwrap());
        let deadline = within.map(|within| Instant::now() + within);
        let answer = self.caller.call(&request, deadline).await;
        answer.map(|_| ()).map_err(|error| error.to_string())
    }

    /// When requests came, in milliseconds.
    fn times(&self) -> Vec<u128> {
        let times = lock(&self.server.times);
        times.iter().map(Duration::as_millis).collect()
    }

    fn throw(&self, unit: f64) {
        self.dice.0.store(unit.to_bits(), Ordering::Relaxed);
    }

    fn metric(&self, name: &str) -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

fn outcome(outcome: &str) -> String {
    format!("consort_remote_requests_total{{model=\"m\",version=\"1\",outcome=\"{outcome}\"}}")
}

fn status(status: u16) -> Step {
    Step::Status(status, None)
}

fn unreachable() -> Step {
    Step::Fails(SendError::Connect("refused".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn tries_are_spaced_by_back_off() {
    let steps = [status(503), unreachable(), status(429), status(408)];
    let stage = Stage::new(steps, |_| {});
    stage.call(None).await.unwrap();
    assert_eq!(stage.times(), [0, 100, 300, 700, 1_500]);
    assert_eq!(stage.metric("consort_remote_retries_total"), 4.0);
    assert_eq!(stage.metric(&outcome("overloaded")), 3.0);
    assert_eq!(stage.metric(&outcome("unreachable")), 1.0);
    assert_eq!(stage.metric(&outcome("answered")), 1.0);
}

#[tokio::test(start_paused = true)]
async fn jitter_shortens_waits() {
    let stage = Stage::new([status(503), status(503)], |_| {});
    stage.throw(0.25);
    stage.call(None).await.unwrap();
    assert_eq!(stage.times(), [0, 25, 75]);
}

#[tokio::test(start_paused = true)]
async fn tries_come_to_an_end_that_says_what_happened() {
    let stage = Stage::new(vec![status(503); 9], |_| {});
    assert_eq!(
        stage.call(None).await.unwrap_err(),
        "http://server/x: the server could not be had (6 tries in 3.1 s; the last: 503 Service \
         Unavailable: \"busy\\u{1b}\")"
    );
    assert_eq!(stage.times().len(), 6);
    let stage = Stage::new(vec![status(503); 9], |config| config.retry.retries_max = 0);
    assert!(
        stage
            .call(None)
            .await
            .unwrap_err()
            .contains("(1 try in 0.0 s;")
    );
    assert_eq!(stage.times().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_another_try_would_not_change_is_not_tried_again() {
    for code in [301, 400, 401, 403, 404, 409, 413, 422, 500, 501] {
        let stage = Stage::new([status(code)], |_| {});
        let error = stage.call(None).await.unwrap_err();
        assert!(error.contains(&code.to_string()), "{error}");
        assert_eq!(stage.times().len(), 1, "{code}");
        assert_eq!(stage.metric(&outcome("refused")), 1.0);
    }
    for error in [
        SendError::Broken("reset".to_owned()),
        SendError::Tls("unknown issuer".to_owned()),
        SendError::TooLarge(7),
        SendError::Encoded("gzip".to_owned()),
        SendError::Secret("gone".to_owned()),
    ] {
        let stage = Stage::new([Step::Fails(error.clone())], |_| {});
        let message = stage.call(None).await.unwrap_err();
        assert_eq!(message, format!("http://server/x: {error}"));
        assert_eq!(stage.times().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_kept_to_within_the_deadline() {
    let asks = [Step::Status(429, Some("3"))];
    let stage = Stage::new(asks.clone(), |_| {});
    stage.call(Some(S * 4)).await.unwrap();
    assert_eq!(stage.times(), [0, 3_000]);

    let begun = Instant::now();
    let stage = Stage::new(asks, |_| {});
    let error = stage.call(Some(S * 3)).await.unwrap_err();
    assert!(error.contains("no time is left to wait 3.0 s"), "{error}");
    assert!(error.contains("429 Too Many Requests"), "{error}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(stage.times().len(), 1);

    // Less than the back-off asks for changes nothing, and more than any clock no more.
    let stage = Stage::new([Step::Status(503, Some("0"))], |_| {});
    stage.call(None).await.unwrap();
    assert_eq!(stage.times(), [0, 100]);
    let endless = [Step::Status(503, Some("99999999999999999999"))];
    assert!(Stage::new(endless, |_| {}).call(None).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn no_call_outlives_its_deadline() {
    let hangs = || Stage::new([Step::Takes(S * 999)], |_| {});
    let begun = Instant::now();
    let error = hangs().call(Some(S * 2)).await.unwrap_err();
    assert_eq!(
        error,
        "http://server/x: no answer within 2.0 s (the deadline)"
    );
    assert_eq!(begun.elapsed(), S * 2);
    let stage = hangs();
    let error = stage.call(None).await.unwrap_err();
    assert_eq!(
        error,
        "http://server/x: no answer within 30.0 s (request_timeout)"
    );
    assert_eq!(stage.metric(&outcome("timeout")), 1.0);
    let stage = hangs();
    let error = stage.call(Some(Duration::ZERO)).await.unwrap_err();
    assert_eq!(error, "http://server/x: the deadline passed");
    assert_eq!(stage.times().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_has_a_limit_all_the_same() {
    let stage = Stage::new(vec![status(503); 999], |config| {
        config.call_timeout = S * 10;
        config.retry = RetryConfig {
            retries_max: 500,
            delay_initial: S * 3,
            delay_max: S * 3,
        };
    });
    assert!(stage.call(Some(S * 99)).await.is_err());
    assert_eq!(stage.times(), [0, 3_000, 6_000, 9_000]);
}

fn breaker(config: &mut Config) {
    config.retry.retries_max = 0;
    config.breaker = Some(BreakerConfig {
        failures_max: 2,
        pause_initial: S * 5,
        pause_max: S * 60,
    });
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_at_once_and_one_probe_closes_it() {
    let stage = Stage::new([unreachable(), status(502), Step::Takes(S)], breaker);
    assert!(stage.call(None).await.is_err());
    assert!(stage.call(None).await.is_err());
    assert_eq!(stage.metric("consort_remote_breaker_state"), 2.0);
    let error = stage.call(None).await.unwrap_err();
    assert!(error.contains("breaker is open for 5.0 s more"), "{error}");
    tokio::time::sleep(S * 5).await;
    let (probe, other) = tokio::join!(stage.call(None), stage.call(None));
    probe.unwrap();
    let other = other.unwrap_err();
    assert!(other.contains("breaker is half-open"), "{other}");
    assert_eq!(stage.metric("consort_remote_breaker_state"), 0.0);
    stage.call(None).await.unwrap();
    assert_eq!(stage.times(), [0, 0, 5_000, 6_000]);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_ends_the_tries_of_a_call() {
    let stage = Stage::new(vec![unreachable(); 9], |config| {
        breaker(config);
        config.retry.retries_max = 5;
    });
    let error = stage.call(None).await.unwrap_err();
    assert!(error.contains("breaker is open"), "{error}");
    assert!(
        error.contains("2 tries in") && error.contains("no connection: refused"),
        "{error}"
    );
    assert_eq!(stage.times().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_probe_given_up_makes_room_for_the_next() {
    let stage = Stage::new([unreachable(), unreachable(), Step::Takes(S * 9)], breaker);
    for _ in 0..2 {
        assert!(stage.call(None).await.is_err());
    }
    tokio::time::sleep(S * 5).await;
    let probe = tokio::time::timeout(S, stage.call(None)).await;
    assert!(probe.is_err());
    assert_eq!(stage.metric(&outcome("abandoned")), 1.0);
    stage.call(None).await.unwrap();
    assert_eq!(stage.metric("consort_remote_breaker_state"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_single_requests_leave_the_breaker_closed() {
    let codes = [400, 500, 429, 404, 408, 500, 500];
    let stage = Stage::new(codes.map(status), breaker);
    for _ in codes {
        assert!(stage.call(None).await.is_err());
    }
    assert_eq!(stage.metric("consort_remote_breaker_state"), 0.0);
    stage.call(None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_is_asked_less_until_the_window_forgets() {
    let stage = Stage::new(vec![status(429); 3], |config| {
        config.retry.retries_max = 0;
        config.call_timeout = S * 600;
        config.throttle = Some(ThrottleConfig::default());
    });
    for _ in 0..3 {
        assert!(stage.call(None).await.is_err());
    }
    // Three wanted, none answered: three in four are held back.
    stage.throw(0.76);
    stage.call(None).await.unwrap();
    // (4 - 2) / 5
    stage.throw(0.3);
    let error = stage.call(Some(S * 2)).await.unwrap_err();
    assert!(
        error.contains("held back by adaptive throttling"),
        "{error}"
    );
    assert_eq!(stage.times().len(), 4);
    let waited = stage.metric("cumulativeThrottlingSeconds_total");
    assert!(waited > 1.0 && waited < 2.0, "{waited}");
    // Each look counts as wanted, and so the wait ends when the first looks leave the window.
    stage.throw(0.99);
    stage.call(None).await.unwrap();
    tokio::time::sleep(S * 130).await;
    stage.throw(0.0);
    stage.call(None).await.unwrap();
    assert_eq!(stage.times().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn the_rate_limit_spaces_requests() {
    let stage = Stage::new([], |config| config.requests_per_second_max = Some(10.0));
    let calls = [(); 3].map(|()| stage.call(None));
    for call in calls {
        call.await.unwrap();
    }
    let (one, two) = tokio::join!(stage.call(None), stage.call(Some(MS * 250)));
    assert!(one.is_ok() && two.is_ok());
    let refused = stage.call(Some(MS * 50)).await.unwrap_err();
    assert!(refused.contains("requests_per_second_max"), "{refused}");
    assert_eq!(stage.times(), [0, 100, 200, 300, 400]);
    let waited = stage.metric("cumulativeThrottlingSeconds_total");
    assert!((waited - 0.5).abs() < 1e-6, "{waited}");
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_than_places_are_under_way() {
    let steps = vec![Step::Takes(S); 3];
    let stage = Stage::new(steps, |config| config.connections_max = 1);
    let short = stage.call(Some(MS * 500));
    let (one, two, three) = tokio::join!(stage.call(None), stage.call(None), short);
    assert!(one.is_ok() && two.is_ok());
    let three = three.unwrap_err();
    assert!(three.contains("connections_max"), "{three}");
    assert_eq!(stage.times(), [0, 1_000]);
}
