//! Rules for lists of numbers whose order means something.

use toml::de::DeValue;

use super::collection::List;
use super::number::Whole;
use super::{Describe, Found, Rule, integer};
use crate::json::Json;
use crate::place::Located;
use crate::report::Report;

/// Whole numbers, each larger than the one before.
pub(crate) struct Rising(pub(crate) List<Whole<usize>>);

/// The lengths of a tensor's axes, -1 where any length will do.
pub(crate) struct Axes;

/// The most axes of a tensor.
const AXES_MAX: usize = 32;

// === impl Rising ===

impl Describe for Rising {
    fn wanted(&self) -> String {
        format!("an array of rising numbers, each {}", self.0.item.wanted())
    }

    fn sample(&self) -> String {
        "[8, 16, 32]".to_owned()
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }
}

impl Rule for Rising {
    type Value = Vec<Located<usize>>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Self::Value> {
        if !matches!(found.value.get_ref(), DeValue::Array(_)) {
            return found.refuse_type(self, report);
        }
        let numbers = self.0.read(found, report)?;
        let mut pairs = numbers.iter().zip(numbers.iter().skip(1));
        if let Some((before, after)) = pairs.find(|(before, after)| before.value > after.value) {
            let path = found.path;
            let message = format!(
                "the numbers of `{path}` must rise, but {} follows {}",
                after.value, before.value
            );
            let mut sorted: Vec<usize> = numbers.iter().map(|number| number.value).collect();
            sorted.sort_unstable();
            let help = format!("write {}", found.with(&format!("{sorted:?}")));
            report.wrong(after.place, message, help);
            return None;
        }
        Some(numbers)
    }
}

// === impl Axes ===

impl Describe for Axes {
    fn wanted(&self) -> String {
        format!("an array of up to {AXES_MAX} whole numbers, each -1 or more")
    }

    fn sample(&self) -> String {
        "[-1, 16]".to_owned()
    }

    fn schema(&self) -> Json {
        let length = Json::object([("type", Json::text("integer")), ("minimum", Json::Int(-1))]);
        Json::object([
            ("type", Json::text("array")),
            ("items", length),
            ("maxItems", Json::Int(AXES_MAX as i128)),
        ])
    }
}

impl Rule for Axes {
    type Value = Vec<i64>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Self::Value> {
        let length = |value: &DeValue<'_>| match value {
            DeValue::Integer(number) => i64::try_from(integer(number)).ok().filter(|n| *n >= -1),
            _ => None,
        };
        let axes = match found.value.get_ref() {
            DeValue::Array(items) if items.len() <= AXES_MAX => {
                items.iter().map(|item| length(item.get_ref())).collect()
            }
            _ => None,
        };
        match axes {
            Some(axes) => Some(axes),
            None => found.refuse_type(self, report),
        }
    }
}
