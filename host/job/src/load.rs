//! Chunks become rows: files are read, lines and fields are parsed, and what fails is said.
//!
//! All of it happens on a bounded number of the runtime's blocking threads, within the
//! budget of bytes in flight.

use crate::budget::Budget;
use crate::cells;
use crate::csv_rows::CsvRecord;
use crate::files::{self, FileTensors};
use crate::jsonl::{self, Form};
use crate::key::RowKey;
use crate::lines::LineChunk;
use crate::os::{self, FileId};
use crate::parquet_rows::{Cell, Column, ColumnChunk};
use crate::rows::{Origin, RowChunk};
use crate::source::Body;
use crate::task::Abandon;
use crate::walk::Step;
use consort_inference::{
    Failure, FailureKind, Signature, Stage, StageKind, Tensor, TensorSpec, Tensors,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

/// One example of a chunk, or why it is none.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: RowKey,
    pub(crate) content: Result<Tensors, Failure>,
}

/// The rows of a chunk, and the leave to hold what was read of files.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) rows: Vec<Row>,
    pub(crate) held: Option<OwnedSemaphorePermit>,
}

/// Reads chunks.
#[derive(Debug)]
pub(crate) struct Loader {
    files: FileTensors,
    signature: Signature,
    line_bytes_max: usize,
    /// A place for each thread that may read.
    threads: Semaphore,
    /// Bytes of files in flight. Whoever holds some waits for the endpoint only, so that
    /// waiting for more always ends.
    budget: Budget,
    abandon: Abandon,
    /// The job's own outputs, which are no examples.
    outputs: Vec<FileId>,
    /// Whether one of them was met all the same.
    output_met: Arc<AtomicBool>,
}

/// A row whose file, if it is one, was not yet read.
#[derive(Debug)]
struct Draft {
    key: RowKey,
    content: Result<jsonl::Body, Failure>,
}

// === impl Loader ===

impl Loader {
    pub(crate) fn new(
        files: FileTensors,
        signature: Signature,
        config: &crate::Config,
        abandon: Abandon,
        outputs: Vec<FileId>,
        output_met: Arc<AtomicBool>,
    ) -> Self {
        Self {
            files,
            signature,
            line_bytes_max: config.line_bytes_max,
            threads: Semaphore::new(config.read_threads_max.max(1)),
            budget: Budget::new(config.inflight_bytes_max),
            abandon,
            outputs,
            output_met,
        }
    }

    /// Reads all of a chunk: a row for each example, in order. Fails only by a panic.
    pub(crate) async fn load(self: &Arc<Self>, body: &Arc<Body>) -> Result<Loaded, JoinError> {
        let drafts: Vec<Draft> = match &**body {
            Body::Steps(steps) => steps.iter().filter_map(Draft::of_step).collect(),
            Body::Paths(lines) => self.paths(lines),
            Body::Unusable(path, failure) => vec![Draft {
                key: RowKey::path(path),
                content: Err(failure.clone()),
            }],
            Body::Rows(..) => {
                let (loader, body) = (self.clone(), body.clone());
                self.on_thread(move || loader.parse(&body)).await?
            }
        };
        if !drafts.iter().any(Draft::is_path) {
            let rows = drafts.into_iter().map(Draft::without_file).collect();
            return Ok(Loaded { rows, held: None });
        }
        let keys: Vec<RowKey> = drafts.iter().map(|draft| draft.key.clone()).collect();
        let loaded = tokio::select! {
            biased;
            loaded = self.load_files(drafts) => loaded?,
            () = self.abandon.wait() => Loaded {
                rows: keys.into_iter().map(Row::abandoned).collect(),
                held: None,
            },
        };
        Ok(loaded)
    }

    async fn load_files(self: &Arc<Self>, drafts: Vec<Draft>) -> Result<Loaded, JoinError> {
        let (drafts, bytes) = match self.files.bytes_max() {
            Some(bytes) => {
                let count = drafts.iter().filter(|draft| draft.is_path()).count();
                (drafts, bytes.saturating_mul(count))
            }
            None => {
                let loader = self.clone();
                self.on_thread(move || loader.measure(drafts)).await?
            }
        };
        let held = self.budget.acquire(bytes).await;
        let loader = self.clone();
        let rows = self.on_thread(move || loader.read(drafts)).await?;
        Ok(Loaded { rows, held })
    }

