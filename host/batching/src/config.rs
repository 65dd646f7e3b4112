//! The settings of one model's batcher, already out of the manifest.

use crate::ConfigError;
use std::time::Duration;

/// The most examples that one batch may hold.
pub(crate) const BATCH_SIZE_MAX: usize = 65_536;
/// The most examples that one queue may hold.
pub(crate) const QUEUE_SIZE_MAX: usize = 16_777_216;
/// The most replicas of one model.
pub(crate) const REPLICAS_MAX: usize = 1_024;
/// The longest wait for more examples.
pub(crate) const QUEUE_DELAY_MAX: Duration = Duration::from_secs(60);

/// How to batch for one model. Fields go by the names of their manifest keys in
/// `[model.*]`, so that messages can name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The most examples in one batch, 1 to 65,536. What the model itself can take
    /// ([`BatchHints`](consort_inference::BatchHints)) caps it further. Default 32.
    pub max_batch_size: usize,
    /// How long a free replica may wait for a batch to fill, counted from the arrival of
    /// its oldest example; at most 60 s. Default zero: whatever waits runs at once, and
    /// batches form while all replicas are busy.
    pub max_queue_delay: Duration,
    /// The most examples that wait at a time, `max_batch_size` to 16,777,216; those that
    /// run do not count. Default 4,096.
    pub max_queue_size: usize,
    /// The most bytes of tensors that wait at a time, at least 1. Default 256 MiB.
    pub max_queue_bytes: usize,
    /// The most examples of one tenant that wait at a time, at least 1. `None`, the
    /// default: as many as the queue takes, so that one tenant can fill it.
    pub max_tenant_queue_size: Option<usize>,
    /// How many batches run at a time, each on a thread of its own, 1 to 1,024.
    /// Default 1.
    pub replicas: usize,
    /// The deadline of calls that bring none, counted from their arrival; more than zero.
    /// `None`: such calls wait for as long as it takes. Default 60 s.
    pub default_timeout: Option<Duration>,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            max_batch_size: 32,
            max_queue_delay: Duration::ZERO,
            max_queue_size: 4_096,
            max_queue_bytes: 256 << 20,
            max_tenant_queue_size: None,
            replicas: 1,
            default_timeout: Some(Duration::from_secs(60)),
        }
    }
}

impl Config {
    /// Checks every field against its limits; the first that is wrong is the error.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let range = |key, value: usize, min: usize, max: usize| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange {
                    key,
                    value,
                    min,
                    max,
                })
            }
        };
        range("max_batch_size", self.max_batch_size, 1, BATCH_SIZE_MAX)?;
        range("max_queue_size", self.max_queue_size, 1, QUEUE_SIZE_MAX)?;
        range("max_queue_bytes", self.max_queue_bytes, 1, usize::MAX)?;
        range("replicas", self.replicas, 1, REPLICAS_MAX)?;
        if let Some(size) = self.max_tenant_queue_size {
            range("max_tenant_queue_size", size, 1, QUEUE_SIZE_MAX)?;
        }
        if self.max_queue_size < self.max_batch_size {
            return Err(ConfigError::QueueBelowBatch {
                max_queue_size: self.max_queue_size,
                max_batch_size: self.max_batch_size,
            });
        }
        if self.max_queue_delay > QUEUE_DELAY_MAX {
            return Err(ConfigError::QueueDelay(self.max_queue_delay));
        }
        if self.default_timeout == Some(Duration::ZERO) {
            return Err(ConfigError::ZeroTimeout);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        match config.validate() {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_default_is_valid() {
        assert_eq!(check(|_| ()), "ok");
    }

    #[test]
    fn each_limit_is_named() {
        assert_eq!(
            check(|c| c.max_batch_size = 0),
            "max_batch_size is 0; write a number from 1 to 65536"
        );
        assert_eq!(
            check(|c| c.replicas = 5_000),
            "replicas is 5000; write a number from 1 to 1024"
        );
        assert_eq!(
            check(|c| c.max_queue_bytes = 0),
            format!(
                "max_queue_bytes is 0; write a number from 1 to {}",
                usize::MAX
            )
        );
        assert_eq!(
            check(|c| c.max_tenant_queue_size = Some(0)),
            "max_tenant_queue_size is 0; write a number from 1 to 16777216"
        );
        assert_eq!(
            check(|c| c.max_queue_size = 8),
            "max_queue_size is 8, so that a batch of max_batch_size = 32 can never fill; \
             raise max_queue_size or lower max_batch_size"
        );
        assert_eq!(
            check(|c| c.max_queue_delay = Duration::from_secs(61)),
            "max_queue_delay is 61s; write 60s or less"
        );
        assert_eq!(
            check(|c| c.default_timeout = Some(Duration::ZERO)),
            "default_timeout is zero, so that every example would expire at once; \
             write a longer time, or leave the key out"
        );
    }
}
