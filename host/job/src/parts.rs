//! Writes a job part by part, so that a run that is killed can be resumed: nothing is lost
//! and nothing is written twice. See [`crate::journal`] for what is on the disk.

use crate::csv_lines;
use crate::feed::Done;
use crate::format::Format;
use crate::journal::{Fingerprint, Journal, PartNote};
use crate::render::Rendered;
use crate::sink::{OpenSink, OutputForm, PredictionSink, Replacement};
use crate::table;
use crate::writer::Tally;
use crate::{Config, JobError, Outputs, Sink};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// The parts of a job.
pub(crate) struct Parts {
    journal: Journal,
    form: OutputForm,
    predictions: PathBuf,
    dead_letters: Option<PathBuf>,
    /// The number of the next part.
    next: u64,
    /// What is in whole parts.
    kept: PartNote,
    open: Option<OpenPart>,
    part_examples_max: u64,
    part_interval: Duration,
}

/// What was found of a job.
pub(crate) enum Found {
    /// Some of it is to be done.
    Unfinished(Box<Parts>),
    /// All of it was done.
    Finished(Tally),
}

/// A part that is being written.
struct OpenPart {
    predictions: PredictionSink,
    dead_letters: Option<OpenSink>,
    note: PartNote,
    opened: Instant,
}

/// The folder of the parts of an output.
pub(crate) fn folder(output: &Path) -> PathBuf {
    let mut folder = output.to_owned().into_os_string();
    folder.push(".parts");
    folder.into()
}

// === impl Parts ===

impl Parts {
    /// Opens the parts of a job, or begins them. A job of which only the last step was
    /// left is brought to its end. Blocks.
    pub(crate) fn open(
        outputs: &Outputs,
        form: OutputForm,
        config: &Config,
        fingerprint: &Fingerprint,
    ) -> Result<Found, JobError> {
        let path = |sink: &Sink| match sink {
            Sink::File(path) if !path.exists() || path.is_file() => Ok(path.clone()),
            Sink::File(path) => Err(JobError::NotResumable {
                what: format!("the output {path:?} is no regular file"),
            }),
            Sink::Stdout => Err(JobError::NotResumable {
                what: "standard output cannot be taken back".to_owned(),
            }),
        };
        let predictions = path(&outputs.predictions)?;
        let dead_letters = outputs.dead_letters.as_ref().map(path).transpose()?;
        if let Some(dead) = &dead_letters {
            let canonical = |path: &Path| Replacement::beside(path).to;
            if canonical(dead) == canonical(&predictions) {
                return Err(JobError::SameOutput { path: dead.clone() });
            }
        }
        let journal = Journal::open(folder(&predictions), fingerprint)?;
        let mut parts = Self {
            journal,
            form,
            predictions,
            dead_letters,
            next: 1,
            kept: PartNote::default(),
            open: None,
            part_examples_max: config.part_examples_max.max(1),
            part_interval: config.part_interval,
        };
        let assembled = parts.recall().map_err(|source| JobError::Open {
            path: folder(&parts.predictions),
            source,
        })?;
        if !assembled {
            return Ok(Found::Unfinished(Box::new(parts)));
        }
        let tally = parts.kept.tally.clone();
        let path = parts.predictions.clone();
        let done = parts.replace();
        done.map_err(|source| JobError::Open { path, source })?;
        Ok(Found::Finished(tally))
    }

    /// What earlier runs did.
    pub(crate) fn done(&self) -> Done {
        Done {
            rows: self.kept.rows_end,
            listing: self.kept.listing,
        }
    }

