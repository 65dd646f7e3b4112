//! Patterns of the manifest: each made of the models, maps and ensembles that it names.

use crate::assemble::{Assembly, Parts};
use crate::configs::size;
use crate::ensembles::target;
use consort_ensemble::patterns::{
    Canary, CanaryConfig, Case, Combine, CombineConfig, Combined, Fallback, FallbackConfig,
    ForEach, ForEachConfig, Member, PatternError, Route, RouteConfig, Rule, Shadow, ShadowConfig,
    Split, SplitArm, SplitConfig, Sticky, Voter,
};
use consort_ensemble::{PlannedStep, Step};
use consort_inference::{Datatype, TensorSpec};
use consort_manifest::{self as manifest, CombineBy, CombineWord, Located, Place};
use std::sync::Arc;
use std::time::Duration;

/// The weight of a member that the manifest gives none.
const WEIGHT: f64 = 1.0;

// === impl Assembly ===

impl Assembly<'_> {
    pub(crate) fn split(
        &mut self,
        step: &manifest::Step,
        split: &Located<manifest::Split>,
        parts: &Parts,
    ) -> Option<Arc<dyn Step>> {
        let arm = |arm: &manifest::Named<u32>| {
            Some(SplitArm {
                weight: *arm.value,
                member: member(&arm.name, parts)?,
            })
        };
        let config = SplitConfig {
            name: step.name.as_str().into(),
            arms: split.arms.iter().map(arm).collect::<Option<_>>()?,
            sticky: sticky(split.sticky.as_ref()),
        };
        let made = Split::new(config, &self.telemetry.patterns);
        self.made(made, split.place)
    }

    pub(crate) fn combine(
        &mut self,
        step: &manifest::Step,
        combine: &Located<manifest::Combine>,
        parts: &Parts,
    ) -> Option<Arc<dyn Step>> {
        let weights = combine.weights.iter().flat_map(|weights| weights.iter());
        let weights = weights.copied().chain(std::iter::repeat(WEIGHT));
        let voters = combine.of.iter().zip(weights).map(|(name, weight)| {
            let member = member(name, parts)?;
            Some(Voter { weight, member })
        });
        let config = CombineConfig {
            name: step.name.as_str().into(),
            members: voters.collect::<Option<_>>()?,
            rules: match &combine.by {
                CombineBy::Every(word) => Combined::All(rule(*word)),
                CombineBy::Each(words) => {
                    let each = |word: &manifest::Named<CombineWord>| {
                        (word.name.as_str().into(), rule(*word.value))
                    };
                    Combined::Each(words.iter().map(each).collect())
                }
            },
            members_min: combine.members_min.as_deref().copied(),
        };
        self.made(Combine::new(config), combine.place)
    }

    /// `before`: the steps before it, one of which may make the tensor that decides.
    pub(crate) fn route(
        &mut self,
        step: &manifest::Step,
        route: &Located<manifest::Route>,
        parts: &Parts,
        before: &[PlannedStep],
    ) -> Option<Arc<dyn Step>> {
        let case = |case: &manifest::Named<String>| {
            Some(Case {
                value: case.name.as_str().into(),
                member: member(&case.value, parts)?,
            })
        };
        let cases: Vec<Case> = route.cases.iter().map(case).collect::<Option<_>>()?;
        let default = match &route.default {
            Some(name) => Some(member(name, parts)?),
            None => None,
        };
        let tensor = route.tensor.as_str();
        let members = cases.iter().map(|case| &case.member).chain(&default);
        let mut inputs = members.flat_map(|member| &member.step.signature().inputs);
        let is_read = inputs.any(|spec| &*spec.name == tensor);
        let renamed = step.inputs.iter().find(|rename| *rename.name == tensor);
        let called = renamed.map_or(tensor, |rename| rename.value.as_str());
        let config = RouteConfig {
            name: step.name.as_str().into(),
            tensor: tensor.into(),
            spec: (!is_read).then(|| match made_before(called, before) {
                Some(spec) => TensorSpec {
                    name: tensor.into(),
                    ..spec.clone()
                },
                // Nobody says what it is: a text, as most are.
                None => TensorSpec::new(tensor, Datatype::Bytes, vec![Some(1)]),
            }),
            cases,
            default,
        };
        let made = Route::new(config, &self.telemetry.patterns);
        self.made(made, route.place)
    }

    /// Puts around a step what the manifest says: canary, shadow, fallback, `for_each`, in
    /// this order.
    pub(crate) fn around(
        &mut self,
        step: &manifest::Step,
        mut runs: Arc<dyn Step>,
        parts: &Parts,
    ) -> Option<Arc<dyn Step>> {
        // The prediction names the arm of each: they must not share a name.
        let name = |pattern: &str| -> Arc<str> { format!("{}.{pattern}", *step.name).into() };
        let base = |runs: Arc<dyn Step>| Member::new(runs.stage().name.clone(), runs);
        if let Some(canary) = &step.canary {
            let config = CanaryConfig {
                name: name("canary"),
                base: base(runs),
                canary: member(&canary.to, parts)?,
                percent: *canary.percent,
                sticky: sticky(Some(&canary.sticky)),
                window: *canary.window,
                errors_max_percent: *canary.errors_max_percent,
            };
            let made = Canary::new(config, &self.telemetry.patterns);
            runs = self.made(made, canary.place)?;
        }
        if let Some(shadow) = &step.shadow {
            let copy = member(&shadow.to, parts)?;
            let config = ShadowConfig {
                percent: *shadow.percent,
                inflight_max: *shadow.inflight_max,
                inflight_bytes_max: size(*shadow.inflight_bytes_max),
                timeout: Duration::from_millis(*shadow.timeout_ms),
                ..ShadowConfig::new(name("shadow"), base(runs), copy)
            };
            let made = Shadow::new(config, &self.telemetry.patterns);
            runs = self.made(made, shadow.place)?;
        }
        if let Some(fallback) = &step.fallback {
            let config = FallbackConfig {
                name: name("fallback"),
                first: base(runs),
                second: member(fallback, parts)?,
            };
            let made = Fallback::new(config, &self.telemetry.patterns);
            runs = self.made(made, fallback.place)?;
        }
        if let Some(for_each) = &step.for_each {
            let inputs = for_each.inputs.iter();
            let inputs = inputs.map(|input| input.as_str().into()).collect();
            let config = ForEachConfig {
                items_max: *for_each.items_max,
                pad: *for_each.pad,
                output_bytes_max: size(*for_each.output_bytes_max),
                ..ForEachConfig::new(name("for_each"), runs, inputs)
            };
            runs = self.made(ForEach::new(config), for_each.inputs.place)?;
        }
        Some(runs)
    }

    /// A pattern whose parts fit, or a problem for each that does not.
    fn made<S: Step + 'static>(
        &mut self,
        made: Result<S, PatternError>,
        place: Place,
    ) -> Option<Arc<dyn Step>> {
        match made {
            Ok(step) => Some(Arc::new(step)),
            Err(error) => {
                for problem in &error.problems {
                    let message = format!("step \"{}\": {problem}", error.step);
                    self.problem(place, message, "");
                }
                None
            }
        }
    }
}

