//! A model made of a line of text, and a workshop to make such models in.
//!
//! The first word of a file is a number, which every prediction carries; the other words
//! are what is odd about the model. It reads `x`, INT64 of one element, and gives `y`, the
//! negative of it, `made`, its number, and `f`, `x` as FP32.

use consort_batching::Metrics as BatchingMetrics;
use consort_inference::{
    Batch, Call, Datatype, Example, Failure, Key, ModelHandler, ModelId, ModelName, PredictError,
    Signature, TenantId, Tensor, TensorSpec, Tensors,
};
use consort_registry::{
    BoxError, Config, Metrics, Model, ModelConfig, ModelFile, ModelLoader, Registry, Source,
};
use prometheus_client::registry::Registry as MetricsRegistry;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use tempfile::TempDir;

/// A folder for models, a registry, and what was noticed of them.
pub(crate) struct Workshop {
    folder: TempDir,
    pub(crate) registry: Arc<Registry>,
    metrics: MetricsRegistry,
    pub(crate) seen: Arc<Seen>,
}

/// What the models of a workshop have noticed.
#[derive(Default)]
pub(crate) struct Seen {
    /// The threads of each load, also of those that failed.
    pub(crate) loads: Mutex<Vec<Option<usize>>>,
    /// How often each `x` but 0 was predicted on.
    runs: Mutex<BTreeMap<i64, usize>>,
    bytes: AtomicU64,
    /// The most bytes that were in memory at a time.
    pub(crate) bytes_max: AtomicU64,
    /// The models in memory.
    pub(crate) alive: AtomicUsize,
    /// Models whose word is `gate` load only while this is open, those with `slow` run
    /// only then.
    pub(crate) gate: Gate,
}

/// Something that stops threads while it is shut.
#[derive(Default)]
pub(crate) struct Gate {
    shut: Mutex<bool>,
    waiting: AtomicUsize,
    opened: Condvar,
}

struct Fake {
    signature: Signature,
    number: i64,
    words: String,
    bytes: u64,
    seen: Arc<Seen>,
}

// === impl Gate ===

impl Gate {
    pub(crate) fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let shut = self.shut.lock().unwrap();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(self.opened.wait_while(shut, |shut| *shut).unwrap());
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits until so many threads stand before the gate.
    pub(crate) async fn reached(&self, threads: usize) {
        until(|| self.waiting.load(Ordering::SeqCst) >= threads).await;
    }
}

/// Waits until something has happened on another thread.
pub(crate) async fn until(happened: impl Fn() -> bool) {
    while !happened() {
        tokio::task::yield_now().await;
    }
}

// === impl Workshop ===

impl Workshop {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let mut metrics = MetricsRegistry::default();
        let batching = BatchingMetrics::register(&mut metrics);
        let ours = Metrics::register(&mut metrics);
        Self {
            folder: tempfile::tempdir().unwrap(),
            registry: Arc::new(Registry::with(config, batching, ours)),
            metrics,
            seen: Arc::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a model under another name and puts it in its place.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = self.path("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &path).unwrap();
        path
    }

    pub(crate) fn loader(&self) -> Arc<dyn ModelLoader> {
        let seen = self.seen.clone();
        let load = move |file: ModelFile<'_>, threads: Option<usize>| {
            seen.loads.lock().unwrap().push(threads);
            let handler: Result<Arc<dyn ModelHandler>, BoxError> = Fake::load(file, &seen);
            handler
        };
        Arc::new(load)
    }

    /// Loads a model of that text in a file of that name.
    pub(crate) async fn model(&self, name: &str, text: &str) -> Arc<Model> {
        self.write(name, text);
        self.load(self.config(name)).await
    }

    pub(crate) async fn load(&self, config: ModelConfig) -> Arc<Model> {
        self.registry.load(config, self.loader()).await.unwrap()
    }

    /// The settings of a model in a file of that name.
    pub(crate) fn config(&self, name: &str) -> ModelConfig {
        let source = Source::File(self.path(name));
        let mut config = ModelConfig::new(self::name(name), "1", source);
        // On a paused clock time flies while threads work.
        config.batching.default_timeout = None;
        config
    }

    pub(crate) fn metric(&self, line: &str) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        let found = text.lines().find_map(|found| found.strip_prefix(line));
        found.map_or_else(|| format!("no {line}"), |value| value.trim().to_owned())
    }
}

// === impl Seen ===

impl Seen {
    pub(crate) fn loads(&self) -> usize {
        self.loads.lock().unwrap().len()
    }

    /// How often each `x` but 0 was predicted on.
    pub(crate) fn runs(&self) -> BTreeMap<i64, usize> {
        self.runs.lock().unwrap().clone()
    }
}

