//! Finding the bad example: a call that fails as a whole is halved until what fails is
//! alone. Pure bookkeeping; whoever holds a [`Splitter`] makes the calls.

use crate::trap::CallError;
use std::ops::Range;

/// Which runs of examples still have to be called.
#[derive(Debug)]
pub(crate) struct Splitter {
    /// A stack, so that examples are tried in order.
    work: Vec<Range<usize>>,
    /// Calls that may yet run into a limit of time and be halved: each costs that time.
    slow_left: u32,
}

/// What to do with a run that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its halves are tried next.
    Halved,
    /// Every example of it failed for this reason.
    Final,
}

// === impl Splitter ===

impl Splitter {
    /// Starts with all of `count` examples in one run.
    pub(crate) fn new(count: usize) -> Self {
        // Two slow calls a level find one slow example.
        let levels = usize::BITS - count.leading_zeros();
        Self {
            work: Vec::from_iter((count > 0).then_some(0..count)),
            slow_left: 2 * levels,
        }
    }

    /// The next run to call.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.work.pop()
    }

    /// Takes note of a run that failed.
    pub(crate) fn failed(&mut self, run: Range<usize>, error: &CallError) -> Verdict {
        if run.len() < 2 || !self.may_halve(error) {
            return Verdict::Final;
        }
        let middle = run.start + run.len() / 2;
        self.work.push(middle..run.end);
        self.work.push(run.start..middle);
        Verdict::Halved
    }

    fn may_halve(&mut self, error: &CallError) -> bool {
        match error {
            CallError::Limit { limit, .. } if limit.is_time() => {
                let allowed = self.slow_left > 0;
                self.slow_left = self.slow_left.saturating_sub(1);
                allowed
            }
            CallError::Limit { .. } | CallError::Trapped(_) | CallError::Contract(_) => true,
            // Another try cannot change these.
            CallError::Deadline(_) | CallError::Exhausted(_) | CallError::Internal(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limit;

    /// Runs until all is settled; returns which examples failed, and the calls made.
    fn run(count: usize, bad: &[usize], error: &CallError) -> (Vec<usize>, usize) {
        let mut splitter = Splitter::new(count);
        let (mut failed, mut settled, mut calls) = (vec![], vec![false; count], 0);
        while let Some(run) = splitter.next() {
            calls += 1;
            let fails = run.clone().any(|index| bad.contains(&index));
            if fails && splitter.failed(run.clone(), error) == Verdict::Halved {
                continue;
            }
            for index in run {
                assert!(
                    !std::mem::replace(&mut settled[index], true),
                    "settled twice"
                );
                if fails {
                    failed.push(index);
                }
            }
        }
        assert!(
            settled.into_iter().all(|settled| settled),
            "an example was lost"
        );
        (failed, calls)
    }

    fn trap() -> CallError {
        CallError::Trapped(String::new())
    }

    fn slow() -> CallError {
        CallError::Limit {
            limit: Limit::CallTime,
            message: String::new(),
        }
    }

    #[test]
    fn one_bad_example_fails_alone_in_few_calls() {
        for count in 1..70 {
            for bad in 0..count {
                for error in [trap(), slow()] {
                    let (failed, calls) = run(count, &[bad], &error);
                    assert_eq!(failed, [bad]);
                    let levels = (count as f64).log2().ceil() as usize;
                    assert!(calls <= 2 * levels + 1, "{calls} calls for {count}");
                }
            }
        }
    }

    #[test]
    fn many_bad_examples_fail_alone_when_they_trap() {
        let bad: Vec<usize> = (0..64).filter(|index| index % 3 == 0).collect();
        assert_eq!(run(64, &bad, &trap()).0, bad);
        assert_eq!(run(64, &(0..64).collect::<Vec<_>>(), &trap()).1, 127);
        assert_eq!(run(0, &[], &trap()), (vec![], 0));
    }

    #[test]
    fn slow_calls_are_not_repeated_for_ever() {
        let all: Vec<usize> = (0..64).collect();
        let (failed, calls) = run(64, &all, &slow());
        assert_eq!(failed, all);
        assert!(
            calls < 40,
            "{calls} calls of which each takes the whole limit"
        );
    }

    #[test]
    fn a_passed_deadline_ends_it() {
        let deadline = CallError::Deadline(String::new());
        assert_eq!(run(8, &[3], &deadline), ((0..8).collect(), 1));
    }
}
