//! A number for each column, or one for all.

use consort_sdk::Error;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A number for each column, or one for all of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// The same for all.
    All(f64),
    /// One for each.
    Each(Vec<f64>),
}

// === impl Column ===

impl Column {
    /// How many columns it is for, where it is not for all.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::All(_) => None,
            Self::Each(numbers) => Some(numbers.len()),
        }
    }

    /// The number for each of so many columns.
    pub fn numbers(&self, columns: usize) -> Cow<'_, [f64]> {
        match self {
            Self::All(number) => vec![*number; columns].into(),
            Self::Each(numbers) => numbers.into(),
        }
    }

    /// The error names the first number that is not as expected, and the key.
    pub fn check(
        &self,
        key: &str,
        expected: &str,
        is_right: impl Fn(f64) -> bool,
    ) -> Result<(), Error> {
        let refuse = |number: f64, place: String| {
            Error::failed(format_args!(
                "`{key}`{place} is {number}; {expected} is expected"
            ))
        };
        match self {
            Self::All(number) if !is_right(*number) => Err(refuse(*number, String::new())),
            Self::All(_) => Ok(()),
            Self::Each(numbers) => {
                let wrong = numbers.iter().enumerate();
                match { wrong }.find(|(_, number)| !is_right(**number)) {
                    Some((at, number)) => Err(refuse(*number, format!(" for column {at}"))),
                    None => Ok(()),
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrNumbers;

        impl<'de> Visitor<'de> for NumberOrNumbers {
            type Value = Column;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a list of numbers")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Column, E> {
                Ok(Column::All(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Column, E> {
                Ok(Column::All(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Column, E> {
                Ok(Column::All(number as f64))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, numbers: A) -> Result<Column, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(numbers)).map(Column::Each)
            }
        }

        deserializer.deserialize_any(NumberOrNumbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stands_for_all() {
        let column = |text| serde_json::from_str::<Column>(text).unwrap();
        assert_eq!(column("2"), Column::All(2.0));
        assert_eq!(*column("-2.5").numbers(2), [-2.5, -2.5]);
        assert_eq!(*column("[1, 0.5]").numbers(2), [1.0, 0.5]);
        // The nearest number, and not its neighbour.
        let text = "31.245270191439438";
        assert_eq!(*column(text).numbers(1), [text.parse::<f64>().unwrap()]);
        assert_eq!((column("1").count(), column("[]").count()), (None, Some(0)));
    }

    #[test]
    fn a_wrong_number_is_named() {
        let check = |column: Column| {
            column
                .check("scale", "a number other than 0", |number| number != 0.0)
                .map_err(|error| error.to_string())
        };
        assert_eq!(check(Column::Each(vec![1.0, 2.0])), Ok(()));
        assert_eq!(
            check(Column::All(0.0)),
            Err("`scale` is 0; a number other than 0 is expected".to_owned())
        );
        assert_eq!(
            check(Column::Each(vec![1.0, 0.0])),
            Err("`scale` for column 1 is 0; a number other than 0 is expected".to_owned())
        );
    }
}
