//! What a job that can be resumed notes down: which job it is, and which parts are whole.
//!
//! Beside the output `OUT` there is a folder `OUT.parts`:
//!
//! ```text
//! job.json             which input, which settings
//! lock                 locked while a run is at work
//! part-000000.*        the part that is being written; it counts for nothing
//! part-000001.jsonl    predictions of a range of rows (or .csv, .parquet)
//! part-000001.dead.jsonl
//! part-000001.json     the range, and what is in the two files: with it the part counts
//! assembled.json       all parts were put together, only the renaming may be left
//! ```
//!
//! Everything is written under another name, settled on the disk and then renamed, so that
//! a file that is there is whole. Ranges follow each other without a gap.

use crate::os;
use crate::writer::Tally;
use crate::{Failures, JobError};
use consort_inference::{FailureKind, StageKind};
use serde_json::{Map, Value, json};
use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Written into the notes, so that another form of them is not misread.
const FORM: u64 = 1;
const STAGES: [StageKind; 6] = [
    StageKind::Read,
    StageKind::Request,
    StageKind::Preprocess,
    StageKind::Inference,
    StageKind::Postprocess,
    StageKind::Write,
];
const KINDS: [FailureKind; 18] = [
    FailureKind::InvalidArgument,
    FailureKind::NotFound,
    FailureKind::TooLarge,
    FailureKind::Unreadable,
    FailureKind::PluginFailed,
    FailureKind::PluginTrapped,
    FailureKind::PluginLimit,
    FailureKind::PluginContract,
    FailureKind::ModelFailed,
    FailureKind::ModelContract,
    FailureKind::OutOfMemory,
    FailureKind::QueueFull,
    FailureKind::DeadlineExceeded,
    FailureKind::Cancelled,
    FailureKind::Unavailable,
    FailureKind::Unwritable,
    FailureKind::Internal,
    FailureKind::Skipped,
];

/// What decides what a job writes: it must be the same when the job is resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) Vec<(&'static str, String)>);

/// One whole part.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartNote {
    /// Rows of the source up to its end.
    pub(crate) rows_end: u64,
    pub(crate) listing: u64,
    pub(crate) tally: Tally,
    /// The sizes of its files.
    pub(crate) predictions_bytes: u64,
    pub(crate) dead_letters_bytes: u64,
}

/// The notes of a job.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    /// Held while this run is at work.
    _lock: File,
}

// === impl Fingerprint ===

impl Fingerprint {
    fn to_json(&self) -> Value {
        let members = self.0.iter();
        let members = members.map(|(name, value)| ((*name).to_owned(), Value::from(&**value)));
        Value::Object(members.collect())
    }

    /// What differs from the notes of an earlier run.
    fn difference(&self, noted: &Map<String, Value>) -> Option<String> {
        self.0.iter().find_map(|(name, now)| {
            let before = noted
                .get(*name)
                .and_then(Value::as_str)
                .unwrap_or("not given");
            (before != now).then(|| format!("{name} was {before}, now it is {now}"))
        })
    }
}

// === impl Journal ===

