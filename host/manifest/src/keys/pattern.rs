//! Patterns: steps that are made of several models, model maps or ensembles.

use toml::de::DeValue;

use super::{BYTES_MAX, COUNT_MAX, TIME_MS_MAX};
use crate::json::Json;
use crate::place::Located;
use crate::report::Report;
use crate::rule::collection::{Keyed, Map, Named};
use crate::rule::number::{Bytes, Whole};
use crate::rule::real::Real;
use crate::rule::text::{NAME, STICKY, TENSOR};
use crate::rule::words::{OneOf, words};
use crate::rule::{Describe, Found, Rule};
use crate::section::{Default, Required, independent, section};

/// Each example goes to one of several targets, by weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// The targets with their weights: at least two.
    pub arms: Vec<Named<u32>>,
    /// What decides; chance without it.
    pub sticky: Option<Located<Sticky>>,
}

/// What decides the arm of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// Its key.
    Key,
    /// The header of that name (in lower case) of its request.
    Header(String),
}

/// Several targets run on each example, and their outputs become one.
#[derive(Debug, Clone, PartialEq)]
pub struct Combine {
    /// How.
    pub by: CombineBy,
    /// The targets.
    pub of: Vec<Located<String>>,
    /// The weight of each target, if they are not alike.
    pub weights: Option<Located<Vec<f64>>>,
    /// How many of the targets must give a result; all without it.
    pub members_min: Option<Located<usize>>,
}

/// How outputs become one.
#[derive(Debug, Clone, PartialEq)]
pub enum CombineBy {
    /// All outputs in the same way.
    Every(CombineWord),
    /// Each output in its own way.
    Each(Vec<Named<CombineWord>>),
}

/// A [`CombineBy`].
pub(crate) struct CombineRule {
    word: OneOf<CombineWord>,
    each: Map<Keyed<OneOf<CombineWord>>>,
}

/// The arms of a [`Split`] and their weights.
pub(crate) struct Arms(pub(crate) Map<Keyed<Whole<u32>>>);

/// Each example goes to one of several targets, by the value of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The tensor.
    pub tensor: Located<String>,
    /// The target for each value, at least one.
    pub cases: Vec<Named<String>>,
    /// The target for all other values.
    pub default: Option<Located<String>>,
}

words! {
    /// A way to make one output of several.
    pub enum CombineWord {
        /// The value that most give; the first in `of` decides where several are most.
        Vote = "vote",
        /// The mean of numbers.
        Average = "average",
        /// True where at least one is true.
        Any = "any",
        /// True where all are true.
        All = "all",
    }
}

section! {
    /// A target that takes a part of the step's examples. Once more of its examples fail than
    /// allowed, beyond what fails without it, it takes no more of them.
    pub struct Canary {
        /// The model, model map or ensemble.
        pub to: Located<String> = Required(NAME);
        /// Its part of the examples, in percent.
        pub percent: Located<f64> = Default(Real::new(0.0, 100.0, "5"), "5");
        /// What decides which examples are among them: `key`, the example's key, or a header
        /// of its request. Where that is missing, chance decides.
        pub sticky: Located<Sticky> = Default(STICKY, "\"key\"");
        /// The latest examples of each side that are looked at.
        pub window: Located<usize> = Default(Whole::new(1, COUNT_MAX, 100), "100");
        /// How many more of a hundred may fail than without it.
        pub errors_max_percent: Located<f64> = Default(Real::new(0.0, 100.0, "5"), "5");
    }
}

section! {
    /// A target that gets copies of the step's examples. Nobody waits for it, and what it
    /// gives is only measured and compared.
    pub struct Shadow {
        /// The model, model map or ensemble.
        pub to: Located<String> = Required(NAME);
        /// The part of the examples that is copied, in percent.
        pub percent: Located<f64> = Default(Real::new(0.0, 100.0, "100"), "100");
        /// The most copies under way at once. More are not made, and counted as dropped.
        pub inflight_max: Located<usize> = Default(Whole::new(1, COUNT_MAX, 1024), "1024");
        /// The most bytes of tensors that copies under way hold. Copies beyond are not made.
        pub inflight_bytes_max: Located<u64> = Default(Bytes::new(1, BYTES_MAX), "\"64 MiB\"");
        /// How long a copy may take, in milliseconds. One that takes longer has failed.
        pub timeout_ms: Located<u64> = Default(Whole::new(1, TIME_MS_MAX, 30_000), "30000");
    }
}

independent!(Canary, Shadow);

// === impl Split ===

