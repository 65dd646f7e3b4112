//! The largest batch that fits into memory, for each kind of examples.
//!
//! A batch that runs out of memory leaves a ceiling at half its size. After a number of full
//! batches at the ceiling one larger batch is let through: a probe, between what fits and
//! what failed, and at last the size that failed itself, for the memory may have been
//! somebody else's. When the probe fits, the ceiling rises; when it fails, the next one has
//! to wait for twice as many full batches.

use crate::kind::LaneKind;
use std::collections::HashMap;
use std::sync::Arc;

/// Kinds whose ceilings are remembered.
const KINDS_MAX: usize = 256;
/// Full batches before a probe: at first, at least, and at most.
const PROBE_FIRST: u32 = 16;
const PROBE_MIN: u32 = 4;
const PROBE_MAX: u32 = 1 << 20;
/// The part of the ceiling below which what lies between it and a failure is not searched.
const GAP: usize = 16;

/// Ceilings by kind; kinds that have always fitted have none.
#[derive(Default)]
pub(crate) struct Ceilings(HashMap<Arc<LaneKind>, Ceiling>);

#[derive(Debug)]
struct Ceiling {
    fits: usize,
    /// The smallest size that failed.
    failed: Option<usize>,
    full_batches: u32,
    probe_after: u32,
    probing: bool,
}

/// A ceiling that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

// === impl Ceilings ===

impl Ceilings {
    /// The largest batch that may run now.
    pub(crate) fn limit(&self, kind: &LaneKind, most: usize) -> usize {
        let ceiling = self.0.get(kind);
        ceiling.map_or(most, |ceiling| ceiling.limit().min(most))
    }

    /// The largest batch that is known to fit.
    pub(crate) fn known_to_fit(&self, kind: &LaneKind, most: usize) -> usize {
        let ceiling = self.0.get(kind);
        ceiling.map_or(most, |ceiling| ceiling.fits.min(most))
    }

    /// A batch goes to a replica.
    pub(crate) fn started(&mut self, kind: &LaneKind, size: usize) {
        if let Some(ceiling) = self.0.get_mut(kind) {
            ceiling.probing |= size > ceiling.fits;
        }
    }

    /// A batch fitted.
    pub(crate) fn fitted(&mut self, kind: &LaneKind, size: usize, most: usize) -> Option<Moved> {
        let ceiling = self.0.get_mut(kind)?;
        if size < ceiling.fits {
            return None;
        }
        if size == ceiling.fits {
            ceiling.full_batches = ceiling.full_batches.saturating_add(1);
            return None;
        }
        let from = ceiling.fits;
        ceiling.fits = size;
        ceiling.probing = false;
        ceiling.full_batches = 0;
        ceiling.probe_after = (ceiling.probe_after / 2).max(PROBE_MIN);
        ceiling.failed = ceiling.failed.filter(|failed| *failed > size);
        if size >= most {
            self.0.remove(kind);
        }
        Some(Moved { from, to: size })
    }

    /// A probe ended in a way that tells nothing of memory.
    pub(crate) fn broken_off(&mut self, kind: &LaneKind, size: usize) {
        if let Some(ceiling) = self.0.get_mut(kind).filter(|ceiling| size > ceiling.fits) {
            ceiling.probing = false;
            ceiling.full_batches = 0;
        }
    }

    /// A batch ran out of memory.
    pub(crate) fn failed(
        &mut self,
        kind: &Arc<LaneKind>,
        size: usize,
        most: usize,
    ) -> Option<Moved> {
        let half = size / 2;
        if let Some(ceiling) = self.0.get_mut(kind) {
            ceiling.failed = Some(ceiling.failed.map_or(size, |failed| failed.min(size)));
            ceiling.full_batches = 0;
            if size > ceiling.fits {
                if ceiling.probing {
                    ceiling.probing = false;
                    ceiling.probe_after = ceiling.probe_after.saturating_mul(2).min(PROBE_MAX);
                }
                return None;
            }
            let from = ceiling.fits;
            ceiling.fits = half.max(1);
            return (ceiling.fits < from).then_some(Moved {
                from,
                to: ceiling.fits,
            });
        }
        if half == 0 {
            return None;
        }
        if self.0.len() >= KINDS_MAX {
            self.0.clear();
        }
        let ceiling = Ceiling {
            fits: half,
            failed: Some(size),
            full_batches: 0,
            probe_after: PROBE_FIRST,
            probing: false,
        };
        self.0.insert(kind.clone(), ceiling);
        Some(Moved {
            from: most,
            to: half,
        })
    }

