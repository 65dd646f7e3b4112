//! Which files folders and patterns stand for, and what the input of a job is in short.

use crate::format::Format;
use crate::os::{self, FileId};
use crate::source::{SourceError, Text};
use crate::walk::{Step, Walk};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What makes a path that is not there a pattern.
const PATTERN_MARKS: [char; 3] = ['*', '?', '['];

/// Replaces patterns by what they match, in order of name.
pub(crate) fn matching(roots: Vec<PathBuf>, files_max: usize) -> Result<Vec<PathBuf>, SourceError> {
    let mut found = Vec::new();
    for root in roots {
        match pattern(&root) {
            None => found.push(root),
            Some(text) => {
                let before = found.len();
                let error = |error: io::Error| broken(&root, error);
                let paths = glob::glob(text)
                    .map_err(|bad| error(io::Error::new(io::ErrorKind::InvalidInput, bad)))?;
                for path in paths {
                    found.push(path.map_err(|bad| error(bad.into()))?);
                    limited(found.len(), files_max).map_err(error)?;
                }
                if found.len() == before {
                    let what = "nothing matches this pattern";
                    return Err(error(io::Error::new(io::ErrorKind::NotFound, what)));
                }
            }
        }
    }
    Ok(found)
}

/// Finds the files of rows that folders and patterns stand for, without the job's `own`.
pub(crate) fn files_of_rows(
    inputs: Vec<Text>,
    format: Option<Format>,
    own: &[PathBuf],
    files_max: usize,
) -> Result<Vec<Text>, SourceError> {
    let own_ids: Vec<FileId> = own
        .iter()
        .filter_map(|path| FileId::of_path(path))
        .collect();
    let is_own = |path: &Path| FileId::of_path(path).is_some_and(|id| own_ids.contains(&id));
    let mut texts = Vec::new();
    for input in inputs {
        let Text::File(root) = input else {
            texts.push(input);
            continue;
        };
        let is_pattern = pattern(&root).is_some();
        let before = texts.len();
        for path in matching(vec![root.clone()], files_max)? {
            if !path.is_dir() {
                if !(is_pattern && is_own(&path)) {
                    texts.push(Text::File(path));
                }
                continue;
            }
            let walk = Walk::new(vec![path], own_ids.clone()).without(own.to_vec());
            for step in walk {
                match step {
                    Step::File(path) if format.is_some() || Format::of_path(&path).is_some() => {
                        texts.push(Text::File(path));
                    }
                    Step::Unlistable(path, error) => return Err(broken(&path, error)),
                    Step::File(_) | Step::Entered => {}
                }
                limited(texts.len(), files_max).map_err(|error| broken(&root, error))?;
            }
        }
        if texts.len() == before {
            let what = "there is no file of rows (.jsonl, .csv, .parquet) in it";
            return Err(broken(&root, io::Error::new(io::ErrorKind::NotFound, what)));
        }
    }
    Ok(texts)
}

/// What the texts are, by path, size and time; `None` where one cannot be read again.
pub(crate) fn identity<'a>(
    texts: impl IntoIterator<Item = &'a Text>,
) -> Result<Option<String>, SourceError> {
    let mut digest = Sha256::new();
    let mut count = 0;
    for text in texts {
        let Text::File(path) = text else {
            return Ok(None);
        };
        let metadata = std::fs::metadata(path).map_err(|error| broken(path, error))?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let changed = metadata.modified().ok();
        let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.map_or(0, |since| since.as_nanos());
        digest.update(os::path_bytes(path));
        digest.update([0]);
        digest.update(metadata.len().to_le_bytes());
        digest.update(changed.to_le_bytes());
        count += 1;
    }
    Ok(Some(short(count, &digest.finalize())))
}

/// What the roots of a walk are; what is found below them shows while walking.
pub(crate) fn identity_of_roots(roots: &[PathBuf]) -> String {
    let mut digest = Sha256::new();
    for root in roots {
        digest.update(os::path_bytes(root));
        digest.update([0]);
    }
    short(roots.len(), &digest.finalize())
}

fn short(count: usize, digest: &[u8]) -> String {
    const DIGEST_SHOWN: usize = 16;
    let mut text = format!("{count} inputs, ");
    for byte in digest.iter().take(DIGEST_SHOWN) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn pattern(path: &Path) -> Option<&str> {
    let text = path.to_str().filter(|text| text.contains(PATTERN_MARKS))?;
    std::fs::symlink_metadata(path).is_err().then_some(text)
}

fn limited(count: usize, files_max: usize) -> io::Result<()> {
    match count > files_max.max(1) {
        false => Ok(()),
        true => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("it stands for more than input_files_max, {files_max} files"),
        )),
    }
}

fn broken(path: &Path, error: io::Error) -> SourceError {
    SourceError {
        name: format!("{path:?}"),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[Text], base: &Path) -> Vec<String> {
        let name = |text: &Text| text.path().unwrap().strip_prefix(base).unwrap().to_owned();
        let names = texts.iter().map(name);
        names
            .map(|name| name.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn folders_and_patterns_stand_for_their_files_without_the_outputs() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        for name in [
            "b.csv",
            "a.csv",
            "c.txt",
            "in/d.parquet",
            "in/[x].jsonl",
            "out.csv",
            "out.csv.parts/p.csv",
        ] {
            let path = base.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let own = [base.join("out.csv"), base.join("out.csv.parts")];
        let find = |name: &str, max| {
            let inputs = vec![Text::File(base.join(name))];
            let found = files_of_rows(inputs, None, &own, max);
            found
                .map(|texts| names(&texts, base))
                .map_err(|error| error.error.to_string())
        };
        assert_eq!(find("*.csv", 9).unwrap(), ["a.csv", "b.csv"]);
        assert_eq!(
            find("", 9).unwrap(),
            ["a.csv", "b.csv", "in/[x].jsonl", "in/d.parquet"]
        );
        // A file that is there is no pattern, whatever its name.
        assert_eq!(find("in/[x].jsonl", 9).unwrap(), ["in/[x].jsonl"]);
        assert_eq!(find("c.txt", 9).unwrap(), ["c.txt"]);
        assert_eq!(
            find("*.json", 9).unwrap_err(),
            "nothing matches this pattern"
        );
        let error = "it stands for more than input_files_max, 1 files";
        assert_eq!(find("*.csv", 1).unwrap_err(), error);
    }

    #[test]
    fn an_input_that_changed_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "1").unwrap();
        let of = || identity([&Text::File(path.clone())]).unwrap().unwrap();
        let before = of();
        assert_eq!(of(), before);
        std::fs::write(&path, "12").unwrap();
        assert_ne!(of(), before);
        assert!(identity([&Text::Stdin]).unwrap().is_none());
    }
}
