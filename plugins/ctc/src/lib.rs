//! Greedy decoding of what models of Connectionist Temporal Classification write: for each
//! place in a line the share of each symbol. The likeliest symbol of each place counts, once
//! where it stands several times in a row; the blank stands for none.

use std::ops::Range;
use thiserror::Error;

/// How many scores are compared side by side: as many as two vectors of 128 bits hold.
const LANES: usize = 8;

/// The symbols of a model, each with its text.
#[derive(Debug, Clone)]
pub struct Dictionary {
    /// All texts, one after the other.
    texts: String,
    /// Where each symbol's text is.
    ranges: Vec<Range<usize>>,
    blank: usize,
}

/// A line as read.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its text.
    pub text: String,
    /// The mean of the scores of its symbols; 0 where there are none.
    pub score: f32,
}

/// Why something is no dictionary, or scores do not fit one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CtcError {
    /// There are no symbols.
    #[error("the dictionary is empty: a symbol in each line is expected")]
    Empty,
    /// The blank is none of the symbols.
    #[error("the blank is symbol {blank}, and there are {count}")]
    Blank {
        /// Its number.
        blank: usize,
        /// How many there are.
        count: usize,
    },
    /// The scores are not as many as the symbols, or a multiple of it.
    #[error("{scores} scores are no rows of one for each of {symbols} symbols")]
    Length {
        /// How many scores there are.
        scores: usize,
        /// How many symbols.
        symbols: usize,
    },
    /// A score is not a number.
    #[error("a score of place {place} is not a number")]
    NotANumber {
        /// The place.
        place: usize,
    },
}

// === impl Dictionary ===

impl Dictionary {
    /// A symbol a line, in the model's order. The blank is put in at its place; with `space`,
    /// one more symbol follows after the last.
    pub fn new(lines: &str, blank: usize, space: bool) -> Result<Self, CtcError> {
        if lines.is_empty() {
            return Err(CtcError::Empty);
        }
        let mut texts = String::with_capacity(lines.len() + 1);
        let mut ranges = Vec::new();
        for line in lines.lines().chain(space.then_some(" ")) {
            let begin = texts.len();
            texts.push_str(line);
            ranges.push(begin..texts.len());
        }
        if blank > ranges.len() {
            let count = ranges.len() + 1;
            return Err(CtcError::Blank { blank, count });
        }
        ranges.insert(blank, 0..0);
        Ok(Self {
            texts,
            ranges,
            blank,
        })
    }

    /// The number of symbols, the blank included.
    #[expect(clippy::len_without_is_empty, reason = "`new` refuses none")]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The line that a row of scores for each place says.
    pub fn decode(&self, scores: &[f32]) -> Result<Line, CtcError> {
        if !scores.len().is_multiple_of(self.len()) {
            return Err(CtcError::Length {
                scores: scores.len(),
                symbols: self.len(),
            });
        }
        let mut text = String::new();
        let (mut sum, mut count) = (0f64, 0usize);
        let mut last = self.blank;
        for (place, row) in scores.chunks_exact(self.len()).enumerate() {
            let (symbol, score) = likeliest(row).ok_or(CtcError::NotANumber { place })?;
            if symbol != last && symbol != self.blank {
                let range = self.ranges.get(symbol).cloned().unwrap_or_default();
                text.push_str(self.texts.get(range).unwrap_or_default());
                sum += f64::from(score);
                count += 1;
            }
            last = symbol;
        }
        let score = if count == 0 { 0.0 } else { sum / count as f64 };
        Ok(Line {
            text,
            score: score as f32,
        })
    }
}

/// The highest score and which one it is; of equal ones the first. `None` where one is not a
/// number, or there is none.
fn likeliest(scores: &[f32]) -> Option<(usize, f32)> {
    let (chunks, rest) = scores.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    // It stays a number as long as all are.
    let mut sums = [0f32; LANES];
    for chunk in chunks {
        for ((lane, sum), score) in lanes.iter_mut().zip(&mut sums).zip(chunk) {
            *lane = if *lane < *score { *score } else { *lane };
            *sum += *score;
        }
    }
    let mut highest = f32::NEG_INFINITY;
    for score in lanes.iter().chain(rest) {
        highest = if highest < *score { *score } else { highest };
    }
    if sums.iter().chain(rest).any(|sum| sum.is_nan()) {
        return None;
    }
    let symbol = scores.iter().position(|score| *score == highest)?;
    Some((symbol, highest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores of 0.1 but for one of 0.9 in each place.
    fn scores(symbols: &[usize], count: usize) -> Vec<f32> {
        let row = |symbol: &usize| {
            let mut row = vec![0.1; count];
            row[*symbol] = 0.9;
            row
        };
        symbols.iter().flat_map(row).collect()
    }

    #[test]
    fn repeats_count_once_unless_a_blank_parts_them() {
        let dictionary = Dictionary::new("a\nb\n中", 0, true).unwrap();
        assert_eq!(dictionary.len(), 5);
        let line = dictionary
            .decode(&scores(&[0, 1, 1, 0, 1, 2, 4, 3, 3, 0], 5))
            .unwrap();
        assert_eq!(line.text, "aab 中");
        assert!((line.score - 0.9).abs() < 1e-6);
    }

    #[test]
    fn blanks_alone_are_no_text() {
        let dictionary = Dictionary::new("a\nb", 0, false).unwrap();
        let line = dictionary.decode(&scores(&[0, 0], 3)).unwrap();
        assert_eq!((line.text.as_str(), line.score), ("", 0.0));
        assert_eq!(dictionary.decode(&[]).unwrap().text, "");
    }

    #[test]
    fn the_blank_can_be_the_last() {
        let dictionary = Dictionary::new("a\nb", 2, false).unwrap();
        assert_eq!(
            dictionary.decode(&scores(&[2, 0, 1], 3)).unwrap().text,
            "ab"
        );
    }

    #[test]
    fn of_equal_scores_the_first_counts() {
        for length in [3, 8, 9, 20, 6625] {
            let mut row = vec![0.25; length];
            assert_eq!(likeliest(&row), Some((0, 0.25)));
            *row.last_mut().unwrap() = 0.5;
            assert_eq!(likeliest(&row), Some((length - 1, 0.5)));
            row[1] = f32::NAN;
            assert_eq!(likeliest(&row), None);
        }
        assert_eq!(likeliest(&[]), None);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        assert_eq!(
            Dictionary::new("", 0, true).unwrap_err().to_string(),
            "the dictionary is empty: a symbol in each line is expected"
        );
        assert_eq!(
            Dictionary::new("a", 5, false).unwrap_err().to_string(),
            "the blank is symbol 5, and there are 2"
        );
        let dictionary = Dictionary::new("a\nb", 0, false).unwrap();
        assert_eq!(
            dictionary.decode(&[0.0; 4]).unwrap_err().to_string(),
            "4 scores are no rows of one for each of 3 symbols"
        );
        assert_eq!(
            dictionary
                .decode(&[0.0, 0.0, f32::NAN])
                .unwrap_err()
                .to_string(),
            "a score of place 0 is not a number"
        );
    }
}
