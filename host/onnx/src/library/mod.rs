//! Finding and loading `libonnxruntime`, once per process.
//!
//! `ort` would load the library by itself at the first call, and panics when that fails. So
//! every way in which it could fail is tried here first, and `ort` is only called on a
//! library that is known to be good.

mod log;
mod places;
mod probe;

use crate::native::CpuMemory;
use ort::environment::Environment;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use places::{Origin, Place};

/// The variable that names the library and wins over all other places.
const PATH_VARIABLE: &str = "ORT_DYLIB_PATH";
/// The variable that keeps ONNX Runtime from sending telemetry.
const TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
/// The oldest release of ONNX Runtime whose API has all that is used here (1.x).
const MINOR_VERSION_MIN: u32 = ort::MINOR_VERSION;

static LOADED: Mutex<Option<Library>> = Mutex::new(None);

/// The loaded ONNX Runtime, and the proof that it is loaded.
#[derive(Clone)]
pub struct Library(Arc<Loaded>);

struct Loaded {
    path: PathBuf,
    version: String,
    providers: Vec<String>,
    environment: Environment,
    cpu_memory: CpuMemory,
}

/// Why ONNX Runtime is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// There is no library in any of the places.
    #[error(
        "ONNX Runtime's library was not found. Looked at:\n{list}Install ONNX Runtime \
         1.{MINOR_VERSION_MIN} or newer (the PyPI package onnxruntime holds it as \
         onnxruntime/capi/{name}) and set {PATH_VARIABLE} to that file.",
        list = places::list(places), name = places::example_name()
    )]
    NotFound {
        /// Every place that was looked at.
        places: Vec<Place>,
    },
    /// There is a file, but it is not an ONNX Runtime that can be used.
    #[error(
        "\"{path}\" ({origin}) cannot be used as ONNX Runtime: {reason}. Give the path of \
         libonnxruntime 1.{MINOR_VERSION_MIN} or newer in {PATH_VARIABLE}.",
        path = path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why it was looked at.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// Another library was loaded earlier; a process has only one.
    #[error(
        "\"{asked}\" was asked for, but ONNX Runtime is loaded already from \"{loaded}\"; a \
         process can load it only once",
        asked = asked.display(), loaded = loaded.display()
    )]
    OtherLoaded {
        /// Where the loaded one is from.
        loaded: PathBuf,
        /// What was asked for now.
        asked: PathBuf,
    },
    /// ONNX Runtime would send telemetry.
    #[error(
        "ONNX Runtime is not loaded because it would send telemetry: set \
         {TELEMETRY_VARIABLE}=1 in the environment, or call consort_onnx::forbid_telemetry \
         at the beginning of main"
    )]
    TelemetryAllowed,
    /// The library was loaded but did not start.
    #[error("ONNX Runtime from \"{path}\" did not start: {message}", path = path.display())]
    Start {
        /// The library.
        path: PathBuf,
        /// What it says.
        message: String,
    },
}

/// Keeps ONNX Runtime from collecting and sending telemetry, in this process and those it
/// starts. [`load_library`] insists on it.
///
/// # Safety
///
/// No other thread may run yet: the environment is changed, and other threads could be
/// reading it. Call it first thing in `main`.
#[expect(unsafe_code, reason = "the environment can only be changed unsafely")]
pub unsafe fn forbid_telemetry() {
    // SAFETY: this function asks of its caller just what `set_var` asks of it.
    unsafe { std::env::set_var(TELEMETRY_VARIABLE, "1") };
}

/// Finds and loads ONNX Runtime; later calls return what the first one loaded.
///
/// Looked at, in this order: the file named by `ORT_DYLIB_PATH`; the path given; a library
/// beside the executable and in `../lib` of it; the system's loader. A path that is named
/// is not passed over when it is missing or wrong.
pub fn load_library(path: Option<&Path>) -> Result<Library, LibraryError> {
    if std::env::var_os(TELEMETRY_VARIABLE).is_none_or(|value| value != "1") {
        return Err(LibraryError::TelemetryAllowed);
    }
    let variable = std::env::var_os(PATH_VARIABLE);
    let executable = std::env::current_exe().ok();
    let candidates = places::candidates(variable.as_deref(), path, executable.as_deref());
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = &*loaded {
        return library.clone().if_asked_for(&candidates);
    }
    let library = load_first(candidates)?;
    tracing::debug!(path = %library.path().display(), version = library.version(), "ONNX Runtime is loaded");
    *loaded = Some(library.clone());
    Ok(library)
}

/// Loads the first candidate that is there.
fn load_first(candidates: Vec<places::Candidate>) -> Result<Library, LibraryError> {
    let mut looked_at = Vec::new();
    for places::Candidate { origin, path } in candidates {
        match probe::probe(origin, &path) {
            Ok(probed) => return start(path, probed),
            Err(probe::Finding::Absent(finding)) => looked_at.push(Place {
                origin,
                path,
                finding,
            }),
            Err(probe::Finding::Broken(reason)) => {
                return Err(LibraryError::Unusable {
                    path,
                    origin,
                    reason,
                });
            }
        }
    }
    Err(LibraryError::NotFound { places: looked_at })
}

/// Hands a library that is known to be good to `ort` and makes the process's environment.
fn start(path: PathBuf, probed: probe::Probed) -> Result<Library, LibraryError> {
    let failed = |message: String| LibraryError::Start {
        path: path.clone(),
        message,
    };
    let builder = ort::init_from(&path).map_err(|error| failed(error.to_string()))?;
    let environment = builder
        .with_name("consort")
        .with_telemetry(false)
        .with_logger(log::to_tracing())
        .build()
        .map_err(|error| failed(error.to_string()))?;
    environment.set_log_level(ort::logging::LogLevel::Warning);
    let cpu_memory = CpuMemory::new(ort::sys::OrtAllocatorType::OrtDeviceAllocator)
        .map_err(|error| failed(error.to_string()))?;
    let providers =
        crate::native::available_providers().map_err(|error| failed(error.to_string()))?;
    Ok(Library(Arc::new(Loaded {
        path: path.clone(),
        version: probed.version,
        providers,
        environment,
        cpu_memory,
    })))
}

// === impl Library ===

impl Library {
    /// The file it was loaded from, or the bare name that the system's loader found.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Its version, such as `1.32.0`.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// The execution providers it was built with, by ONNX Runtime's names.
    pub fn providers(&self) -> &[String] {
        &self.0.providers
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.0.environment
    }

    pub(crate) fn cpu_memory(&self) -> &CpuMemory {
        &self.0.cpu_memory
    }

    /// This library, unless the only candidate is another one.
    fn if_asked_for(self, candidates: &[places::Candidate]) -> Result<Self, LibraryError> {
        match candidates {
            [only] if only.origin.is_named() && !same_file(&only.path, self.path()) => {
                Err(LibraryError::OtherLoaded {
                    loaded: self.path().to_owned(),
                    asked: only.path.clone(),
                })
            }
            _ => Ok(self),
        }
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || matches!(
            (one.canonicalize(), other.canonicalize()),
            (Ok(one), Ok(other)) if one == other
        )
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library")
            .field("path", &self.0.path)
            .field("version", &self.0.version)
            .field("providers", &self.0.providers)
            .finish_non_exhaustive()
    }
}
