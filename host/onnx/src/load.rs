//! From a file to a handler.

use crate::native::{self, Session, SessionOptions};
use crate::outline::{Outline, OutlineError};
use crate::signature::{self, SignatureError};
use crate::{Config, ExecutionProvider, Library, OnnxHandler, refusal};
use consort_inference::TensorSpec;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a model is.
#[derive(Debug, Clone, Copy)]
pub enum ModelSource<'a> {
    /// In a file; files it names for its weights lie beside it.
    File(&'a Path),
    /// In memory, all of it.
    Bytes(&'a [u8]),
}

/// Why a model was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is not there.
    #[error("model file \"{path}\" does not exist", path = .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("model file \"{path}\" cannot be read: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is something else.
    #[error("the model is not an ONNX file: {0}")]
    NotOnnx(&'static str),
    /// It ends too early.
    #[error("the model is truncated: at least {missing} bytes are missing at its end")]
    Truncated {
        /// How many bytes are missing at least.
        missing: u64,
    },
    /// A file that holds weights is not there.
    #[error(
        "the model keeps weights in \"{path}\", which does not exist; put the file there, \
         beside the model",
        path = .0.display()
    )]
    ExternalDataMissing(PathBuf),
    /// A file that holds weights is too short.
    #[error(
        "the model keeps weights in \"{path}\", which is truncated: {needed} bytes are needed, \
         {actual} are there",
        path = path.display()
    )]
    ExternalDataTruncated {
        /// The file.
        path: PathBuf,
        /// How long it must be at least.
        needed: u64,
        /// How long it is.
        actual: u64,
    },
    /// A model in memory that needs files.
    #[error(
        "the model keeps weights in a file, \"{0}\", and can only be loaded from a file itself"
    )]
    ExternalDataOfBytes(String),
    /// It needs a newer library.
    #[error(
        "the model asks for version {opset} of the operators of {domain}, which ONNX Runtime \
         {version} does not know; export it for an older version, or use a newer ONNX Runtime"
    )]
    UnsupportedOpset {
        /// The operators' domain, `ai.onnx` for ONNX's own.
        domain: String,
        /// The version the model asks for.
        opset: i64,
        /// The library's version.
        version: String,
    },
    /// Its inputs or outputs cannot be served.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The library was built without a provider.
    #[error(
        "execution provider {provider} is not in this build of ONNX Runtime, which offers \
         {offered}; use a build that has it, or set fallback = true to go on without it"
    )]
    ProviderUnavailable {
        /// The provider asked for.
        provider: ExecutionProvider,
        /// What there is.
        offered: String,
    },
    /// A provider is there but does not work.
    #[error(
        "execution provider {provider} cannot be used: {message}; set fallback = true to go on \
         without it"
    )]
    ProviderFailed {
        /// The provider asked for.
        provider: ExecutionProvider,
        /// What ONNX Runtime says.
        message: String,
    },
    /// A provider took none of the model's operators.
    #[error(
        "execution provider {provider} takes none of the model's operators; leave it out, or \
         set fallback = true"
    )]
    ProviderUnused {
        /// The provider asked for.
        provider: ExecutionProvider,
    },
    /// Memory was lacking.
    #[error("out of memory while the model was loaded: {0}")]
    OutOfMemory(String),
    /// ONNX Runtime refuses it for another reason.
    #[error("ONNX Runtime {version} cannot load the model: {message}")]
    Refused {
        /// The library's version.
        version: String,
        /// What it says.
        message: String,
    },
}

/// A source whose outline has been read.
struct Checked<'a> {
    source: ModelSource<'a>,
    outline: Outline,
    bytes: u64,
}

// === impl OnnxHandler ===

