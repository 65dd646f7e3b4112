//! What is wrong with a manifest, and how that is shown: like a compiler, with the line,
//! a caret under the fault, and what to write instead.

use std::collections::BTreeSet;
use std::fmt;

use crate::place::{Place, Source};

/// Carets and a help text share a line up to this many columns.
const LINE_COLUMNS_MAX: usize = 110;
/// A longer source line is cut around the fault.
const EXCERPT_CHARS_MAX: usize = 120;
/// What is kept before the fault when a line is cut.
const EXCERPT_CHARS_BEFORE: usize = 40;
/// The longest piece of the user's text that a message repeats.
const QUOTED_CHARS_MAX: usize = 64;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What the caret points at.
    pub place: Place,
    /// What is wrong: one line, without a full stop.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// Everything that is wrong with one manifest, in the order of its text, nothing twice.
///
/// `Display` renders all of it for a terminal.
#[derive(Clone)]
pub struct Problems {
    source: Source,
    problems: Vec<Problem>,
    untold: usize,
}

impl Problem {
    /// Says that what stands at `place` is wrong, and what to write instead.
    pub fn new(place: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            help: help.into(),
        }
    }
}

// === impl Problems ===

impl Problems {
    /// Puts problems of one text together.
    pub fn new(source: Source, problems: Vec<Problem>) -> Self {
        Self::with_untold(source, problems, 0)
    }

    /// As [`new`](Self::new), when `untold` further problems were only counted.
    pub(crate) fn with_untold(source: Source, mut problems: Vec<Problem>, untold: usize) -> Self {
        let mut seen = BTreeSet::new();
        problems.retain(|problem| seen.insert((problem.place, problem.message.clone())));
        problems.sort_by_key(|problem| problem.place);
        Self {
            source,
            problems,
            untold,
        }
    }

    /// Adds problems of the same text that were found later.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = Problem>) -> Self {
        self.problems.extend(more);
        Self::with_untold(self.source, self.problems, self.untold)
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The problems, in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.problems.iter()
    }

    /// How many there are, those that are not told included.
    pub fn count(&self) -> usize {
        self.problems.len() + self.untold
    }

    /// The text they are about.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for Problems {}

impl fmt::Debug for Problems {
    /// The same text as `Display`, so that `unwrap` in a test shows something useful.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            render(problem, &self.source, f)?;
            writeln!(f)?;
        }
        if self.untold > 0 {
            writeln!(f, "... and {} more, not shown\n", self.untold)?;
        }
        let plural = if self.count() == 1 { "" } else { "s" };
        let file = printable(self.source.file());
        write!(f, "{file}: {} problem{plural}", self.count())
    }
}

fn render(problem: &Problem, source: &Source, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Problem {
        place,
        message,
        help,
    } = problem;
    let start = source.floor(place.start);
    let line = source.line(start);
    let column = start.saturating_sub(source.line_start(line));
    let length = place.end.saturating_sub(start);
    let Excerpt {
        text,
        before,
        marks,
    } = excerpt(source.line_text(line), column, length);

    let number = (line + 1).to_string();
    let gutter = number.len();
    let carets = "^".repeat(marks);
    // Both may repeat words of the text.
    let (message, help) = (printable(message), printable(help));
    writeln!(f, "error: {message}")?;
    writeln!(f, "{:gutter$}--> {}", "", printable(&source.at(*place)))?;
    writeln!(f, "{:gutter$} |", "")?;
    writeln!(f, "{number} | {text}")?;
    write!(f, "{:gutter$} | {:before$}{carets}", "", "")?;
    let beside = gutter + 3 + before + marks + 7 + help.chars().count();
    if help.is_empty() {
        writeln!(f)
    } else if beside <= LINE_COLUMNS_MAX {
        writeln!(f, " help: {help}")
    } else {
        writeln!(f, "\n{:gutter$} = help: {help}", "")
    }
}

/// A source line as shown, and where the carets go under it.
struct Excerpt {
    text: String,
    before: usize,
    marks: usize,
}

