//! All members run, and their outputs become one.

use super::error::{Check, PatternError, PatternProblem};
use super::join::{StepResult, contract, run_counted};
use super::members::{Face, Member, names, refuse_answers, shows_face};
use super::numbers::{floats, is_float, numbers};
use crate::{Drawing, Step};
use consort_inference::{
    BoxFuture, Call, Datatype, Example, Failure, ModelId, Origin, Outcome, Tensor, TensorSpec,
    Tensors,
};
use futures_util::future::join_all;
use std::sync::Arc;

/// What a combination is made of.
pub struct CombineConfig {
    /// The step's name.
    pub name: Arc<str>,
    /// Who is asked; all must have one signature.
    pub members: Vec<Voter>,
    /// What becomes of the outputs.
    pub rules: Combined,
    /// How many members must succeed; without it, all.
    pub members_min: Option<usize>,
}

/// A member and its weight.
pub struct Voter {
    /// Its weight in averages and where votes tie.
    pub weight: f64,
    /// The step and its name.
    pub member: Member,
}

/// What becomes of the outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Combined {
    /// One rule for all.
    All(Rule),
    /// A rule for each, by its name.
    Each(Vec<(Arc<str>, Rule)>),
}

/// How several tensors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The tensor that most members gave, whole and byte for byte; of several, the one
    /// whose members weigh most, then the one of the first member.
    Vote,
    /// The weighted mean of each element.
    Average,
    /// Each element is true where some member says so.
    Any,
    /// Each element is true where all members say so.
    All,
}

/// Asks all members at the same time.
pub struct Combine {
    name: Arc<str>,
    face: Face,
    members: Vec<Member>,
    weights: Vec<f64>,
    /// A rule for each output of the signature.
    rules: Vec<Rule>,
    members_min: usize,
}

/// What the members that succeeded gave for one example.
struct Ballots {
    outputs: Vec<Tensors>,
    weights: Vec<f64>,
    origin: Origin,
}

// === impl Rule ===

impl Rule {
    /// The word for it in manifests and drawings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vote => "vote",
            Self::Average => "average",
            Self::Any => "any",
            Self::All => "all",
        }
    }

    fn check(self, spec: &TensorSpec, check: &mut Check) {
        let help = match self {
            Self::Vote => return,
            Self::Average if is_float(spec.datatype) => return,
            Self::Any | Self::All if spec.datatype == Datatype::Bool => return,
            Self::Average => "only floats have a mean of their own kind: write \"vote\"",
            Self::Any | Self::All => "only booleans are true or false: write \"vote\"",
        };
        check.problem(PatternProblem::RuleDatatype {
            rule: self.as_str(),
            output: spec.name.clone(),
            spec: spec.clone(),
            help,
        });
    }

    fn apply(self, tensors: &[&Tensor], weights: &[f64]) -> Result<Tensor, String> {
        match self {
            Self::Vote => vote(tensors, weights).ok_or_else(|| "nobody voted".to_owned()),
            Self::Average => {
                let (sum, mut all) = (weights.iter().sum::<f64>(), tensors.iter().zip(weights));
                let weighted = |(tensor, weight): (&&Tensor, &f64)| {
                    let numbers = numbers(tensor).unwrap_or_default();
                    numbers
                        .into_iter()
                        .map(|x| x * weight / sum)
                        .collect::<Vec<f64>>()
                };
                let mut means = all.next().map(weighted).unwrap_or_default();
                for more in all.map(weighted) {
                    means.iter_mut().zip(more).for_each(|(mean, x)| *mean += x);
                }
                same_shape(tensors).and_then(|first| {
                    floats(first.datatype(), first.shape().to_vec(), &means)
                        .map_err(|error| error.to_string())
                })
            }
            Self::Any => booleans(tensors, |a, b| a | b),
            Self::All => booleans(tensors, |a, b| a & b),
        }
    }
}

