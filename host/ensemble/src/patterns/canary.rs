//! A few examples take a new step, until it fails too often.

use super::error::{Check, PatternError};
use super::join::{StepResult, run_chosen, run_counted, with_arm, worth_another_try};
use super::members::{Face, Member, shows_face};
use super::metrics::{PatternMetrics, labels};
use super::rollout::{Rollout, Sticky};
use super::window::{CanaryState, Window};
use crate::{Drawing, Step};
use consort_inference::{BoxFuture, Call, Example, FailureKind, Fault};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The parts that examples are divided by: hundredths of a percent.
const PARTS: u64 = 10_000;
/// The longest window.
const WINDOW_MAX: usize = 1_000_000;

/// What a canary is made of.
pub struct CanaryConfig {
    /// The step's name.
    pub name: Arc<str>,
    /// What most examples take.
    pub base: Member,
    /// What a few take: the new one.
    pub canary: Member,
    /// How many of 100 examples are a few, to two decimals.
    pub percent: f64,
    /// What keeps an example with the canary.
    pub sticky: Sticky,
    /// Over how many examples failures are counted.
    pub window: usize,
    /// By how much the canary's share of failures may be above the base's, in percent
    /// points.
    pub errors_max_percent: f64,
}

/// A split that stops by itself. The canary's failures that may be its own are tried again
/// on the base, so that callers see none of them.
pub struct Canary {
    name: Arc<str>,
    face: Face,
    /// The base, then the canary.
    members: [Member; 2],
    parts: u64,
    rollout: Rollout,
    window: Mutex<Window>,
    metrics: PatternMetrics,
}

// === impl Canary ===

impl Canary {
    /// Checks that both are alike and the numbers make sense.
    pub fn new(config: CanaryConfig, metrics: &PatternMetrics) -> Result<Self, PatternError> {
        let mut check = Check::new("canary", &config.name);
        let (percent, margin) = (config.percent, config.errors_max_percent);
        let parts = percent_parts(percent);
        check.setting(
            parts > 0 && percent <= 100.0,
            "percent",
            percent,
            "0.01 to 100",
        );
        check.setting(
            (1..=WINDOW_MAX).contains(&config.window),
            "window",
            config.window,
            "1 to 1000000 examples",
        );
        check.setting(
            (0.0..=100.0).contains(&margin),
            "errors_max_percent",
            margin,
            "0 to 100",
        );
        let members = [config.base, config.canary];
        let mut face = check_face(&config.name, &members, check)?;
        let rollout = Rollout::new(&config.name, config.sticky);
        face.reads_headers(
            rollout
                .header()
                .map(std::slice::from_ref)
                .unwrap_or_default(),
        );
        metrics
            .canary_running
            .get_or_create(&labels(&config.name))
            .set(1);
        Ok(Self {
            name: config.name,
            face,
            members,
            parts,
            rollout,
            window: Mutex::new(Window::new(config.window, margin)),
            metrics: metrics.clone(),
        })
    }

    /// Whether the canary still gets examples.
    pub fn state(&self) -> CanaryState {
        self.window().state()
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what both did; the client's faults say nothing of either.
    fn count(&self, chosen: &[usize], results: &[StepResult]) {
        let mut window = self.window();
        let mut stopped = false;
        for (to, result) in chosen.iter().zip(results) {
            let failed = match result {
                Ok(_) => false,
                Err(failure) if failure.kind.fault() == Fault::Client => continue,
                Err(failure) if failure.kind == FailureKind::Cancelled => continue,
                Err(_) => true,
            };
            match to {
                0 => window.base(failed),
                _ => stopped |= window.canary(failed),
            }
        }
        let state = window.state();
        drop(window);
        if stopped {
            self.metrics
                .canary_stops
                .get_or_create(&labels(&self.name))
                .inc();
            self.metrics
                .canary_running
                .get_or_create(&labels(&self.name))
                .set(0);
            let [base, canary] = &self.members;
            tracing::error!(
                step = %self.name,
                canary = %canary.name,
                base = %base.name,
                ?state,
                "the canary failed too often and gets no more examples",
            );
        }
    }

    /// Tries again on the base what the canary failed.
    async fn mend(&self, copies: Vec<(usize, Example)>, call: Call, results: &mut [StepResult]) {
        let failed = |(place, _): &(usize, Example)| {
            let result = results.get(*place);
            result.is_some_and(|result| result.as_ref().is_err_and(worth_another_try))
        };
        let again: Vec<(usize, Example)> = copies.into_iter().filter(failed).collect();
        let (places, examples): (Vec<usize>, Vec<Example>) = again.into_iter().unzip();
        let [base, _] = &self.members;
        let mended = run_counted(&*base.step, examples, call).await;
        for (place, result) in places.into_iter().zip(mended) {
            if let Some(slot) = results.get_mut(place) {
                *slot = result.map(|outcome| with_arm(outcome, &self.name, base));
            }
        }
    }
}

fn check_face(name: &Arc<str>, members: &[Member], mut check: Check) -> Result<Face, PatternError> {
    let face = Face::of_alike(name, members, &mut check);
    check.done_with(face)
}

/// Hundredths of a percent, rounded; none for what is no percentage.
pub(super) fn percent_parts(percent: f64) -> u64 {
    let parts = (percent * 100.0).round();
    // What is out of bounds or no number becomes a bound or zero.
    (parts as u64).min(PARTS)
}

/// Whether an example is among that share of all.
pub(super) fn is_among(rollout: &Rollout, parts: u64, example: &Example, call: &Call) -> bool {
    rollout.point(example, call, PARTS) < parts
}

impl Step for Canary {
    shows_face!();

    fn is_ready(&self) -> bool {
        let [base, _] = &self.members;
        base.step.is_ready()
    }

    fn drawing(&self) -> Drawing {
        let [base, canary] = &self.members;
        let percent = self.parts as f64 / 100.0;
        Drawing {
            kind: "canary",
            name: self.name.clone(),
            parts: vec![
                base.part("base"),
                canary.part(format!("canary, {percent} %")),
            ],
        }
    }

    fn run(&self, examples: Vec<Example>, call: Call) -> BoxFuture<'_, Vec<StepResult>> {
        Box::pin(async move {
            let stopped = self.state() != CanaryState::Running;
            let (mut chosen, mut copies) = (Vec::with_capacity(examples.len()), Vec::new());
            for (place, example) in examples.iter().enumerate() {
                let to_canary = !stopped && is_among(&self.rollout, self.parts, example, &call);
                chosen.push(usize::from(to_canary));
                if to_canary {
                    copies.push((place, example.clone()));
                }
            }
            let again = call.clone();
            let mut results = run_chosen(&self.name, &self.members, &chosen, examples, call).await;
            self.count(&chosen, &results);
            self.metrics
                .arms(&self.name, &self.members, &chosen, &results);
            self.mend(copies, again, &mut results).await;
            results
        })
    }
}
