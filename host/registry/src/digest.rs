//! SHA-256, as manifests write it.

use crate::disk;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a file that are read at a time.
const READ_BYTES: usize = 1 << 16;

/// A SHA-256 digest; written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest([u8; 32]);

// === impl Sha256Digest ===

impl Sha256Digest {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of a file, or of the names and digests of all files in a folder. Blocks.
    pub(crate) fn of_path(path: &Path) -> io::Result<Self> {
        if path.is_file() {
            return Self::of_file(path);
        }
        let mut all = Sha256::new();
        for file in disk::files(path)? {
            let name = file.strip_prefix(path).unwrap_or(&file);
            all.update(name.as_os_str().as_encoded_bytes());
            all.update([0]);
            all.update(Self::of_file(&file)?.0);
        }
        Ok(Self(all.finalize().into()))
    }

    fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Self(digest.finalize().into())),
                Ok(count) => digest.update(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether `hex` (64 digits, either case) is this digest.
    pub fn matches(&self, hex: &str) -> bool {
        self.to_string().eq_ignore_ascii_case(hex)
    }

    /// The first 12 digits: enough to tell a person's versions apart.
    pub(crate) fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
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
        assert_eq!(digest.short(), "ba7816bf8f01");
    }

    #[test]
    fn files_are_read_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let content: Vec<u8> = (0..READ_BYTES + 7).map(|at| at as u8).collect();
        std::fs::write(&path, &content).unwrap();
        assert_eq!(
            Sha256Digest::of_path(&path).unwrap(),
            Sha256Digest::of(&content)
        );
    }

    #[test]
    fn a_folder_is_its_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let digest = || Sha256Digest::of_path(folder.path()).unwrap();
        std::fs::write(folder.path().join("a"), "1").unwrap();
        let first = digest();
        std::fs::write(folder.path().join("a"), "2").unwrap();
        let second = digest();
        std::fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        let third = digest();
        assert!(first != second && second != third && first != third);
    }
}