    /// Another handler may need less, or more.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

// === impl Ceiling ===

impl Ceiling {
    fn limit(&self) -> usize {
        if self.probing || self.full_batches < self.probe_after {
            return self.fits;
        }
        let double = self.fits.saturating_mul(2);
        match self.failed {
            Some(failed) if failed > self.fits + 1 + self.fits / GAP => {
                self.fits + (failed - self.fits) / 2
            }
            Some(failed) => failed.min(double),
            None => double,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{Tensor, Tensors};

    const MOST: usize = 4_096;

    fn kind() -> Arc<LaneKind> {
        let tensor = Tensor::from_slice(vec![1], &[0f32]).unwrap();
        let tensors = Tensors::from_named([("x".into(), tensor)]).unwrap();
        Arc::new(LaneKind::of(&tensors))
    }

    /// Runs as large as is allowed, so often, where so many fit. The sizes that failed.
    fn run(ceilings: &mut Ceilings, batches: usize, fits: usize) -> Vec<usize> {
        let mut failures = Vec::new();
        for _ in 0..batches {
            let size = ceilings.limit(&kind(), MOST);
            ceilings.started(&kind(), size);
            if size <= fits {
                ceilings.fitted(&kind(), size, MOST);
            } else {
                ceilings.failed(&kind(), size, MOST);
                failures.push(size);
            }
        }
        failures
    }

    #[test]
    fn it_halves_then_closes_in_and_probes_ever_more_rarely() {
        let mut ceilings = Ceilings::default();
        let failures = run(&mut ceilings, 20_000, 1_500);
        assert_eq!(failures[..2], [4_096, 2_048]);
        assert!(failures.len() < 20, "{failures:?}");
        let reached = ceilings.known_to_fit(&kind(), MOST);
        assert!((1_400..=1_500).contains(&reached), "{reached}");
    }

    #[test]
    fn it_finds_back_when_memory_is_free_again() {
        let mut ceilings = Ceilings::default();
        assert_eq!(
            run(&mut ceilings, 12, 1),
            [4_096, 2_048, 1_024, 512, 256, 128, 64, 32, 16, 8, 4, 2]
        );
        assert_eq!(ceilings.limit(&kind(), MOST), 1);
        assert_eq!(run(&mut ceilings, 400, MOST), []);
        assert_eq!(ceilings.limit(&kind(), MOST), MOST);
    }

    #[test]
    fn only_one_batch_at_a_time_is_a_probe() {
        let mut ceilings = Ceilings::default();
        ceilings.failed(&kind(), 64, MOST);
        for _ in 0..PROBE_FIRST {
            assert_eq!(ceilings.limit(&kind(), MOST), 32);
            ceilings.fitted(&kind(), 32, MOST);
        }
        assert_eq!(ceilings.limit(&kind(), MOST), 48);
        ceilings.started(&kind(), 48);
        assert_eq!(ceilings.limit(&kind(), MOST), 32);
        ceilings.fitted(&kind(), 32, MOST);
        assert_eq!(ceilings.failed(&kind(), 48, MOST), None);
        for _ in 0..2 * PROBE_FIRST {
            assert_eq!(ceilings.limit(&kind(), MOST), 32);
            ceilings.fitted(&kind(), 32, MOST);
        }
        assert_eq!(ceilings.limit(&kind(), MOST), 40);
        // One whose failure tells nothing is taken back.
        ceilings.started(&kind(), 40);
        ceilings.broken_off(&kind(), 40);
        assert_eq!(ceilings.limit(&kind(), MOST), 32);
    }
}
