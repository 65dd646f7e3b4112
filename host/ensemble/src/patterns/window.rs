//! How often a canary and its base failed lately, and when that is too often.

use std::collections::VecDeque;

/// Whether a canary still gets examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryState {
    /// It does.
    Running,
    /// It failed too often and gets no more.
    Stopped {
        /// How many of the last examples of the window it failed.
        canary_failures: usize,
        /// How many the base failed of its own last examples.
        base_failures: usize,
        /// Those examples of the base.
        base_examples: usize,
    },
}

/// The last examples of both.
pub(super) struct Window {
    length: usize,
    errors_max_percent: f64,
    canary: Lately,
    base: Lately,
    state: CanaryState,
}

#[derive(Default)]
struct Lately {
    failed: VecDeque<bool>,
    failures: usize,
}

// === impl Window ===

impl Window {
    pub(super) fn new(length: usize, errors_max_percent: f64) -> Self {
        Self {
            length,
            errors_max_percent,
            canary: Lately::default(),
            base: Lately::default(),
            state: CanaryState::Running,
        }
    }

    pub(super) fn state(&self) -> CanaryState {
        self.state
    }

    pub(super) fn base(&mut self, failed: bool) {
        self.base.add(failed, self.length);
    }

    /// Takes an example of the canary in; `true` where this is the one that stops it.
    ///
    /// Its failures are held against the whole window, full or not: it stops as soon as
    /// even a faultless rest of the window could not save it, and never before.
    pub(super) fn canary(&mut self, failed: bool) -> bool {
        self.canary.add(failed, self.length);
        if self.state != CanaryState::Running || self.canary.failures == 0 {
            return false;
        }
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let base = percent(self.base.failures, self.base.failed.len());
        if percent(self.canary.failures, self.length) <= base + self.errors_max_percent {
            return false;
        }
        self.state = CanaryState::Stopped {
            canary_failures: self.canary.failures,
            base_failures: self.base.failures,
            base_examples: self.base.failed.len(),
        };
        true
    }
}

// === impl Lately ===

impl Lately {
    fn add(&mut self, failed: bool, length: usize) {
        if self.failed.len() >= length && self.failed.pop_front() == Some(true) {
            self.failures -= 1;
        }
        self.failed.push_back(failed);
        self.failures += usize::from(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_at_the_first_failure_too_many_and_once() {
        let mut window = Window::new(10, 20.0);
        assert!(!window.canary(true) && !window.canary(true));
        assert!(window.canary(true), "3 of 10 is more than 20 %");
        assert!(!window.canary(true), "once");
        assert!(matches!(
            window.state(),
            CanaryState::Stopped {
                canary_failures: 3,
                ..
            }
        ));
    }

    #[test]
    fn what_the_base_fails_too_is_allowed() {
        let mut window = Window::new(10, 20.0);
        (0..10).for_each(|i| window.base(i % 2 == 0));
        assert!(
            (0..7).all(|_| !window.canary(true)),
            "50 % and 20 % are 7 of 10"
        );
        assert!(window.canary(true));
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut window = Window::new(4, 25.0);
        for _ in 0..20 {
            assert!(!window.canary(true));
            (0..3).for_each(|_| assert!(!window.canary(false)));
        }
        assert_eq!(window.state(), CanaryState::Running);
    }
}
