//! Chunks become rows: files are read, lines are parsed, and what fails is said.
//!
//! All of it happens on a bounded number of the runtime's blocking threads, within the
//! budget of bytes in flight.

use crate::budget::Budget;
use crate::files::{self, FileTensors};
use crate::jsonl::{self, Body};
use crate::key::RowKey;
use crate::lines::LineChunk;
use crate::os;
use crate::source::Chunk;
use crate::task::Abandon;
use crate::walk::Step;
use consort_inference::{Failure, FailureKind, Signature, Stage, StageKind, Tensors};
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
}

/// A row whose file, if it is one, was not yet read.
#[derive(Debug)]
struct Draft {
    key: RowKey,
    content: Result<Body, Failure>,
}

// === impl Loader ===

impl Loader {
    pub(crate) fn new(
        files: FileTensors,
        signature: Signature,
        config: &crate::Config,
        abandon: Abandon,
    ) -> Self {
        Self {
            files,
            signature,
            line_bytes_max: config.line_bytes_max,
            threads: Semaphore::new(config.read_threads_max.max(1)),
            budget: Budget::new(config.inflight_bytes_max),
            abandon,
        }
    }

    /// Reads all of a chunk: a row for each example, in order. Fails only by a panic.
    pub(crate) async fn load(self: &Arc<Self>, chunk: Chunk) -> Result<Loaded, JoinError> {
        let drafts = match chunk {
            Chunk::Steps(steps) => steps.into_iter().filter_map(Draft::of_step).collect(),
            Chunk::Paths(lines) => self.paths(&lines),
            Chunk::Jsonl(lines) => {
                let loader = self.clone();
                self.on_thread(move || loader.parse(&lines)).await?
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

    fn parse(&self, lines: &LineChunk) -> Vec<Draft> {
        let draft = |line| {
            let (key, content) = jsonl::read(&line, &self.signature, self.line_bytes_max);
            let content = content.and_then(|body| match body {
                Body::Path(_) if self.files.is_empty() => Err(self.takes_no_files(line.number)),
                body => Ok(body),
            });
            Draft { key, content }
        };
        lines.iter().map(draft).collect()
    }

    fn paths(&self, lines: &LineChunk) -> Vec<Draft> {
        let draft = |line: crate::lines::LineText<'_>| match line.text {
            Some(bytes) => Draft::of_path(os::path_from_bytes(bytes)),
            None => {
                let (key, content) = jsonl::read(&line, &self.signature, self.line_bytes_max);
                Draft { key, content }
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
                Body::Tensors(tensors) => Ok(tensors),
                Body::Path(path) => self.files.read(&path),
            }),
        };
        drafts.into_iter().map(row).collect()
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
            content: Ok(Body::Path(path)),
        }
    }

    fn of_step(step: Step) -> Option<Self> {
        match step {
            Step::File(path) => Some(Self::of_path(path)),
            Step::Unlistable(path, error) => Some(Self {
                key: RowKey::path(&path),
                content: Err(files::failure(
                    &path,
                    FailureKind::Unreadable,
                    &format!("the folder cannot be listed: {error}"),
                )),
            }),
            Step::Entered => None,
        }
    }

    fn path(&self) -> Option<&Path> {
        match &self.content {
            Ok(Body::Path(path)) => Some(path),
            _ => None,
        }
    }

    fn is_path(&self) -> bool {
        self.path().is_some()
    }

    fn without_file(self) -> Row {
        let content = self.content.and_then(|body| match body {
            Body::Tensors(tensors) => Ok(tensors),
            Body::Path(path) => Err(files::failure(
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

    fn loader(config: &Config) -> (Arc<Loader>, tokio::sync::watch::Sender<bool>) {
        let files = FileTensors::new([("all", Read::All { bytes_max: 1 << 20 })]);
        let (switch, abandon) = Abandon::channel();
        let loader = Loader::new(files, Signature::default(), config, abandon);
        (Arc::new(loader), switch)
    }

    fn steps(paths: &[PathBuf]) -> Chunk {
        Chunk::Steps(paths.iter().cloned().map(Step::File).collect())
    }

    #[tokio::test]
    async fn files_that_cannot_be_read_in_time_are_given_up_by_name() {
        let (loader, switch) = loader(&Config::default());
        // As if every thread hung in a file system that does not answer.
        let hung = loader.threads.acquire_many(8).await.unwrap();
        let stop = async { switch.send(true).unwrap() };
        let paths = [PathBuf::from("a"), PathBuf::from("b")];
        let (loaded, ()) = tokio::join!(loader.load(steps(&paths)), stop);
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
        let chunk = || steps(std::slice::from_ref(&path));
        let first = loader.load(chunk()).await.unwrap();
        assert!(first.rows.iter().all(|row| row.content.is_ok()));
        let mut second = std::pin::pin!(loader.load(chunk()));
        let early = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(early, &mut second).await.is_err());
        drop(first);
        assert!(second.await.unwrap().held.is_some());
    }
}
