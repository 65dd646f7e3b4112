//! One output: lines are written whole, and counted.

use crate::csv_lines;
use crate::format::Format;
use crate::layout::Layout;
use crate::os::{self, FileId};
use crate::render::Rendered;
use crate::table::TableSink;
use crate::{JobError, Outputs, Sink};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Something that takes lines and can take back the end of what it took.
pub(crate) trait Target: Write + Send {
    /// Removes the last bytes written, where that is possible.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes sure that what was written stays written.
    fn settle(&mut self) -> io::Result<()>;
}

/// An open output of lines, or of records of CSV.
pub(crate) struct OpenSink {
    target: Box<dyn Target>,
    name: String,
    /// Whether a line feed may be inside of quotes, where it ends nothing.
    quotes: bool,
    lines_written: u64,
}

/// An open output of predictions.
pub(crate) enum PredictionSink {
    Lines(OpenSink),
    Table(Box<TableSink>, String),
}

/// What predictions look like in an output.
#[derive(Debug, Clone)]
pub(crate) struct OutputForm {
    pub(crate) format: Format,
    pub(crate) layout: Arc<Layout>,
    pub(crate) delimiter: u8,
    pub(crate) row_group_bytes_max: usize,
}

/// An output that is open but not yet emptied.
struct OpenFile {
    file: File,
    id: Option<FileId>,
    path: PathBuf,
    name: String,
    /// Standard output and devices are taken as they are.
    is_empty: bool,
    /// What is written instead, until all is well.
    instead: Option<(File, Replacement)>,
}

/// A finished output that is to take the place of another file.
#[derive(Debug, Clone)]
pub(crate) struct Replacement {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
}

/// The open outputs of a job.
pub(crate) struct OpenOutputs {
    pub(crate) predictions: PredictionSink,
    pub(crate) dead_letters: Option<OpenSink>,
    /// Which files they are.
    pub(crate) ids: Vec<FileId>,
    /// What is to be renamed at the end.
    pub(crate) replacements: Vec<Replacement>,
}

// === impl OpenOutputs ===

impl OpenOutputs {
    /// Creates or empties the outputs. A file that is there keeps its content until it is
    /// certain that all outputs can be had, and where `keep` is set until the end: then
    /// its new content is written beside it. Blocks.
    pub(crate) fn open(outputs: &Outputs, form: &OutputForm, keep: bool) -> Result<Self, JobError> {
        let mut files = vec![OpenFile::open(&outputs.predictions)?];
        if let Some(sink) = &outputs.dead_letters {
            files.push(OpenFile::open(sink)?);
        }
        if let (Some(Sink::File(path)), [predictions, dead]) =
            (&outputs.dead_letters, files.as_slice())
            && dead.id.is_some()
            && dead.id == predictions.id
        {
            return Err(JobError::SameOutput { path: path.clone() });
        }
        let ids = files.iter().filter_map(|file| file.id).collect();
        if keep {
            for file in &mut files {
                file.write_beside()?;
            }
        }
        let instead = |file: &OpenFile| file.instead.as_ref().map(|(_, to)| to.clone());
        let replacements = files.iter().filter_map(instead).collect();
        let mut files = files.into_iter();
        let defect = || JobError::Defect("an output was lost".to_owned());
        let (file, name, path) = files.next().ok_or_else(defect)?.emptied()?;
        let predictions = PredictionSink::new(file, name, form);
        let predictions = predictions.map_err(|source| JobError::Open { path, source })?;
        let dead_letters = files.next().map(OpenFile::emptied).transpose()?;
        Ok(Self {
            predictions,
            dead_letters: dead_letters.map(|(file, name, _)| OpenSink::of_lines(file, name)),
            ids,
            replacements,
        })
    }
}

// === impl Replacement ===

impl Replacement {
    /// A file beside `path` that is to take its place; where `path` is a link, that of
    /// what it leads to.
    pub(crate) fn beside(path: &Path) -> Self {
        let to = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut from = to.clone().into_os_string();
        from.push(".partial");
        Self {
            from: from.into(),
            to,
        }
    }

    /// Lets it take its place, for good.
    pub(crate) fn done(&self) -> io::Result<()> {
        std::fs::rename(&self.from, &self.to)?;
        let folder = self
            .to
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        os::settle_folder(folder.unwrap_or(Path::new(".")))
    }
}

// === impl PredictionSink ===

