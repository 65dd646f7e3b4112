//! From text to a tree of TOML, going on after errors where that is possible.

use std::collections::BTreeSet;

use toml::de::DeTable;
use toml_parser::lexer::TokenKind;

use crate::place::{Place, Source};
use crate::problem::{Problem, quoted};
use crate::report::Report;

/// A longer text is not a manifest.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
/// The most parts of a dotted key. The parser nests a table for each, without a limit of
/// its own, and a tree some hundred thousand tables deep cannot even be dropped.
const KEY_PARTS_MAX: usize = 16;

/// What the parser says when a key is there twice. It is the one error that hides nothing.
const DUPLICATE_KEY: &str = "duplicate key";

/// What the parser says when a line has a key and no equals sign. It is the one error
/// after which it reads no further.
const NO_VALUE: &str = "key with no value";

/// What to write instead, by the parser's description of the error.
const HELP: &[(&str, &str)] = &[
    (DUPLICATE_KEY, "remove it here, or where it was before"),
    (
        "string values must be quoted",
        "write a value, a text in quotes: \"...\"",
    ),
    (
        "cannot recurse further; max recursion depth met",
        "nest arrays and tables less deeply",
    ),
    ("invalid comment character", "remove it"),
    (NO_VALUE, "write key = value"),
    (
        "missing value for key",
        "write a value after the equals sign",
    ),
    ("missing value", "write a value after the equals sign"),
    ("unclosed table", "close the brackets: [section.name]"),
    (
        "unclosed array table",
        "close both brackets: [[section.name]]",
    ),
    ("unclosed array", "close the bracket with ]"),
    ("unclosed inline table", "close the brace with }"),
    (
        "missing comma between array elements",
        "put a comma between the values",
    ),
    (
        "missing comma between key-value pairs",
        "put a comma between the pairs",
    ),
    (
        "invalid basic string",
        "close the text with the same quotes on the same line",
    ),
    (
        "invalid literal string",
        "close the text with the same quotes on the same line",
    ),
    ("invalid unquoted key", "put the key in quotes: \"...\""),
    ("unexpected leading zero", "remove the zeros in front"),
];

/// What to write when the parser's words are in no table.
const HELP_ANYWAY: &str = "a line is key = value, or [section.name]";

/// Parses the text, reports syntax errors, and goes on to `read` what could be parsed in
/// spite of them.
pub(crate) fn parse<T>(
    source: &Source,
    report: &mut Report,
    read: impl FnOnce(&DeTable<'_>, &mut Report) -> Option<T>,
) -> Option<T> {
    if let Some(place) = too_many_parts(source.text()) {
        let message = format!("a key of more than {KEY_PARTS_MAX} parts");
        let help = "no key of a manifest has so many dots";
        report.syntax(Problem::new(place, message, help), true);
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let stops: BTreeSet<usize> = errors
        .iter()
        .filter(|error| description(error) == NO_VALUE)
        .map(|error| source.line(place(error, source).start))
        .collect();
    for error in errors {
        refuse(&error, source, report);
    }
    if stops.is_empty() {
        return read(table.get_ref(), report);
    }
    // Without those lines the parser gets to the end, and every place stays the same.
    let text = blank(source, &stops);
    let (table, errors) = DeTable::parse_recoverable(&text);
    for error in errors {
        refuse(&error, source, report);
    }
    read(table.get_ref(), report)
}

/// Reports an error of the parser. Reporting it twice does no harm.
fn refuse(error: &toml::de::Error, source: &Source, report: &mut Report) {
    let place = place(error, source);
    let description = description(error);
    let duplicate = description == DUPLICATE_KEY;
    let message = if duplicate {
        format!("the key {} is given twice", quoted(source.slice(place)))
    } else {
        format!("not TOML: {}", error.message())
    };
    let help = HELP.iter().find(|(known, _)| *known == description);
    let help = help.map_or(HELP_ANYWAY, |(_, help)| help);
    report.syntax(Problem::new(place, message, help), !duplicate);
}

fn place(error: &toml::de::Error, source: &Source) -> Place {
    let end = source.text().len();
    Place::from(error.span().unwrap_or(end..end))
}

/// What the parser says, without what it expected instead.
fn description(error: &toml::de::Error) -> &str {
    let said = error.message();
    said.split(", expected").next().unwrap_or(said)
}

/// The text with some lines, counted from 0, made of spaces.
fn blank(source: &Source, lines: &BTreeSet<usize>) -> String {
    let mut text = String::with_capacity(source.text().len());
    for (number, line) in source.text().split_inclusive('\n').enumerate() {
        if lines.contains(&number) {
            let end = if line.ends_with('\n') { "\n" } else { "" };
            text.extend(std::iter::repeat_n(' ', line.len() - end.len()));
            text.push_str(end);
        } else {
            text.push_str(line);
        }
    }
    text
}

/// Where a key has too many parts. Dots inside texts do not count, those of numbers do,
/// which is harmless: no number has so many.
fn too_many_parts(text: &str) -> Option<Place> {
    let mut dots = 0;
    for token in toml_parser::Source::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => dots += 1,
            TokenKind::Equals
            | TokenKind::Comma
            | TokenKind::Newline
            | TokenKind::LeftSquareBracket
            | TokenKind::RightSquareBracket
            | TokenKind::LeftCurlyBracket
            | TokenKind::RightCurlyBracket => dots = 0,
            _ => {}
        }
        if dots >= KEY_PARTS_MAX {
            let span = token.span();
            return Some(Place {
                start: span.start(),
                end: span.end(),
            });
        }
    }
    None
}
