//! The outputs of an ensemble: a list of tensors, or a table of names for them.

use toml::de::DeValue;

use crate::json::Json;
use crate::report::Report;
use crate::rule::collection::{Keyed, List, Map, Named};
use crate::rule::text::{TENSOR, Text};
use crate::rule::{Describe, Found, Rule};

/// Each output's name, and the tensor that it is.
pub(crate) struct Outputs {
    list: List<Text<String>>,
    table: Map<Keyed<Text<String>>>,
}

// === impl Outputs ===

impl Outputs {
    pub(crate) const fn new(list: List<Text<String>>) -> Self {
        let table = Map {
            keys: TENSOR,
            item: Keyed(TENSOR),
        };
        Self { list, table }
    }
}

impl Describe for Outputs {
    fn wanted(&self) -> String {
        format!("{}, or {}", self.list.wanted(), self.table.wanted())
    }

    fn sample(&self) -> String {
        self.list.sample()
    }

    fn schema(&self) -> Json {
        let either = vec![self.list.schema(), self.table.schema()];
        Json::object([("oneOf", Json::List(either))])
    }
}

impl Rule for Outputs {
    type Value = Vec<Named<String>>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Self::Value> {
        let (is, named) = match found.value.get_ref() {
            DeValue::Table(table) if table.is_empty() => ("is empty", None),
            DeValue::Table(_) => return self.table.read(found, report),
            DeValue::Array(_) => ("", self.list.read(found, report)),
            _ => return found.refuse_type(self, report),
        };
        if !is.is_empty() {
            return found.refuse(self, is, report);
        }
        let own = |tensor| Named {
            name: Clone::clone(&tensor),
            value: tensor,
        };
        Some(named?.into_iter().map(own).collect())
    }
}