/// Makes a line fit to be shown: tabs become spaces, control characters are made
/// visible, and a very long line is cut around the fault.
fn excerpt(line: &str, column: usize, length: usize) -> Excerpt {
    let head = line.get(..column).unwrap_or(line);
    let fault = line.get(column..).unwrap_or_default();
    let end = (0..=length.min(fault.len())).rev();
    let fault_length = end.into_iter().find(|end| fault.is_char_boundary(*end));
    let (fault, tail) = fault.split_at(fault_length.unwrap_or_default());

    // A line may be as long as the whole text: look only at what can be shown.
    let head = printable(last_chars(head, EXCERPT_CHARS_MAX + 1));
    let fault = printable(first_chars(fault, EXCERPT_CHARS_MAX + 1));
    let tail = printable(first_chars(tail, EXCERPT_CHARS_MAX + 1));
    let head_chars = head.chars().count();
    let (head, cut_before) = if head_chars + fault.chars().count() > EXCERPT_CHARS_MAX {
        let skip = head_chars.saturating_sub(EXCERPT_CHARS_BEFORE);
        let kept: String = head.chars().skip(skip).collect();
        (kept, skip > 0)
    } else {
        (head, false)
    };
    let before = head.chars().count() + if cut_before { 3 } else { 0 };
    let room = EXCERPT_CHARS_MAX.saturating_sub(before);
    let rest_chars = fault.chars().chain(tail.chars()).count();
    let rest: String = fault.chars().chain(tail.chars()).take(room).collect();
    let (dots_before, dots_after) = (
        if cut_before { "..." } else { "" },
        if rest_chars > room { "..." } else { "" },
    );
    Excerpt {
        text: format!("{dots_before}{head}{rest}{dots_after}"),
        before,
        marks: fault.chars().count().clamp(1, room.max(1)),
    }
}

fn first_chars(text: &str, count: usize) -> &str {
    let end = text.char_indices().nth(count);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

fn last_chars(text: &str, count: usize) -> &str {
    let start = text.char_indices().rev().take(count).last();
    start
        .and_then(|(start, _)| text.get(start..))
        .unwrap_or(text)
}

/// Text that may be sent to a terminal: no control characters.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\t' => shown.push_str("    "),
            // Marks that reorder text could make a line look like another one.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.push('\u{fffd}'),
            control if control.is_control() => shown.push('\u{fffd}'),
            other => shown.push(other),
        }
    }
    shown
}

/// The user's own words inside a message: shortened, and never a control character.
pub(crate) fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let shown: String = chars.by_ref().take(QUOTED_CHARS_MAX).collect();
    let dots = if chars.next().is_some() { "..." } else { "" };
    format!("`{}{dots}`", printable(&shown.replace('\n', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, start: usize, end: usize, help: &str) -> String {
        let source = Source::new("m.toml", text);
        let problem = Problem::new(Place { start, end }, "it is wrong", help);
        Problems::new(source, vec![problem]).to_string()
    }

    #[test]
    fn looks_like_a_compiler_error() {
        assert_eq!(
            rendered("consort = 1\nreplicas = \"two\"\n", 23, 28, "write 2"),
            "error: it is wrong\n --> m.toml:2:12\n  |\n2 | replicas = \"two\"\n  |            ^^^^^ help: write 2\n\nm.toml: 1 problem"
        );
    }

    #[test]
    fn a_long_help_gets_its_own_line() {
        let help = "known keys: ".repeat(10);
        let text = rendered("a = 1", 0, 1, &help);
        assert!(
            text.contains("\n1 | a = 1\n  | ^\n  = help: known"),
            "{text}"
        );
    }

    #[test]
    fn any_place_can_be_shown() {
        let long = format!("key = \"{}ä\" # {}", "x".repeat(4000), "y".repeat(4000));
        for text in ["", "\n", "ä", "\tä\u{1b}[31m\u{202e}x", "a\r\nb", &long] {
            for start in [0, 1, 2, 3, 6, 4006, 4008, 9999] {
                for length in [0, 1, 2, 5000, usize::MAX - start] {
                    let shown = rendered(text, start, start + length, "help");
                    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
                    let longest = shown.lines().map(|line| line.chars().count()).max();
                    assert!(longest < Some(200), "{shown}");
                }
            }
        }
    }

    #[test]
    fn problems_are_sorted_and_said_once() {
        let source = Source::new("m.toml", "a\nb\n");
        let problem = |start, message| Problem::new(Place { start, end: start }, message, "h");
        let problems = vec![problem(2, "b"), problem(2, "a"), problem(2, "b")];
        let problems = Problems::new(source, problems).with([problem(0, "c"), problem(2, "a")]);
        let told: Vec<_> = problems
            .iter()
            .map(|p| (p.place.start, &*p.message))
            .collect();
        assert_eq!(told, [(0, "c"), (2, "b"), (2, "a")]);
        assert_eq!(problems.count(), 3);
    }
}
