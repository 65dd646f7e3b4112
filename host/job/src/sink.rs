//! One output: lines are written whole, and counted.

use crate::os::{self, FileId};
use crate::{JobError, Outputs, Sink};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write};
use std::path::PathBuf;

/// Something that takes lines and can take back the end of what it took.
pub(crate) trait Target: Write + Send {
    /// Removes the last bytes written, where that is possible.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes sure that what was written stays written.
    fn settle(&mut self) -> io::Result<()>;
}

/// An open output.
pub(crate) struct OpenSink {
    target: Box<dyn Target>,
    name: String,
    lines_written: u64,
}

/// An output that is open but not yet emptied.
struct OpenFile {
    file: File,
    id: Option<FileId>,
    path: PathBuf,
    name: String,
    /// Standard output and devices are taken as they are.
    is_empty: bool,
}

/// The open outputs of a job.
pub(crate) struct OpenOutputs {
    pub(crate) predictions: OpenSink,
    pub(crate) dead_letters: Option<OpenSink>,
    /// Which files they are.
    pub(crate) ids: Vec<FileId>,
}

// === impl OpenOutputs ===

impl OpenOutputs {
    /// Creates or empties the outputs. A file that is there keeps its content until it is
    /// certain that all outputs can be had. Blocks.
    pub(crate) fn open(outputs: &Outputs) -> Result<Self, JobError> {
        let predictions = OpenFile::open(&outputs.predictions)?;
        let dead_letters = outputs.dead_letters.as_ref().map(OpenFile::open);
        let dead_letters = dead_letters.transpose()?;
        if let (Some(sink), Some(dead)) = (&outputs.dead_letters, &dead_letters)
            && let Sink::File(path) = sink
            && dead.id.is_some()
            && dead.id == predictions.id
        {
            return Err(JobError::SameOutput { path: path.clone() });
        }
        let ids = [Some(&predictions), dead_letters.as_ref()];
        let ids = ids
            .into_iter()
            .flatten()
            .filter_map(|file| file.id)
            .collect();
        Ok(Self {
            predictions: predictions.emptied()?,
            dead_letters: dead_letters.map(OpenFile::emptied).transpose()?,
            ids,
        })
    }
}

// === impl OpenFile ===

impl OpenFile {
    fn open(sink: &Sink) -> Result<Self, JobError> {
        let (file, path, name) = match sink {
            Sink::File(path) => {
                let file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(path);
                (file, path.clone(), format!("{path:?}"))
            }
            Sink::Stdout => {
                let name = "standard output";
                (os::stdout(), name.into(), name.to_owned())
            }
        };
        let file = file.map_err(|source| JobError::Open {
            path: path.clone(),
            source,
        })?;
        let id = file.metadata().ok().as_ref().and_then(FileId::of);
        let is_empty = matches!(sink, Sink::Stdout) || id.is_none();
        Ok(Self {
            file,
            id,
            path,
            name,
            is_empty,
        })
    }

    fn emptied(self) -> Result<OpenSink, JobError> {
        if !self.is_empty {
            let path = self.path;
            self.file
                .set_len(0)
                .map_err(|source| JobError::Open { path, source })?;
        }
        Ok(OpenSink::new(Box::new(self.file), self.name))
    }
}

// === impl OpenSink ===

impl OpenSink {
    fn new(target: Box<dyn Target>, name: String) -> Self {
        Self {
            target,
            name,
            lines_written: 0,
        }
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whole lines written so far.
    pub(crate) fn lines_written(&self) -> u64 {
        self.lines_written
    }

    /// Writes lines. On an error the whole lines among what was written stay, and a part
    /// of a line at the end is taken back.
    pub(crate) fn write_lines(&mut self, text: &[u8]) -> io::Result<()> {
        let mut written = 0;
        let done = loop {
            match text.get(written..) {
                None | Some([]) => break Ok(()),
                Some(left) => match self.target.write(left) {
                    Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => written += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => break Err(error),
                },
            }
        };
        let taken = text.get(..written).unwrap_or(text);
        self.lines_written += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        if done.is_err() {
            let partial = taken
                .iter()
                .rev()
                .take_while(|byte| **byte != b'\n')
                .count();
            // The first error is the one to be told.
            let _ = self.target.cut(partial as u64);
        }
        done
    }

    /// Makes sure that what was written stays written.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        self.target.settle()
    }
}

// === impl Target for File ===

impl Target for File {
    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        if bytes == 0 || !self.metadata()?.is_file() {
            return Ok(());
        }
        let end = self.stream_position()?;
        // Someone else may have written behind it, in a file that is appended to.
        match self.metadata()?.len() == end {
            true => self.set_len(end.saturating_sub(bytes)),
            false => Ok(()),
        }
    }

    fn settle(&mut self) -> io::Result<()> {
        match self.metadata()?.is_file() {
            true => self.sync_data(),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A disk with room for some bytes, which takes a few at a time.
    pub(crate) struct SmallDisk {
        pub(crate) file: File,
        pub(crate) room: usize,
    }

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(7).min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.file.write(&bytes[..count])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Target for SmallDisk {
        fn cut(&mut self, bytes: u64) -> io::Result<()> {
            self.file.cut(bytes)
        }

        fn settle(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Writes to a disk with `room`; what is then in the file, and how many lines.
    fn write(room: usize, texts: &[&str]) -> (String, u64, bool) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let disk = SmallDisk {
            file: file.reopen().unwrap(),
            room,
        };
        let mut sink = OpenSink::new(Box::new(disk), "disk".into());
        let done = texts
            .iter()
            .try_for_each(|text| sink.write_lines(text.as_bytes()));
        let content = std::fs::read_to_string(file.path()).unwrap();
        (content, sink.lines_written(), done.is_ok())
    }

    #[test]
    fn a_full_disk_leaves_whole_lines_whatever_its_room() {
        let texts = ["one\ntwo\nthree\n", "four\nfive\n"];
        let whole = texts.concat();
        for room in 0..whole.len() {
            let (content, lines, done) = write(room, &texts);
            assert!(!done);
            assert!(content.is_empty() || content.ends_with('\n'), "{content:?}");
            assert!(whole.starts_with(&content));
            assert!(whole[content.len()..].find('\n').unwrap() >= room - content.len());
            assert_eq!(lines, content.lines().count() as u64);
        }
        assert_eq!(write(whole.len(), &texts), (whole, 5, true));
    }

    #[test]
    fn two_outputs_in_one_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let outputs = Outputs {
            predictions: Sink::File(path.clone()),
            dead_letters: Some(Sink::File(dir.path().join("./out"))),
        };
        std::fs::write(&path, "of the last run").unwrap();
        let error = OpenOutputs::open(&outputs).err().unwrap();
        assert!(matches!(error, JobError::SameOutput { .. }), "{error}");
        let outputs = Outputs {
            predictions: Sink::File(path.clone()),
            dead_letters: Some(Sink::File(dir.path().join("no/such/folder"))),
        };
        let error = OpenOutputs::open(&outputs).err().unwrap().to_string();
        assert!(error.starts_with("cannot create the output"), "{error}");
        assert!(error.contains("no/such/folder"), "{error}");
        // Nothing is emptied for a job that cannot begin.
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "of the last run");
        let outputs = Outputs {
            predictions: Sink::File(path.clone()),
            dead_letters: None,
        };
        OpenOutputs::open(&outputs).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }
}