impl Journal {
    /// Opens the notes of a job, or begins them.
    pub(crate) fn open(folder: PathBuf, fingerprint: &Fingerprint) -> Result<Self, JobError> {
        let failed = |path: &Path, source| JobError::Open {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(|error| failed(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = "another run of this job is at work";
                return Err(failed(
                    &folder,
                    io::Error::new(io::ErrorKind::ResourceBusy, what),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&lock_path, error)),
        }
        let journal = Self {
            folder,
            _lock: lock,
        };
        match journal
            .read("job.json")
            .map_err(|error| failed(&journal.folder, error))?
        {
            Some(noted) => {
                let settings = noted.get("job").and_then(Value::as_object);
                let known = noted.get("form").and_then(Value::as_u64) == Some(FORM);
                let difference = match settings.filter(|_| known) {
                    Some(settings) => fingerprint.difference(settings),
                    None => Some("its notes cannot be read".to_owned()),
                };
                if let Some(difference) = difference {
                    return Err(JobError::OtherJob {
                        folder: journal.folder,
                        difference,
                    });
                }
            }
            None => {
                let note = json!({"form": FORM, "job": fingerprint.to_json()});
                journal
                    .write("job.json", &note)
                    .map_err(|error| failed(&journal.folder, error))?;
            }
        }
        Ok(journal)
    }

    /// A file of the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The note of a part, if the part is whole.
    pub(crate) fn part(&self, number: u64) -> io::Result<Option<PartNote>> {
        let Some(note) = self.read(&format!("part-{number:06}.json"))? else {
            return Ok(None);
        };
        PartNote::from_json(&note).map(Some).ok_or_else(|| {
            let what = format!("part-{number:06}.json cannot be understood");
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }

    /// Notes that a part is whole. Its files are settled by now, and under their names.
    pub(crate) fn keep_part(&self, number: u64, note: &PartNote) -> io::Result<()> {
        self.write(&format!("part-{number:06}.json"), &note.to_json())
    }

    /// Whether all parts were put together.
    pub(crate) fn is_assembled(&self) -> io::Result<bool> {
        Ok(self.read("assembled.json")?.is_some())
    }

    /// Notes that all parts were put together.
    pub(crate) fn keep_assembled(&self) -> io::Result<()> {
        self.write("assembled.json", &json!({"form": FORM}))
    }

    /// Removes the notes and parts: the job is done.
    pub(crate) fn remove(self) -> io::Result<()> {
        // Under another name half a folder is never taken for a job.
        let mut gone = self.folder.clone().into_os_string();
        gone.push(".done");
        let gone = PathBuf::from(gone);
        if gone.exists() {
            std::fs::remove_dir_all(&gone)?;
        }
        std::fs::rename(&self.folder, &gone)?;
        std::fs::remove_dir_all(&gone)
    }

    fn read(&self, name: &str) -> io::Result<Option<Value>> {
        match std::fs::read(self.folder.join(name)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, name: &str, note: &Value) -> io::Result<()> {
        let beside = self.folder.join(format!("{name}.tmp"));
        let mut file = File::create(&beside)?;
        file.write_all(note.to_string().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, self.folder.join(name))?;
        os::settle_folder(&self.folder)
    }
}

// === impl PartNote ===

impl PartNote {
    fn to_json(&self) -> Value {
        let failures = self.tally.failures.iter();
        let failures = failures.map(|(stage, kind, count)| {
            json!({"stage": stage.as_str(), "kind": kind.as_str(), "count": count})
        });
        json!({
            "rows_end": self.rows_end,
            "listing": self.listing,
            "predictions": self.tally.predicted,
            "failures": failures.collect::<Vec<_>>(),
            "predictions_bytes": self.predictions_bytes,
            "dead_letters_bytes": self.dead_letters_bytes,
        })
    }

    fn from_json(note: &Value) -> Option<Self> {
        let number = |name: &str| note.get(name)?.as_u64();
        let mut failures = Failures::default();
        for failure in note.get("failures")?.as_array()? {
            let word = |name: &str| failure.get(name)?.as_str();
            let (stage, kind) = (word("stage")?, word("kind")?);
            let stage = STAGES.into_iter().find(|found| found.as_str() == stage)?;
            let kind = KINDS.into_iter().find(|found| found.as_str() == kind)?;
            failures.add(stage, kind, failure.get("count")?.as_u64()?);
        }
        Some(Self {
            rows_end: number("rows_end")?,
            listing: number("listing")?,
            tally: Tally {
                predicted: number("predictions")?,
                failures,
            },
            predictions_bytes: number("predictions_bytes")?,
            dead_letters_bytes: number("dead_letters_bytes")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_parts_read_back() {
        let mut failures = Failures::default();
        for (index, kind) in KINDS.into_iter().enumerate() {
            failures.add(STAGES[index % STAGES.len()], kind, index as u64 + 1);
        }
        let note = PartNote {
            rows_end: u64::MAX,
            listing: u64::MAX - 1,
            tally: Tally {
                predicted: 3,
                failures,
            },
            predictions_bytes: 5,
            dead_letters_bytes: 0,
        };
        let again = PartNote::from_json(&note.to_json()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{note:?}"));
    }

    #[test]
    fn another_job_is_told_by_what_differs_and_a_second_run_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("out.parts");
        let job = |limit: &str| Fingerprint(vec![("input", "a".into()), ("limit", limit.into())]);
        let journal = Journal::open(folder.clone(), &job("5")).unwrap();
        let error = Journal::open(folder.clone(), &job("5"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("another run of this job is at work"),
            "{error}"
        );
        drop(journal);
        let error = Journal::open(folder.clone(), &job("6"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("limit was 5, now it is 6"), "{error}");
        let journal = Journal::open(folder.clone(), &job("5")).unwrap();
        assert!(journal.part(1).unwrap().is_none());
        journal.remove().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