    /// What is in whole parts.
    pub(crate) fn tally(&self) -> &Tally {
        &self.kept.tally
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> String {
        format!("{:?}", folder(&self.predictions))
    }

    /// Reads the notes; whether all parts were put together.
    fn recall(&mut self) -> io::Result<bool> {
        while let Some(note) = self.journal.part(self.next)? {
            for (path, bytes) in [
                (self.predictions_of(self.next), note.predictions_bytes),
                (self.dead_letters_of(self.next), note.dead_letters_bytes),
            ] {
                let found = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
                if found != bytes {
                    let what = format!("{path:?} has {found} bytes, {bytes} were noted");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
            }
            self.kept.add(&note);
            self.next += 1;
        }
        self.journal.is_assembled()
    }

    fn predictions_of(&self, number: u64) -> PathBuf {
        let extension = self.form.format.extension();
        self.journal.path(&format!("part-{number:06}.{extension}"))
    }

    fn dead_letters_of(&self, number: u64) -> PathBuf {
        self.journal.path(&format!("part-{number:06}.dead.jsonl"))
    }

    /// Takes what was rendered of the rows up to `done`; whether a part was closed.
    pub(crate) fn write(&mut self, page: &mut Rendered, done: Done) -> io::Result<bool> {
        if self.open.is_none() {
            self.open = Some(self.begin()?);
        }
        let Some(part) = &mut self.open else {
            return Ok(false);
        };
        part.predictions.write(page)?;
        if let Some(sink) = &mut part.dead_letters {
            sink.write_lines(&page.dead_letters)?;
        }
        part.note.rows_end = done.rows;
        part.note.listing = done.listing;
        part.note.tally.predicted += page.predicted;
        part.note.tally.failures.merge(&page.failures);
        let examples = part.note.tally.predicted + part.note.tally.failures.total();
        let due = examples >= self.part_examples_max || part.opened.elapsed() >= self.part_interval;
        if due {
            self.close()?;
        }
        Ok(due)
    }

    fn begin(&self) -> io::Result<OpenPart> {
        let predictions = File::create(self.predictions_of(0))?;
        let name = self.name();
        let predictions = match self.form.format {
            // The header comes once, when the parts are put together.
            Format::Csv => PredictionSink::Lines(OpenSink::of_records(predictions, name)),
            Format::Jsonl | Format::Parquet => PredictionSink::new(predictions, name, &self.form)?,
        };
        let dead_letters = match self.dead_letters {
            Some(_) => Some(OpenSink::of_lines(
                File::create(self.dead_letters_of(0))?,
                self.name(),
            )),
            None => None,
        };
        Ok(OpenPart {
            predictions,
            dead_letters,
            note: PartNote::default(),
            opened: Instant::now(),
        })
    }

    /// Makes a whole part of the one that is open.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        let Some(mut part) = self.open.take() else {
            return Ok(());
        };
        let number = self.next;
        part.predictions.settle()?;
        let from = self.predictions_of(0);
        part.note.predictions_bytes = std::fs::metadata(&from)?.len();
        std::fs::rename(from, self.predictions_of(number))?;
        if let Some(sink) = &mut part.dead_letters {
            sink.settle()?;
            let from = self.dead_letters_of(0);
            part.note.dead_letters_bytes = std::fs::metadata(&from)?.len();
            std::fs::rename(from, self.dead_letters_of(number))?;
        }
        self.journal.keep_part(number, &part.note)?;
        self.kept.add(&part.note);
        self.next += 1;
        Ok(())
    }

    /// Puts all parts together and lets them take the place of the outputs.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.close()?;
        self.assemble()?;
        self.journal.keep_assembled()?;
        self.replace()
    }

    fn assemble(&self) -> io::Result<()> {
        let part = |number| File::open(self.predictions_of(number));
        let mut out = File::create(Replacement::beside(&self.predictions).from)?;
        match self.form.format {
            Format::Parquet => {
                table::join((1..self.next).map(part), out, &self.form.layout)?;
            }
            format => {
                if format == Format::Csv {
                    let header = csv_lines::header(&self.form.layout, self.form.delimiter);
                    out.write_all(&header)?;
                }
                for number in 1..self.next {
                    io::copy(&mut part(number)?, &mut out)?;
                }
                out.sync_all()?;
            }
        }
        if let Some(path) = &self.dead_letters {
            let mut out = File::create(Replacement::beside(path).from)?;
            for number in 1..self.next {
                io::copy(&mut File::open(self.dead_letters_of(number))?, &mut out)?;
            }
            out.sync_all()?;
        }
        Ok(())
    }

    /// The last step, which may have been done in part before.
    fn replace(self) -> io::Result<()> {
        for path in [Some(&self.predictions), self.dead_letters.as_ref()]
            .into_iter()
            .flatten()
        {
            let replacement = Replacement::beside(path);
            match replacement.done() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
        self.journal.remove()
    }
}

// === impl PartNote ===