/// One tensor for the most members, then the most weight, then the first.
fn vote(tensors: &[&Tensor], weights: &[f64]) -> Option<Tensor> {
    let mut candidates: Vec<(&Tensor, usize, f64)> = Vec::new();
    for (tensor, weight) in tensors.iter().zip(weights) {
        match candidates.iter_mut().find(|(given, ..)| given == tensor) {
            Some((_, count, sum)) => {
                *count += 1;
                *sum += weight;
            }
            None => candidates.push((tensor, 1, *weight)),
        }
    }
    let better = |best: (&_, usize, f64), other: (&_, usize, f64)| {
        other.1 > best.1 || (other.1 == best.1 && other.2 > best.2)
    };
    let best = candidates
        .into_iter()
        .reduce(|best, other| if better(best, other) { other } else { best })?;
    Some(best.0.clone())
}

fn booleans(tensors: &[&Tensor], both: fn(bool, bool) -> bool) -> Result<Tensor, String> {
    let first = same_shape(tensors)?;
    let read = |tensor: &Tensor| tensor.to_vec::<bool>().map_err(|error| error.to_string());
    let mut elements = read(first)?;
    for tensor in tensors.iter().skip(1) {
        let others = read(tensor)?;
        elements
            .iter_mut()
            .zip(others)
            .for_each(|(a, b)| *a = both(*a, b));
    }
    Tensor::from_slice(first.shape().to_vec(), &elements).map_err(|error| error.to_string())
}

fn same_shape<'a>(tensors: &[&'a Tensor]) -> Result<&'a Tensor, String> {
    let (first, others) = tensors.split_first().ok_or("nobody gave anything")?;
    match others.iter().find(|other| other.shape() != first.shape()) {
        None => Ok(first),
        Some(other) => Err(format!(
            "members gave it shapes {:?} and {:?}; only equal shapes can be combined",
            first.shape(),
            other.shape()
        )),
    }
}

// === impl Combine ===

impl Combine {
    /// Checks that the members are alike and each rule works on its outputs.
    pub fn new(config: CombineConfig) -> Result<Self, PatternError> {
        let mut check = Check::new("combine", &config.name);
        check.members(config.members.len(), 2);
        for voter in &config.members {
            if !(voter.weight > 0.0 && voter.weight.is_finite()) {
                check.problem(PatternProblem::Weight(voter.member.name.clone()));
            }
            refuse_answers(&voter.member.name, &*voter.member.step, &mut check);
        }
        let count = config.members.len();
        let members_min = config.members_min.unwrap_or(count);
        check.setting(
            (1..=count.max(1)).contains(&members_min),
            "members_min",
            members_min,
            "1 to the number of members",
        );
        let weights = config.members.iter().map(|voter| voter.weight).collect();
        let members: Vec<Member> = config
            .members
            .into_iter()
            .map(|voter| voter.member)
            .collect();
        let face = Face::of_alike(&config.name, &members, &mut check);
        let outputs = face
            .as_ref()
            .map_or(&[][..], |face| &face.signature.outputs);
        let rules = check_rules(&config.rules, outputs, &mut check);
        let mut face = check.done_with(face)?;
        // It is no version of its first member: what it makes is its own.
        face.id = ModelId::new(config.name.clone(), "1");
        Ok(Self {
            name: config.name,
            face,
            members,
            weights,
            rules,
            members_min,
        })
    }

    /// Makes one result of what each member gave for one example.
    fn one(&self, results: Vec<StepResult>) -> StepResult {
        let origin = Origin::from(self.face.id.clone());
        let mut ballots = Ballots {
            outputs: Vec::new(),
            weights: Vec::new(),
            origin,
        };
        for (result, weight) in results.into_iter().zip(&self.weights) {
            match result {
                Ok(Outcome::Forward(tensors)) => ballots.outputs.push(tensors),
                Ok(Outcome::Predicted(tensors, origin)) => {
                    ballots.outputs.push(tensors);
                    ballots.origin.arms.extend(origin.arms);
                    ballots.origin.partial.extend(origin.partial);
                }
                Ok(Outcome::Answer(_)) => {
                    let message = "a member answered by itself, which it did not announce";
                    ballots.origin.partial.push(self.failure(message));
                    continue;
                }
                Err(failure) => {
                    ballots.origin.partial.push(failure);
                    continue;
                }
            }
            ballots.weights.push(*weight);
        }
        let succeeded = ballots.outputs.len();
        if succeeded < self.members_min {
            let (all, least) = (self.members.len(), self.members_min);
            let first = ballots.origin.partial.into_iter().next();
            let mut failure = first.unwrap_or_else(|| self.failure("no member ran"));
            failure.message.push_str(&format!(
                "; {succeeded} of the {all} members of \"{}\" succeeded and members_min is {least}",
                self.name
            ));
            return Err(failure);
        }
        self.combine(ballots)
    }

