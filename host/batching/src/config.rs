//! The settings of one model's batcher, already out of the manifest.

use crate::ConfigError;
use consort_inference::{BatchHints, TenantId, Tensors};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The most examples that one batch may hold.
pub(crate) const BATCH_SIZE_MAX: usize = 65_536;
/// The most examples that one queue may hold.
pub(crate) const QUEUE_SIZE_MAX: usize = 16_777_216;
/// The most replicas of one model.
pub(crate) const REPLICAS_MAX: usize = 1_024;
/// The largest batch of the fixed policy where none is written.
pub(crate) const FIXED_BATCH_SIZE: usize = 32;
/// The longest wait for more examples.
pub(crate) const QUEUE_DELAY_MAX: Duration = Duration::from_secs(60);

/// The largest batch that is found where `max_batch_size` is not set.
pub(crate) const FOUND_BATCH_SIZE_MAX: usize = 4_096;
/// The most boundaries of length buckets, and of preferred sizes.
const STEPS_MAX: usize = 256;
/// The most tenants with a weight of their own.
const TENANT_WEIGHTS_MAX: usize = 65_536;
/// The largest weight of a tenant.
const TENANT_WEIGHT_MAX: usize = 1_000;

/// How to batch for one model. Fields go by the names of their manifest keys in
/// `[model.*]`, so that messages can name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Who decides what runs when. Default [`PolicyKind::Learned`].
    pub policy: PolicyKind,
    /// The most examples in one batch, 1 to 65,536. What the model itself can take
    /// ([`BatchHints`](consort_inference::BatchHints)) caps it further. `None`, the
    /// default: found by the learned policy, at most 4,096; 32 for the fixed one.
    pub max_batch_size: Option<usize>,
    /// How long a free replica may wait for a batch to fill, counted from the arrival of
    /// its oldest example; at most 60 s. `None`, the default: the learned policy waits
    /// where its costs say that waiting pays; the fixed one runs at once whatever waits.
    pub max_queue_delay: Option<Duration>,
    /// The most bytes of tensors in one batch, at least 1; an example that has more runs
    /// alone. Default 256 MiB.
    pub max_batch_bytes: usize,
    /// What [`Config::max_batch_weight`] counts. Default bytes.
    pub batch_weight: BatchWeight,
    /// The most weight in one batch, at least 1; an example that weighs more runs alone.
    /// `None`, the default: no such limit.
    pub max_batch_weight: Option<u64>,
    /// Sizes at which the model runs best, in rising order, at most 256 of them. Empty, the
    /// default: those of the model's hints.
    pub preferred_batch_sizes: Vec<usize>,
    /// For a model whose handler takes examples of different shapes in one batch: up to
    /// which lengths examples share a batch, in rising order, at most 256 of them. Longer
    /// ones, and all where this is empty (the default), go by eight steps from each power of two to
    /// the next: 32, 36, 40, 44, 48 and so on, from 64 on 72, 80, 88.
    pub shape_buckets: Vec<usize>,
    /// The most examples that wait at a time, `max_batch_size` to 16,777,216; those that
    /// run do not count. Default 4,096.
    pub max_queue_size: usize,
    /// The most bytes of tensors that wait at a time, at least 1. Default 256 MiB.
    pub max_queue_bytes: usize,
    /// The most examples of one tenant that wait at a time, at least 1. `None`, the
    /// default: as many as the queue takes, so that one tenant can fill it.
    pub max_tenant_queue_size: Option<usize>,
    /// A tenant's part of the replicas' time while others wait too, 1 to 1,000; tenants
    /// that are not named have 1. Default: none is named, and all share evenly.
    pub tenant_weights: BTreeMap<TenantId, u32>,
    /// How many batches run at a time, each on a thread of its own, 1 to 1,024; can be
    /// changed later ([`Batcher::set_replicas`](crate::Batcher::set_replicas)). Default 1.
    pub replicas: usize,
    /// The deadline of calls that bring none, counted from their arrival; more than zero.
    /// `None`: such calls wait for as long as it takes. Default 60 s.
    pub default_timeout: Option<Duration>,
}

/// Who decides what runs when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PolicyKind {
    /// [`LearnedPolicy`](crate::LearnedPolicy): learns the cost of batches from their run
    /// times and finds size and delay.
    #[default]
    Learned,
    /// [`FixedPolicy`](crate::FixedPolicy): the size and the delay that are written.
    Fixed,
}

/// What an example adds to the weight of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BatchWeight {
    /// The bytes of its tensors.
    #[default]
    Bytes,
    /// The length of one axis of one of its inputs, such as its tokens; 0 where the input
    /// has no such axis.
    Length {
        /// The name of the input.
        input: Arc<str>,
        /// Which axis of one example, counted from 0.
        axis: usize,
    },
}

// === impl BatchWeight ===

impl BatchWeight {
    /// What an example of so many bytes adds.
    pub(crate) fn of(&self, tensors: &Tensors, bytes: usize) -> u64 {
        let weight = match self {
            Self::Bytes => bytes,
            Self::Length { input, axis } => {
                let shape = tensors.tensor(input).map(consort_inference::Tensor::shape);
                shape
                    .and_then(|shape| shape.get(*axis))
                    .copied()
                    .unwrap_or(0)
            }
        };
        weight as u64
    }
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: PolicyKind::Learned,
            max_batch_size: None,
            max_queue_delay: None,
            max_batch_bytes: 256 << 20,
            batch_weight: BatchWeight::Bytes,
            max_batch_weight: None,
            preferred_batch_sizes: Vec::new(),
            shape_buckets: Vec::new(),
            max_queue_size: 4_096,
            max_queue_bytes: 256 << 20,
            max_tenant_queue_size: None,
            tenant_weights: BTreeMap::new(),
            replicas: 1,
            default_timeout: Some(Duration::from_secs(60)),
        }
    }
}

