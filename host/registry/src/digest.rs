//! SHA-256 of a file, read in pieces.

use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A SHA-256 digest; written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest([u8; 32]);

// === impl Sha256Digest ===

impl Sha256Digest {
    /// The digest of a file's content; memory does not grow with the file.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = file.read(&mut chunk)?;
            if count == 0 {
                return Ok(Self(hasher.finalize().into()));
            }
            hasher.update(chunk.get(..count).unwrap_or_default());
        }
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
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let digest = Sha256Digest::of_file(file.path()).unwrap();
        // FIPS 180-2, appendix B.1.
        let expected = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        assert!(digest.matches(expected));
        assert!(!digest.matches(&expected[1..]));
    }
}
