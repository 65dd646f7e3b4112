//! Where a text is wrong, and so which of its tables nothing is wrong with: those are put
//! to work although the rest is not, to find out at once what else does not work.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeString, DeValue};

use crate::place::{Place, Source};

/// Everything that was found wrong, told or not.
#[derive(Default)]
pub(crate) struct Flaws {
    /// Where wrong things begin, in any order.
    starts: Vec<usize>,
    /// Parts of the text in which a line is no TOML: first byte and the byte after the
    /// last. What such a line would have said is unknown, so nothing near it is whole.
    broken: BTreeMap<usize, usize>,
}

/// Flaws in an order in which they can be looked up.
pub(crate) struct SortedFlaws(Flaws);

// === impl Flaws ===

impl Flaws {
    /// Something is wrong at a place.
    pub(crate) fn add(&mut self, place: Place) {
        self.starts.push(place.start);
    }

    /// The text is no TOML at a place. `hides` says whether keys may be lost because of
    /// it, or be taken for keys of the table before.
    pub(crate) fn add_broken(&mut self, place: Place, hides: bool, source: &Source) {
        let line = source.line(place.start);
        self.add_block(line, source);
        self.add_block(source.line(place.end).max(line), source);
        if hides && is_header(line, source) {
            self.add_block(line.saturating_sub(1), source);
        }
    }

    /// Adds the lines from one header to the next around a line.
    fn add_block(&mut self, line: usize, source: &Source) {
        let at = source.line_start(line);
        let before = self.broken.range(..=at).next_back();
        if before.is_some_and(|(_, end)| *end > at) {
            return;
        }
        let first = (0..=line).rev().find(|line| is_header(*line, source));
        let mut after = line + 1..source.line_count();
        let after = after.find(|line| is_header(*line, source));
        let start = source.line_start(first.unwrap_or_default());
        let end = source.line_start(after.unwrap_or(usize::MAX));
        self.broken.insert(start, end.max(at + 1));
    }

    pub(crate) fn sorted(mut self) -> SortedFlaws {
        self.starts.sort_unstable();
        SortedFlaws(self)
    }
}

// === impl SortedFlaws ===

impl SortedFlaws {
    /// Whether something is wrong with a key, its value or anything inside.
    pub(crate) fn touch(&self, key: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) -> bool {
        let inside = || match value.get_ref() {
            DeValue::Table(table) => table.iter().any(|(key, value)| self.touch(key, value)),
            DeValue::Array(items) => items.iter().any(|item| self.touch(key, item)),
            _ => false,
        };
        self.meet(key.span().into()) || self.meet(value.span().into()) || inside()
    }

    fn meet(&self, Place { start, end }: Place) -> bool {
        let end = end.max(start + 1);
        let Self(Flaws { starts, broken }) = self;
        let next = starts.partition_point(|flaw| *flaw < start);
        let wrong = starts.get(next).is_some_and(|flaw| *flaw < end);
        let block = broken.range(..end).next_back();
        wrong || block.is_some_and(|(_, block_end)| *block_end > start)
    }
}

/// Whether a line counted from 0 begins with a bracket, as `[section.name]` does. An array
/// over many lines may have such lines too; they only make a block smaller, and the array
/// lies in both.
fn is_header(line: usize, source: &Source) -> bool {
    source.line_text(line).trim_start().starts_with('[')
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::de::DeTable;

    const TEXT: &str = "\
a.x = 1
[b]
x = 1
y = { z = [1, 2] }
[c]
x = 1
[b.d]
x = 1
";

    /// The names at the top of [`TEXT`] that are touched.
    fn touched(find: &str, broken: Option<bool>) -> String {
        let source = Source::new("m.toml", TEXT);
        let start = TEXT.find(find).unwrap();
        let place = Place {
            start,
            end: start + find.len(),
        };
        let mut flaws = Flaws::default();
        match broken {
            None => flaws.add(place),
            Some(hides) => flaws.add_broken(place, hides, &source),
        }
        let flaws = flaws.sorted();
        let table = DeTable::parse(TEXT).unwrap();
        let names = table.get_ref().iter();
        let mut names: Vec<String> = names
            .filter(|(key, value)| flaws.touch(key, value))
            .map(|(key, _)| key.get_ref().to_string())
            .collect();
        names.sort();
        names.join(" ")
    }

    #[test]
    fn a_flaw_is_of_the_table_that_it_stands_in() {
        assert_eq!(touched("1", None), "a");
        assert_eq!(touched("2]", None), "b");
        assert_eq!(touched("c]", None), "c");
        assert_eq!(touched("d]", None), "b");
        assert_eq!(touched("[c", None), "c");
    }

    #[test]
    fn a_broken_line_is_of_the_whole_block() {
        assert_eq!(touched("a.x", Some(true)), "a");
        assert_eq!(touched("z =", Some(true)), "b");
        assert_eq!(touched("[c]", Some(true)), "b c");
        assert_eq!(touched("[c]", Some(false)), "c");
        assert_eq!(touched("[b.d]", Some(true)), "b c");
        assert_eq!(touched("1\n[b.d]", Some(false)), "b c");
    }
}