impl OnnxHandler {
    /// Loads a model.
    pub fn load(
        library: &Library,
        source: ModelSource<'_>,
        config: &Config,
    ) -> Result<Self, LoadError> {
        let checked = Checked::new(source)?;
        let session = checked.session(library, config)?;
        let refused = |error| checked.refused(library, &error);
        let inputs = session.inputs().map_err(refused)?;
        let outputs = session.outputs().map_err(refused)?;
        let derived = signature::derive(inputs, outputs, config.batch_axis)?;
        let names = |specs: &[TensorSpec]| -> Result<Vec<CString>, LoadError> {
            // The names came as C strings, so that none holds a zero byte.
            let name = |spec: &TensorSpec| CString::new(&*spec.name).map_err(native::Error::from);
            specs
                .iter()
                .map(name)
                .collect::<Result<_, _>>()
                .map_err(refused)
        };
        let model_bytes = session.arena_bytes().unwrap_or_default().max(checked.bytes);
        Ok(Self {
            name: config.name.clone(),
            session: Arc::new(session),
            input_names: names(&derived.signature.inputs)?,
            output_names: names(&derived.signature.outputs)?,
            signature: derived.signature,
            batch_axis: config.batch_axis,
            max_batch_size: derived.max_batch_size,
            model_bytes,
        })
    }
}

// === impl Checked ===

impl<'a> Checked<'a> {
    /// Looks at the model, and at the files it needs, before ONNX Runtime does.
    fn new(source: ModelSource<'a>) -> Result<Self, LoadError> {
        let (outline, mut bytes) = match source {
            ModelSource::File(path) => {
                let (file, length) = open(path)?;
                (Outline::read(file), length)
            }
            ModelSource::Bytes(bytes) => (Outline::read(Cursor::new(bytes)), bytes.len() as u64),
        };
        let outline = outline.map_err(|error| match error {
            OutlineError::NotOnnx(why) => LoadError::NotOnnx(why),
            OutlineError::Truncated { missing } => LoadError::Truncated { missing },
            OutlineError::Io(source_error) => LoadError::Unreadable {
                path: source.path().to_owned(),
                source: source_error,
            },
        })?;
        for (location, &needed) in &outline.external {
            let ModelSource::File(path) = source else {
                return Err(LoadError::ExternalDataOfBytes(location.clone()));
            };
            bytes += external_data(&path.with_file_name(location), needed)?;
        }
        Ok(Self {
            source,
            outline,
            bytes,
        })
    }

    /// Makes the session with the providers that are wanted and can be had.
    fn session(&self, library: &Library, config: &Config) -> Result<Session, LoadError> {
        let mut wanted = available(library, config)?;
        loop {
            let attempt = self.session_with(library, config, &mut wanted)?;
            match attempt {
                Ok(session) => return Ok(session),
                // A provider may only fail when the session starts it.
                Err(error)
                    if config.fallback && wanted.iter().any(|&p| p != ExecutionProvider::Cpu) =>
                {
                    warn_left_out(config, &wanted, &refusal::one_line(error.message()));
                    wanted.clear();
                }
                Err(error) => return Err(self.refused(library, &error)),
            }
        }
    }

    /// The inner error is the session's own, which may be a provider's fault.
    fn session_with(
        &self,
        library: &Library,
        config: &Config,
        wanted: &mut Vec<ExecutionProvider>,
    ) -> Result<Result<Session, native::Error>, LoadError> {
        let refused = |error| self.refused(library, &error);
        let options = SessionOptions::new(config).map_err(refused)?;
        let mut appended = Vec::new();
        for &provider in wanted.iter() {
            match options.append(provider) {
                Ok(()) => appended.push(provider),
                Err(error) => {
                    let message = refusal::one_line(error.message());
                    if !config.fallback {
                        return Err(LoadError::ProviderFailed { provider, message });
                    }
                    warn_left_out(config, &[provider], &message);
                }
            }
        }
        *wanted = appended;
        let elsewhere = wanted
            .iter()
            .any(|&provider| provider != ExecutionProvider::Cpu);
        if elsewhere {
            options.record_assignment().map_err(refused)?;
        }
        let concurrent = wanted.iter().all(|provider| provider.runs_concurrently());
        let made = match self.source {
            ModelSource::File(path) => Session::from_file(library, path, &options, concurrent),
            ModelSource::Bytes(bytes) => Session::from_bytes(library, bytes, &options, concurrent),
        };
        if let Ok(session) = &made
            && elsewhere
        {
            check_assignment(session, config, wanted).map_err(|failure| match failure {
                Unassigned::Unknown(error) => refused(error),
                Unassigned::Unused(provider) => LoadError::ProviderUnused { provider },
            })?;
        }
        Ok(made)
    }

