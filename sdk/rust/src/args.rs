//! What is said about a run of a model beside its tensors.

use crate::Error;
use std::fmt;

#[cfg(target_family = "wasm")]
use crate::bindings::models;

/// What a caller said about a run beside its tensors, or what a plugin says to a model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Args(Vec<(String, ArgValue)>);

/// The value of one argument.
#[derive(Debug, Clone, PartialEq)]
pub enum ArgValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
}

// === impl Args ===

impl Args {
    /// No arguments.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// All values and their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &ArgValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of that name.
    pub fn value(&self, name: &str) -> Option<&ArgValue> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    /// A truth value, if it is given. Anything else is the caller's fault.
    pub fn bool(&self, name: &str) -> Result<Option<bool>, Error> {
        self.value(name)
            .map(|value| match value {
                ArgValue::Bool(value) => Ok(*value),
                other => Err(other.is_not(name, "true or false")),
            })
            .transpose()
    }

    /// A whole number, if it is given.
    pub fn int(&self, name: &str) -> Result<Option<i64>, Error> {
        self.value(name)
            .map(|value| match value {
                ArgValue::Int(value) => Ok(*value),
                other => Err(other.is_not(name, "a whole number")),
            })
            .transpose()
    }

    /// A number, if it is given; a whole one will do.
    pub fn float(&self, name: &str) -> Result<Option<f64>, Error> {
        self.value(name)
            .map(|value| match value {
                ArgValue::Float(value) => Ok(*value),
                ArgValue::Int(value) => Ok(*value as f64),
                other => Err(other.is_not(name, "a number")),
            })
            .transpose()
    }

    /// A text, if it is given.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        self.value(name)
            .map(|value| match value {
                ArgValue::Text(value) => Ok(value.as_str()),
                other => Err(other.is_not(name, "a text")),
            })
            .transpose()
    }
}

impl<N: Into<String>, V: Into<ArgValue>> FromIterator<(N, V)> for Args {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(args: I) -> Self {
        let pairs = args.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl<N: Into<String>, V: Into<ArgValue>, const LEN: usize> From<[(N, V); LEN]> for Args {
    fn from(args: [(N, V); LEN]) -> Self {
        args.into_iter().collect()
    }
}

// === impl ArgValue ===

impl ArgValue {
    fn is_not(&self, name: &str, expected: &str) -> Error {
        Error::invalid_input(format_args!(
            "argument \"{name}\" is {self}; {expected} is expected"
        ))
    }
}

impl fmt::Display for ArgValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}

macro_rules! values {
    ($($ty:ty => $variant:ident),*) => {
        $(impl From<$ty> for ArgValue {
            fn from(value: $ty) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

values!(bool => Bool, i64 => Int, f64 => Float, &str => Text, String => Text);

#[cfg(target_family = "wasm")]
impl Args {
    pub(crate) fn to_host(&self) -> Vec<models::Arg> {
        let args = self.iter().map(|(name, value)| models::Arg {
            name: name.to_owned(),
            value: value.clone().into(),
        });
        args.collect()
    }
}

#[cfg(target_family = "wasm")]
impl From<ArgValue> for models::ArgValue {
    fn from(value: ArgValue) -> Self {
        match value {
            ArgValue::Bool(value) => Self::Bool(value),
            ArgValue::Int(value) => Self::Int(value),
            ArgValue::Float(value) => Self::Float(value),
            ArgValue::Text(value) => Self::Text(value),
        }
    }
}

#[cfg(target_family = "wasm")]
impl From<models::ArgValue> for ArgValue {
    fn from(value: models::ArgValue) -> Self {
        match value {
            models::ArgValue::Bool(value) => Self::Bool(value),
            models::ArgValue::Int(value) => Self::Int(value),
            models::ArgValue::Float(value) => Self::Float(value),
            models::ArgValue::Text(value) => Self::Text(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_by_kind() {
        let args: Args = [
            ("k", ArgValue::from(3i64)),
            ("t", 0.5.into()),
            ("mode", "greedy".into()),
        ]
        .into();
        assert_eq!(args.int("k"), Ok(Some(3)));
        assert_eq!(args.float("k"), Ok(Some(3.0)));
        assert_eq!(args.float("t"), Ok(Some(0.5)));
        assert_eq!(args.text("mode"), Ok(Some("greedy")));
        assert_eq!(args.bool("none"), Ok(None));
        assert_eq!(
            args.int("mode").unwrap_err(),
            Error::InvalidInput(
                "argument \"mode\" is \"greedy\"; a whole number is expected".into()
            )
        );
        assert_eq!(Args::none().iter().len(), 0);
    }
}
