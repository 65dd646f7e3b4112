//! Rules for lists of numbers whose order means something.

use toml::de::DeValue;

use super::collection::List;
use super::number::Whole;
use super::real::number;
use super::{Describe, Found, Rule, integer};
use crate::json::Json;
use crate::place::Located;
use crate::report::Report;

/// Whole numbers, each larger than the one before.
pub(crate) struct Rising(pub(crate) List<Whole<usize>>);

/// The lengths of a tensor's axes, -1 where any length will do.
pub(crate) struct Axes;

/// Numbers above zero, which may repeat.
pub(crate) struct Weights {
    pub(crate) max: usize,
}

/// The largest weight.
const WEIGHT_MAX: f64 = 1_000_000.0;
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

// === impl Weights ===

impl Describe for Weights {
    fn wanted(&self) -> String {
        let max = self.max;
        format!("an array of up to {max} numbers, each above 0 and at most {WEIGHT_MAX}")
    }

    fn sample(&self) -> String {
        "[1.0, 0.5]".to_owned()
    }

    fn schema(&self) -> Json {
        let weight = Json::object([
            ("type", Json::text("number")),
            ("minimum", Json::Int(0)),
            ("maximum", Json::Float(WEIGHT_MAX)),
        ]);
        Json::object([
            ("type", Json::text("array")),
            ("items", weight),
            ("minItems", Json::Int(1)),
            ("maxItems", Json::Int(self.max as i128)),
        ])
    }
}

impl Rule for Weights {
    type Value = Vec<f64>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Vec<f64>> {
        let weight = |value: &DeValue<'_>| {
            number(value).filter(|weight| *weight > 0.0 && *weight <= WEIGHT_MAX)
        };
        let weights: Option<Vec<f64>> = match found.value.get_ref() {
            DeValue::Array(items) if (1..=self.max).contains(&items.len()) => {
                items.iter().map(|item| weight(item.get_ref())).collect()
            }
            _ => None,
        };
        match weights {
            Some(weights) => Some(weights),
            None => found.refuse_type(self, report),
        }
    }
}