impl PredictionSink {
    /// Begins an empty output.
    pub(crate) fn new(file: File, name: String, form: &OutputForm) -> io::Result<Self> {
        Ok(match form.format {
            Format::Jsonl => Self::Lines(OpenSink::of_lines(file, name)),
            Format::Csv => {
                let mut sink = OpenSink::of_records(file, name);
                sink.write_lines(&csv_lines::header(&form.layout, form.delimiter))?;
                sink.lines_written = 0;
                Self::Lines(sink)
            }
            Format::Parquet => {
                let table = TableSink::new(file, form.layout.clone(), form.row_group_bytes_max)?;
                Self::Table(Box::new(table), name)
            }
        })
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Lines(sink) => sink.name(),
            Self::Table(_, name) => name,
        }
    }

    /// Whole lines or rows written so far.
    pub(crate) fn lines_written(&self) -> u64 {
        match self {
            Self::Lines(sink) => sink.lines_written(),
            Self::Table(table, _) => table.rows_written(),
        }
    }

    /// Writes what was rendered.
    pub(crate) fn write(&mut self, rendered: &mut Rendered) -> io::Result<()> {
        match self {
            Self::Lines(sink) => sink.write_lines(&rendered.predictions),
            Self::Table(table, _) => table.write(&mut rendered.table),
        }
    }

    /// Finishes it, and makes sure that what was written stays written.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        match self {
            Self::Lines(sink) => sink.settle(),
            Self::Table(table, _) => match table.finish()? {
                file if file.metadata()?.is_file() => file.sync_data(),
                _ => Ok(()),
            },
        }
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
            instead: None,
        })
    }

    /// Leaves a file that has content as it is until the end.
    fn write_beside(&mut self) -> Result<(), JobError> {
        let has_content = self
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.len() > 0);
        if self.is_empty || !has_content {
            return Ok(());
        }
        let replacement = Replacement::beside(&self.path);
        let file = File::create(&replacement.from).map_err(|source| JobError::Open {
            path: replacement.from.clone(),
            source,
        })?;
        self.instead = Some((file, replacement));
        Ok(())
    }

    fn emptied(self) -> Result<(File, String, PathBuf), JobError> {
        if let Some((file, _)) = self.instead {
            return Ok((file, self.name, self.path));
        }
        if !self.is_empty {
            let path = self.path.clone();
            self.file
                .set_len(0)
                .map_err(|source| JobError::Open { path, source })?;
        }
        Ok((self.file, self.name, self.path))
    }
}

// === impl OpenSink ===

impl OpenSink {
    /// An output of lines, each of which ends at its line feed.
    pub(crate) fn of_lines(file: File, name: String) -> Self {
        Self::new(Box::new(file), name, false)
    }

    /// An output of records, which may have line feeds in quotes.
    pub(crate) fn of_records(file: File, name: String) -> Self {
        Self::new(Box::new(file), name, true)
    }

    fn new(target: Box<dyn Target>, name: String, quotes: bool) -> Self {
        Self {
            target,
            name,
            quotes,
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
        let (lines, whole) = whole_lines(taken, self.quotes);
        self.lines_written += lines;
        if done.is_err() {
            // The first error is the one to be told.
            let _ = self.target.cut((taken.len() - whole) as u64);
        }
        done
    }

    /// Makes sure that what was written stays written.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        self.target.settle()
    }
}

/// How many whole lines there are, and their bytes.
fn whole_lines(text: &[u8], quotes: bool) -> (u64, usize) {
    let (mut lines, mut whole, mut quoted) = (0, 0, false);
    for at in memchr::memchr2_iter(b'\n', if quotes { b'"' } else { b'\n' }, text) {
        match text.get(at) {
            Some(b'"') => quoted = !quoted,
            _ if !quoted => {
                lines += 1;
                whole = at + 1;
            }
            _ => {}
        }
    }
    (lines, whole)
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

    fn form() -> OutputForm {
        OutputForm {
            format: Format::Jsonl,
            layout: Arc::new(Layout::of(&Default::default(), false)),
            delimiter: b',',
            row_group_bytes_max: 1,
        }
    }

    #[test]
    fn line_feeds_in_quotes_end_no_record() {
        let text = b"a,\"b\n\"\"\n\"\nc,\"d\n";
        assert_eq!(whole_lines(text, true), (1, 10));
        assert_eq!(whole_lines(text, false), (4, text.len()));
    }

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
        let mut sink = OpenSink::new(Box::new(disk), "disk".into(), false);
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
        let error = OpenOutputs::open(&outputs, &form(), false).err().unwrap();
        assert!(matches!(error, JobError::SameOutput { .. }), "{error}");
        let outputs = Outputs {
            predictions: Sink::File(path.clone()),
            dead_letters: Some(Sink::File(dir.path().join("no/such/folder"))),
        };
        let error = OpenOutputs::open(&outputs, &form(), false)
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with("cannot create the output"), "{error}");
        assert!(error.contains("no/such/folder"), "{error}");
        // Nothing is emptied for a job that cannot begin.
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "of the last run");
        let outputs = Outputs {
            predictions: Sink::File(path.clone()),
            dead_letters: None,
        };
        OpenOutputs::open(&outputs, &form(), false).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }
}
