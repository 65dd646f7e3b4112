//! A stream of updates beside a job's examples (Beam's side input of `ModelMetadata`).
//!
//! Each line of the stream is a JSON object: which model, and what it is to become. Lines
//! are taken one after the other, as they come. One with `after` is a stopping place of the
//! job: nothing more is let in once so many examples were, and the model is switched when
//! they are answered. What cannot be done is said, and the old model answers on.

use crate::print;
use crate::repository::ModelRepository;
use consort_inference::ModelName;
use consort_job::PaceKeeper;
use consort_registry::{Update, Updated};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

/// The longest line.
const LINE_BYTES_MAX: usize = 64 << 10;
/// How often a file is looked at for more lines.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How much is read at a time.
const READ_BYTES: usize = 64 << 10;

/// One update.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The model's name in the manifest.
    model: String,
    /// Its new file; without it, its own file once more.
    path: Option<PathBuf>,
    /// What predictions are to say made them; Beam calls it `model_id`.
    #[serde(alias = "model_id")]
    version: Option<String>,
    /// The SHA-256 that the file must have.
    sha256: Option<String>,
    /// How many examples come before.
    #[serde(default)]
    after: u64,
}

/// What became of the updates so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Models that were switched.
    pub(crate) switched: u64,
    /// Updates that failed.
    pub(crate) failed: u64,
    /// The line and the number of examples that are waited for.
    pending: Option<(u64, u64)>,
}

/// A stream that is followed until this is dropped.
pub(crate) struct Updates {
    task: JoinHandle<()>,
    tally: Arc<Mutex<Tally>>,
}

/// Whoever follows a stream.
struct Follower {
    path: PathBuf,
    /// A file grows; anything else ends.
    grows: bool,
    repository: Arc<ModelRepository>,
    keeper: PaceKeeper,
    tally: Arc<Mutex<Tally>>,
}

/// The lines of a stream, as they come.
struct Lines {
    file: Option<File>,
    partial: Vec<u8>,
    number: u64,
}

/// What a look at a stream gives.
enum Next {
    Line(u64, Vec<u8>),
    /// Nothing more for now, or for ever.
    Nothing,
}

// === impl Updates ===

impl Updates {
    /// Begins to follow a stream. The job waits until the lines that a file has already are
    /// dealt with.
    pub(crate) fn follow(
        path: &Path,
        repository: Arc<ModelRepository>,
        keeper: PaceKeeper,
    ) -> Result<Self, String> {
        let metadata = std::fs::metadata(path);
        let metadata = metadata.map_err(|error| {
            let path = path.display();
            format!("the updates {path} cannot be read: {error}")
        })?;
        if metadata.is_dir() {
            let path = path.display();
            return Err(format!(
                "{path} is a folder: --updates takes a file or a FIFO"
            ));
        }
        let tally = Arc::new(Mutex::default());
        let follower = Follower {
            path: path.to_owned(),
            grows: metadata.is_file(),
            repository,
            keeper,
            tally: tally.clone(),
        };
        let task = tokio::spawn(follower.run());
        Ok(Self { task, tally })
    }

    /// Ends it with the job; says which update the job was too short for.
    pub(crate) fn end(&self) -> Tally {
        self.task.abort();
        let tally = *lock(&self.tally);
        if let Some((line, after)) = tally.pending {
            print::note(&format!(
                "note: the update of line {line} was not made: the job has fewer than {after} \
                 examples"
            ));
        }
        tally
    }
}

impl Drop for Updates {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Follower ===

impl Follower {
    async fn run(mut self) {
        if let Err(error) = self.follow().await {
            let path = self.path.display();
            print::error(&format!(
                "the updates {path} cannot be read any further: {error}"
            ));
        }
        // The keeper is dropped, and the job goes on to its end.
    }