    /// Runs blocking work when a thread is free for it.
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let _place = self.threads.acquire().await;
        tokio::task::spawn_blocking(work).await
    }

    fn parse(&self, body: &Body) -> Vec<Draft> {
        match body {
            Body::Rows(RowChunk::Jsonl(lines), origin) => self.lines(lines, origin),
            Body::Rows(RowChunk::Csv(rows), origin) => {
                rows.iter().map(|row| self.record(row, origin)).collect()
            }
            Body::Rows(RowChunk::Parquet(rows), origin) => (0..rows.len())
                .map(|index| self.columns(rows, index, origin))
                .collect(),
            Body::Steps(_) | Body::Paths(_) | Body::Unusable(..) => Vec::new(),
        }
    }

    fn lines(&self, lines: &LineChunk, origin: &Origin) -> Vec<Draft> {
        let form = Form {
            signature: &self.signature,
            plan: &origin.plan,
            line_bytes_max: self.line_bytes_max,
            origin: origin.name.as_deref(),
        };
        let draft = |line| {
            let (key, content) = jsonl::read(&line, form);
            let content = content.and_then(|body| match body {
                jsonl::Body::Path(_) if self.files.is_empty() => {
                    Err(self.takes_no_files(line.number))
                }
                body => Ok(body),
            });
            Draft { key, content }
        };
        lines.iter().map(draft).collect()
    }

    /// A record of CSV.
    fn record(&self, row: CsvRecord<'_>, origin: &Origin) -> Draft {
        let plan = &origin.plan;
        let place = |name: usize| plan.places.get(name).copied().unwrap_or(usize::MAX);
        let field = |name: usize| row.field(place(name)).unwrap_or_default();
        let key = match plan.key {
            Some(key) => RowKey::text(&String::from_utf8_lossy(field(key))),
            None => origin.key(row.number),
        };
        let tensors = || {
            let (count, columns) = (row.len(), origin.header.len());
            match count {
                None => {
                    let max = self.line_bytes_max;
                    let what = format!("the record is longer than line_bytes_max, {max} bytes");
                    return Err(origin.failure(row.number, None, FailureKind::TooLarge, &what));
                }
                Some(count) if count != columns => {
                    let what = format!("{columns} fields are expected, there are {count}");
                    let kind = FailureKind::InvalidArgument;
                    return Err(origin.failure(row.number, None, kind, &what));
                }
                Some(_) => {}
            }
            self.tensors(origin, row.number, |spec, first, count| match count {
                1 => cells::tensor_of_field(field(first), spec).map_err(|what| (0, what)),
                _ => cells::tensor_of_fields((first..first + count).map(field), spec),
            })
        };
        Draft {
            content: tensors().map(jsonl::Body::Tensors),
            key,
        }
    }

    /// A row of Parquet.
    fn columns(&self, rows: &ColumnChunk, index: usize, origin: &Origin) -> Draft {
        let (number, row) = rows.row(index).unwrap_or_default();
        let cell = |name: usize| {
            let column = rows.columns.get(name).ok_or("the column is missing")?;
            match column.cell(row) {
                Cell::Values(range) => Ok((column, range)),
                Cell::Null => Err("a value is expected, null was found"),
            }
        };
        let key = origin.plan.key.and_then(|key| {
            let column: &Column = rows.columns.get(key)?;
            crate::original::key(column, row)
        });
        let content = self.tensors(origin, number, |spec, first, count| {
            let mut found = Vec::with_capacity(count);
            for name in first..first + count {
                let at = name - first;
                let (column, range) = cell(name).map_err(|what| (at, what.to_owned()))?;
                found.push((&column.values, range));
            }
            match found.as_slice() {
                [(values, range)] => {
                    cells::tensor_of_values(values, range.clone(), spec).map_err(|what| (0, what))
                }
                _ => cells::tensor_of_stack(found.into_iter(), spec),
            }
        });
        Draft {
            key: key.unwrap_or_else(|| origin.key(number)),
            content: content.map(jsonl::Body::Tensors),
        }
    }

    /// The tensors of a row of columns; a failure names the column.
    fn tensors(
        &self,
        origin: &Origin,
        number: u64,
        read: impl Fn(&TensorSpec, usize, usize) -> Result<Tensor, (usize, String)>,
    ) -> Result<Tensors, Failure> {
        let mut tensors = Tensors::new();
        for (spec, (first, count)) in self.signature.inputs.iter().zip(&origin.plan.inputs) {
            let tensor = read(spec, *first, *count).map_err(|(at, what)| {
                let column = origin.plan.names.get(first + at).map(|name| &**name);
                origin.failure(number, column, FailureKind::InvalidArgument, &what)
            })?;
            tensors.insert(spec.name.clone(), tensor);
        }
        Ok(tensors)
    }

    fn paths(&self, lines: &LineChunk) -> Vec<Draft> {
        let draft = |line: crate::lines::LineText<'_>| match line.text {
            Some(bytes) => Draft::of_path(os::path_from_bytes(bytes)),
            None => {
                let max = self.line_bytes_max;
                let number = line.number;
                let what =
                    format!("line {number}: the line is longer than line_bytes_max, {max} bytes");
                let stage = Stage::new(StageKind::Read, "line");
                Draft {
                    key: RowKey::line(number),
                    content: Err(Failure::new(stage, FailureKind::TooLarge, what)),
                }
            }
        };
        lines.iter().map(draft).collect()
    }

    fn measure(&self, drafts: Vec<Draft>) -> (Vec<Draft>, usize) {
        let bytes = drafts
            .iter()
            .filter_map(Draft::path)
            .fold(0, |sum: usize, path| {
                sum.saturating_add(self.files.byte_len(path))
            });
        (drafts, bytes)
    }

    fn read(&self, drafts: Vec<Draft>) -> Vec<Row> {
        let row = |Draft { key, content }| Row {
            key,
            content: content.and_then(|body| match body {
                jsonl::Body::Tensors(tensors) => Ok(tensors),
                jsonl::Body::Path(path) => self.read_file(&path),
            }),
        };
        drafts.into_iter().map(row).collect()
    }

    /// Reads a file, unless it is one that this job writes.
    fn read_file(&self, path: &Path) -> Result<Tensors, Failure> {
        let is_output = !self.outputs.is_empty()
            && FileId::of_path(path).is_some_and(|id| self.outputs.contains(&id));
        if is_output {
            self.output_met.store(true, Ordering::Release);
            let what = "this job writes its output there; give the output another name";
            return Err(files::failure(path, FailureKind::InvalidArgument, what));
        }
        self.files.read(path)
    }

    fn takes_no_files(&self, line: u64) -> Failure {
        let what = format!(
            "line {line}: \"path\" cannot be used, because the endpoint does not say how a file \
             becomes an example; give \"inputs\""
        );
        Failure::new(
            Stage::new(StageKind::Read, "line"),
            FailureKind::InvalidArgument,
            what,
        )
    }
}

