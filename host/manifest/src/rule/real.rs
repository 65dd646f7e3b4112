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
        let number = match found.value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            // No range is so wide that a rounded number could slip in.
            DeValue::Integer(number) => Some(integer(number) as f64),
            _ => None,
        };
        // Neither NaN nor infinity is within any range.
        match number.filter(|number| (self.min..=self.max).contains(number)) {
            Some(number) => Some(number),
            None => found.refuse_type(self, report),
        }
    }
}
