//! "Did you mean": the known word nearest to what was written.

/// Longer words are not compared: nobody mistypes a sentence.
const WORD_BYTES_MAX: usize = 64;

/// The known word that `word` most likely stands for: at most one edit for every three
/// characters, case and `-`/`_` not counted.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = plain(word);
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= WORD_BYTES_MAX)
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(edits, candidate)| *edits <= word.len().max(candidate.len()).div_ceil(3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

fn plain(word: &str) -> Vec<char> {
    let chars = word.chars().flat_map(char::to_lowercase);
    chars.map(|c| if c == '-' { '_' } else { c }).collect()
}

/// Edits (insert, delete, replace, swap neighbours) that make one word of the other.
fn distance(from: &[char], to: &[char]) -> usize {
    // Three rows of the usual table: the row before the last serves the swap.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous_from = None;
    for (row, &here) in from.iter().enumerate() {
        let mut next = Vec::with_capacity(last.len());
        next.push(row + 1);
        let mut previous_to = None;
        for (column, &there) in to.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let replace = cell(&last, column) + usize::from(here != there);
            let insert = cell(&next, column) + 1;
            let delete = cell(&last, column + 1) + 1;
            let mut edits = replace.min(insert).min(delete);
            let swapped = previous_from == Some(there) && previous_to == Some(here);
            if let (true, Some(earlier)) = (swapped, column.checked_sub(1)) {
                edits = edits.min(cell(&before_last, earlier) + 1);
            }
            next.push(edits);
            previous_to = Some(there);
        }
        previous_from = Some(here);
        before_last = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let edits = |a: &str, b: &str| distance(&plain(a), &plain(b));
        assert_eq!(edits("", ""), 0);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("replica", "replicas"), 1);
        assert_eq!(edits("modle", "model"), 1);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("Max-Batch", "max_batch"), 0);
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["path", "replicas", "runtime", "max_batch_size"];
        assert_eq!(nearest("replica", known), Some("replicas"));
        assert_eq!(nearest("max_batchsize", known), Some("max_batch_size"));
        assert_eq!(nearest("patth", known), Some("path"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"path".repeat(100), known), None);
    }
}
