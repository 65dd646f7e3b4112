//! Putting what was made where it belongs: only plain files, each replaced at once or not at all.

use crate::ImportError;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// What is read of a file at once while it is digested.
const READ_BYTES: usize = 1 << 16;

/// Moves a file that the converting process made. A link is refused: it could name any file of
/// the user's.
pub(crate) fn place(from: &Path, to: &Path) -> Result<(), ImportError> {
    let kind = fs::symlink_metadata(from)
        .map_err(ImportError::file("the converter made no", from))?
        .file_type();
    if !kind.is_file() {
        return Err(ImportError::Garbled(format!(
            "{} is not a plain file",
            from.display()
        )));
    }
    let beside = to.with_extension("part");
    // The scratch folder may lie on another disk.
    fs::copy(from, &beside).map_err(ImportError::file("cannot write", &beside))?;
    fs::rename(&beside, to).map_err(ImportError::file("cannot write", to))
}

/// Writes a file at once.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), ImportError> {
    let beside = path.with_extension("part");
    fs::write(&beside, text).map_err(ImportError::file("cannot write", &beside))?;
    fs::rename(&beside, path).map_err(ImportError::file("cannot write", path))
}

/// The SHA-256 of a file, in lower-case hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String, ImportError> {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let length = file.read(&mut buffer)?;
            let Some(part) = buffer.get(..length).filter(|part| !part.is_empty()) else {
                return Ok(hex(&digest.finalize()));
            };
            digest.update(part);
        }
    };
    read().map_err(ImportError::file("cannot read", path))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_a_link_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.onnx"), folder.path().join("b.onnx"));
        fs::write(&from, "abc").unwrap();
        fs::write(&to, "old").unwrap();
        place(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "abc");
        assert_eq!(
            sha256(&to).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(place(&folder.path().join("none"), &to).is_err());
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
            let error = place(&link, &to).unwrap_err();
            assert!(matches!(error, ImportError::Garbled(_)), "{error}");
            assert_eq!(fs::read_to_string(&to).unwrap(), "abc");
        }
    }
}
