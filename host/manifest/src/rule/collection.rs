//! Rules made of rules: arrays, tables with names the user chooses, and tables of keys.

use std::marker::PhantomData;

use toml::de::{DeTable, DeValue};

use super::text::Text;
use super::{Describe, Found, Rule, by_place, join};
use crate::json::Json;
use crate::place::Located;
use crate::report::Report;
use crate::section::{Checked, Doc, Row, Section};

/// An array, each element by the same rule, none twice.
pub(crate) struct List<R> {
    pub(crate) item: R,
    pub(crate) min: usize,
    pub(crate) max: usize,
}

/// `[[section]]` once or more: an array of tables.
pub(crate) struct Repeated<C> {
    pub(crate) max: usize,
    pub(crate) of: Table<C>,
}

/// A table whose keys are names that the user chooses.
pub(crate) struct Map<R> {
    pub(crate) keys: Text<String>,
    pub(crate) item: R,
}

/// An entry of a [`Map`] with its name, for values that do not keep the name themselves.
pub(crate) struct Keyed<R>(pub(crate) R);

/// A name that the user chose and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T> {
    /// The name: the key in the manifest.
    pub name: Located<String>,
    /// What it stands for.
    pub value: Located<T>,
}

/// A table with the keys of a section.
pub(crate) struct Table<C>(PhantomData<C>);

// === impl List ===

impl<R: Rule> Describe for List<R> {
    fn wanted(&self) -> String {
        let item = self.item.wanted();
        match self.min {
            0 => format!("an array, each element {item}"),
            min => format!("an array of at least {min}, each element {item}"),
        }
    }

    fn sample(&self) -> String {
        match self.min {
            0 | 1 => format!("[{}]", self.item.sample()),
            _ => format!("[{}, ...]", self.item.sample()),
        }
    }

    fn schema(&self) -> Json {
        Json::object([
            ("type", Json::text("array")),
            ("items", self.item.schema()),
            ("minItems", Json::Int(self.min as i128)),
            ("maxItems", Json::Int(self.max as i128)),
            ("uniqueItems", Json::Bool(true)),
        ])
    }

    fn words(&self) -> Vec<(&'static str, String)> {
        self.item.words()
    }
}

impl<R: Rule<Value: PartialEq>> Rule for List<R> {
    type Value = Vec<Located<R::Value>>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Self::Value> {
        let DeValue::Array(items) = found.value.get_ref() else {
            return found.refuse_type(self, report);
        };
        let count = items.len();
        if count < self.min || count > self.max {
            let is = match count {
                0 => "is empty".to_owned(),
                count if count < self.min => format!("has {count}"),
                count => format!("has {count} elements, more than the {} allowed", self.max),
            };
            return found.refuse(self, &is, report);
        }
        let mut read: Vec<Located<R::Value>> = Vec::with_capacity(count);
        for (index, value) in items.iter().enumerate() {
            let path = format!("{}[{index}]", found.path);
            let item = true;
            let name = found.name;
            let path = path.as_str();
            let Some(new) = self.item.read(
                Found {
                    path,
                    name,
                    value,
                    item,
                },
                report,
            ) else {
                continue;
            };
            let new = report.locate(new, value.span().into());
            if read.iter().any(|old| old.value == new.value) {
                let message = format!("`{path}` repeats an earlier element");
                report.wrong(new.place, message, "remove one of the two");
            } else {
                read.push(new);
            }
        }
        Some(read)
    }
}

// === impl Repeated ===

impl<C: Checked> Describe for Repeated<C> {
    fn wanted(&self) -> String {
        "written with double brackets".to_owned()
    }

    fn sample(&self) -> String {
        self.of.sample()
    }

    fn schema(&self) -> Json {
        Json::object([
            ("type", Json::text("array")),
            ("items", self.of.schema()),
            ("minItems", Json::Int(1)),
            ("maxItems", Json::Int(self.max as i128)),
        ])
    }

    fn written(&self, path: &str, key: &str) -> String {
        format!("[[{}]]", join(path, key))
    }

    fn nested(&self, header: &str) -> Option<(String, Doc)> {
        Some((header.to_owned(), Doc::repeated::<C>()))
    }
}

impl<C: Checked> Rule for Repeated<C> {
    type Value = Vec<C>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Self::Value> {
        let DeValue::Array(items) = found.value.get_ref() else {
            let message = format!("`{}` is an array of tables", found.path);
            let help = format!("write [[{}]] with double brackets", found.path);
            report.wrong(found.place(report), message, help);
            return None;
        };
        let count = items.len();
        if count == 0 || count > self.max {
            let message = format!("`{}` has {count} entries", found.path);
            let help = format!("write [[{}]] 1 to {} times", found.path, self.max);
            report.wrong(found.place(report), message, help);
            return None;
        }
        let read = items.iter().filter_map(|value| {
            let item = true;
            let found = Found {
                value,
                item,
                ..found
            };
            self.of.read(found, report)
        });
        Some(read.collect())
    }
}

