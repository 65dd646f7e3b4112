//! Each example takes one of several arms, by weight.

use super::error::{Check, PatternError, PatternProblem};
use super::join::{StepResult, run_chosen};
use super::members::{Face, Member, shows_face};
use super::metrics::PatternMetrics;
use super::rollout::{Rollout, Sticky};
use crate::{Drawing, Step};
use consort_inference::{BoxFuture, Call, Example};
use std::sync::Arc;

/// What a split is made of.
pub struct SplitConfig {
    /// The step's name.
    pub name: Arc<str>,
    /// The ways, which must have one signature.
    pub arms: Vec<SplitArm>,
    /// What keeps an example on its arm.
    pub sticky: Sticky,
}

/// One way through a split.
pub struct SplitArm {
    /// Its part of the sum of all weights.
    pub weight: u32,
    /// The step and its name.
    pub member: Member,
}

/// A/B: each example takes one arm, which its prediction names. Every arm is called at most
/// once per call, with all its examples.
pub struct Split {
    name: Arc<str>,
    face: Face,
    members: Vec<Member>,
    /// Where the share of each member ends.
    ends: Vec<u64>,
    total: u64,
    rollout: Rollout,
    metrics: PatternMetrics,
}

// === impl Split ===

impl Split {
    /// Checks that the arms are alike and have weights.
    pub fn new(config: SplitConfig, metrics: &PatternMetrics) -> Result<Self, PatternError> {
        let mut check = Check::new("split", &config.name);
        check.members(config.arms.len(), 1);
        let (mut ends, mut total) = (Vec::new(), 0u64);
        for arm in &config.arms {
            if arm.weight == 0 {
                check.problem(PatternProblem::Weight(arm.member.name.clone()));
            }
            total += u64::from(arm.weight);
            ends.push(total);
        }
        let members: Vec<Member> = config.arms.into_iter().map(|arm| arm.member).collect();
        let face = Face::of_alike(&config.name, &members, &mut check);
        let mut face = check.done_with(face)?;
        let rollout = Rollout::new(&config.name, config.sticky);
        face.reads_headers(
            rollout
                .header()
                .map(std::slice::from_ref)
                .unwrap_or_default(),
        );
        Ok(Self {
            name: config.name,
            face,
            members,
            ends,
            total,
            rollout,
            metrics: metrics.clone(),
        })
    }

    fn choose(&self, example: &Example, call: &Call) -> usize {
        let point = self.rollout.point(example, call, self.total);
        self.ends.partition_point(|end| *end <= point)
    }
}

impl Step for Split {
    shows_face!();

    fn is_ready(&self) -> bool {
        self.members.iter().all(|member| member.step.is_ready())
    }

    fn drawing(&self) -> Drawing {
        let mut begin = 0;
        let part = |(member, end): (&Member, &u64)| {
            let weight = end - std::mem::replace(&mut begin, *end);
            member.part(format!("{} of {}", weight, self.total))
        };
        Drawing {
            kind: "split",
            name: self.name.clone(),
            parts: self.members.iter().zip(&self.ends).map(part).collect(),
        }
    }

    fn run(&self, examples: Vec<Example>, call: Call) -> BoxFuture<'_, Vec<StepResult>> {
        Box::pin(async move {
            let chosen: Vec<usize> = examples
                .iter()
                .map(|example| self.choose(example, &call))
                .collect();
            let results = run_chosen(&self.name, &self.members, &chosen, examples, call).await;
            self.metrics
                .arms(&self.name, &self.members, &chosen, &results);
            results
        })
    }
}
