//! Tables of keys. [`section!`] declares a struct and from it everything else: how its
//! keys are read, their JSON Schema and their reference. A key that is in one of them
//! is in all of them.

use toml::de::{DeTable, DeValue};

use crate::json::Json;
use crate::nearest::nearest;
use crate::place::{Located, Place};
use crate::problem::quoted;
use crate::report::Report;
use crate::rule::{Describe, Found, Rule, by_place, join, key_text};

/// The keys of one kind of table.
pub(crate) trait Section: Sized {
    /// Documentation of the table, line by line.
    const ABOUT: &'static [&'static str];

    /// Its keys, described.
    fn keys() -> Vec<Key>;

    /// Reads every key. None if a required one is missing or wrong.
    fn read(row: &mut Row<'_>, report: &mut Report) -> Option<Self>;
}

/// What a table means once its keys, each right by itself, are right together.
pub(crate) trait Checked: Sized {
    type Keys: Section;

    /// Checks the keys against each other.
    fn check(keys: Self::Keys, report: &mut Report) -> Option<Self>;

    /// What the schema says about keys together.
    fn schema_together() -> Vec<(&'static str, Json)> {
        Vec::new()
    }
}

/// One key as documentation.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) about: String,
    pub(crate) need: Need,
    pub(crate) rule: Box<dyn Describe>,
}

/// What happens when a key is left out.
pub(crate) enum Need {
    Required,
    Optional,
    /// It counts as this TOML.
    Default(&'static str),
}

/// A table of keys as documentation.
pub(crate) struct Doc {
    pub(crate) about: String,
    pub(crate) keys: Vec<Key>,
    pub(crate) repeated: bool,
    together: Vec<(&'static str, Json)>,
}

/// A table of keys in the text, being read.
pub(crate) struct Row<'a> {
    path: &'a str,
    name: &'a Located<String>,
    place: Place,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    /// Whether a key is there whose value could not be read.
    pub(crate) flawed: bool,
}

/// How one field of a section is filled.
pub(crate) trait Field {
    type Value;

