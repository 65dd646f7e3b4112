//! SHA-256, as manifests write it.

use sha2::{Digest, Sha256};
use std::fmt;

/// A SHA-256 digest; written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest([u8; 32]);

// === impl Sha256Digest ===

impl Sha256Digest {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Whether `hex` (64 digits, either case) is this digest.
    pub fn matches(&self, hex: &str) -> bool {
        self.to_string().eq_ignore_ascii_case(hex)
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha256() {
        let digest = Sha256Digest::of(b"abc");
        // FIPS 180-2, appendix B.1.
        let expected = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        assert!(digest.matches(expected));
        assert!(!digest.matches(&expected[1..]));
    }
}
