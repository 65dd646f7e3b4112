//! The JSON Schema and the reference, both made of the same tables of keys as the parser.

use std::fmt::Write;

use crate::json::Json;
use crate::keys::root::Root;
use crate::rule::key_text;
use crate::section::{Doc, Key, Need};

/// A JSON Schema (2020-12) of manifests, for editors: completion, documentation on hover
/// and most of the checks.
pub fn json_schema() -> String {
    let dialect = "https://json-schema.org/draft/2020-12/schema";
    let head = Json::object([
        ("$schema", Json::text(dialect)),
        ("title", Json::text("Consort manifest")),
    ]);
    let schema = match Doc::table::<Root>().schema() {
        Json::Object(keys) => keys,
        _ => Vec::new(),
    };
    let schema = schema
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()));
    head.with(schema).pretty() + "\n"
}

/// The reference of all keys, as Markdown.
pub fn reference() -> String {
    let mut sections = Vec::new();
    collect(String::new(), Doc::table::<Root>(), &mut sections);
    let mut text = String::from("# The manifest\n");
    for (index, (header, doc)) in sections.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = render(&mut text, header, doc, first_like(&sections, index));
    }
    text
}

/// Lists a table and the tables inside it.
fn collect(header: String, doc: Doc, sections: &mut Vec<(String, Doc)>) {
    let inner: Vec<_> = doc
        .keys
        .iter()
        .filter_map(|key| nested(&header, key))
        .collect();
    sections.push((header, doc));
    for (header, doc) in inner {
        collect(header, doc, sections);
    }
}

fn nested(header: &str, key: &Key) -> Option<(String, Doc)> {
    let inside = if header.is_empty() {
        key.name.to_owned()
    } else {
        format!("{header}.{}", key_text(key.name))
    };
    key.rule.nested(&inside)
}

/// The shortest header of a table with the same keys, if that is not its own.
fn first_like(sections: &[(String, Doc)], index: usize) -> Option<&str> {
    let (header, doc) = sections.get(index)?;
    let same = sections
        .iter()
        .filter(|(_, other)| other.about == doc.about);
    let (first, _) = same.min_by_key(|(header, _)| header.len())?;
    (first != header).then_some(first)
}

fn render(text: &mut String, header: &str, doc: &Doc, same_as: Option<&str>) -> std::fmt::Result {
    match (header, doc.repeated) {
        ("", _) => {}
        (header, false) => write!(text, "\n## `[{header}]`\n")?,
        (header, true) => write!(text, "\n## `[[{header}]]`\n")?,
    }
    writeln!(text, "\n{}", doc.about)?;
    if let Some(same_as) = same_as {
        return writeln!(text, "\nThe keys are those of `[{same_as}]`.");
    }
    let plain = doc.keys.iter().filter(|key| nested(header, key).is_none());
    let mut rows = plain.peekable();
    if rows.peek().is_some() {
        writeln!(
            text,
            "\n| key | value | if left out | meaning |\n|---|---|---|---|"
        )?;
    }
    for key in rows {
        let (value, missing, mut meaning) = (
            key.rule.wanted(),
            match key.need {
                Need::Required => "an error".to_owned(),
                Need::Optional => String::new(),
                Need::Default(value) => format!("`{value}`"),
            },
            key.about.clone(),
        );
        for (word, about) in key.rule.words() {
            write!(meaning, " `{word}`: {about}")?;
        }
        let cells = [value, missing, meaning].map(|cell| cell.replace('|', "\\|"));
        writeln!(text, "| `{}` | {} |", key.name, cells.join(" | "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use toml::de::{DeTable, DeValue};

    use super::*;

    /// Every key of `doc` is in one of the tables, and so are the keys inside it.
    fn check(header: &str, doc: &Doc, tables: &[&DeTable<'_>], checked: &mut usize) {
        for key in &doc.keys {
            let values = tables.iter().filter_map(|table| table.get(key.name));
            let values: Vec<&DeValue<'_>> = values.map(|value| value.get_ref()).collect();
            assert!(
                !values.is_empty(),
                "{header}: `{}` is in no example",
                key.name
            );
            *checked += 1;
            let Some((inner, doc)) = nested(header, key) else {
                continue;
            };
            let mut inside: Vec<&DeTable<'_>> = Vec::new();
            for value in values {
                match value {
                    DeValue::Table(names)
                        if inner.ends_with(".NAME") || inner.ends_with(".TENSOR") =>
                    {
                        inside.extend(names.values().filter_map(|v| v.get_ref().as_table()));
                    }
                    DeValue::Table(table) => inside.push(table),
                    DeValue::Array(items) => {
                        inside.extend(items.iter().filter_map(|v| v.get_ref().as_table()));
                    }
                    other => panic!("{header}: {other:?}"),
                }
            }
            // A plugin's limits are those of [limits], which are checked there.
            if inner != "plugin.NAME.limits" {
                check(&inner, &doc, &inside, checked);
            }
        }
    }

    #[test]
    fn the_example_has_every_key() {
        let table = DeTable::parse(include_str!("../tests/valid/every-key.toml")).unwrap();
        let mut checked = 0;
        check("", &Doc::table::<Root>(), &[table.get_ref()], &mut checked);
        assert!(checked > 130, "only {checked} keys were found");
    }

    #[test]
    fn every_key_is_documented() {
        let mut sections = Vec::new();
        collect(String::new(), Doc::table::<Root>(), &mut sections);
        for (header, doc) in &sections {
            assert!(doc.about.ends_with('.'), "{header}: {:?}", doc.about);
            for key in &doc.keys {
                let about = &key.about;
                assert!(
                    about.ends_with(['.', '}', '`']),
                    "{header}.{}: {about:?}",
                    key.name
                );
                for (word, about) in key.rule.words() {
                    assert!(
                        about.ends_with('.'),
                        "{header}.{}: {word}: {about:?}",
                        key.name
                    );
                }
            }
        }
        assert_eq!(sections.len(), 21);
    }
}
