//! From a file to a handler.

use crate::native::{self, Session, SessionOptions};
use crate::outline::{Outline, OutlineError};
use crate::{
    Config, ExecutionProvider, Library, LoadError, OnnxHandler, refusal, selection, signature,
};
use consort_inference::TensorSpec;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Cursor};
use std::path::Path;
use std::sync::Arc;

/// Where a model is.
#[derive(Debug, Clone, Copy)]
pub enum ModelSource<'a> {
    /// In a file; files it names for its weights lie beside it.
    File(&'a Path),
    /// In memory, all of it.
    Bytes(&'a [u8]),
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
        let derived = signature::derive(
            inputs,
            outputs,
            config.batch_axis,
            &checked.outline.zip_maps,
        )?;
        let names = |specs: &[&TensorSpec]| -> Result<Vec<CString>, LoadError> {
            // The names came as C strings, so that none holds a zero byte.
            let name = |spec: &&TensorSpec| CString::new(&*spec.name).map_err(native::Error::from);
            specs
                .iter()
                .map(name)
                .collect::<Result<_, _>>()
                .map_err(refused)
        };
        let input_specs: Vec<_> = derived.signature.inputs.iter().collect();
        let output_specs: Vec<_> = derived.outputs.iter().map(|output| &output.spec).collect();
        let model_bytes = session.arena_bytes().unwrap_or_default().max(checked.bytes);
        Ok(Self {
            name: config.name.clone(),
            session: Arc::new(session),
            input_names: names(&input_specs)?,
            output_names: names(&output_specs)?,
            signature: derived.signature,
            outputs: derived.outputs,
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

    /// Makes the session, with the providers that are wanted and can be had.
    fn session(&self, library: &Library, config: &Config) -> Result<Session, LoadError> {
        let refused = |error| self.refused(library, &error);
        let plain = || SessionOptions::new(config).map_err(refused);
        let options = plain()?;
        let mut providers = selection::append(library, config, &options)?;
        if !providers.is_empty() {
            options.record_assignment().map_err(refused)?;
        }
        let session = match self.create(library, &options, &providers) {
            // A provider may only fail when the session starts it.
            Err(error) if config.fallback && !providers.is_empty() => {
                let reason = refusal::one_line(error.message());
                selection::warn_left_out(config, &providers, &reason);
                providers.clear();
                self.create(library, &plain()?, &providers)
            }
            created => created,
        }
        .map_err(refused)?;
        if !providers.is_empty() {
            let assignment = session.assignment().map_err(refused)?;
            selection::check_assignment(&assignment, config, &providers)?;
        }
        Ok(session)
    }

    fn create(
        &self,
        library: &Library,
        options: &SessionOptions,
        providers: &[ExecutionProvider],
    ) -> Result<Session, native::Error> {
        let concurrent = providers
            .iter()
            .all(|provider| provider.runs_concurrently());
        match self.source {
            ModelSource::File(path) => Session::from_file(library, path, options, concurrent),
            ModelSource::Bytes(bytes) => Session::from_bytes(library, bytes, options, concurrent),
        }
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
