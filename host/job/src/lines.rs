//! Text cut into lines, a chunk at a time, as much as is there without waiting for more.

use std::io::{self, BufRead, BufReader};
use std::ops::Range;

/// How much is read from the source at once.
const READ_BYTES: usize = 256 << 10;

/// Some lines and their text.
#[derive(Debug, Default)]
pub(crate) struct LineChunk {
    text: Vec<u8>,
    lines: Vec<Line>,
}

/// One line of a chunk.
#[derive(Debug)]
struct Line {
    /// Its place in the source, from one; lines that are left out count.
    number: u64,
    range: Range<usize>,
    too_long: bool,
}

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineText<'a> {
    pub(crate) number: u64,
    /// `None` when the line is longer than the limit.
    pub(crate) text: Option<&'a [u8]>,
}

/// Cuts text into lines.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    separator: u8,
    line_bytes_max: usize,
    /// The beginning of the line that is not yet complete.
    partial: Vec<u8>,
    too_long: bool,
    number: u64,
    /// Set while lines before the error are still to be handed out.
    error: Option<io::Error>,
    ended: bool,
}

// === impl LineChunk ===

impl LineChunk {
    /// How many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Bytes of text held.
    pub(crate) fn byte_len(&self) -> usize {
        self.text.len()
    }

    /// Each line.
    pub(crate) fn iter(&self) -> impl Iterator<Item = LineText<'_>> {
        self.lines.iter().map(|line| LineText {
            number: line.number,
            text: match line.too_long {
                true => None,
                false => self.text.get(line.range.clone()),
            },
        })
    }

    /// Leaves out lines.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut() -> bool) {
        self.lines.retain(|_| keep());
    }

    /// One line by its place in the chunk.
    pub(crate) fn at(&self, index: usize) -> Option<&[u8]> {
        let line = self.lines.get(index).filter(|line| !line.too_long)?;
        self.text.get(line.range.clone())
    }

    fn unfinished_from(&self) -> usize {
        self.lines.last().map_or(0, |line| line.range.end)
    }
}

// === impl Lines ===

impl<R: io::Read> Lines<R> {
    /// Lines end with `separator` or with the source.
    pub(crate) fn new(reader: R, separator: u8, line_bytes_max: usize) -> Self {
        Self {
            reader: BufReader::with_capacity(READ_BYTES, reader),
            separator,
            line_bytes_max: line_bytes_max.max(1),
            partial: Vec::new(),
            too_long: false,
            number: 0,
            error: None,
            ended: false,
        }
    }

