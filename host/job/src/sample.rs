//! Which rows of a source become examples: a sample, a limit, and what an earlier run did.

/// A part of the rows, the same for the same seed, in whatever run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// How large a part, from 0 to 1.
    pub fraction: f64,
    /// Which part.
    pub seed: u64,
}

/// Decides row by row.
#[derive(Debug, Clone)]
pub(crate) struct Pick {
    sample: Option<Sample>,
    /// Rows that were seen.
    rows: u64,
    /// Examples that may still come.
    left: u64,
    /// Rows before this one were dealt with by an earlier run.
    skip: u64,
}

// === impl Sample ===

impl Sample {
    /// Whether the row of this number is part of it.
    fn takes(self, row: u64) -> bool {
        // The 53 highest bits make a fraction of one.
        let hash = mix(mix(self.seed) ^ row);
        ((hash >> 11) as f64) < self.fraction * (1u64 << 53) as f64
    }
}

/// Spreads neighbouring numbers evenly (the finaliser of SplitMix64, a public-domain
/// generator).
fn mix(number: u64) -> u64 {
    let mut hash = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

// === impl Pick ===

impl Pick {
    /// Rows of the source from `skip` on, at most `limit` counted from its beginning.
    pub(crate) fn new(sample: Option<Sample>, limit: Option<u64>, skip: u64) -> Self {
        Self {
            sample,
            rows: 0,
            left: limit.unwrap_or(u64::MAX),
            skip,
        }
    }

    /// Counts one more row; whether it becomes an example of this run.
    pub(crate) fn takes_next(&mut self) -> bool {
        let row = self.rows;
        self.rows += 1;
        if self.left == 0 || self.sample.is_some_and(|sample| !sample.takes(row)) {
            return false;
        }
        self.left -= 1;
        row >= self.skip
    }

    /// Rows that were seen.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Examples that may still come, as a number of rows: none when the limit is reached.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(mut pick: Pick, rows: u64) -> Vec<u64> {
        (0..rows).filter(|_| pick.takes_next()).collect()
    }

    #[test]
    fn a_sample_is_the_same_from_wherever_a_run_begins() {
        let sample = |seed| {
            Some(Sample {
                fraction: 0.25,
                seed,
            })
        };
        let all = taken(Pick::new(sample(7), None, 0), 10_000);
        assert!((2_300..2_700).contains(&all.len()), "{}", all.len());
        let later = taken(Pick::new(sample(7), None, 6_000), 10_000);
        let expected: Vec<u64> = all.iter().copied().filter(|row| *row >= 6_000).collect();
        assert_eq!(later, expected);
        assert_ne!(taken(Pick::new(sample(8), None, 0), 10_000), all);
        // The limit counts what an earlier run did.
        let first: Vec<u64> = all.iter().copied().take(50).collect();
        assert_eq!(taken(Pick::new(sample(7), Some(50), 0), 10_000), first);
        let rest: Vec<u64> = first.iter().copied().filter(|row| *row >= 100).collect();
        assert_eq!(taken(Pick::new(sample(7), Some(50), 100), 10_000), rest);
    }

    #[test]
    fn none_and_all() {
        let fraction = |fraction| Some(Sample { fraction, seed: 1 });
        assert_eq!(taken(Pick::new(fraction(0.0), None, 0), 1000).len(), 0);
        assert_eq!(taken(Pick::new(fraction(1.0), None, 0), 1000).len(), 1000);
    }
}