    /// Its key as documentation; none if the field is not a key.
    fn key(self, name: &'static str, about: &[&str]) -> Option<Key>;

    /// Takes its value out of the row. None stops the whole section.
    fn take(self, key: &'static str, row: &mut Row<'_>, report: &mut Report)
    -> Option<Self::Value>;
}

/// The key must be there.
pub(crate) struct Required<R>(pub(crate) R);
/// The key may be left out.
pub(crate) struct Optional<R>(pub(crate) R);
/// The key may be left out and then counts as this TOML.
pub(crate) struct Default<R>(pub(crate) R, pub(crate) &'static str);
/// Not a key: the name under which the table stands.
pub(crate) struct OwnName;
/// Not a key: where the table begins.
pub(crate) struct OwnPlace;
/// Not a key: the dotted path of the table, for messages.
pub(crate) struct OwnPath;

/// How a key is written: as its field is called, unless it says otherwise.
macro_rules! written {
    ($key:ident) => {
        stringify!($key)
    };
    ($key:ident $written:literal) => {
        $written
    };
}
pub(crate) use written;

/// Declares a struct together with the keys of the table it is read from.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $vis:vis struct $Name:ident {
            $($(#[doc = $doc:literal])*
            $fvis:vis $key:ident $(as $written:literal)?: $Type:ty = $field:expr;)+
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $Name {
            $($(#[doc = $doc])* $fvis $key: $Type,)+
        }

        impl $crate::section::Section for $Name {
            const ABOUT: &'static [&'static str] = &[$($about),*];

            fn keys() -> Vec<$crate::section::Key> {
                let keys = [$($crate::section::key_of::<$Type, _>(
                    $field,
                    $crate::section::written!($key $($written)?),
                    &[$($doc),*],
                ),)+];
                keys.into_iter().flatten().collect()
            }

            fn read(
                row: &mut $crate::section::Row<'_>,
                report: &mut $crate::report::Report,
            ) -> Option<Self> {
                // Every key is read before any failure counts, so that all are reported.
                $(let $key: Option<$Type> =
                    $crate::section::Field::take(
                        $field,
                        $crate::section::written!($key $($written)?),
                        row,
                        report,
                    );)+
                Some(Self { $($key: $key?,)+ })
            }
        }
    };
}
pub(crate) use section;

/// Declares that the keys of a section need no check against each other.
macro_rules! independent {
    ($($Name:ident),+) => {$(
        impl $crate::section::Checked for $Name {
            type Keys = Self;

            fn check(keys: Self, _report: &mut $crate::report::Report) -> Option<Self> {
                Some(keys)
            }
        }
    )+};
}
pub(crate) use independent;

/// The key that a field of type `V` takes. Naming the type lets the rule be inferred.
pub(crate) fn key_of<V, F: Field<Value = V>>(
    field: F,
    name: &'static str,
    about: &[&str],
) -> Option<Key> {
    field.key(name, about)
}

/// Lines of a doc comment as one text.
pub(crate) fn prose(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

// === impl Key ===

impl Key {
    fn new(
        name: &'static str,
        about: &[&str],
        need: Need,
        rule: impl Describe + 'static,
    ) -> Option<Self> {
        Some(Self {
            name,
            about: prose(about),
            need,
            rule: Box::new(rule),
        })
    }

    pub(crate) fn is_required(&self) -> bool {
        matches!(self.need, Need::Required)
    }

    /// How the key is written, for whoever left it out.
    pub(crate) fn written(&self, path: &str) -> String {
        self.rule.written(path, self.name)
    }

    fn schema(&self) -> (String, Json) {
        let mut schema = self.rule.schema();
        if !self.about.is_empty() {
            schema = schema.with([("description", Json::text(&self.about))]);
        }
        if let Need::Default(text) = self.need
            && let Ok(value) = DeValue::parse(text)
        {
            let value = Json::from_toml(&value, 0, &mut |_, _| ());
            schema = schema.with([("default", value)]);
        }
        (self.name.to_owned(), schema)
    }
}

// === impl Doc ===

impl Doc {
    pub(crate) fn table<C: Checked>() -> Self {
        Self {
            about: prose(C::Keys::ABOUT),
            keys: C::Keys::keys(),
            repeated: false,
            together: C::schema_together(),
        }
    }

    pub(crate) fn repeated<C: Checked>() -> Self {
        Self {
            repeated: true,
            ..Self::table::<C>()
        }
    }

    pub(crate) fn schema(self) -> Json {
        let required = self.keys.iter().filter(|key| key.is_required());
        let required = Json::texts(required.map(|key| key.name));
        let properties = self.keys.iter().map(Key::schema).collect();
        Json::object([
            ("type", Json::text("object")),
            ("description", Json::text(&self.about)),
            ("properties", Json::Object(properties)),
            ("required", required),
            ("additionalProperties", Json::Bool(false)),
        ])
        .with(self.together)
    }
}

// === impl Row ===

impl<'a> Row<'a> {
    pub(crate) fn new(
        path: &'a str,
        name: &'a Located<String>,
        place: Place,
        table: &'a DeTable<'a>,
    ) -> Self {
        Self {
            path,
            name,
            place,
            table,
            known: Vec::new(),
            flawed: false,
        }
    }

    /// Reads the value of a key. The outer option says whether the key is there, the
    /// inner whether its value is right.
    fn read<R: Rule>(
        &mut self,
        key: &'static str,
        rule: &R,
        report: &mut Report,
    ) -> Option<Option<Located<R::Value>>> {
        self.known.push(key);
        let (written, value) = self.table.get_key_value(key)?;
        let found = Found {
            path: &join(self.path, key),
            name: &report.locate(key.to_owned(), written.span().into()),
            value,
            item: false,
        };
        let read = rule.read(found, report);
        self.flawed |= read.is_none();
        Some(read.map(|read| report.locate(read, value.span().into())))
    }

    /// Reports the keys that no field has asked for.
    pub(crate) fn refuse_unknown(&self, report: &mut Report) {
        for (key, value) in by_place(self.table) {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            if report.is_full() {
                report.wrong(key.span().into(), "", "");
                continue;
            }
            let inside = match self.path {
                "" => "at the top of the manifest".to_owned(),
                path => format!("in `{path}`"),
            };
            let message = format!("unknown key {} {inside}", quoted(name));
            let list = self.known.join(", ");
            let help = match nearest(name, self.known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`? The keys are: {list}"),
                None if value.get_ref().is_table() && self.path.contains('.') => format!(
                    "the keys are: {list}. A name with a dot needs quotes: \"{}.{}\"",
                    self.name.value,
                    key_text(name)
                ),
                None => format!("remove it; the keys are: {list}"),
            };
            report.wrong(key.span().into(), message, help);
        }
    }
}

// === impl Field ===

impl<R: Rule + 'static> Field for Required<R> {
    type Value = Located<R::Value>;

    fn key(self, name: &'static str, about: &[&str]) -> Option<Key> {
        Key::new(name, about, Need::Required, self.0)
    }

    fn take(
        self,
        key: &'static str,
        row: &mut Row<'_>,
        report: &mut Report,
    ) -> Option<Self::Value> {
        let read = row.read(key, &self.0, report);
        if read.is_none() {
            let message = match row.path {
                "" => format!("the manifest needs the key `{key}`"),
                path => format!("`{path}` needs the key `{key}`"),
            };
            let help = format!("add {}", self.0.written(row.path, key));
            report.missing(report.place(row.place), message, help);
        }
        read.flatten()
    }
}

impl<R: Rule + 'static> Field for Optional<R> {
    type Value = Option<Located<R::Value>>;

    fn key(self, name: &'static str, about: &[&str]) -> Option<Key> {
        Key::new(name, about, Need::Optional, self.0)
    }

    fn take(
        self,
        key: &'static str,
        row: &mut Row<'_>,
        report: &mut Report,
    ) -> Option<Self::Value> {
        // A wrong value is reported, and then counts as left out so that the rest of
        // the section is still checked.
        Some(row.read(key, &self.0, report).flatten())
    }
}

impl<R: Rule + 'static> Field for Default<R> {
    type Value = Located<R::Value>;

    fn key(self, name: &'static str, about: &[&str]) -> Option<Key> {
        Key::new(name, about, Need::Default(self.1), self.0)
    }

    fn take(
        self,
        key: &'static str,
        row: &mut Row<'_>,
        report: &mut Report,
    ) -> Option<Self::Value> {
        if let Some(Some(read)) = row.read(key, &self.0, report) {
            return Some(read);
        }
        let value = DeValue::parse(self.1).ok()?;
        let place = report.place(row.place);
        report.default_at(place, |report| {
            let found = Found {
                path: &join(row.path, key),
                name: &report.locate(key.to_owned(), place),
                value: &value,
                item: false,
            };
            let read = self.0.read(found, report)?;
            Some(report.locate(read, place))
        })
    }
}

impl Field for OwnName {
    type Value = Located<String>;

    fn key(self, _name: &'static str, _about: &[&str]) -> Option<Key> {
        None
    }

    fn take(self, _key: &'static str, row: &mut Row<'_>, _: &mut Report) -> Option<Self::Value> {
        Some(row.name.clone())
    }
}

impl Field for OwnPlace {
    type Value = Place;

    fn key(self, _name: &'static str, _about: &[&str]) -> Option<Key> {
        None
    }

    fn take(self, _key: &'static str, row: &mut Row<'_>, _: &mut Report) -> Option<Self::Value> {
        Some(row.place)
    }
}

impl Field for OwnPath {
    type Value = String;

    fn key(self, _name: &'static str, _about: &[&str]) -> Option<Key> {
        None
    }

    fn take(self, _key: &'static str, row: &mut Row<'_>, _: &mut Report) -> Option<Self::Value> {
        Some(row.path.to_owned())
    }
}
