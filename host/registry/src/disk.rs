//! What lies on disk: files of a model, their bytes, and a quick look at whether they
//! changed. Everything here blocks.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The deepest folder inside a model's folder.
const DEPTH_MAX: usize = 16;
/// The most files of one model.
const FILES_MAX: usize = 10_000;

/// What changes when somebody writes to a model's files or puts others in their place:
/// names, lengths, times and, where the system has them, inode numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint(Vec<(PathBuf, u64, Option<SystemTime>, u64)>);

// === impl Fingerprint ===

impl Fingerprint {
    /// Looks at a file, or at all files of a folder.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let look = |file: PathBuf| {
            let metadata = std::fs::metadata(&file)?;
            let inode = inode(&metadata);
            Ok((file, metadata.len(), metadata.modified().ok(), inode))
        };
        files(path)?
            .into_iter()
            .map(look)
            .collect::<io::Result<_>>()
            .map(Self)
    }
}

#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &std::fs::Metadata) -> u64 {
    0
}

/// Bytes of a file, or of all files of a folder.
pub(crate) fn byte_len(path: &Path) -> io::Result<u64> {
    let mut bytes = 0u64;
    for file in files(path)? {
        bytes = bytes.saturating_add(std::fs::metadata(file)?.len());
    }
    Ok(bytes)
}

/// The file itself, or all files inside a folder, in order of path.
pub(crate) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![(path.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?.path();
            if !std::fs::metadata(&entry)?.is_dir() {
                files.push(entry);
            } else if depth < DEPTH_MAX {
                folders.push((entry, depth + 1));
            }
            if files.len() > FILES_MAX {
                return Err(io::Error::other(format!(
                    "{} holds more than {FILES_MAX} files, which is no model",
                    path.display()
                )));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_content_or_another_file_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        std::fs::write(&path, "1").unwrap();
        let first = Fingerprint::of(&path).unwrap();
        assert_eq!(Fingerprint::of(&path).unwrap(), first);
        std::fs::write(&path, "22").unwrap();
        let second = Fingerprint::of(&path).unwrap();
        assert_ne!(second, first);
        let other = folder.path().join("o");
        std::fs::write(&other, "33").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(Fingerprint::of(&path).unwrap(), second);
        assert_eq!(byte_len(folder.path()).unwrap(), 2);
        assert!(Fingerprint::of(&other).is_err());
    }
}