    /// The next lines, at least one and at most `lines_max`; `None` at the end. Waits for
    /// the source only while there is no complete line. Lines of nothing but white space
    /// are left out (but counted).
    pub(crate) fn next_chunk(&mut self, lines_max: usize) -> io::Result<Option<LineChunk>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut chunk = LineChunk {
            text: std::mem::take(&mut self.partial),
            lines: Vec::new(),
        };
        while !self.ended && chunk.len() < lines_max.max(1) {
            match self.reader.fill_buf() {
                Ok([]) => {
                    self.ended = true;
                    if self.too_long || chunk.text.len() > chunk.unfinished_from() {
                        self.end_line(&mut chunk);
                    }
                    break;
                }
                Ok(_) => self.take_lines(&mut chunk, lines_max.max(1)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    if chunk.len() == 0 {
                        return Err(error);
                    }
                    self.error = Some(error);
                    break;
                }
            }
            // The next look at the source might wait for it.
            if chunk.len() > 0 && self.reader.buffer().is_empty() {
                break;
            }
        }
        self.partial = chunk.text.split_off(chunk.unfinished_from());
        Ok((chunk.len() > 0).then_some(chunk))
    }

    /// Moves lines from the reader's buffer to the chunk.
    fn take_lines(&mut self, chunk: &mut LineChunk, lines_max: usize) {
        let mut used = 0;
        while chunk.len() < lines_max {
            let rest = self.reader.buffer().get(used..).unwrap_or_default();
            let end = memchr::memchr(self.separator, rest);
            let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let begin = chunk.unfinished_from();
            if chunk.text.len() - begin + piece.len() > self.line_bytes_max {
                chunk.text.truncate(begin);
                self.too_long = true;
            }
            if !self.too_long {
                chunk.text.extend_from_slice(piece);
            }
            used += piece.len();
            if end.is_none() {
                break;
            }
            used += 1;
            self.end_line(chunk);
        }
        self.reader.consume(used);
    }

    fn end_line(&mut self, chunk: &mut LineChunk) {
        self.number += 1;
        let range = chunk.unfinished_from()..chunk.text.len();
        let text = chunk.text.get(range.clone()).unwrap_or_default();
        if text.trim_ascii().is_empty() && !self.too_long {
            chunk.text.truncate(range.start);
            return;
        }
        chunk.lines.push(Line {
            number: self.number,
            range,
            too_long: std::mem::take(&mut self.too_long),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hands out its pieces one read at a time.
    struct Pieces(std::vec::IntoIter<Vec<u8>>);

    impl io::Read for Pieces {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.next() {
                None => Ok(0),
                Some(piece) if piece == b"error" => Err(io::Error::other("gone")),
                Some(piece) => {
                    out[..piece.len()].copy_from_slice(&piece);
                    Ok(piece.len())
                }
            }
        }
    }

    fn lines(pieces: &[&str], line_bytes_max: usize) -> Lines<Pieces> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| piece.as_bytes().to_vec())
            .collect();
        Lines::new(Pieces(pieces.into_iter()), b'\n', line_bytes_max)
    }

    fn collect(chunk: &LineChunk) -> Vec<(u64, Option<String>)> {
        let text = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
        chunk
            .iter()
            .map(|line| (line.number, line.text.map(text)))
            .collect()
    }

    fn line(number: u64, text: &str) -> (u64, Option<String>) {
        (number, Some(text.to_owned()))
    }

    #[test]
    fn complete_lines_are_handed_out_without_waiting() {
        let mut lines = lines(&["a\nb\nc", "c\n\n \nd"], 100);
        let chunk = lines.next_chunk(10).unwrap().unwrap();
        assert_eq!(collect(&chunk), [line(1, "a"), line(2, "b")]);
        let chunk = lines.next_chunk(10).unwrap().unwrap();
        assert_eq!(collect(&chunk), [line(3, "cc")]);
        let chunk = lines.next_chunk(10).unwrap().unwrap();
        assert_eq!(collect(&chunk), [line(6, "d")]);
        assert!(lines.next_chunk(10).unwrap().is_none());
    }

    #[test]
    fn a_line_over_the_limit_is_passed_over_and_named() {
        let mut lines = lines(
            &["12345\n", "1234", "56\n12345", "6", "7\nok\n1", "23456"],
            5,
        );
        let mut found = Vec::new();
        while let Some(chunk) = lines.next_chunk(2).unwrap() {
            assert!(chunk.byte_len() <= 10);
            found.extend(collect(&chunk));
        }
        let expected = [
            line(1, "12345"),
            (2, None),
            (3, None),
            line(4, "ok"),
            (5, None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_before_an_error_are_handed_out_first() {
        let mut lines = lines(&["a\nb", "error", "c\n"], 100);
        assert_eq!(
            collect(&lines.next_chunk(10).unwrap().unwrap()),
            [line(1, "a")]
        );
        assert_eq!(lines.next_chunk(10).unwrap_err().to_string(), "gone");
        assert!(lines.next_chunk(10).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn every_line_comes_once_however_the_text_is_cut(
            text in "[ab \n]{0,60}", cuts in prop::collection::vec(0usize..60, 0..8),
            lines_max in 1usize..4, line_bytes_max in 1usize..6,
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort();
            cuts.dedup();
            let pieces: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            let mut source = lines(&pieces, line_bytes_max);
            let mut found = Vec::new();
            while let Some(chunk) = source.next_chunk(lines_max).unwrap() {
                prop_assert!((1..=lines_max).contains(&chunk.len()));
                found.extend(collect(&chunk));
            }
            let fits = |text: &str| (text.len() <= line_bytes_max).then(|| text.to_owned());
            let expected: Vec<_> = text
                .split('\n')
                .zip(1..)
                .map(|(text, number)| (number, fits(text), text))
                .filter(|(_, fits, text)| fits.is_none() || !text.trim().is_empty())
                .map(|(number, fits, _)| (number, fits))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
