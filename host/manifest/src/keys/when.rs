//! `when`: which examples a step runs on.

use crate::json::Json;
use crate::place::{Located, Place};
use crate::report::Report;
use crate::rule::collection::List;
use crate::rule::free::{Argument, Scalar};
use crate::rule::real::Finite;
use crate::rule::text::TENSOR;
use crate::rule::words::{OneOf, words};
use crate::section::{Checked, Default, Optional, OwnPath, OwnPlace, Required, section};

/// The most values of `one_of`.
const VALUES_MAX: usize = 1024;
/// The keys of which there is exactly one.
const TESTS: [&str; 5] = ["above", "below", "equals", "not_equals", "one_of"];

/// A question to a tensor of each example.
#[derive(Debug, Clone, PartialEq)]
pub struct When {
    /// The tensor's name in the ensemble.
    pub tensor: Located<String>,
    /// What of its elements is asked about.
    pub of: Located<WhenOf>,
    /// What is asked.
    pub test: Located<WhenTest>,
}

/// What is asked about an element.
#[derive(Debug, Clone, PartialEq)]
pub enum WhenTest {
    /// Whether it is a number above this one.
    Above(f64),
    /// Whether it is a number below this one.
    Below(f64),
    /// Whether it is this.
    Equals(Argument),
    /// Whether it is anything else.
    NotEquals(Argument),
    /// Whether it is one of these.
    OneOf(Vec<Argument>),
}

words! {
    /// Makes one thing of all elements of a tensor.
    pub enum WhenOf {
        /// The only element; a tensor with more or none is an error of its example.
        Only = "only",
        /// The largest number.
        Max = "max",
        /// The smallest number.
        Min = "min",
        /// The mean of the numbers.
        Mean = "mean",
        /// The test holds for at least one element.
        Any = "any",
        /// The test holds for all elements.
        All = "all",
    }
}

section! {
    /// A question to a tensor: `{ tensor = "score", of = "max", below = 0.8 }`. Exactly one of
    /// `above`, `below`, `equals`, `not_equals` and `one_of`.
    pub(crate) struct WhenKeys {
        /// Where the table is.
        place: Place = OwnPlace;
        /// The path of the table.
        path: String = OwnPath;
        /// The tensor, by its name in the ensemble.
        tensor: Located<String> = Required(TENSOR);
        /// What of its elements is asked about.
        of: Located<WhenOf> = Default(OneOf::new(), "\"only\"");
        /// Whether the number is above this one.
        above: Option<Located<f64>> = Optional(Finite);
        /// Whether the number is below this one.
        below: Option<Located<f64>> = Optional(Finite);
        /// Whether it is this.
        equals: Option<Located<Argument>> = Optional(Scalar);
        /// Whether it is anything else.
        not_equals: Option<Located<Argument>> = Optional(Scalar);
        /// Whether it is one of these.
        one_of: Option<Located<Vec<Located<Argument>>>> =
            Optional(List { item: Scalar, min: 1, max: VALUES_MAX });
    }
}

// === impl When ===

impl Checked for When {
    type Keys = WhenKeys;

    fn check(keys: WhenKeys, report: &mut Report) -> Option<Self> {
        let values = |list: Vec<Located<Argument>>| {
            WhenTest::OneOf(list.into_iter().map(|item| item.value).collect())
        };
        let tests = [
            keys.above.map(|key| key.map(WhenTest::Above)),
            keys.below.map(|key| key.map(WhenTest::Below)),
            keys.equals.map(|key| key.map(WhenTest::Equals)),
            keys.not_equals.map(|key| key.map(WhenTest::NotEquals)),
            keys.one_of.map(|key| key.map(values)),
        ];
        let mut tests = TESTS
            .iter()
            .zip(tests)
            .filter_map(|(key, test)| Some((key, test?)));
        let path = &keys.path;
        match (tests.next(), tests.next()) {
            (Some((_, test)), None) => Some(Self {
                tensor: keys.tensor,
                of: keys.of,
                test,
            }),
            (Some((first, _)), Some((second, test))) => {
                let message = format!("`{path}` asks both `{first}` and `{second}`");
                report.wrong(test.place, message, "keep one of them, or make two steps");
                None
            }
            _ => {
                let message = format!("`{path}` asks nothing");
                let help = "add above = 0.5, below = 0.5, equals = ..., not_equals = ... or one_of = [...]";
                report.missing(keys.place, message, help);
                None
            }
        }
    }

    fn schema_together() -> Vec<(&'static str, Json)> {
        let needs = |key| Json::object([("required", Json::texts([key]))]);
        vec![("oneOf", Json::List(TESTS.map(needs).into()))]
    }
}
