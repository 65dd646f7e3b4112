//! SHA-256 of files, and the stamps that say from which inputs a thing was made.

use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What is read from a file at once while it is digested.
const READ_BYTES: usize = 64 * 1024;

/// A digest over several named inputs, in the order they are added.
#[derive(Debug, Default)]
pub(crate) struct Stamp {
    hasher: Sha256,
}

/// A file is not the one that is pinned.
#[derive(Debug, thiserror::Error)]
#[error("{path} has the SHA-256 {found}, but {expected} is pinned in host/xtask/src/setup/pins.rs")]
pub(crate) struct DigestMismatch {
    pub(crate) path: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

/// The SHA-256 of a file, in lower-case hexadecimal.
pub(crate) fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    copy(&mut file, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// Whether the file is there with this content.
pub(crate) fn matches(path: &Path, sha256: &str) -> io::Result<bool> {
    match of_file(path) {
        Ok(found) => Ok(found == sha256),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Every regular file under `dir`, sorted, caches of Python left out.
pub(crate) fn files_under(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for found in std::fs::read_dir(&dir)? {
            let found = found?;
            let kind = found.file_type()?;
            let path = found.path();
            if kind.is_dir() && found.file_name() != "__pycache__" {
                dirs.push(path);
            } else if kind.is_file() && path.extension().is_none_or(|e| e != "pyc") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn copy(file: &mut File, hasher: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; READ_BYTES];
    let mut total = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            return Ok(total);
        };
        hasher.update(chunk);
        total += read as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// === impl Stamp ===

impl Stamp {
    /// Adds a piece of text under a name.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.hasher.update((name.len() as u64).to_le_bytes());
        self.hasher.update(name);
        self.hasher.update((text.len() as u64).to_le_bytes());
        self.hasher.update(text);
    }

    /// Adds a file: its path under `root`, and its content.
    pub(crate) fn file(&mut self, root: &Path, path: &Path) -> io::Result<()> {
        let name = path.strip_prefix(root).unwrap_or(path);
        self.text(&name.to_string_lossy(), &of_file(path)?);
        Ok(())
    }

    /// The digest of all that was added.
    pub(crate) fn finish(self) -> String {
        hex(&self.hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of "abc", from FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_file_has_the_digest_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(of_file(&path).unwrap(), ABC);
        assert!(matches(&path, ABC).unwrap());
        std::fs::write(&path, "abd").unwrap();
        assert!(!matches(&path, ABC).unwrap());
    }

    #[test]
    fn a_missing_file_matches_nothing_and_a_folder_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!matches(&dir.path().join("none"), ABC).unwrap());
        assert!(matches(dir.path(), ABC).is_err());
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        let bytes = vec![7_u8; READ_BYTES * 2 + 1];
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(of_file(&path).unwrap(), hex(&Sha256::digest(&bytes)));
    }

    #[test]
    fn a_stamp_tells_names_contents_and_their_borders_apart() {
        let stamp = |parts: &[(&str, &str)]| {
            let mut stamp = Stamp::default();
            for (name, text) in parts {
                stamp.text(name, text);
            }
            stamp.finish()
        };
        let all = [
            stamp(&[("a", "bc")]),
            stamp(&[("ab", "c")]),
            stamp(&[("a", "b"), ("c", "")]),
            stamp(&[("a", "bd")]),
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(one, other);
            }
        }
        assert_eq!(all[0], stamp(&[("a", "bc")]));
    }

    #[test]
    fn files_are_found_in_folders_without_pythons_caches() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("b/__pycache__");
        std::fs::create_dir_all(&cache).unwrap();
        for path in ["b/two.py", "one.py", "three.pyc", "b/__pycache__/two.txt"] {
            std::fs::write(dir.path().join(path), "").unwrap();
        }
        let found = files_under(dir.path()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["b/two.py", "one.py"]);
    }
}
