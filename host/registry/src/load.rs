//! From what is asked for to a handler that has been looked at. Everything here blocks.

use crate::disk::Fingerprint;
use crate::loader::{ModelFile, ModelLoader};
use crate::tune::{self, TuneReport};
use crate::warm_up::{self, WarmUpReport};
use crate::{LoadError, ModelConfig, Sha256Digest, Source, WarmUp};
use consort_inference::{ModelHandler, ModelId, Signature, TensorSpec};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One version to load.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) path: Option<PathBuf>,
    /// The version's name; `None` makes one of the model's own and the file's digest.
    pub(crate) version: Option<String>,
    pub(crate) sha256: Option<String>,
}

/// A version in memory: its handler, once, whoever runs it.
pub(crate) struct Loaded {
    pub(crate) id: ModelId,
    pub(crate) handler: Arc<dyn ModelHandler>,
    pub(crate) path: Option<PathBuf>,
    pub(crate) digest: Option<Sha256Digest>,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) latency: Duration,
    pub(crate) warm_up: WarmUpReport,
}

/// A file that was looked at, and read where its content was asked for.
pub(crate) struct Opened {
    path: Option<PathBuf>,
    content: Option<Vec<u8>>,
    digest: Option<Sha256Digest>,
    fingerprint: Option<Fingerprint>,
}

/// What the first version of a model set, which all others must keep.
pub(crate) struct Standard<'a> {
    pub(crate) signature: &'a Signature,
    pub(crate) warm_up: &'a WarmUpReport,
}

// === impl Opened ===

impl Opened {
    /// Reads the file if its digest is to be checked; only takes its digest otherwise, if
    /// `digest` asks for it.
    pub(crate) fn open(target: &Target, digest: bool) -> Result<Self, LoadError> {
        let Some(path) = &target.path else {
            return Ok(Self {
                path: None,
                content: None,
                digest: None,
                fingerprint: None,
            });
        };
        let unreadable = |source| LoadError::Unreadable {
            path: path.clone(),
            source,
        };
        let mut opened = Self {
            path: Some(path.clone()),
            content: None,
            digest: None,
            fingerprint: None,
        };
        if let Some(expected) = &target.sha256 {
            let content = std::fs::read(path).map_err(unreadable)?;
            let actual = Sha256Digest::of(&content);
            if !actual.matches(expected) {
                return Err(LoadError::DigestMismatch {
                    path: path.clone(),
                    expected: expected.clone(),
                    actual: actual.to_string(),
                });
            }
            opened.content = Some(content);
            opened.digest = Some(actual);
        } else if digest {
            opened.fingerprint = Some(Fingerprint::of(path).map_err(unreadable)?);
            opened.digest = Some(Sha256Digest::of_path(path).map_err(unreadable)?);
        }
        Ok(opened)
    }

    pub(crate) fn digest(&self) -> Option<Sha256Digest> {
        self.digest
    }

    /// Has a handler made; also returns how long that took.
    pub(crate) fn load(
        &self,
        loader: &dyn ModelLoader,
        threads: Option<usize>,
    ) -> Result<(Arc<dyn ModelHandler>, Duration), LoadError> {
        let begin = Instant::now();
        let file = match (&self.path, &self.content) {
            (_, Some(content)) => ModelFile::Checked(content),
            (Some(path), None) => ModelFile::Path(path),
            (None, None) => ModelFile::None,
        };
        let handler = loader.load(file, threads).map_err(LoadError::Handler)?;
        Ok((handler, begin.elapsed()))
    }

    /// Whether the file whose digest was taken is still the one that was loaded.
    fn check_unchanged(&self) -> Result<(), LoadError> {
        if let (Some(path), Some(before)) = (&self.path, &self.fingerprint)
            && Fingerprint::of(path).ok().as_ref() != Some(before)
        {
            return Err(LoadError::Changed { path: path.clone() });
        }
        Ok(())
    }
}

// === impl Loaded ===

impl Loaded {
    /// Loads the first version of a model, and finds its threads and replicas if asked to.
    pub(crate) fn first(
        config: &ModelConfig,
        loader: &dyn ModelLoader,
        target: &Target,
    ) -> Result<(Self, Option<TuneReport>), LoadError> {
        let keep = |tune: &tune::Tune| tune.cache_dir.is_some();
        let digest = config.watch_interval.is_some() || config.tune.as_ref().is_some_and(keep);
        let opened = Opened::open(target, digest)?;
        let (handler, latency, tuned) = match &config.tune {
            None => {
                let (handler, latency) = opened.load(loader, None)?;
                (handler, latency, None)
            }
            Some(tune) => {
                let (handler, latency, report) = tune::find(config, tune, &opened, loader)?;
                (handler, latency, Some(report))
            }
        };
        let version = target.version.clone();
        let version = version.unwrap_or_else(|| config.version.clone());
        let loaded = Self::finish(config, opened, handler, latency, version, None)?;
        Ok((loaded, tuned))
    }

