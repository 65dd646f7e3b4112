//! How many threads and replicas a model runs best with on this machine, found by trying
//! when it is loaded.
//!
//! `search.rs` says what to try next and what to take, without a clock; `measure.rs` runs
//! the model; `cache.rs` keeps what was found, so that a second start is quick.

mod cache;
mod measure;
mod search;

use crate::load::Opened;
use crate::loader::ModelLoader;
use crate::{LoadError, ModelConfig, Sha256Digest, Source, WarmUp, warm_up};
use consort_inference::{ModelHandler, Tensors};
use search::{Limits, Trial, TrialError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The largest batch that is tried where none is given: what is faster still with more is
/// limited by memory, and no longer by threads and replicas.
const BATCH_SIZE_MAX: usize = 128;

/// What is to be found, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tune {
    /// Threads that work on one run.
    pub threads: Setting,
    /// Batches that run at a time.
    pub replicas: Setting,
    /// Whether the batch size that was found becomes the batcher's `max_batch_size`.
    /// Default false: the batcher learns by itself.
    pub cap_batch_size: bool,
    /// How long to try, loading for each number of threads included; at least one trial is
    /// made. A run that has begun is never broken off. Default 2 s.
    pub time_max: Duration,
    /// The cores to fill; `None`, the default: those this process may use.
    pub cores: Option<usize>,
    /// Where results are kept, one small file each. `None`, the default: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// What decides the speed of a model beside its file and the cores, such as the model
    /// runtime's version and settings; results are kept apart by it.
    pub cache_salt: String,
}

/// A number that is given, or to be found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Setting {
    /// To be found by trying.
    #[default]
    Auto,
    /// Given.
    Fixed(usize),
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Threads that work on one run.
    pub threads: usize,
    /// Batches that run at a time.
    pub replicas: usize,
    /// Examples in each batch, at which the model is fastest.
    pub batch_size: usize,
    /// How many examples a second that gave, all replicas together; 0 where nothing could
    /// be tried.
    pub examples_per_second: f64,
}

/// A tuning, and where it is from.
#[derive(Debug, Clone, PartialEq)]
pub enum TuneReport {
    /// It was measured now.
    Measured(Tuning),
    /// It was measured at an earlier start.
    Kept(Tuning),
    /// Nothing could be tried; one thread a replica and one replica a core is a guess.
    Guessed(Tuning, String),
}

// === impl Tune ===

impl Default for Tune {
    fn default() -> Self {
        Self {
            threads: Setting::Auto,
            replicas: Setting::Auto,
            cap_batch_size: false,
            time_max: Duration::from_secs(2),
            cores: None,
            cache_dir: None,
            cache_salt: String::new(),
        }
    }
}

impl Tune {
    fn cores(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
        self.cores.unwrap_or_else(all).max(1)
    }

    fn guess(&self, batch_size_max: usize) -> Tuning {
        let threads = self.threads.fixed().unwrap_or(1).max(1);
        let replicas = || (self.cores() / threads).max(1);
        Tuning {
            threads,
            replicas: self.replicas.fixed().unwrap_or_else(replicas).max(1),
            batch_size: batch_size_max,
            examples_per_second: 0.0,
        }
    }

    fn key(&self, digest: Sha256Digest, batch_size_max: usize) -> String {
        let Self {
            threads,
            replicas,
            cache_salt,
            ..
        } = self;
        let cores = self.cores();
        format!("{digest} {cores} {threads:?} {replicas:?} {batch_size_max} {cache_salt}")
    }
}

// === impl Setting ===

impl Setting {
    fn fixed(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Fixed(number) => Some(number),
        }
    }
}

// === impl TuneReport ===

impl TuneReport {
    /// The numbers themselves.
    pub fn tuning(&self) -> &Tuning {
        match self {
            Self::Measured(tuning) | Self::Kept(tuning) | Self::Guessed(tuning, _) => tuning,
        }
    }
}

