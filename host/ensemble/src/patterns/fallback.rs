//! A second step where the first fails.

use super::error::{Check, PatternError};
use super::join::{StepResult, run_counted, with_arm, worth_another_try};
use super::members::{Face, Member, shows_face};
use super::metrics::PatternMetrics;
use crate::{Drawing, Step};
use consort_inference::{BoxFuture, Call, Example, Failure};
use std::sync::Arc;

/// What a fallback is made of.
pub struct FallbackConfig {
    /// The step's name.
    pub name: Arc<str>,
    /// What runs first.
    pub first: Member,
    /// What runs on the examples that the first failed.
    pub second: Member,
}

/// Tries a second step on what a first failed: on every failure but the client's own, and
/// not where the time is over or the caller gone. Its prediction names the second step.
pub struct Fallback {
    name: Arc<str>,
    face: Face,
    first: Member,
    second: Member,
    metrics: PatternMetrics,
}

// === impl Fallback ===

impl Fallback {
    /// Checks that both are alike.
    pub fn new(config: FallbackConfig, metrics: &PatternMetrics) -> Result<Self, PatternError> {
        let mut check = Check::new("fallback", &config.name);
        let members = [config.first, config.second];
        let alike = Face::of_alike(&config.name, &members, &mut check);
        let alike = check.done_with(alike)?;
        let [first, second] = members;
        let face = Face {
            stage: first.step.stage().clone(),
            id: first.step.model_id().clone(),
            ..alike
        };
        Ok(Self {
            name: config.name,
            face,
            first,
            second,
            metrics: metrics.clone(),
        })
    }

    async fn second(&self, again: Vec<(usize, Example)>, call: Call, results: &mut [StepResult]) {
        let (places, examples): (Vec<usize>, Vec<Example>) = again.into_iter().unzip();
        let seconds = run_counted(&*self.second.step, examples, call).await;
        let (mut ok, mut failed) = (0, 0);
        for (place, result) in places.into_iter().zip(seconds) {
            let Some(slot) = results.get_mut(place) else {
                continue;
            };
            match (result, slot) {
                (Ok(outcome), slot) => {
                    *slot = Ok(with_arm(outcome, &self.name, &self.second));
                    ok += 1;
                }
                (Err(second), Err(first)) => {
                    self.both(first, &second);
                    failed += 1;
                }
                (Err(_), Ok(_)) => {}
            }
        }
        self.metrics.arm(&self.name, &self.second.name, ok, failed);
    }

    /// The first failure is the reason; the second says why there was no way around it.
    fn both(&self, first: &mut Failure, second: &Failure) {
        let name = &self.second.name;
        let more = format!("; the fallback \"{name}\" failed too: {}", second.message);
        first.message.push_str(&more);
    }
}

impl Step for Fallback {
    shows_face!();

    fn is_ready(&self) -> bool {
        self.first.step.is_ready() || self.second.step.is_ready()
    }

    fn drawing(&self) -> Drawing {
        Drawing {
            kind: "fallback",
            name: self.name.clone(),
            parts: vec![self.first.part("first"), self.second.part("fallback")],
        }
    }

    fn run(&self, examples: Vec<Example>, call: Call) -> BoxFuture<'_, Vec<StepResult>> {
        Box::pin(async move {
            let copies = examples.clone();
            let mut results = run_counted(&*self.first.step, examples, call.clone()).await;
            let again: Vec<(usize, Example)> = copies
                .into_iter()
                .enumerate()
                .filter(|(place, _)| {
                    let result = results.get(*place);
                    result.is_some_and(|result| result.as_ref().is_err_and(worth_another_try))
                })
                .collect();
            if !again.is_empty() {
                self.second(again, call, &mut results).await;
            }
            results
        })
    }
}
