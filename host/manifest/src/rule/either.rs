//! Rules for values that may be written in two ways: a number or a word, one or a list.

use toml::de::DeValue;

use super::collection::List;
use super::number::Whole;
use super::text::VERSION_NUMBER;
use super::words::{OneOf, words};
use super::{Describe, Found, Rule};
use crate::json::Json;
use crate::place::Located;
use crate::report::Report;

/// A number that the manifest gives or leaves to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoOr<T> {
    /// The host finds the best one.
    Auto,
    /// This one.
    Fixed(T),
}

/// Which versions in a model's folder are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// The one with the highest number.
    Latest,
    /// All that there are.
    All,
    /// These.
    Only(Vec<Located<u64>>),
}

/// A whole number, or `"auto"`.
pub(crate) struct OrAuto<T>(pub(crate) Whole<T>);

/// A value, or a list of such values.
pub(crate) struct OneOrMany<R>(pub(crate) List<R>);

/// `"latest"`, `"all"` or a list of version numbers.
pub(crate) struct VersionChoice;

const VERSION_LIST: List<super::text::Text<u64>> = List {
    item: VERSION_NUMBER,
    min: 1,
    max: 256,
};

words! {
    /// Versions that have no number.
    pub(crate) enum VersionWord {
        /// The one with the highest number; updates when a higher one appears.
        Latest = "latest",
        /// All that there are; each is asked for by its number.
        All = "all",
    }
}

fn either(one: Json, other: Json) -> Json {
    Json::object([("oneOf", Json::List(vec![one, other]))])
}

// === impl AutoOr ===

impl<T> AutoOr<T> {
    /// The number, if the manifest gives it.
    pub fn fixed(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::Fixed(number) => Some(number),
        }
    }
}

// === impl OrAuto ===

impl<T> Describe for OrAuto<T> {
    fn wanted(&self) -> String {
        format!("{}, or \"auto\"", self.0.wanted())
    }

    fn sample(&self) -> String {
        self.0.sample()
    }

    fn schema(&self) -> Json {
        let word = Json::object([("const", Json::text("auto"))]);
        either(self.0.schema(), word)
    }
}

impl<T: TryFrom<u64>> Rule for OrAuto<T> {
    type Value = AutoOr<T>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<AutoOr<T>> {
        match found.value.get_ref() {
            DeValue::String(text) if text == "auto" => Some(AutoOr::Auto),
            DeValue::Integer(_) => self.0.read(found, report).map(AutoOr::Fixed),
            _ => found.refuse_type(self, report),
        }
    }
}

// === impl OneOrMany ===

impl<R: Rule> Describe for OneOrMany<R> {
    fn wanted(&self) -> String {
        format!("{}, or {}", self.0.item.wanted(), self.0.wanted())
    }

    fn sample(&self) -> String {
        self.0.item.sample()
    }

    fn schema(&self) -> Json {
        either(self.0.item.schema(), self.0.schema())
    }
}

impl<R: Rule<Value: PartialEq>> Rule for OneOrMany<R> {
    type Value = Vec<Located<R::Value>>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Self::Value> {
        if matches!(found.value.get_ref(), DeValue::Array(_)) {
            return self.0.read(found, report);
        }
        let value = self.0.item.read(found, report)?;
        Some(vec![report.locate(value, found.value.span().into())])
    }
}

// === impl VersionChoice ===

impl Describe for VersionChoice {
    fn wanted(&self) -> String {
        let words = OneOf::<VersionWord>::new().wanted();
        format!("{words}, or {}", VERSION_LIST.wanted())
    }

    fn sample(&self) -> String {
        OneOf::<VersionWord>::new().sample()
    }

    fn schema(&self) -> Json {
        either(OneOf::<VersionWord>::new().schema(), VERSION_LIST.schema())
    }

    fn words(&self) -> Vec<(&'static str, String)> {
        OneOf::<VersionWord>::new().words()
    }
}

impl Rule for VersionChoice {
    type Value = Versions;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Versions> {
        match found.value.get_ref() {
            DeValue::Array(_) => VERSION_LIST.read(found, report).map(Versions::Only),
            DeValue::String(text) if text == "latest" => Some(Versions::Latest),
            DeValue::String(text) if text == "all" => Some(Versions::All),
            _ => found.refuse_type(self, report),
        }
    }
}