impl PartNote {
    /// Takes in the part that follows.
    fn add(&mut self, part: &Self) {
        self.rows_end = part.rows_end;
        self.listing = part.listing;
        self.tally.predicted += part.tally.predicted;
        self.tally.failures.merge(&part.tally.failures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use std::sync::Arc;

    fn outputs(dir: &Path) -> Outputs {
        Outputs {
            predictions: Sink::File(dir.join("out.jsonl")),
            dead_letters: Some(Sink::File(dir.join("dead.jsonl"))),
        }
    }

    fn open(dir: &Path) -> Found {
        let form = OutputForm {
            format: Format::Jsonl,
            layout: Arc::new(Layout::of(&Default::default(), false)),
            delimiter: b',',
            row_group_bytes_max: 1,
        };
        let config = Config {
            part_examples_max: 2,
            ..Config::default()
        };
        let job = Fingerprint(vec![("input", "a".to_owned())]);
        Parts::open(&outputs(dir), form, &config, &job).unwrap()
    }

    fn unfinished(dir: &Path) -> Box<Parts> {
        match open(dir) {
            Found::Unfinished(parts) => parts,
            Found::Finished(_) => panic!("it is not finished"),
        }
    }

    fn page(predictions: &str, dead: &str) -> Rendered {
        let mut rendered = Rendered {
            predictions: predictions.into(),
            dead_letters: dead.into(),
            predicted: predictions.lines().count() as u64,
            ..Rendered::default()
        };
        let failed = dead.lines().count() as u64;
        let stage = consort_inference::StageKind::Inference;
        let kind = consort_inference::FailureKind::ModelFailed;
        rendered.failures.add(stage, kind, failed);
        rendered
    }

    fn done(rows: u64) -> Done {
        Done { rows, listing: 7 }
    }

    fn files(dir: &Path) -> (String, String, usize) {
        let read = |name| std::fs::read_to_string(dir.join(name)).unwrap();
        let count = std::fs::read_dir(dir).unwrap().count();
        (read("out.jsonl"), read("dead.jsonl"), count)
    }

    #[test]
    fn only_whole_parts_count() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        std::fs::write(dir.join("out.jsonl"), "of an earlier job\n").unwrap();
        let mut parts = unfinished(dir);
        assert!(parts.write(&mut page("a\nb\n", "c\n"), done(3)).unwrap());
        assert!(!parts.write(&mut page("d\n", ""), done(4)).unwrap());
        // As if it were killed here, with a part of a part on the disk.
        drop(parts);
        assert_eq!(files_of_output(dir), "of an earlier job\n");
        let mut parts = unfinished(dir);
        assert_eq!((parts.done().rows, parts.done().listing), (3, 7));
        assert_eq!(
            (parts.tally().predicted, parts.tally().failures.total()),
            (2, 1)
        );
        parts.write(&mut page("d\n", "e\n"), done(5)).unwrap();
        parts.write(&mut page("f\n", ""), done(6)).unwrap();
        parts.finish().unwrap();
        assert_eq!(files(dir), ("a\nb\nd\nf\n".into(), "c\ne\n".into(), 2));
    }

    fn files_of_output(dir: &Path) -> String {
        std::fs::read_to_string(dir.join("out.jsonl")).unwrap()
    }

    #[test]
    fn a_job_killed_in_its_last_step_is_brought_to_its_end() {
        for renamed in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let dir = dir.path();
            let mut parts = unfinished(dir);
            parts.write(&mut page("a\nb\n", "c\n"), done(3)).unwrap();
            parts.assemble().unwrap();
            parts.journal.keep_assembled().unwrap();
            for name in ["out.jsonl", "dead.jsonl"].into_iter().take(renamed) {
                Replacement::beside(&dir.join(name)).done().unwrap();
            }
            drop(parts);
            let Found::Finished(tally) = open(dir) else {
                panic!("it is finished");
            };
            assert_eq!((tally.predicted, tally.failures.total()), (2, 1));
            assert_eq!(files(dir), ("a\nb\n".into(), "c\n".into(), 2));
        }
    }

    #[test]
    fn a_part_that_was_tampered_with_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut parts = unfinished(dir);
        parts.write(&mut page("a\nb\n", ""), done(2)).unwrap();
        drop(parts);
        std::fs::write(dir.join("out.jsonl.parts/part-000001.jsonl"), "a\n").unwrap();
        let config = Config::default();
        let form = OutputForm {
            format: Format::Jsonl,
            layout: Arc::new(Layout::of(&Default::default(), false)),
            delimiter: b',',
            row_group_bytes_max: 1,
        };
        let job = Fingerprint(vec![("input", "a".to_owned())]);
        let error = Parts::open(&outputs(dir), form, &config, &job)
            .err()
            .unwrap();
        let error = error.to_string();
        assert!(error.contains("has 2 bytes, 4 were noted"), "{error}");
    }
}
