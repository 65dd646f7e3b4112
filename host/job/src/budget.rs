//! Bytes that may be in memory at once.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of this size, so that a large budget fits the semaphore.
const UNIT_BYTES: usize = 1024;

/// A limit on bytes held. An amount over the whole limit takes all of it: it passes alone.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    units_max: u32,
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let units_max = u32::try_from((bytes_max / UNIT_BYTES).max(1)).unwrap_or(u32::MAX >> 4);
        Self {
            units: Arc::new(Semaphore::new(units_max as usize)),
            units_max,
        }
    }

    /// Waits until `bytes` more may be held; `None` only after the semaphore is closed,
    /// which nobody does.
    pub(crate) async fn acquire(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let units = units.min(self.units_max);
        self.units.clone().acquire_many_owned(units).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn an_amount_over_the_limit_passes_alone() {
        let budget = Budget::new(4096);
        let large = budget.acquire(1 << 40).now_or_never().flatten();
        assert!(large.is_some());
        assert!(budget.acquire(1).now_or_never().is_none());
        drop(large);
        let half = budget.acquire(2048).now_or_never().flatten();
        assert!(half.is_some());
        assert!(budget.acquire(2049).now_or_never().is_none());
        assert!(budget.acquire(2048).now_or_never().is_some());
    }
}
