//! Which share of the examples goes where: by a hash that stays the same, or by chance.

use consort_inference::{Call, Example};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What keeps an example on its way through all calls, restarts and hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Sticky {
    /// Nothing: by chance.
    #[default]
    No,
    /// Its key, together with its tenant. Examples without one go by chance.
    Key,
    /// The value of a header of the request, whose name is in lower case. Requests without
    /// it go by chance.
    Header(Arc<str>),
}

/// Gives each example a number, evenly spread.
pub(super) struct Rollout {
    sticky: Sticky,
    /// Makes splits independent of one another: the step's name.
    salt: u64,
    seed: u64,
    thrown: AtomicU64,
}

// === impl Rollout ===

impl Rollout {
    pub(super) fn new(step: &str, sticky: Sticky) -> Self {
        Self {
            sticky,
            salt: hash(0, step.as_bytes()),
            seed: RandomState::new().build_hasher().finish(),
            thrown: AtomicU64::new(0),
        }
    }

    /// The header that it looks at.
    pub(super) fn header(&self) -> Option<&Arc<str>> {
        match &self.sticky {
            Sticky::Header(name) => Some(name),
            Sticky::No | Sticky::Key => None,
        }
    }

    /// A number below `total`: the same for what is the same, and any for the rest.
    pub(super) fn point(&self, example: &Example, call: &Call, total: u64) -> u64 {
        let tenant = || hash(self.salt, example.tenant.as_str().as_bytes());
        let stable = match &self.sticky {
            Sticky::No => None,
            Sticky::Key => example.key.as_ref(),
            Sticky::Header(name) => call.headers.value(name),
        };
        let number = match stable {
            Some(text) => hash(tenant(), text.as_bytes()),
            None => mixed(self.seed ^ self.thrown.fetch_add(1, Ordering::Relaxed)),
        };
        scaled(number, total)
    }
}

/// FNV-1a, then mixed: short texts alike must not land side by side.
fn hash(begin: u64, bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mixed(bytes.iter().fold(begin ^ 0xcbf2_9ce4_8422_2325, fold))
}

/// The last steps of splitmix64: every bit in depends on every bit out.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Divides all numbers evenly into `total` parts.
fn scaled(number: u64, total: u64) -> u64 {
    let part = (u128::from(number) * u128::from(total)) >> 64;
    u64::try_from(part).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        // Whoever changes these numbers moves users from arm to arm.
        assert_eq!(hash(0, b"split"), 0xeb20_f353_69b6_fe93);
        assert_eq!(hash(7, b""), 0x234a_398d_b31d_26d6);
        assert_eq!(scaled(u64::MAX, 100), 99);
        assert_eq!(scaled(0, 100), 0);
        assert_eq!(scaled(1 << 63, 100), 50);
    }
}