/// A handler with the threads that are best, and why they are. Blocks for as long as
/// [`Tune::time_max`] says, and for one load more.
pub(crate) fn find(
    config: &ModelConfig,
    tune: &Tune,
    opened: &Opened,
    loader: &dyn ModelLoader,
) -> Result<(Arc<dyn ModelHandler>, Duration, TuneReport), LoadError> {
    let load = |threads: usize| opened.load(loader, Some(threads));
    let batch_size_max = config.batching.max_batch_size.unwrap_or(BATCH_SIZE_MAX);
    let store = tune.cache_dir.as_deref().zip(opened.digest());
    let store = store.map(|(folder, digest)| (folder, tune.key(digest, batch_size_max)));
    if let Some((folder, key)) = &store
        && let Some(tuning) = cache::read(folder, key)
    {
        let (handler, latency) = load(tuning.threads)?;
        return Ok((handler, latency, TuneReport::Kept(tuning)));
    }
    let guess = tune.guess(batch_size_max);
    let (first, latency) = load(guess.threads)?;
    let rows = match (&config.warm_up, &config.source) {
        (_, Source::Remote) => Err("the model runs elsewhere"),
        (WarmUp::Rows(rows), _) => match rows.fetch(first.signature()) {
            Ok(rows) if !rows.is_empty() => Ok(rows),
            Ok(_) => Err("there is no warm-up example"),
            Err(error) => return Err(LoadError::WarmUpRows(error)),
        },
        _ => warm_up::zeros(first.signature())
            .map(|row| vec![row])
            .ok_or("there is no warm-up example, and none can be made up for axes of any length"),
    };
    let rows = match rows {
        Ok(rows) => rows,
        Err(reason) => {
            let report = TuneReport::Guessed(guess, reason.to_owned());
            return Ok((first, latency, report));
        }
    };
    let found = try_all(tune, config, &rows, (guess.threads, first, latency), &load)?;
    if let (Some((folder, key)), (_, _, TuneReport::Measured(tuning))) = (&store, &found)
        && let Err(error) = cache::write(folder, key, tuning)
    {
        tracing::warn!(folder = %folder.display(), %error, "a tuning cannot be kept");
    }
    Ok(found)
}

type Handler = (usize, Arc<dyn ModelHandler>, Duration);

/// Runs the search; loads a handler for each number of threads, and keeps no more than the
/// one it tries.
fn try_all(
    tune: &Tune,
    config: &ModelConfig,
    rows: &[Tensors],
    first: Handler,
    load: &dyn Fn(usize) -> Result<(Arc<dyn ModelHandler>, Duration), LoadError>,
) -> Result<(Arc<dyn ModelHandler>, Duration, TuneReport), LoadError> {
    let most = first.1.batch_hints().max_batch_size.unwrap_or(usize::MAX);
    let limits = Limits {
        cores: tune.cores(),
        threads: tune.threads.fixed(),
        replicas: tune.replicas.fixed(),
        batch_size_max: config
            .batching
            .max_batch_size
            .unwrap_or(BATCH_SIZE_MAX)
            .min(most)
            .max(1),
        time_max: tune.time_max,
    };
    let guess = tune.guess(limits.batch_size_max);
    let mut reason = String::new();
    let mut ready = Some(first);
    let measured = search::run(&limits, |candidate, slot| {
        let begin = Instant::now();
        let handler = match ready.take() {
            Some(handler) if handler.0 == candidate.threads => handler,
            // Away before the next is loaded: two copies are one too many.
            other => {
                drop(other);
                let loaded = load(candidate.threads);
                let (handler, latency) = loaded.map_err(|error| TrialError(error.to_string()))?;
                (candidate.threads, handler, latency)
            }
        };
        let loading = begin.elapsed();
        let measured = measure::run(handler.1.as_ref(), rows, candidate, slot);
        ready = Some(handler);
        let trial = measured.inspect_err(|error| reason.clone_from(&error.0))?;
        Ok(Trial {
            spent: trial.spent + loading,
            ..trial
        })
    });
    let report = match search::choose(&measured) {
        Some(tuning) => TuneReport::Measured(tuning),
        None => TuneReport::Guessed(guess, reason),
    };
    let threads = report.tuning().threads;
    match ready.take() {
        Some((with, handler, latency)) if with == threads => Ok((handler, latency, report)),
        other => {
            drop(other);
            let (handler, latency) = load(threads)?;
            Ok((handler, latency, report))
        }
    }
}