    fn refused(&self, library: &Library, error: &native::Error) -> LoadError {
        let message = refusal::one_line(error.message());
        let version = library.version().to_owned();
        if refusal::is_out_of_memory(&message) {
            return LoadError::OutOfMemory(message);
        }
        match refusal::unknown_opset(&message, &self.outline.opsets) {
            None => LoadError::Refused { version, message },
            Some((domain, opset)) => LoadError::UnsupportedOpset {
                domain: if domain.is_empty() {
                    "ai.onnx".to_owned()
                } else {
                    domain.clone()
                },
                opset: *opset,
                version,
            },
        }
    }
}

/// Why the operators are not where they should be.
enum Unassigned {
    Unknown(native::Error),
    Unused(ExecutionProvider),
}

/// The providers wanted that the library was built with.
fn available(library: &Library, config: &Config) -> Result<Vec<ExecutionProvider>, LoadError> {
    let mut found = Vec::new();
    for &provider in &config.providers {
        let offered = library.providers();
        if offered.iter().any(|name| name == provider.native_name()) {
            found.push(provider);
        } else if config.fallback {
            warn_left_out(
                config,
                &[provider],
                "it is not in this build of ONNX Runtime",
            );
        } else {
            return Err(LoadError::ProviderUnavailable {
                provider,
                offered: offered.join(", "),
            });
        }
    }
    Ok(found)
}

/// A provider that was asked for and takes nothing would be a silent fallback to the CPU.
fn check_assignment(
    session: &Session,
    config: &Config,
    wanted: &[ExecutionProvider],
) -> Result<(), Unassigned> {
    let assignment = session.assignment().map_err(Unassigned::Unknown)?;
    for part in &assignment {
        tracing::info!(
            model = %config.name, provider = part.provider, operators = part.operators,
            "operators were assigned"
        );
    }
    let is_used = |provider: ExecutionProvider| {
        assignment
            .iter()
            .any(|part| part.provider == provider.native_name())
    };
    let accelerators = wanted
        .iter()
        .filter(|&&provider| provider != ExecutionProvider::Cpu);
    let unused: Vec<ExecutionProvider> = accelerators
        .copied()
        .filter(|&provider| !is_used(provider))
        .collect();
    match unused.first() {
        None => Ok(()),
        Some(_) if config.fallback => {
            warn_left_out(config, &unused, "it takes none of the model's operators");
            Ok(())
        }
        Some(&provider) => Err(Unassigned::Unused(provider)),
    }
}

fn warn_left_out(config: &Config, providers: &[ExecutionProvider], reason: &str) {
    for provider in providers {
        tracing::warn!(
            model = %config.name, %provider, reason,
            "an execution provider is not used, and the model runs without it (fallback = true)"
        );
    }
}

/// Opens a model's file, which must be a file: opening a pipe could wait for ever.
fn open(path: &Path) -> Result<(File, u64), LoadError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => LoadError::Missing(path.to_owned()),
        _ => LoadError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    let file = File::open(path).map_err(failed)?;
    Ok((file, metadata.len()))
}

/// The length of a file that holds weights, which must be there and long enough.
fn external_data(path: &Path, needed: u64) -> Result<u64, LoadError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() >= needed => Ok(metadata.len()),
        Ok(metadata) if metadata.is_file() => Err(LoadError::ExternalDataTruncated {
            path: path.to_owned(),
            needed,
            actual: metadata.len(),
        }),
        _ => Err(LoadError::ExternalDataMissing(path.to_owned())),
    }
}

// === impl ModelSource ===

impl ModelSource<'_> {
    /// The file, or an empty path.
    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Bytes(_) => Path::new(""),
        }
    }
}
