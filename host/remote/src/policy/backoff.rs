//! How long to wait before a call is tried again.

use crate::config::RetryConfig;
use std::time::Duration;

/// Exponential back-off with full jitter: any wait between nothing and the step's full
/// length, so that callers that failed together do not come back together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    delay_initial: Duration,
    delay_max: Duration,
}

// === impl Backoff ===

impl Backoff {
    pub(crate) fn new(config: &RetryConfig) -> Self {
        Self {
            delay_initial: config.delay_initial,
            delay_max: config.delay_max,
        }
    }

    /// The wait before retry number `retry` (the first is 0); `unit` is random in `[0, 1)`.
    pub(crate) fn delay(&self, retry: u32, unit: f64) -> Duration {
        let factor = 2u32.saturating_pow(retry);
        let full = self.delay_initial.saturating_mul(factor);
        full.min(self.delay_max).mul_f64(unit.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn backoff() -> Backoff {
        Backoff {
            delay_initial: MS * 100,
            delay_max: MS * 1_000,
        }
    }

    #[test]
    fn steps_double_up_to_the_limit() {
        let delays = [0, 1, 2, 3, 4, 5].map(|retry| backoff().delay(retry, 1.0).as_millis());
        assert_eq!(delays, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(backoff().delay(2, 0.5), MS * 200);
        assert_eq!(backoff().delay(2, 0.0), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn never_longer_than_the_step_or_the_limit(retry in any::<u32>(), unit in 0.0..1.0f64) {
            let delay = backoff().delay(retry, unit);
            prop_assert!(delay <= backoff().delay(retry, 1.0));
            prop_assert!(delay <= MS * 1_000);
        }
    }
}