/// A target under the name that the manifest gives it.
fn member(name: &Located<String>, parts: &Parts) -> Option<Member> {
    Some(Member::new(name.as_str(), target(name, parts)?))
}

fn sticky(sticky: Option<&Located<manifest::Sticky>>) -> Sticky {
    match sticky.map(|sticky| &sticky.value) {
        None => Sticky::No,
        Some(manifest::Sticky::Key) => Sticky::Key,
        Some(manifest::Sticky::Header(name)) => Sticky::Header(name.as_str().into()),
    }
}

fn rule(word: CombineWord) -> Rule {
    match word {
        CombineWord::Vote => Rule::Vote,
        CombineWord::Average => Rule::Average,
        CombineWord::Any => Rule::Any,
        CombineWord::All => Rule::All,
    }
}

/// The latest tensor of that name: an output of a step before, or what the first step reads.
fn made_before<'a>(name: &str, before: &'a [PlannedStep]) -> Option<&'a TensorSpec> {
    let find = |specs: &'a [TensorSpec], renames: &[(Arc<str>, Arc<str>)]| {
        specs.iter().find(|spec| {
            let renamed = renames.iter().find(|(own, _)| *own == spec.name);
            renamed.map_or(&*spec.name, |(_, called)| called) == name
        })
    };
    let output = |step: &'a PlannedStep| find(&step.step.signature().outputs, &step.outputs);
    let input = |step: &'a PlannedStep| find(&step.step.signature().inputs, &step.inputs);
    let made = before.iter().rev().find_map(output);
    made.or_else(|| input(before.first()?))
}