    fn combine(&self, ballots: Ballots) -> StepResult {
        let mut combined = Tensors::new();
        for (spec, rule) in self.face.signature.outputs.iter().zip(&self.rules) {
            let tensors: Vec<&Tensor> = ballots
                .outputs
                .iter()
                .filter_map(|outputs| outputs.tensor(&spec.name))
                .filter(|tensor| tensor.datatype() == spec.datatype)
                .collect();
            if tensors.len() != ballots.outputs.len() {
                let message = format!("a member did not give the output \"{}\"", spec.name);
                return Err(self.failure(message));
            }
            let tensor = rule
                .apply(&tensors, &ballots.weights)
                .map_err(|error| self.failure(format!("the output \"{}\": {error}", spec.name)))?;
            combined.insert(spec.name.clone(), tensor);
        }
        Ok(Outcome::Predicted(combined, ballots.origin))
    }

    fn failure(&self, message: impl Into<String>) -> Failure {
        contract(&self.face.stage, message)
    }
}

/// A rule for each output, in their order.
fn check_rules(rules: &Combined, outputs: &[TensorSpec], check: &mut Check) -> Vec<Rule> {
    let mut found = Vec::new();
    if let Combined::Each(each) = rules {
        for (index, (name, _)) in each.iter().enumerate() {
            if !outputs.iter().any(|spec| spec.name == *name) {
                check.problem(PatternProblem::NoTensor {
                    side: "output",
                    name: name.clone(),
                    known: names(outputs),
                });
            }
            if each.iter().take(index).any(|(earlier, _)| earlier == name) {
                check.problem(PatternProblem::TensorTwice(name.clone()));
            }
        }
    }
    for spec in outputs {
        let rule = match rules {
            Combined::All(rule) => Some(*rule),
            Combined::Each(each) => each
                .iter()
                .find(|(name, _)| *name == spec.name)
                .map(|(_, rule)| *rule),
        };
        match rule {
            None => check.problem(PatternProblem::NoRule(spec.name.clone())),
            Some(rule) => {
                rule.check(spec, check);
                found.push(rule);
            }
        }
    }
    found
}

impl Step for Combine {
    shows_face!();

    fn is_ready(&self) -> bool {
        let ready = self.members.iter().filter(|member| member.step.is_ready());
        ready.count() >= self.members_min
    }

    fn drawing(&self) -> Drawing {
        let part = |(member, weight): (&Member, &f64)| member.part(format!("weight {weight}"));
        Drawing {
            kind: "combine",
            name: self.name.clone(),
            parts: self.members.iter().zip(&self.weights).map(part).collect(),
        }
    }

    fn run(&self, examples: Vec<Example>, call: Call) -> BoxFuture<'_, Vec<StepResult>> {
        Box::pin(async move {
            let count = examples.len();
            let runs = self
                .members
                .iter()
                .map(|member| run_counted(&*member.step, examples.clone(), call.clone()));
            let all: Vec<Vec<StepResult>> = join_all(runs).await;
            let mut all: Vec<_> = all.into_iter().map(Vec::into_iter).collect();
            // Every member gave `count` results, so each round takes one of each.
            let mut round = || all.iter_mut().filter_map(Iterator::next).collect();
            (0..count).map(|_| self.one(round())).collect()
        })
    }
}
