//! Tables of text for a terminal.

use std::fmt::Write;

/// How wide a column may get; longer cells are cut in their middle.
const CELL_CHARS_MAX: usize = 56;

/// Which side of its column a cell keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Lays out a head and rows; every row has as many cells as the head.
pub(crate) fn render(head: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| shorten(cell)).collect())
        .collect();
    let width = |at: usize, title: &str| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(title.chars().count())
    };
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(at, (title, _))| width(at, title))
        .collect();
    let titles: Vec<String> = head.iter().map(|(title, _)| (*title).to_owned()).collect();
    let lines: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = String::new();
    for row in [titles, lines].iter().chain(&rows) {
        let mut line = String::new();
        for ((cell, (_, align)), width) in row.iter().zip(head).zip(&widths) {
            let width = *width;
            // Writing to a String cannot fail.
            let _ = match align {
                Align::Left => write!(line, "  {cell:<width$}"),
                Align::Right => write!(line, "  {cell:>width$}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn shorten(cell: &str) -> String {
    let chars: Vec<char> = cell.chars().collect();
    let Some(excess) = chars.len().checked_sub(CELL_CHARS_MAX + 1) else {
        return cell.to_owned();
    };
    let start = CELL_CHARS_MAX / 2 - 1;
    let before: String = chars.iter().take(start).collect();
    let after: String = chars.iter().skip(start + excess + 2).collect();
    format!("{before}…{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let head = [("name", Align::Left), ("n", Align::Right)];
        let rows = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["longer".to_owned(), "100".to_owned()],
        ];
        assert_eq!(
            render(&head, &rows),
            "  name      n\n  ------  ---\n  a         1\n  longer  100\n"
        );
    }

    #[test]
    fn a_long_cell_keeps_its_start_and_its_end() {
        let exact = "x".repeat(CELL_CHARS_MAX);
        assert_eq!(shorten(&exact), exact);
        let long = format!("start{}end", "é".repeat(100));
        let short = shorten(&long);
        assert_eq!(short.chars().count(), CELL_CHARS_MAX);
        assert!(
            short.starts_with("start") && short.ends_with("end"),
            "{short}"
        );
        assert_eq!(
            shorten(&"x".repeat(CELL_CHARS_MAX + 1)).chars().count(),
            CELL_CHARS_MAX
        );
    }
}
