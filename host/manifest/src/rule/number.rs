//! Rules for numbers: flags, whole numbers and sizes in bytes.

use std::marker::PhantomData;

use toml::de::DeValue;

use super::{Describe, Found, Rule, integer};
use crate::json::Json;
use crate::report::Report;

/// `true` or `false`.
pub(crate) struct Flag;

/// A whole number within a range.
pub(crate) struct Whole<T> {
    min: u64,
    max: u64,
    sample: u64,
    of: PhantomData<T>,
}

/// A number of bytes: a whole number, or a text such as `"64 MiB"`.
pub(crate) struct Bytes {
    min: u64,
    max: u64,
}

/// The units of a size, largest first.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

// === impl Flag ===

impl Describe for Flag {
    fn wanted(&self) -> String {
        "true or false".to_owned()
    }

    fn sample(&self) -> String {
        "true".to_owned()
    }

    fn schema(&self) -> Json {
        Json::object([("type", Json::text("boolean"))])
    }
}

impl Rule for Flag {
    type Value = bool;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<bool> {
        match found.value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => found.refuse_type(self, report),
        }
    }
}

// === impl Whole ===

impl<T> Whole<T> {
    /// From `min` to `max`, both included; `sample` is what a message proposes.
    pub(crate) const fn new(min: u64, max: u64, sample: u64) -> Self {
        Self {
            min,
            max,
            sample,
            of: PhantomData,
        }
    }
}

impl<T> Describe for Whole<T> {
    fn wanted(&self) -> String {
        format!("a whole number from {} to {}", self.min, self.max)
    }

    fn sample(&self) -> String {
        self.sample.to_string()
    }

    fn schema(&self) -> Json {
        Json::object([
            ("type", Json::text("integer")),
            ("minimum", Json::Int(self.min.into())),
            ("maximum", Json::Int(self.max.into())),
        ])
    }
}

impl<T: TryFrom<u64>> Rule for Whole<T> {
    type Value = T;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<T> {
        let DeValue::Integer(number) = found.value.get_ref() else {
            return found.refuse_type(self, report);
        };
        let within = within(integer(number), self.min, self.max);
        match within.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(number),
            None => {
                let bound = nearest_bound(integer(number), self.min, self.max);
                refuse_range(self, &bound.to_string(), found, report)
            }
        }
    }
}

// === impl Bytes ===

impl Bytes {
    /// From `min` to `max` bytes, both included.
    pub(crate) const fn new(min: u64, max: u64) -> Self {
        Self { min, max }
    }

    /// Refuses a text that is no size.
    fn refuse_text<T>(&self, text: &str, found: Found<'_>, report: &mut Report) -> Option<T> {
        let is = "is a text without one of the units B, KiB, MiB, GiB, TiB";
        let Some(mended) = mended_size(text) else {
            return found.refuse(self, is, report);
        };
        let message = format!("`{}` must be {}, but {is}", found.path, self.wanted());
        let help = format!("write {}", found.with(&format!("\"{mended}\"")));
        report.wrong(found.place(report), message, help);
        None
    }
}

impl Describe for Bytes {
    fn wanted(&self) -> String {
        format!(
            "a number of bytes from {} to {}",
            human(self.min),
            human(self.max)
        )
    }

    fn sample(&self) -> String {
        let sample = (64 << 20_u64).clamp(self.min, self.max);
        format!("\"{}\"", human(sample))
    }

    fn schema(&self) -> Json {
        let number = Whole::<u64>::new(self.min, self.max, self.min).schema();
        let text = Json::object([
            ("type", Json::text("string")),
            ("pattern", Json::text("^[0-9]+ ?(TiB|GiB|MiB|KiB|B)$")),
        ]);
        Json::object([("oneOf", Json::List(vec![number, text]))])
    }
}

impl Rule for Bytes {
    type Value = u64;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<u64> {
        let number = match found.value.get_ref() {
            DeValue::Integer(number) => integer(number),
            DeValue::String(text) => match parse_size(text) {
                Some(number) => number,
                None => {
                    return self.refuse_text(text, found, report);
                }
            },
            _ => return found.refuse_type(self, report),
        };
        match within(number, self.min, self.max) {
            Some(number) => Some(number),
            None => {
                let bound = human(nearest_bound(number, self.min, self.max));
                refuse_range(self, &format!("\"{bound}\""), found, report)
            }
        }
    }
}

/// The size that was probably meant by one with another unit, such as `64 MB` or `64M`.
fn mended_size(text: &str) -> Option<String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let prefix = unit.trim().chars().next()?.to_ascii_uppercase();
    let mended = format!("{number} {prefix}iB");
    parse_size(&mended).map(|_| mended)
}

/// `64 MiB` or `64MiB`; none if it is no size.
fn parse_size(text: &str) -> Option<i128> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let number: i128 = number.parse().ok()?;
    Some(number.saturating_mul(i128::from(*bytes)))
}

/// A size in the largest unit that says it exactly.
pub(crate) fn human(bytes: u64) -> String {
    let exact = |unit: &&(&str, u64)| bytes >= unit.1 && bytes.is_multiple_of(unit.1);
    let (name, unit) = UNITS.iter().find(exact).unwrap_or(&("B", 1));
    format!("{} {name}", bytes / unit)
}

fn within(number: i128, min: u64, max: u64) -> Option<u64> {
    let number = u64::try_from(number).ok()?;
    (min..=max).contains(&number).then_some(number)
}

/// The end of the range on the side where the number lies.
fn nearest_bound(number: i128, min: u64, max: u64) -> u64 {
    if number < i128::from(min) { min } else { max }
}

fn refuse_range<R: Rule, T>(
    rule: &R,
    bound: &str,
    found: Found<'_>,
    report: &mut Report,
) -> Option<T> {
    let is = super::shown(found.value.get_ref());
    let message = format!("`{}` must be {}, but is {is}", found.path, rule.wanted());
    let help = format!("write {}", found.with(bound));
    report.wrong(found.place(report), message, help);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0 B", 0),
            ("12B", 12),
            ("1 KiB", 1024),
            ("64MiB", 64 << 20),
            ("2 GiB", 2 << 30),
            ("1 TiB", 1 << 40),
            ("170141183460469231731687303715884105727 KiB", i128::MAX),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "64",
            "MiB",
            "1.5 GiB",
            "-1 B",
            "1  KiB",
            "1 kb",
            "1 MB",
            " 1 B",
            "1 B ",
            &"9".repeat(60),
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        for (text, meant) in [
            ("256 MB", Some("256 MiB")),
            ("1g", Some("1 GiB")),
            ("5 kb", Some("5 KiB")),
            ("lots", None),
            ("1.5 GiB", None),
            ("7", None),
        ] {
            assert_eq!(mended_size(text).as_deref(), meant, "{text}");
        }
        assert_eq!(human(64 << 20), "64 MiB");
        assert_eq!(human(1), "1 B");
        assert_eq!(human(0), "0 B");
        assert_eq!(human(1536), "1536 B");
        assert_eq!(human(10 << 10), "10 KiB");
    }
}