impl Config {
    /// Checks every field against its limits; the first that is wrong is the error.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if let Some(size) = self.max_batch_size {
            range("max_batch_size", size, 1, BATCH_SIZE_MAX)?;
        }
        range("max_batch_bytes", self.max_batch_bytes, 1, usize::MAX)?;
        if self.max_batch_weight == Some(0) {
            range("max_batch_weight", 0, 1, usize::MAX)?;
        }
        rising("preferred_batch_sizes", &self.preferred_batch_sizes)?;
        rising("shape_buckets", &self.shape_buckets)?;
        range("max_queue_size", self.max_queue_size, 1, QUEUE_SIZE_MAX)?;
        range("max_queue_bytes", self.max_queue_bytes, 1, usize::MAX)?;
        range("replicas", self.replicas, 1, REPLICAS_MAX)?;
        if let Some(size) = self.max_tenant_queue_size {
            range("max_tenant_queue_size", size, 1, QUEUE_SIZE_MAX)?;
        }
        let named = self.tenant_weights.len();
        range("the number of tenant_weights", named, 0, TENANT_WEIGHTS_MAX)?;
        for weight in self.tenant_weights.values() {
            let weight = usize::try_from(*weight).unwrap_or(usize::MAX);
            range("a tenant's weight", weight, 1, TENANT_WEIGHT_MAX)?;
        }
        let max_queue_size = self.max_queue_size;
        if let Some(max_batch_size) = self.max_batch_size.filter(|size| *size > max_queue_size) {
            return Err(ConfigError::QueueBelowBatch {
                max_queue_size,
                max_batch_size,
            });
        }
        match self.max_queue_delay {
            Some(delay) if delay > QUEUE_DELAY_MAX => return Err(ConfigError::QueueDelay(delay)),
            _ => (),
        }
        if self.default_timeout == Some(Duration::ZERO) {
            return Err(ConfigError::ZeroTimeout);
        }
        Ok(())
    }

    /// The largest batch that may run: what is written, or as far as the policy may look.
    pub(crate) fn batch_size_max(&self, hints: &BatchHints) -> usize {
        let unset = match self.policy {
            PolicyKind::Learned => FOUND_BATCH_SIZE_MAX,
            PolicyKind::Fixed => FIXED_BATCH_SIZE,
        };
        let written = self
            .max_batch_size
            .unwrap_or(unset.min(self.max_queue_size));
        let hinted = hints.max_batch_size.unwrap_or(BATCH_SIZE_MAX);
        written.min(hinted).max(1)
    }

    /// Sizes at which the model runs best, of those that may run.
    pub(crate) fn preferred_sizes(&self, hints: &BatchHints) -> Vec<usize> {
        let most = self.batch_size_max(hints);
        let written = match self.preferred_batch_sizes.is_empty() {
            true => &hints.preferred_batch_sizes,
            false => &self.preferred_batch_sizes,
        };
        let mut sizes: Vec<usize> = written.clone();
        sizes.retain(|size| (1..=most).contains(size));
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

fn range(key: &'static str, value: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfRange {
        key,
        value,
        min,
        max,
    })
}

fn rising(key: &'static str, steps: &[usize]) -> Result<(), ConfigError> {
    let rises = steps.iter().zip(steps.iter().skip(1)).all(|(a, b)| a < b);
    if rises && steps.first() != Some(&0) && steps.len() <= STEPS_MAX {
        return Ok(());
    }
    Err(ConfigError::Steps {
        key,
        max: STEPS_MAX,
    })
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
            check(|c| c.max_batch_size = Some(0)),
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
            check(|c| (c.max_queue_size, c.max_batch_size) = (8, Some(32))),
            "max_queue_size is 8, so that a batch of max_batch_size = 32 can never fill; \
             raise max_queue_size or lower max_batch_size"
        );
        assert_eq!(
            check(|c| c.max_queue_delay = Some(Duration::from_secs(61))),
            "max_queue_delay is 61s; write 60s or less"
        );
        assert_eq!(
            check(|c| c.shape_buckets = vec![8, 8]),
            "shape_buckets must be at most 256 numbers, each larger than the one before and \
             the first at least 1"
        );
        assert_eq!(
            check(|c| c.tenant_weights = [(TenantId::default(), 0)].into()),
            "a tenant's weight is 0; write a number from 1 to 1000"
        );
        assert_eq!(
            check(|c| c.default_timeout = Some(Duration::ZERO)),
            "default_timeout is zero, so that every example would expire at once; \
             write a longer time, or leave the key out"
        );
    }

    #[test]
    fn unset_sizes_are_capped_and_hints_cap_further() {
        let hints = |max_batch_size| BatchHints {
            max_batch_size,
            preferred_batch_sizes: vec![4, 8, 64, 8_192],
            ..BatchHints::default()
        };
        let config = Config::default();
        assert_eq!(config.batch_size_max(&hints(None)), 4_096);
        assert_eq!(config.batch_size_max(&hints(Some(16))), 16);
        assert_eq!(config.preferred_sizes(&hints(Some(16))), [4, 8]);
        let fixed = Config {
            policy: PolicyKind::Fixed,
            preferred_batch_sizes: vec![2],
            ..Config::default()
        };
        assert_eq!(fixed.batch_size_max(&hints(None)), 32);
        assert_eq!(fixed.preferred_sizes(&hints(None)), [2]);
    }
}
