//! The settings of models and of the registry, already out of the manifest.

use crate::BoxError;
use crate::tune::Tune;
use consort_batching::Config as BatchingConfig;
use consort_inference::{ModelName, Signature, Tensors};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The shortest time between two looks at a watched file.
pub const WATCH_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// The longest time between two looks at a watched file.
pub const WATCH_INTERVAL_MAX: Duration = Duration::from_secs(86_400);

/// What to load, how to batch for it, and how it is kept up to date.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The model's name.
    pub name: ModelName,
    /// Its version, forwarded with every prediction. A folder of versions brings its own.
    pub version: String,
    /// Where it is.
    pub source: Source,
    /// The file's SHA-256 in hexadecimal, checked before loading when given. It pins the
    /// model: nothing else is loaded by a watch.
    pub sha256: Option<String>,
    /// The batcher's settings.
    pub batching: BatchingConfig,
    /// What a model runs on before it answers anybody. Default [`WarmUp::Zeros`].
    pub warm_up: WarmUp,
    /// What its outputs are held against then. Default [`OutputCheck::Signature`].
    pub update_check: OutputCheck,
    /// How often the file, or the folder of versions, is looked at; 10 ms to a day. `None`,
    /// the default: never.
    pub watch_interval: Option<Duration>,
    /// Whether what an update replaced is kept in memory for [`crate::Model::rollback`].
    /// Default true: after its first update the model then holds its bytes twice.
    pub keep_previous: bool,
    /// Whether a model that is loaded on demand stays, once it is loaded. Default false.
    pub pinned: bool,
    /// Whether threads and replicas are found by trying. `None`, the default: they are what
    /// the loader and `batching` say.
    pub tune: Option<Tune>,
}

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere on this machine: the loader knows.
    Remote,
    /// In a file, or in a folder that is one model.
    File(PathBuf),
    /// In a folder whose entries are numbered: files such as `3.onnx`, or folders such as
    /// `3` with one model in each. The number is the version.
    Versions {
        /// The folder.
        folder: PathBuf,
        /// Which of them answer.
        serve: Versions,
    },
}

/// Which versions of a folder answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Versions {
    /// The one with the highest number.
    #[default]
    Latest,
    /// All of them, each by its number; the highest where nobody asks for one.
    All,
    /// These, each by its number; the highest where nobody asks for one.
    Only(Vec<u64>),
}

/// What a model runs on before it answers anybody.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum WarmUp {
    /// Nothing.
    Off,
    /// One example of zeros (and empty texts), where the lengths of all axes are known.
    /// A model that cannot run on zeros is loaded all the same; if it can, its updates must.
    #[default]
    Zeros,
    /// These examples, which every version must be able to run on.
    Rows(WarmUpRows),
}

/// Examples to warm a model up with. They are fetched when a version is loaded, since it is
/// the version that says what its tensors are.
#[derive(Clone)]
pub struct WarmUpRows(Arc<FetchRows>);

type FetchRows = dyn Fn(&Signature) -> Result<Vec<Tensors>, BoxError> + Send + Sync;

/// What the outputs on the warm-up examples are held against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OutputCheck {
    /// The signature: names, datatypes, shapes, and one row for each example.
    #[default]
    Signature,
    /// The signature, and no number is NaN or infinite.
    Finite,
}

/// The settings of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The most bytes that models loaded on demand may hold together. `None`, the default:
    /// any number.
    pub model_bytes_max: Option<u64>,
    /// How many models are loaded on demand at a time, at least 1. Default 4.
    pub loads_max: usize,
    /// How long a model that could not be loaded is not tried again. Default 1 s.
    pub load_retry_delay: Duration,
}

/// Settings that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Looks that are too frequent or too rare.
    #[error(
        "watch_interval_ms is {given:?}; write a time from {min:?} to {max:?}",
        min = WATCH_INTERVAL_MIN,
        max = WATCH_INTERVAL_MAX
    )]
    WatchInterval {
        /// What was asked for.
        given: Duration,
    },
    /// A watch that could never find anything.
    #[error("watch = true has nothing to look at, because {0}; leave watch out")]
    NothingToWatch(&'static str),
    /// One digest for many versions.
    #[error(
        "sha256 names one file, and the folder {0} has a file for each version; leave sha256 out"
    )]
    DigestOfVersions(PathBuf),
    /// A list of no versions.
    #[error("versions is an empty list; write \"latest\", \"all\" or some numbers")]
    NoVersions,
}