impl Split {
    pub(crate) fn check(
        arms: Located<Vec<Named<u32>>>,
        sticky: Option<Located<Sticky>>,
        report: &mut Report,
    ) -> Located<Self> {
        let place = arms.place;
        let arms = arms.value;
        report.locate(Self { arms, sticky }, place)
    }
}

// === impl Combine ===

impl Combine {
    pub(crate) fn check(
        by: Located<CombineBy>,
        of: Option<Located<Vec<Located<String>>>>,
        weights: Option<Located<Vec<f64>>>,
        members_min: Option<Located<usize>>,
        report: &mut Report,
    ) -> Option<Located<Self>> {
        let place = by.place;
        let Some(of) = of else {
            let help = "add of = [\"FIRST\", \"SECOND\"], the models that are put together";
            report.missing(place, "`combine` needs the key `of`", help);
            return None;
        };
        if let Some(least) = members_min.as_ref().filter(|least| ***least > of.len()) {
            let (least, place, all) = (least.value, least.place, of.len());
            let message = format!("`members_min` is {least}, and `of` has {all}");
            report.wrong(
                place,
                message,
                format!("write members_min = {all}, or less"),
            );
            return None;
        }
        if let Some(weights) = &weights {
            if weights.len() != of.len() {
                let (given, needed) = (weights.len(), of.len());
                let message = format!("there are {given} weights for {needed} in `of`");
                let help = format!("write {needed} weights, one for each in `of`");
                report.wrong(weights.place, message, help);
                return None;
            }
            let weighed =
                |word: &CombineWord| matches!(word, CombineWord::Vote | CombineWord::Average);
            let used = match &by.value {
                CombineBy::Every(word) => weighed(word),
                CombineBy::Each(words) => words.iter().any(|word| weighed(&word.value)),
            };
            if !used {
                let message = "`weights` has no effect on `any` and `all`";
                report.wrong(weights.place, message, "remove it, or write \"vote\"");
            }
        }
        let combine = Self {
            by: by.value,
            of: of.value,
            weights,
            members_min,
        };
        Some(report.locate(combine, place))
    }
}

// === impl Route ===

impl Route {
    pub(crate) fn check(
        tensor: Located<String>,
        cases: Option<Located<Vec<Named<String>>>>,
        default: Option<Located<String>>,
        report: &mut Report,
    ) -> Option<Located<Self>> {
        let place = tensor.place;
        let cases = cases.map(|cases| cases.value).unwrap_or_default();
        if cases.is_empty() {
            let help = "add cases = { VALUE = \"MODEL\" }";
            report.missing(place, "`route` needs at least one of `cases`", help);
            return None;
        }
        let route = Self {
            tensor,
            cases,
            default,
        };
        Some(report.locate(route, place))
    }
}

// === impl Arms ===

impl Describe for Arms {
    fn wanted(&self) -> String {
        format!("{}, for at least two arms", self.0.wanted())
    }

    fn sample(&self) -> String {
        "{ v1 = 90, v2 = 10 }".to_owned()
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }
}

impl Rule for Arms {
    type Value = Vec<Named<u32>>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Self::Value> {
        let count = match found.value.get_ref() {
            DeValue::Table(arms) => arms.len(),
            _ => return found.refuse_type(self, report),
        };
        if count < 2 {
            return found.refuse(self, &format!("has {count}"), report);
        }
        let arms = self.0.read(found, report)?;
        // What is wrong with one of them has been said.
        (arms.len() == count).then_some(arms)
    }
}

// === impl CombineRule ===

impl CombineRule {
    pub(crate) const fn new() -> Self {
        Self {
            word: OneOf::new(),
            each: Map {
                keys: TENSOR,
                item: Keyed(OneOf::new()),
            },
        }
    }
}

impl Describe for CombineRule {
    fn wanted(&self) -> String {
        let words = self.word.wanted();
        format!("{words}, or a table with one of them for each output")
    }

    fn sample(&self) -> String {
        self.word.sample()
    }

    fn schema(&self) -> Json {
        let either = vec![self.word.schema(), self.each.schema()];
        Json::object([("oneOf", Json::List(either))])
    }

    fn words(&self) -> Vec<(&'static str, String)> {
        self.word.words()
    }
}

impl Rule for CombineRule {
    type Value = CombineBy;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<CombineBy> {
        match found.value.get_ref() {
            DeValue::Table(_) => self.each.read(found, report).map(CombineBy::Each),
            DeValue::String(_) => self.word.read(found, report).map(CombineBy::Every),
            _ => found.refuse_type(self, report),
        }
    }
}
