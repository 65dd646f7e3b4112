//! Counts what test programs say of themselves: Rust's test harness and Python's unittest.

/// Tests that passed and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

// === impl Count ===

impl Count {
    /// Adds what a line of output says, if it says something.
    pub(crate) fn observe(&mut self, line: &str) {
        if let Some(count) = rust_result(line).or_else(|| python_result(line)) {
            self.add(count);
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// `test result: ok. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s`
fn rust_result(line: &str) -> Option<Count> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut count = Count::default();
    for part in counts.split(';') {
        let mut words = part.split_whitespace();
        let (Some(number), Some(word)) = (words.next(), words.next()) else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match word {
            "passed" => count.passed = number,
            "failed" => count.failed = number,
            "ignored" => count.ignored = number,
            _ => {}
        }
    }
    Some(count)
}

/// The line that `python_tests.py` prints: `python tests: 3 passed, 1 failed, 0 skipped`.
fn python_result(line: &str) -> Option<Count> {
    let mut parts = line.strip_prefix("python tests: ")?.split(", ");
    let mut next = |word: &str| -> Option<u64> {
        let number = parts.next()?.strip_suffix(word)?;
        number.trim_end().parse().ok()
    };
    Some(Count {
        passed: next("passed")?,
        failed: next("failed")?,
        ignored: next("skipped")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &[&str]) -> Count {
        let mut count = Count::default();
        for line in lines {
            count.observe(line);
        }
        count
    }

    #[test]
    fn results_of_several_programs_are_summed() {
        let summed = count(&[
            "running 3 tests",
            "test one ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.20s",
            "python tests: 7 passed, 1 failed, 2 skipped",
        ]);
        assert_eq!(
            summed,
            Count {
                passed: 20,
                failed: 3,
                ignored: 3
            }
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        let lines = [
            "5 passed; 1 failed",
            "  test result: ok. 5 passed; 0 failed",
            "test result: nothing",
            "python tests: many passed",
        ];
        assert_eq!(count(&lines), Count::default());
    }
}
