//! Tunings that were found at earlier starts: one small text file each, named by the
//! digest of everything that decides the result. What cannot be read is measured anew.

use super::Tuning;
use crate::Sha256Digest;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The first line of a file; another form gets another one.
const HEAD: &str = "consort tuning 1";
/// Bytes of a file that are read at most.
const FILE_BYTES_MAX: u64 = 4_096;

/// What was kept under `key`, if it is there and whole.
pub(super) fn read(folder: &Path, key: &str) -> Option<Tuning> {
    let mut text = String::new();
    let file = File::open(path(folder, key)).ok()?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    parse(&text)
}

/// Keeps a tuning. The file is complete or not there.
pub(super) fn write(folder: &Path, key: &str, tuning: &Tuning) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let path = path(folder, key);
    let unfinished = path.with_extension(format!("{}.part", std::process::id()));
    let written = File::create(&unfinished)
        .and_then(|mut file| file.write_all(text(tuning).as_bytes()))
        .and_then(|()| std::fs::rename(&unfinished, &path));
    if written.is_err() {
        // Nothing can be done about a file that cannot be removed either.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

fn path(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{}.tuning", Sha256Digest::of(key.as_bytes())))
}

fn text(tuning: &Tuning) -> String {
    let Tuning {
        threads,
        replicas,
        batch_size,
        examples_per_second,
    } = tuning;
    format!(
        "{HEAD}\nthreads = {threads}\nreplicas = {replicas}\nbatch_size = {batch_size}\n\
         examples_per_second = {examples_per_second}\n"
    )
}

fn parse(text: &str) -> Option<Tuning> {
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return None;
    }
    let mut value = |key: &str| {
        let (name, value) = lines.next()?.split_once(" = ")?;
        (name == key).then_some(value)
    };
    let count = |text: &str| {
        text.parse()
            .ok()
            .filter(|count| (1..=65_536usize).contains(count))
    };
    let tuning = Tuning {
        threads: count(value("threads")?)?,
        replicas: count(value("replicas")?)?,
        batch_size: count(value("batch_size")?)?,
        examples_per_second: value("examples_per_second")?.parse().ok()?,
    };
    tuning.examples_per_second.is_finite().then_some(tuning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TUNING: Tuning = Tuning {
        threads: 1,
        replicas: 2,
        batch_size: 128,
        examples_per_second: 1234.5,
    };

    #[test]
    fn what_is_kept_is_found_under_its_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("deep/er");
        assert_eq!(read(&inside, "a"), None);
        write(&inside, "a", &TUNING).unwrap();
        assert_eq!(read(&inside, "a"), Some(TUNING));
        assert_eq!(read(&inside, "b"), None);
        assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 1);
    }

    #[test]
    fn half_a_file_is_none() {
        let whole = text(&TUNING);
        assert_eq!(parse(&whole), Some(TUNING));
        let lines: Vec<&str> = whole.lines().collect();
        for count in 0..lines.len() {
            assert_eq!(parse(&lines[..count].join("\n")), None);
        }
        assert_eq!(parse(&whole.replace("= 2", "= 0")), None);
        assert_eq!(parse(&whole.replace("1234.5", "NaN")), None);
        assert_eq!(parse(&whole.replace("threads", "treads")), None);
    }

    proptest! {
        #[test]
        fn garbage_is_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(path(folder.path(), "k"), bytes).unwrap();
            prop_assert_eq!(read(folder.path(), "k"), None);
        }
    }
}