// === impl Draft ===

impl Draft {
    fn of_path(path: PathBuf) -> Self {
        Self {
            key: RowKey::path(&path),
            content: Ok(jsonl::Body::Path(path)),
        }
    }

    fn of_step(step: &Step) -> Option<Self> {
        match step {
            Step::File(path) => Some(Self::of_path(path.clone())),
            Step::Unlistable(path, error) => Some(Self {
                key: RowKey::path(path),
                content: Err(files::failure(
                    path,
                    FailureKind::Unreadable,
                    &format!("the folder cannot be listed: {error}"),
                )),
            }),
            Step::Entered => None,
        }
    }

    fn path(&self) -> Option<&Path> {
        match &self.content {
            Ok(jsonl::Body::Path(path)) => Some(path),
            _ => None,
        }
    }

    fn is_path(&self) -> bool {
        self.path().is_some()
    }

    fn without_file(self) -> Row {
        let content = self.content.and_then(|body| match body {
            jsonl::Body::Tensors(tensors) => Ok(tensors),
            jsonl::Body::Path(path) => Err(files::failure(
                &path,
                FailureKind::Internal,
                "it was taken for something else than a file",
            )),
        });
        Row {
            key: self.key,
            content,
        }
    }
}

// === impl Row ===

impl Row {
    fn abandoned(key: RowKey) -> Self {
        let what = "the job was interrupted while the file was read";
        let stage = Stage::new(StageKind::Read, "file");
        Self {
            key,
            content: Err(Failure::new(stage, FailureKind::Cancelled, what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Read};
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Condvar, Mutex};

    fn loader(config: &Config) -> (Arc<Loader>, tokio::sync::watch::Sender<bool>) {
        let files = FileTensors::new([("all", Read::All { bytes_max: 1 << 20 })]);
        let (switch, abandon) = Abandon::channel();
        let loader = Loader::new(
            files,
            Signature::default(),
            config,
            abandon,
            Vec::new(),
            Arc::default(),
        );
        (Arc::new(loader), switch)
    }

    /// Work that holds its thread until it is told to go on.
    #[derive(Default)]
    struct Held {
        running: AtomicUsize,
        running_max: AtomicUsize,
        open: Mutex<bool>,
        opened: Condvar,
    }

    impl Held {
        fn work(&self) {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.running_max.fetch_max(running, Ordering::SeqCst);
            let open = self.open.lock().unwrap();
            drop(self.opened.wait_while(open, |open| !*open).unwrap());
            self.running.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn steps(paths: &[PathBuf]) -> Arc<Body> {
        Arc::new(Body::Steps(paths.iter().cloned().map(Step::File).collect()))
    }

    #[tokio::test]
    async fn files_that_cannot_be_read_in_time_are_given_up_by_name() {
        let (loader, switch) = loader(&Config::default());
        // As if every thread hung in a file system that does not answer.
        let hung = loader.threads.acquire_many(8).await.unwrap();
        let stop = async { switch.send(true).unwrap() };
        let paths = [PathBuf::from("a"), PathBuf::from("b")];
        let body = steps(&paths);
        let (loaded, ()) = tokio::join!(loader.load(&body), stop);
        drop(hung);
        let rows = loaded.unwrap().rows;
        let keys: Vec<&str> = rows.iter().map(|row| &*row.key.text).collect();
        assert_eq!(keys, ["a", "b"]);
        for row in rows {
            assert_eq!(row.content.unwrap_err().kind, FailureKind::Cancelled);
        }
    }

    #[tokio::test]
    async fn files_wait_for_the_bytes_of_others() {
        let config = Config {
            inflight_bytes_max: 100 << 10,
            ..Config::default()
        };
        let (loader, _switch) = loader(&config);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![0; 60 << 10]).unwrap();
        let body = steps(std::slice::from_ref(&path));
        let first = loader.load(&body).await.unwrap();
        assert!(first.rows.iter().all(|row| row.content.is_ok()));
        let mut second = std::pin::pin!(loader.load(&body));
        let early = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(early, &mut second).await.is_err());
        drop(first);
        assert!(second.await.unwrap().held.is_some());
    }

    #[tokio::test]
    async fn no_more_threads_read_than_are_allowed() {
        let (loader, _switch) = loader(&Config {
            read_threads_max: 2,
            ..Config::default()
        });
        let held = Arc::new(Held::default());
        let works: Vec<_> = (0..6)
            .map(|_| {
                let (loader, held) = (loader.clone(), held.clone());
                tokio::spawn(async move { loader.on_thread(move || held.work()).await })
            })
            .collect();
        while held.running.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        // All six have asked for a thread by now, and none has given one back.
        (0..100).for_each(|_| std::thread::yield_now());
        tokio::task::yield_now().await;
        *held.open.lock().unwrap() = true;
        held.opened.notify_all();
        for work in works {
            work.await.unwrap().unwrap();
        }
        assert_eq!(held.running_max.load(Ordering::SeqCst), 2);
    }
}
