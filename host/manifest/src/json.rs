//! JSON with its keys in the order they were written, for the schema and for a plugin's
//! `config`. (serde_json's own map changes its order with a feature that another crate
//! may switch on, and a golden file must not depend on that.)

use serde::ser::{Serialize, SerializeMap, Serializer};
use toml::de::DeValue;

use crate::place::Place;
use crate::rule::{by_place, integer};

/// A configuration deeper than this is refused.
pub(crate) const DEPTH_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub(crate) fn object<const N: usize>(keys: [(&str, Json); N]) -> Self {
        Self::Object(keys.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// Adds keys at the end of an object.
    pub(crate) fn with<'a>(mut self, more: impl IntoIterator<Item = (&'a str, Json)>) -> Self {
        if let Self::Object(keys) = &mut self {
            keys.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
        }
        self
    }

    /// A TOML value as JSON. Dates become text; what JSON cannot say is handed to
    /// `refuse`, and something else stands for it.
    pub(crate) fn from_toml(
        value: &toml::Spanned<DeValue<'_>>,
        depth: usize,
        refuse: &mut dyn FnMut(Place, &'static str),
    ) -> Self {
        let place = Place::from(value.span());
        if depth >= DEPTH_MAX {
            refuse(place, "is nested too deeply");
            return Self::Bool(false);
        }
        match value.get_ref() {
            DeValue::String(text) => Self::text(text.as_ref()),
            DeValue::Boolean(flag) => Self::Bool(*flag),
            DeValue::Integer(number) => {
                let number = integer(number);
                if i64::try_from(number).is_err() {
                    refuse(place, "does not fit in 64 bits");
                }
                Self::Int(number)
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok().filter(|n: &f64| n.is_finite());
                if number.is_none() {
                    refuse(place, "is not a number that JSON has");
                }
                Self::Float(number.unwrap_or_default())
            }
            DeValue::Datetime(date) => Self::text(date.to_string()),
            DeValue::Array(items) => {
                let items = items.iter();
                Self::List(
                    items
                        .map(|item| Self::from_toml(item, depth + 1, refuse))
                        .collect(),
                )
            }
            DeValue::Table(table) => {
                let keys = by_place(table).into_iter().map(|(key, value)| {
                    let value = Self::from_toml(value, depth + 1, refuse);
                    (key.get_ref().to_string(), value)
                });
                Self::Object(keys.collect())
            }
        }
    }

    /// On one line.
    pub(crate) fn compact(&self) -> String {
        // Writing to memory cannot fail, and every key is text.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Over many lines, for people.
    pub(crate) fn pretty(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i128(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(keys) => {
                let mut map = serializer.serialize_map(Some(keys.len()))?;
                for (key, value) in keys {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
