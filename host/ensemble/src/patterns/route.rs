//! The value of a tensor says which way an example takes.

use super::error::{Check, PatternError, PatternProblem};
use super::join::{StepResult, run_chosen};
use super::members::{Face, Member, shows_face};
use super::metrics::PatternMetrics;
use crate::{Drawing, Step};
use consort_inference::{
    BoxFuture, Call, Datatype, Example, Failure, FailureKind, Tensor, TensorSpec, Tensors,
};
use std::collections::HashMap;
use std::sync::Arc;

/// How many cases an error lists.
const LISTED_MAX: usize = 20;
/// How many characters of a value an error shows.
const SHOWN_MAX: usize = 64;

/// What a route is made of.
pub struct RouteConfig {
    /// The step's name.
    pub name: Arc<str>,
    /// The tensor whose only element is looked at: texts, whole numbers or booleans.
    pub tensor: Arc<str>,
    /// What the tensor is, where the members do not read it. It is taken out then.
    pub spec: Option<TensorSpec>,
    /// Where each value leads. Several values may lead to one member.
    pub cases: Vec<Case>,
    /// Where any other value leads; without it, other values are the client's mistake.
    pub default: Option<Member>,
}

/// A value and where it leads.
pub struct Case {
    /// The value as text: `de`, `-3`, `true`.
    pub value: Arc<str>,
    /// The step and its name.
    pub member: Member,
}

/// Sends each example to the member that its value names; the prediction names it, too.
pub struct Route {
    name: Arc<str>,
    face: Face,
    tensor: Arc<str>,
    /// Whether the members read the tensor, too.
    is_read: bool,
    members: Vec<Member>,
    cases: HashMap<Value, usize>,
    default: Option<usize>,
    /// The cases, as errors list them.
    listed: String,
    metrics: PatternMetrics,
}

/// What tensors are compared by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Value {
    Bool(bool),
    Whole(i128),
    Text(Vec<u8>),
}

// === impl Value ===

impl Value {
    /// Reads the text of a case as a value of that datatype.
    fn parse(text: &str, datatype: Datatype) -> Option<Self> {
        match datatype {
            Datatype::Bytes => Some(Self::Text(text.as_bytes().to_vec())),
            Datatype::Bool => text.parse().ok().map(Self::Bool),
            _ => {
                let number: i128 = text.parse().ok()?;
                range(datatype)?
                    .contains(&number)
                    .then_some(Self::Whole(number))
            }
        }
    }

    /// The only element of a tensor.
    fn of(tensor: &Tensor) -> Option<Self> {
        if tensor.element_count() != 1 {
            return None;
        }
        let bytes = tensor.data();
        let whole = |number: i128| Some(Self::Whole(number));
        macro_rules! read {
            ($number:ty) => {
                <$number>::from_le_bytes(bytes.as_ref().try_into().ok()?).into()
            };
        }
        match tensor.datatype() {
            Datatype::Bytes => Some(Self::Text(bytes.get(4..)?.to_vec())),
            Datatype::Bool => Some(Self::Bool(bytes.first() != Some(&0))),
            Datatype::Uint8 => whole(read!(u8)),
            Datatype::Uint16 => whole(read!(u16)),
            Datatype::Uint32 => whole(read!(u32)),
            Datatype::Uint64 => whole(read!(u64)),
            Datatype::Int8 => whole(read!(i8)),
            Datatype::Int16 => whole(read!(i16)),
            Datatype::Int32 => whole(read!(i32)),
            Datatype::Int64 => whole(read!(i64)),
            Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Text(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let mut shown: String = text.chars().take(SHOWN_MAX).collect();
                if shown.len() < text.len() {
                    shown.push('…');
                }
                format!("{shown:?}")
            }
        }
    }
}

/// The numbers that a datatype holds, if it holds whole ones.
fn range(datatype: Datatype) -> Option<std::ops::RangeInclusive<i128>> {
    macro_rules! of {
        ($number:ty) => {
            i128::from(<$number>::MIN)..=i128::from(<$number>::MAX)
        };
    }
    Some(match datatype {
        Datatype::Uint8 => of!(u8),
        Datatype::Uint16 => of!(u16),
        Datatype::Uint32 => of!(u32),
        Datatype::Uint64 => of!(u64),
        Datatype::Int8 => of!(i8),
        Datatype::Int16 => of!(i16),
        Datatype::Int32 => of!(i32),
        Datatype::Int64 => of!(i64),
        _ => return None,
    })
}

// === impl Route ===

