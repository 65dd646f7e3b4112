//! An endpoint that does what a test wants, and what a test needs around it.
#![allow(dead_code, reason = "each test file uses its own part")]

use consort_inference::{
    BoxFuture, Call, Datatype, Endpoint, Example, Failure, FailureKind, ModelId, Prediction,
    Signature, Stage, StageKind, Tensor, TensorSpec, Tensors,
};
use consort_job::{Config, FileTensors, JobError, Outputs, Progress, Read, Sink, Source, Summary};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

type Predict = dyn Fn(&Example) -> Result<Tensors, Failure> + Send + Sync;
type Delay = dyn Fn(&Example) -> Duration + Send + Sync;
type Hold = dyn Fn(&Example, usize) -> bool + Send + Sync;

/// Answers each example by a function, after a delay that may depend on it.
pub(crate) struct Fake {
    signature: Signature,
    predict: Box<Predict>,
    delay: Box<Delay>,
    /// Whether a call waits, by its example and how many examples were answered.
    hold: Box<Hold>,
    answered: AtomicUsize,
    /// Examples in calls now, and the most there were.
    inside: AtomicUsize,
    pub(crate) inside_max: AtomicUsize,
    pub(crate) seen: AtomicUsize,
}

impl Fake {
    pub(crate) fn new(
        inputs: Vec<TensorSpec>,
        predict: impl Fn(&Example) -> Result<Tensors, Failure> + Send + Sync + 'static,
    ) -> Self {
        Self {
            signature: Signature {
                inputs,
                outputs: vec![],
            },
            predict: Box::new(predict),
            delay: Box::new(|_| Duration::ZERO),
            hold: Box::new(|_, _| false),
            answered: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            inside_max: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
        }
    }

    /// Says what it yields.
    pub(crate) fn promising(mut self, outputs: Vec<TensorSpec>) -> Self {
        self.signature.outputs = outputs;
        self
    }

    pub(crate) fn delayed(
        mut self,
        delay: impl Fn(&Example) -> Duration + Send + Sync + 'static,
    ) -> Self {
        self.delay = Box::new(delay);
        self
    }

    pub(crate) fn held(
        mut self,
        hold: impl Fn(&Example, usize) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.hold = Box::new(hold);
        self
    }
}

impl Endpoint for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn version(&self) -> &str {
        "1"
    }

    fn platform(&self) -> &str {
        "fake"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn infer(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        Box::pin(async move {
            let inside = self.inside.fetch_add(examples.len(), Ordering::SeqCst) + examples.len();
            self.inside_max.fetch_max(inside, Ordering::SeqCst);
            self.seen.fetch_add(examples.len(), Ordering::SeqCst);
            let delay = examples.iter().map(|example| (self.delay)(example)).max();
            match delay.unwrap_or_default() {
                Duration::ZERO => tokio::task::yield_now().await,
                delay => tokio::time::sleep(delay).await,
            }
            let held = |example| (self.hold)(example, self.answered.load(Ordering::SeqCst));
            while examples.iter().any(held) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.answered.fetch_add(examples.len(), Ordering::SeqCst);
            self.inside.fetch_sub(examples.len(), Ordering::SeqCst);
            let answer = |example: &Example| {
                (self.predict)(example).map(|outputs| Prediction {
                    example: call.keep_example.then(|| example.tensors.clone()),
                    ..Prediction::new(example.key.clone(), outputs, ModelId::new("fake", "1"))
                })
            };
            examples.iter().map(answer).collect()
        })
    }
}

pub(crate) fn spec(name: &str, datatype: Datatype) -> TensorSpec {
    TensorSpec::new(name, datatype, vec![Some(1)])
}

pub(crate) fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure::new(Stage::new(StageKind::Inference, "model"), kind, message)
}

/// The windows of the file-type example, a few bytes each.
pub(crate) fn windows() -> FileTensors {
    FileTensors::new([
        ("head", Read::Head { bytes: 4 }),
        ("tail", Read::Tail { bytes: 4 }),
        ("size", Read::Size),
    ])
}

/// Gives back what it is given.
pub(crate) fn echo(inputs: Vec<TensorSpec>) -> Fake {
    Fake::new(inputs, |example| Ok(example.tensors.clone()))
}