    /// Loads another version of a model beside those in memory.
    pub(crate) fn next(
        config: &ModelConfig,
        loader: &dyn ModelLoader,
        opened: Opened,
        version: String,
        threads: Option<usize>,
        standard: &Standard<'_>,
    ) -> Result<Self, LoadError> {
        let (handler, latency) = opened.load(loader, threads)?;
        fits(standard.signature, handler.signature()).map_err(LoadError::OtherSignature)?;
        Self::finish(config, opened, handler, latency, version, Some(standard))
    }

    fn finish(
        config: &ModelConfig,
        opened: Opened,
        handler: Arc<dyn ModelHandler>,
        latency: Duration,
        version: String,
        standard: Option<&Standard<'_>>,
    ) -> Result<Self, LoadError> {
        opened.check_unchanged()?;
        Ok(Self {
            id: ModelId::new(config.name.as_str(), version),
            warm_up: warm_up(config, handler.as_ref(), standard)?,
            handler,
            path: opened.path,
            digest: opened.digest,
            fingerprint: opened.fingerprint,
            latency,
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.handler.model_byte_size()
    }
}

/// Zeros that the first version could not run on are no reason to refuse the next one.
fn warm_up(
    config: &ModelConfig,
    handler: &dyn ModelHandler,
    standard: Option<&Standard<'_>>,
) -> Result<WarmUpReport, LoadError> {
    let run = |rows: &[_]| warm_up::run(handler, rows, config.update_check);
    match &config.warm_up {
        WarmUp::Off => Ok(WarmUpReport::Off),
        WarmUp::Rows(rows) => {
            let rows = rows.fetch(handler.signature());
            let rows = rows.map_err(LoadError::WarmUpRows)?;
            run(&rows)?;
            let examples = rows.len();
            Ok(WarmUpReport::Done { examples })
        }
        WarmUp::Zeros if config.source == Source::Remote => Ok(WarmUpReport::Off),
        WarmUp::Zeros => {
            let Some(row) = warm_up::zeros(handler.signature()) else {
                return Ok(WarmUpReport::NotPossible);
            };
            let could = standard.map(|standard| standard.warm_up);
            match run(&[row]) {
                Ok(()) => Ok(WarmUpReport::Done { examples: 1 }),
                Err(error) if matches!(could, Some(WarmUpReport::Done { .. })) => Err(error.into()),
                Err(error) => Ok(WarmUpReport::Ignored(error)),
            }
        }
    }
}

/// Whether whoever was built for one signature can use a model with another: it takes all
/// that was taken, and gives nothing that was not promised.
pub(crate) fn fits(standard: &Signature, next: &Signature) -> Result<(), String> {
    one_by_one("input", &standard.inputs, &next.inputs, |before, next| {
        next.is_none() || before == next
    })?;
    one_by_one(
        "output",
        &standard.outputs,
        &next.outputs,
        |before, next| before.is_none() || before == next,
    )
}

fn one_by_one(
    what: &str,
    standard: &[TensorSpec],
    next: &[TensorSpec],
    fits: impl Fn(Option<usize>, Option<usize>) -> bool,
) -> Result<(), String> {
    for spec in standard {
        let Some(other) = next.iter().find(|other| other.name == spec.name) else {
            return Err(format!("it has no {what} \"{}\"", spec.name));
        };
        let same_rank = other.shape.len() == spec.shape.len();
        let mut axes = spec.shape.iter().zip(&other.shape);
        let fit = same_rank && axes.all(|(before, next)| fits(*before, *next));
        if !fit || other.datatype != spec.datatype {
            return Err(format!(
                "{what} \"{}\" is {other}, and was {spec}",
                spec.name
            ));
        }
    }
    let known = |other: &TensorSpec| standard.iter().any(|spec| spec.name == other.name);
    match next.iter().find(|other| !known(other)) {
        None => Ok(()),
        Some(other) => Err(format!("{what} \"{}\" is new", other.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::Datatype;

    fn signature(input: Option<usize>, output: Option<usize>) -> Signature {
        let spec = |name: &str, axis| TensorSpec::new(name, Datatype::Fp32, vec![axis]);
        Signature {
            inputs: vec![spec("x", input)],
            outputs: vec![spec("y", output)],
        }
    }

    #[test]
    fn a_version_may_take_more_and_promise_more() {
        let standard = signature(Some(4), None);
        assert_eq!(fits(&standard, &standard), Ok(()));
        assert_eq!(fits(&standard, &signature(None, Some(2))), Ok(()));
        let less = fits(&standard, &signature(Some(5), None)).unwrap_err();
        assert_eq!(less, "input \"x\" is FP32 [5], and was FP32 [4]");
        let standard = signature(None, Some(2));
        let less = fits(&standard, &signature(None, None)).unwrap_err();
        assert_eq!(less, "output \"y\" is FP32 [-1], and was FP32 [2]");
    }

    #[test]
    fn tensors_neither_come_nor_go() {
        let standard = signature(None, None);
        let mut more = standard.clone();
        let extra = TensorSpec::new("z", Datatype::Bool, vec![]);
        more.outputs.push(extra);
        assert_eq!(fits(&standard, &more).unwrap_err(), "output \"z\" is new");
        assert_eq!(
            fits(&more, &standard).unwrap_err(),
            "it has no output \"z\""
        );
    }
}