impl Route {
    /// Checks that the members are alike and that the tensor can have the cases' values.
    pub fn new(config: RouteConfig, metrics: &PatternMetrics) -> Result<Self, PatternError> {
        let mut check = Check::new("route", &config.name);
        let (mut members, mut places) = (Vec::<Member>::new(), Vec::new());
        let mut place = |member: Member| {
            let same = |known: &Member| {
                known.name == member.name && Arc::ptr_eq(&known.step, &member.step)
            };
            let known = members.iter().position(same);
            known.unwrap_or_else(|| {
                members.push(member);
                members.len() - 1
            })
        };
        for case in config.cases {
            places.push((case.value, place(case.member)));
        }
        check.members(places.len(), 1);
        let default = config.default.map(place);
        let face = Face::of_alike(&config.name, &members, &mut check);
        let inputs = face.as_ref().map_or(&[][..], |face| &face.signature.inputs);
        let read = inputs
            .iter()
            .find(|spec| spec.name == config.tensor)
            .cloned();
        let is_read = read.is_some();
        let spec = read.or(config.spec.map(|spec| TensorSpec {
            name: config.tensor.clone(),
            ..spec
        }));
        let mut cases = HashMap::new();
        match &spec {
            None => check.problem(PatternProblem::NoTensor {
                side: "input",
                name: config.tensor.clone(),
                known: super::members::names(inputs),
            }),
            Some(spec) => {
                check_spec(spec, &mut check);
                for (value, place) in &places {
                    let parsed = Value::parse(value, spec.datatype);
                    let is_new = parsed.map(|parsed| cases.insert(parsed, *place).is_none());
                    match is_new {
                        Some(true) => {}
                        Some(false) => check.problem(PatternProblem::CaseTwice(value.clone())),
                        None if routes(spec.datatype) => check.problem(PatternProblem::CaseValue {
                            tensor: spec.name.clone(),
                            spec: spec.clone(),
                            value: value.clone(),
                        }),
                        // That the datatype has no values to go by is said already.
                        None => {}
                    }
                }
            }
        }
        let mut face = check.done_with(face)?;
        if let Some(spec) = spec.filter(|_| !is_read) {
            face.signature.inputs.push(spec);
        }
        Ok(Self {
            name: config.name,
            face,
            tensor: config.tensor,
            is_read,
            members,
            cases,
            default,
            listed: listed(&places),
            metrics: metrics.clone(),
        })
    }

    fn choose(&self, example: &Example) -> Result<usize, Failure> {
        let wrong = |message: String| {
            Failure::new(
                self.face.stage.clone(),
                FailureKind::InvalidArgument,
                message,
            )
        };
        let name = &self.tensor;
        let value = example.tensors.tensor(name).and_then(Value::of);
        let Some(value) = value else {
            return Err(wrong(format!(
                "the tensor \"{name}\" says which way to go, so it must have one element"
            )));
        };
        let place = self.cases.get(&value).copied().or(self.default);
        place.ok_or_else(|| {
            let (shown, listed) = (value.shown(), &self.listed);
            wrong(format!(
                "no way is for {shown} in \"{name}\"; there are: {listed}"
            ))
        })
    }
}

fn check_spec(spec: &TensorSpec, check: &mut Check) {
    let lengths = spec.shape.iter().map(|dim| dim.unwrap_or(1));
    let help = if !routes(spec.datatype) {
        "only texts, whole numbers and booleans have values to go by"
    } else if lengths.product::<usize>() != 1 {
        "a route goes by the only element of a tensor"
    } else {
        return;
    };
    check.problem(PatternProblem::Unroutable {
        tensor: spec.name.clone(),
        spec: spec.clone(),
        help,
    });
}

fn routes(datatype: Datatype) -> bool {
    matches!(datatype, Datatype::Bool | Datatype::Bytes) || range(datatype).is_some()
}

fn listed(places: &[(Arc<str>, usize)]) -> String {
    let values = places.iter().take(LISTED_MAX).map(|(value, _)| &**value);
    let mut text = values.collect::<Vec<_>>().join(", ");
    if places.len() > LISTED_MAX {
        text.push_str(&format!(" and {} more", places.len() - LISTED_MAX));
    }
    text
}

impl Step for Route {
    shows_face!();

    fn is_ready(&self) -> bool {
        self.members.iter().all(|member| member.step.is_ready())
    }

    fn drawing(&self) -> Drawing {
        let part = |(index, member): (usize, &Member)| match self.default == Some(index) {
            true => member.part("default"),
            false => member.part("case"),
        };
        Drawing {
            kind: "route",
            name: self.name.clone(),
            parts: self.members.iter().enumerate().map(part).collect(),
        }
    }

    fn run(&self, examples: Vec<Example>, call: Call) -> BoxFuture<'_, Vec<StepResult>> {
        Box::pin(async move {
            let (mut sent, mut chosen, mut refused) = (Vec::new(), Vec::new(), Vec::new());
            for example in examples {
                match self.choose(&example) {
                    Ok(member) => {
                        refused.push(None);
                        chosen.push(member);
                        sent.push(self.stripped(example));
                    }
                    Err(failure) => refused.push(Some(failure)),
                }
            }
            let results = run_chosen(&self.name, &self.members, &chosen, sent, call).await;
            self.metrics
                .arms(&self.name, &self.members, &chosen, &results);
            let mut results = results.into_iter();
            let mut next = || {
                let missing = || {
                    Err(super::join::contract(
                        &self.face.stage,
                        "a result is missing",
                    ))
                };
                results.next().unwrap_or_else(missing)
            };
            refused
                .into_iter()
                .map(|failure| failure.map_or_else(&mut next, Err))
                .collect()
        })
    }
}

impl Route {
    /// The example as the members read it.
    fn stripped(&self, example: Example) -> Example {
        if self.is_read {
            return example;
        }
        let mut tensors = Tensors::new();
        for (name, tensor) in example.tensors {
            if name != self.tensor {
                tensors.insert(name, tensor);
            }
        }
        Example { tensors, ..example }
    }
}