// === impl Map ===

impl<R: Rule> Describe for Map<R> {
    fn wanted(&self) -> String {
        format!("a table, each value {}", self.item.wanted())
    }

    fn sample(&self) -> String {
        format!("{{ {} = {} }}", self.keys.sample(), self.item.sample())
    }

    fn schema(&self) -> Json {
        Json::object([
            ("type", Json::text("object")),
            ("propertyNames", self.keys.key_schema()),
            ("additionalProperties", self.item.schema()),
        ])
    }

    fn written(&self, path: &str, key: &str) -> String {
        format!("[{}.{}]", join(path, key), self.keys.placeholder)
    }

    fn nested(&self, header: &str) -> Option<(String, Doc)> {
        let names = self.keys.placeholder;
        self.item.nested(&format!("{header}.{names}"))
    }
}

impl<R: Rule> Rule for Map<R> {
    type Value = Vec<R::Value>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Self::Value> {
        let table = match found.value.get_ref() {
            DeValue::Table(table) => table,
            other if self.nested("").is_some() => {
                let (path, is) = (found.path, super::shown(other));
                let message = format!("`{path}` must be a table of tables, but is {is}");
                let names = self.keys.placeholder;
                let help = format!("write [{path}.{names}] and its keys below it");
                report.wrong(found.place(report), message, help);
                return None;
            }
            _ => return found.refuse_type(self, report),
        };
        let mut read = Vec::new();
        for (key, value) in by_place(table) {
            let name = report.locate(key.get_ref().to_string(), key.span().into());
            let path = join(found.path, &name.value);
            if let Err(is) = self.keys.check(&name.value) {
                let wanted = self.keys.wanted();
                let message = format!("the key of `{path}` must be {wanted}, but {is}");
                let help = format!("choose another name, such as {}", self.keys.sample());
                report.wrong(name.place, message, help);
            }
            let entry = Found {
                path: &path,
                name: &name,
                value,
                item: false,
            };
            read.extend(self.item.read(entry, report));
        }
        Some(read)
    }
}

// === impl Keyed ===

impl<R: Rule> Describe for Keyed<R> {
    fn wanted(&self) -> String {
        self.0.wanted()
    }

    fn sample(&self) -> String {
        self.0.sample()
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }
}

impl<R: Rule> Rule for Keyed<R> {
    type Value = Named<R::Value>;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<Self::Value> {
        let value = self.0.read(found, report)?;
        Some(Named {
            name: found.name.clone(),
            value: report.locate(value, found.value.span().into()),
        })
    }
}

// === impl Table ===

impl<C> Table<C> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<C: Checked> Table<C> {
    /// Reads the keys of a table that is already known to be one.
    pub(crate) fn read_table(
        &self,
        table: &DeTable<'_>,
        found_at: (&str, &Located<String>, crate::Place),
        report: &mut Report,
    ) -> Option<C> {
        let (path, name, place) = found_at;
        let mut row = Row::new(path, name, place, table);
        let keys = C::Keys::read(&mut row, report);
        row.refuse_unknown(report);
        report.hiding(row.flawed, |report| C::check(keys?, report))
    }
}

impl<C: Checked> Describe for Table<C> {
    fn wanted(&self) -> String {
        "a table".to_owned()
    }

    fn sample(&self) -> String {
        let keys = C::Keys::keys();
        let required = keys.iter().filter(|key| key.is_required());
        let written: Vec<_> = required.map(|key| key.written("")).collect();
        match written.as_slice() {
            [] => "{}".to_owned(),
            written => format!("{{ {} }}", written.join(", ")),
        }
    }

    fn schema(&self) -> Json {
        Doc::table::<C>().schema()
    }

    fn written(&self, path: &str, key: &str) -> String {
        format!("[{}]", join(path, key))
    }

    fn nested(&self, header: &str) -> Option<(String, Doc)> {
        Some((header.to_owned(), Doc::table::<C>()))
    }
}

impl<C: Checked> Rule for Table<C> {
    type Value = C;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<C> {
        let place = found.place(report);
        match found.value.get_ref() {
            DeValue::Table(table) => {
                self.read_table(table, (found.path, found.name, place), report)
            }
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                let message = format!("`{}` is one table, not an array of tables", found.path);
                let help = format!("write [{}] with single brackets, once", found.path);
                report.wrong(place, message, help);
                None
            }
            other => {
                let is = super::shown(other);
                let path = found.path;
                let message = format!("`{path}` must be a table, but is {is}");
                let help = match (found.item, self.sample().as_str()) {
                    (true, _) => format!("write [[{path}]] and its keys below it"),
                    (false, "{}") => format!("write [{path}] and its keys below it"),
                    (false, sample) => format!("write {}", found.with(sample)),
                };
                report.wrong(place, message, help);
                None
            }
        }
    }
}