    async fn follow(&mut self) -> io::Result<()> {
        self.let_on_unless_more_is_there();
        let mut lines = Lines::open(&self.path).await?;
        loop {
            match lines.next().await? {
                Next::Line(number, line) => {
                    if !line.iter().all(u8::is_ascii_whitespace) {
                        self.take(number, &line).await;
                    }
                    self.let_on_unless_more_is_there();
                }
                Next::Nothing => {
                    self.keeper.let_on();
                    if !self.grows {
                        return Ok(());
                    }
                    sleep(LOOK_INTERVAL).await;
                }
            }
        }
    }

    /// Of a file the next line is there at once, or there is none. Nobody knows when a pipe
    /// brings the next one: the job does not wait for it.
    fn let_on_unless_more_is_there(&self) {
        if !self.grows {
            self.keeper.let_on();
        }
    }

    async fn take(&mut self, number: u64, line: &[u8]) {
        let place = format!("{}, line {number}", self.path.display());
        let outcome = match serde_json::from_slice(line) {
            Ok(line) => self.update(number, line).await,
            Err(error) => Err(format!("no update: {error}")),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(Updated::Unchanged(id))) => {
                print::note(&format!("note: {place}: {id} answers already"));
            }
            Ok(Some(updated)) => {
                lock(&self.tally).switched += 1;
                let answered = self.keeper.answered();
                let id = updated.id();
                print::note(&format!(
                    "note: {place}: {id} answers from now on, after {answered} examples"
                ));
            }
            Err(message) => {
                lock(&self.tally).failed += 1;
                print::error(&format!(
                    "{place}: {message}; what answered before answers still"
                ));
            }
        }
    }

    /// Makes one update when its time has come; `None` if the job ends before.
    async fn update(&mut self, number: u64, line: Line) -> Result<Option<Updated>, String> {
        let Line {
            model,
            path,
            version,
            sha256,
            after,
        } = line;
        let unknown = || format!("there is no model {model:?} in the manifest");
        let name: ModelName = model.parse().map_err(|_| unknown())?;
        if after > 0 {
            lock(&self.tally).pending = Some((number, after));
            self.keeper.stop_at(after);
            if !self.keeper.reached(after).await {
                return Ok(None);
            }
            lock(&self.tally).pending = None;
        }
        let update = Update {
            path,
            version,
            sha256,
        };
        let updated = self.repository.load(&name, update).await;
        updated.map(Some).map_err(|error| error.to_string())
    }
}

// === impl Lines ===

impl Lines {
    /// Waits for a writer where that is what the stream does.
    async fn open(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let file = spawn_blocking(move || File::open(path)).await;
        Ok(Self {
            file: Some(file.map_err(io::Error::other)??),
            partial: Vec::new(),
            number: 0,
        })
    }

    /// The next line.
    async fn next(&mut self) -> io::Result<Next> {
        loop {
            if let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
                let rest = self.partial.split_off(end + 1);
                let line = std::mem::replace(&mut self.partial, rest);
                self.number += 1;
                return Ok(Next::Line(self.number, line));
            }
            if self.partial.len() > LINE_BYTES_MAX {
                let what = format!("a line is longer than {LINE_BYTES_MAX} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            let Some(mut file) = self.file.take() else {
                return Ok(Next::Nothing);
            };
            let read = move || {
                let mut text = vec![0; READ_BYTES];
                // Once: a pipe gives what is there, and does not wait for its end.
                let read = file.read(&mut text);
                text.truncate(*read.as_ref().unwrap_or(&0));
                (read, text, file)
            };
            let (read, text, file) = spawn_blocking(read).await.map_err(io::Error::other)?;
            self.file = Some(file);
            if read? == 0 {
                // A last line may lack its end: it counts once it is whole.
                let whole = serde_json::from_slice::<Line>(&self.partial).is_ok();
                if !whole {
                    return Ok(Next::Nothing);
                }
                self.partial.push(b'\n');
            }
            self.partial.extend(text);
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
