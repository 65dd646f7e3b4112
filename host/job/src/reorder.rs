//! Puts chunks that finish in any order back in the order of the input, if that is asked.

use std::collections::BTreeMap;

/// Chunks that wait for one before them. How many those can be is limited by who lets
/// chunks in.
#[derive(Debug)]
pub(crate) struct Reorder<T> {
    ordered: bool,
    next: u64,
    waiting: BTreeMap<u64, T>,
}

// === impl Reorder ===

impl<T> Reorder<T> {
    /// Passes everything on at once unless `ordered`.
    pub(crate) fn new(ordered: bool) -> Self {
        Self {
            ordered,
            next: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Takes what is `sequence`th in the input.
    pub(crate) fn push(&mut self, sequence: u64, item: T) {
        self.waiting.insert(sequence, item);
    }

    /// What is due.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let first = self.waiting.first_entry()?;
        if self.ordered && *first.key() != self.next {
            return None;
        }
        self.next = first.key() + 1;
        Some(first.remove())
    }

    /// What is left, in order, when nothing before it will come.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = T> {
        self.waiting.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pops(ordered: bool, pushes: &[u64]) -> Vec<Vec<u64>> {
        let mut reorder = Reorder::new(ordered);
        let popped = |sequence: &u64| {
            reorder.push(*sequence, *sequence);
            std::iter::from_fn(|| reorder.pop()).collect()
        };
        pushes.iter().map(popped).collect()
    }

    #[test]
    fn ordered_or_at_once() {
        let ordered = [vec![], vec![0, 1], vec![], vec![2, 3]];
        assert_eq!(pops(true, &[1, 0, 3, 2]), ordered);
        let at_once = [vec![1], vec![0], vec![3], vec![2]];
        assert_eq!(pops(false, &[1, 0, 3, 2]), at_once);
    }

    #[test]
    fn the_rest_after_a_gap() {
        let mut reorder = Reorder::new(true);
        reorder.push(3, 'd');
        reorder.push(1, 'b');
        assert_eq!(reorder.pop(), None);
        assert_eq!(reorder.into_rest().collect::<String>(), "bd");
    }
}