// === impl WarmUpRows ===

impl WarmUpRows {
    /// Rows that are fetched by a function of the model's signature. It is called on threads
    /// where it may block.
    pub fn new(
        fetch: impl Fn(&Signature) -> Result<Vec<Tensors>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(fetch))
    }

    pub(crate) fn fetch(&self, signature: &Signature) -> Result<Vec<Tensors>, BoxError> {
        (self.0)(signature)
    }
}

impl From<Vec<Tensors>> for WarmUpRows {
    fn from(rows: Vec<Tensors>) -> Self {
        Self::new(move |_| Ok(rows.clone()))
    }
}

impl PartialEq for WarmUpRows {
    /// Whether both are fetched from the same place.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for WarmUpRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WarmUpRows")
    }
}

// === impl Source ===

impl Source {
    /// The one file, where there is one.
    pub(crate) fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Remote | Self::Versions { .. } => None,
        }
    }

    /// Whether versions answer on after a newer one has come.
    pub(crate) fn keeps_versions(&self) -> bool {
        match self {
            Self::Remote | Self::File(_) => false,
            Self::Versions { serve, .. } => *serve != Versions::Latest,
        }
    }
}

// === impl ModelConfig ===

impl ModelConfig {
    /// The defaults for a model.
    pub fn new(name: ModelName, version: impl Into<String>, source: Source) -> Self {
        Self {
            name,
            version: version.into(),
            source,
            sha256: None,
            batching: BatchingConfig::default(),
            warm_up: WarmUp::default(),
            update_check: OutputCheck::default(),
            watch_interval: None,
            keep_previous: true,
            pinned: false,
            tune: None,
        }
    }

    /// Checks that the settings go together; those of batching are checked by the batcher.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if let Source::Versions { folder, serve } = &self.source {
            if self.sha256.is_some() {
                return Err(ConfigError::DigestOfVersions(folder.clone()));
            }
            if matches!(serve, Versions::Only(list) if list.is_empty()) {
                return Err(ConfigError::NoVersions);
            }
        }
        let Some(given) = self.watch_interval else {
            return Ok(());
        };
        if !(WATCH_INTERVAL_MIN..=WATCH_INTERVAL_MAX).contains(&given) {
            return Err(ConfigError::WatchInterval { given });
        }
        let nothing = match &self.source {
            Source::Remote => "the model has no file",
            Source::Versions {
                serve: Versions::Only(_),
                ..
            } => "its versions are a list",
            Source::File(_) if self.sha256.is_some() => "sha256 pins the file",
            _ => return Ok(()),
        };
        Err(ConfigError::NothingToWatch(nothing))
    }
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            model_bytes_max: None,
            loads_max: 4,
            load_retry_delay: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: Source, change: impl FnOnce(&mut ModelConfig)) -> String {
        let Ok(name) = "m".parse() else {
            return "no name".to_owned();
        };
        let mut config = ModelConfig::new(name, "1", source);
        change(&mut config);
        match config.validate() {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn versions(serve: Versions) -> Source {
        let folder = "models".into();
        Source::Versions { folder, serve }
    }

    #[test]
    fn what_cannot_work_is_named() {
        let file = || Source::File("m.onnx".into());
        let second = Some(Duration::from_secs(1));
        assert_eq!(check(file(), |c| c.watch_interval = second), "ok");
        assert_eq!(
            check(file(), |c| c.watch_interval = Some(Duration::ZERO)),
            "watch_interval_ms is 0ns; write a time from 10ms to 86400s"
        );
        let pinned = check(file(), |c| {
            c.sha256 = Some("00".to_owned());
            c.watch_interval = second;
        });
        assert_eq!(
            pinned,
            "watch = true has nothing to look at, because sha256 pins the file; leave watch out"
        );
        let remote = check(Source::Remote, |c| c.watch_interval = second);
        assert!(remote.contains("no file"), "{remote}");
        let listed = check(versions(Versions::Only(vec![1])), |c| {
            c.watch_interval = second;
        });
        assert!(listed.contains("its versions are a list"), "{listed}");
        let empty = check(versions(Versions::Only(Vec::new())), |_| ());
        assert!(empty.contains("empty list"), "{empty}");
        let digest = check(versions(Versions::All), |c| c.sha256 = Some("00".into()));
        assert!(digest.contains("the folder models"), "{digest}");
    }
}
