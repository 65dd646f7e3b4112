//! Which step can begin when, and steps that wait for one another.

use std::collections::BTreeSet;

/// Which steps wait for which others.
pub(crate) struct Waits {
    /// For each step, those whose outputs it needs.
    pub(crate) on: Vec<BTreeSet<usize>>,
}

// === impl Waits ===

impl Waits {
    /// How many steps must follow one another before each can begin; steps in a circle are
    /// left out. In the order in which they could run one by one.
    pub(crate) fn levels(&self) -> Vec<(usize, usize)> {
        let mut levels: Vec<Option<usize>> = vec![None; self.on.len()];
        let mut order = Vec::with_capacity(self.on.len());
        loop {
            let next = self.on.iter().enumerate().find_map(|(step, waits)| {
                if levels.get(step)?.is_some() {
                    return None;
                }
                let before = waits.iter().map(|other| levels.get(*other).copied()?);
                let before: Option<Vec<usize>> = before.collect();
                let level = before?.into_iter().max().map_or(0, |level| level + 1);
                Some((step, level))
            });
            let Some((step, level)) = next else {
                return order;
            };
            if let Some(slot) = levels.get_mut(step) {
                *slot = Some(level);
            }
            order.push((step, level));
        }
    }

    /// Every group of steps that wait for one another, each from its first step on in the
    /// order in which they wait.
    pub(crate) fn circles(&self) -> Vec<Vec<usize>> {
        let mut grouped = BTreeSet::new();
        let mut circles = Vec::new();
        for step in 0..self.on.len() {
            if grouped.contains(&step) {
                continue;
            }
            if let Some(circle) = self.shortest_way_back(step) {
                grouped.extend(circle.iter().copied());
                circles.push(circle);
            }
        }
        circles
    }

    /// From a step along what it waits for back to itself.
    fn shortest_way_back(&self, step: usize) -> Option<Vec<usize>> {
        let mut ways = vec![vec![step]];
        let mut seen = BTreeSet::new();
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                let last = way.last().and_then(|last| self.on.get(*last));
                for next in last.into_iter().flatten() {
                    if *next == step {
                        return Some(way);
                    }
                    if seen.insert(*next) {
                        let mut way = way.clone();
                        way.push(*next);
                        longer.push(way);
                    }
                }
            }
            ways = longer;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(on: &[&[usize]]) -> Waits {
        Waits {
            on: on.iter().map(|on| on.iter().copied().collect()).collect(),
        }
    }

    #[test]
    fn a_step_begins_after_all_it_waits_for() {
        // A diamond whose end is written first.
        let diamond = waits(&[&[2, 3], &[], &[1], &[1]]);
        assert_eq!(diamond.levels(), [(1, 0), (2, 1), (3, 1), (0, 2)]);
        assert!(diamond.circles().is_empty());
    }

    #[test]
    fn circles_are_found_and_what_waits_for_them_is_none() {
        let graph = waits(&[&[1], &[2], &[1], &[3, 2], &[3]]);
        assert_eq!(graph.circles(), [vec![1, 2], vec![3]]);
        assert!(graph.levels().is_empty());
    }
}