// === impl Fake ===

impl Fake {
    fn load(file: ModelFile<'_>, seen: &Arc<Seen>) -> Result<Arc<dyn ModelHandler>, BoxError> {
        let text = match file {
            ModelFile::Path(path) => std::fs::read_to_string(path)?,
            ModelFile::Checked(content) => String::from_utf8(content.to_vec())?,
            ModelFile::None => "7".to_owned(),
        };
        let (number, words) = text.split_once(' ').unwrap_or((&text, ""));
        let number = number.trim().parse()?;
        if words.contains("gate") {
            seen.gate.pass();
        }
        if words.contains("panic") {
            panic!("the loader panics");
        }
        let known = words.split_once("bytes=").map(|(_, bytes)| bytes.trim());
        let bytes = match known {
            Some(bytes) => bytes.parse()?,
            None => text.len() as u64,
        };
        let axis = if words.contains("wide") {
            Some(2)
        } else {
            Some(1)
        };
        let spec = |name: &str, datatype, axis| TensorSpec::new(name, datatype, vec![axis]);
        let now = seen.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        seen.bytes_max.fetch_max(now, Ordering::SeqCst);
        seen.alive.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(Self {
            signature: Signature {
                inputs: vec![spec("x", Datatype::Int64, axis)],
                outputs: vec![
                    spec("y", Datatype::Int64, Some(1)),
                    spec("made", Datatype::Int64, Some(1)),
                    spec("f", Datatype::Fp32, Some(1)),
                ],
            },
            number,
            words: words.to_owned(),
            bytes,
            seen: seen.clone(),
        }))
    }

    fn predict_one(&self, row: &Tensors) -> Result<Tensors, PredictError> {
        let x = row.tensor("x").unwrap().to_vec::<i64>().unwrap()[0];
        if x == 0 && self.words.contains("no-zeros") {
            return Err(PredictError::Failed("0 is not for me".to_owned()));
        }
        if x != 0 {
            *self.seen.runs.lock().unwrap().entry(x).or_default() += 1;
        }
        let f = if self.words.contains("nan") {
            f32::NAN
        } else {
            x as f32
        };
        let tensor = |value: i64| Tensor::from_slice(vec![1], &[value]).unwrap();
        let named = [
            ("y".into(), tensor(-x)),
            ("made".into(), tensor(self.number)),
            ("f".into(), Tensor::from_slice(vec![1], &[f]).unwrap()),
        ];
        Ok(Tensors::from_named(named).unwrap())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.seen.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        self.seen.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ModelHandler for Fake {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        if self.words.contains("slow") {
            self.seen.gate.pass();
        }
        let rows = batch.rows().iter();
        let less = usize::from(self.words.contains("short"));
        rows.skip(less).map(|row| self.predict_one(row)).collect()
    }

    fn model_byte_size(&self) -> u64 {
        self.bytes
    }

    fn platform(&self) -> &str {
        "test"
    }
}

pub(crate) fn name(name: &str) -> ModelName {
    name.parse().unwrap()
}

pub(crate) fn example(x: i64) -> Example {
    Example {
        tenant: TenantId::default(),
        key: None,
        tensors: input(x),
    }
}

pub(crate) fn keyed(key: &str, x: i64) -> Example {
    Example {
        key: Some(Key::from(key)),
        ..example(x)
    }
}

pub(crate) fn input(x: i64) -> Tensors {
    let tensor = Tensor::from_slice(vec![1], &[x]).unwrap();
    Tensors::from_named([("x".into(), tensor)]).unwrap()
}

/// The one number of an output.
pub(crate) fn number(tensors: &Tensors, name: &str) -> i64 {
    tensors.tensor(name).unwrap().to_vec::<i64>().unwrap()[0]
}

/// Asks a model about one number; which model made the answer, and its version.
pub(crate) async fn ask(model: &Model, x: i64) -> (i64, String) {
    let (results, id) = model.infer(vec![example(x)], Call::default()).await;
    check(x, &results[0], &id)
}

/// Checks an answer; gives the number of the model that made it, and its version.
pub(crate) fn check(x: i64, result: &Result<Tensors, Failure>, id: &ModelId) -> (i64, String) {
    let outputs = result.as_ref().unwrap();
    assert_eq!(number(outputs, "y"), -x);
    (number(outputs, "made"), id.version.to_string())
}

pub(crate) fn remove(path: &Path) {
    match path.is_dir() {
        true => std::fs::remove_dir_all(path).unwrap(),
        false => std::fs::remove_file(path).unwrap(),
    }
}
