//! The rule for numbers that need not be whole.

use toml::de::DeValue;

use super::{Describe, Found, Rule, integer};
use crate::json::Json;
use crate::report::Report;

/// A number within a range.
pub(crate) struct Real {
    min: f64,
    max: f64,
    sample: &'static str,
}

/// Any number that is neither infinite nor NaN.
pub(crate) struct Finite;

// === impl Real ===

impl Real {
    /// From `min` to `max`, both included; `sample` is what a message proposes.
    pub(crate) const fn new(min: f64, max: f64, sample: &'static str) -> Self {
        Self { min, max, sample }
    }
}

impl Describe for Real {
    fn wanted(&self) -> String {
        format!("a number from {} to {}", self.min, self.max)
    }

    fn sample(&self) -> String {
        self.sample.to_owned()
    }

    fn schema(&self) -> Json {
        Json::object([
            ("type", Json::text("number")),
            ("minimum", Json::Float(self.min)),
            ("maximum", Json::Float(self.max)),
        ])
    }
}

impl Rule for Real {
    type Value = f64;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<f64> {
        // No range is so wide that a rounded number could slip in.
        let number = number(found.value.get_ref());
        // Neither NaN nor infinity is within any range.
        match number.filter(|number| (self.min..=self.max).contains(number)) {
            Some(number) => Some(number),
            None => found.refuse_type(self, report),
        }
    }
}

// === impl Finite ===

impl Describe for Finite {
    fn wanted(&self) -> String {
        "a number".to_owned()
    }

    fn sample(&self) -> String {
        "0.5".to_owned()
    }

    fn schema(&self) -> Json {
        Json::object([("type", Json::text("number"))])
    }
}

impl Rule for Finite {
    type Value = f64;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<f64> {
        match number(found.value.get_ref()).filter(|number| number.is_finite()) {
            Some(number) => Some(number),
            None => found.refuse_type(self, report),
        }
    }
}

/// The nearest number that a float can hold.
pub(crate) fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) => Some(integer(number) as f64),
        _ => None,
    }
}
