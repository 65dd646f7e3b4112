//! Where in the manifest's text something stands, and how to turn that into a line and a column.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A range of bytes in the manifest's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Place {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// A value and where the manifest says it, so that whoever finds out later that it does
/// not work (a missing file, a tensor that does not fit) can point at it.
#[derive(Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value itself; `Located` also dereferences to it.
    pub value: T,
    /// Where it is written, or where it could be written if it is a default.
    pub place: Place,
    /// Whether the manifest says it; `false` means it is a default.
    pub given: bool,
}

/// A line and a column, both counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// The manifest's text and the name of its file. Cheap to clone.
#[derive(Clone)]
pub struct Source(Arc<Text>);

struct Text {
    file: String,
    text: String,
    line_starts: Vec<usize>,
}

// === impl Place ===

impl From<std::ops::Range<usize>> for Place {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
        }
    }
}

// === impl Located ===

impl<T> Located<T> {
    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: change(self.value),
            place: self.place,
            given: self.given,
        }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Located<T> {
    /// Short, because a manifest has many: `2 @120..121`, or `2 (default)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)?;
        if self.given {
            write!(f, " @{}..{}", self.place.start, self.place.end)
        } else {
            f.write_str(" (default)")
        }
    }
}

// === impl Source ===

impl Source {
    /// Keeps `text`, which came from `file`.
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self(Arc::new(Text {
            file: file.to_owned(),
            text: text.to_owned(),
            line_starts,
        }))
    }

    /// The file's name as it was given to [`parse`](crate::parse).
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The text of a place, empty if the place is not in this text.
    pub fn slice(&self, place: Place) -> &str {
        self.0.text.get(place.start..place.end).unwrap_or_default()
    }

    /// The line and column of a byte. A byte past the end counts as the end.
    pub fn position(&self, byte: usize) -> Position {
        let byte = self.floor(byte);
        let line = self.line(byte);
        let before = self.0.text.get(self.line_start(line)..byte);
        Position {
            line: line + 1,
            column: before.unwrap_or_default().chars().count() + 1,
        }
    }

    /// `file:line:column` of a place.
    pub fn at(&self, place: Place) -> String {
        let Position { line, column } = self.position(place.start);
        format!("{}:{line}:{column}", self.0.file)
    }

    /// The line, counted from 0, on which a byte stands.
    pub(crate) fn line(&self, byte: usize) -> usize {
        let after = self.0.line_starts.partition_point(|start| *start <= byte);
        after.saturating_sub(1)
    }

    /// How many lines there are; the last may be empty.
    pub(crate) fn line_count(&self) -> usize {
        self.0.line_starts.len()
    }

    /// The first byte of a line counted from 0; past the last line, the end of the text.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        let starts = &self.0.line_starts;
        starts.get(line).copied().unwrap_or(self.0.text.len())
    }

    /// The text of a line counted from 0, without its end.
    pub(crate) fn line_text(&self, line: usize) -> &str {
        let range = self.line_start(line)..self.line_start(line + 1);
        let text = self.0.text.get(range).unwrap_or_default();
        let text = text.strip_suffix('\n').unwrap_or(text);
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// The byte, or the nearest earlier one that begins a character.
    pub(crate) fn floor(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.0.text.len());
        while !self.0.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?}, {} bytes)", self.file(), self.text().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("m.toml", "ä = 1\r\nb = 2\n");
        let at = |byte| {
            let Position { line, column } = source.position(byte);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 1), "inside a character counts as its beginning");
        assert_eq!(at(2), (1, 2));
        assert_eq!(at(8), (2, 1));
        assert_eq!(at(14), (3, 1));
        assert_eq!(at(999), (3, 1));
        assert_eq!(source.line_text(0), "ä = 1");
        assert_eq!(source.line_text(1), "b = 2");
        assert_eq!(source.line_text(2), "");
        assert_eq!(source.line_text(9), "");
        assert_eq!(source.at(Place { start: 8, end: 9 }), "m.toml:2:1");
        assert_eq!(source.slice(Place { start: 1, end: 2 }), "");
    }
}