/// The number in an example of [`double`].
pub(crate) fn number(example: &Example) -> i64 {
    example
        .tensors
        .tensor("n")
        .unwrap()
        .to_vec::<i64>()
        .unwrap()[0]
}

/// Takes [`windows`] and gives them back.
pub(crate) fn echo_files() -> Fake {
    echo(vec![
        spec("head", Datatype::Bytes),
        spec("tail", Datatype::Bytes),
        spec("size", Datatype::Int64),
    ])
}

/// Gives `n` back doubled; fails where it is a multiple of 7.
pub(crate) fn double() -> Fake {
    Fake::new(vec![spec("n", Datatype::Int64)], |example| {
        let n = example
            .tensors
            .tensor("n")
            .unwrap()
            .to_vec::<i64>()
            .unwrap()[0];
        if n % 7 == 0 {
            return Err(failure(FailureKind::ModelFailed, "a multiple of 7"));
        }
        let doubled = Tensor::from_slice(vec![1], &[n * 2]).unwrap();
        Ok(Tensors::from_named([("doubled".into(), doubled)]).unwrap())
    })
}

/// A folder with the outputs of a job.
pub(crate) struct Room {
    pub(crate) dir: TempDir,
}

impl Room {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        path
    }

    pub(crate) fn outputs(&self) -> Outputs {
        Outputs {
            predictions: Sink::File(self.path("out.jsonl")),
            dead_letters: Some(Sink::File(self.path("dead.jsonl"))),
        }
    }

    /// Runs a job with both outputs in this folder.
    pub(crate) async fn run(
        &self,
        endpoint: impl Endpoint + 'static,
        source: Source,
        config: Config,
    ) -> Result<Summary, JobError> {
        let never = std::future::pending();
        consort_job::run(Arc::new(endpoint), source, self.outputs(), config, never).await
    }

    /// Lines of an output, without this folder's path.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let content = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(content.is_empty() || content.ends_with('\n'), "{content:?}");
        let base = format!("{}/", self.dir.path().display());
        content
            .lines()
            .map(|line| line.replace(&base, ""))
            .collect()
    }

    pub(crate) fn predictions(&self) -> Vec<String> {
        self.lines("out.jsonl")
    }

    pub(crate) fn dead_letters(&self) -> Vec<String> {
        self.lines("dead.jsonl")
    }
}

pub(crate) fn config() -> Config {
    Config {
        progress: Progress::Never,
        ordered: true,
        ..Config::default()
    }
}

pub(crate) fn files_config() -> Config {
    Config {
        files: windows(),
        ..config()
    }
}

pub(crate) fn jsonl(text: impl Into<Vec<u8>>) -> Source {
    let reader = Box::new(io::Cursor::new(text.into()));
    Source::Jsonl(consort_job::Text::Reader("a test".to_owned(), reader))
}

/// Lines `{"key": N, "inputs": {"n": N}}`.
pub(crate) fn numbers(range: impl Iterator<Item = i64>) -> String {
    range
        .map(|n| format!("{{\"key\": {n}, \"inputs\": {{\"n\": {n}}}}}\n"))
        .collect()
}

/// Numbers without end, ten at a time.
#[derive(Default)]
pub(crate) struct Endless {
    pub(crate) lines_read: Arc<AtomicUsize>,
    text: Vec<u8>,
}

impl io::Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.text.is_empty() {
            let before = self.lines_read.fetch_add(10, Ordering::SeqCst) as i64;
            self.text = numbers(before + 1..before + 11).into_bytes();
        }
        let count = self.text.len().min(out.len());
        out[..count].copy_from_slice(&self.text[..count]);
        self.text.drain(..count);
        Ok(count)
    }
}

/// A source of [`Endless`].
pub(crate) fn endless() -> Source {
    let reader = Box::new(Endless::default());
    Source::Jsonl(consort_job::Text::Reader("endless".to_owned(), reader))
}

/// The numbers that are keys of lines.
pub(crate) fn keys(lines: &[String]) -> Vec<i64> {
    let key = |line: &String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["key"].as_i64().unwrap()
    };
    lines.iter().map(key).collect()
}

/// Compares text with a golden file. `UPDATE_GOLDEN=1` writes it instead.
pub(crate) fn golden(name: &str, actual: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    let actual: String = actual.iter().flat_map(|line| [line, "\n"]).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        actual, expected,
        "{path:?}; UPDATE_GOLDEN=1 accepts what is now"
    );
}
