//! Finding and loading `libopenvino_c`, once per process.
//!
//! `openvino` would look for the library by itself at the first call, in fewer places, and
//! panics where a function is missing or a version reads oddly. So what could go wrong is
//! tried here first, and a library that is known to be good is handed over.

mod places;
mod probe;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use places::{Origin, Place};

/// The variable that names the library or a folder with it and wins over all other places.
const PATH_VARIABLE: &str = "OPENVINO_INSTALL_DIR";
/// The oldest release whose numbers of element types are those that `openvino` knows.
const VERSION_MIN: (u32, u32) = (2025, 1);

static LOADED: Mutex<Option<OpenVinoLibrary>> = Mutex::new(None);

/// The loaded OpenVINO, and the proof that it is loaded.
#[derive(Clone, Debug)]
pub struct OpenVinoLibrary(Arc<Loaded>);

#[derive(Debug)]
struct Loaded {
    path: PathBuf,
    version: String,
}

/// Why OpenVINO is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// There is no library in any of the places.
    #[error(
        "OpenVINO's library {name} was not found. Looked at:\n{list}Install OpenVINO {year}.{minor} \
         or newer (`pip install openvino` is enough) and set {PATH_VARIABLE} to the folder of \
         the Python package `openvino`, to the folder where its archive was unpacked, or to \
         the library itself. In a checkout of Consort, `cargo xtask setup --openvino` installs \
         it.",
        name = places::NAME, list = places::list(places), year = VERSION_MIN.0,
        minor = VERSION_MIN.1
    )]
    NotFound {
        /// Every place that was looked at.
        places: Vec<Place>,
    },
    /// There is a file, but it is not an OpenVINO that can be used.
    #[error(
        "\"{path}\" ({origin}) cannot be used as OpenVINO: {reason}. Give OpenVINO \
         {year}.{minor} or newer in {PATH_VARIABLE}.",
        path = path.display(), year = VERSION_MIN.0, minor = VERSION_MIN.1
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
        "\"{asked}\" was asked for, but OpenVINO is loaded already from \"{loaded}\"; a process \
         can load it only once",
        asked = asked.display(), loaded = loaded.display()
    )]
    OtherLoaded {
        /// Where the loaded one is from.
        loaded: PathBuf,
        /// What was asked for now.
        asked: PathBuf,
    },
}

/// Finds and loads OpenVINO; later calls return what the first one loaded.
///
/// Looked at, in this order: the file or folder that `OPENVINO_INSTALL_DIR` names; the one
/// given; the folder of the executable, and `../lib` of it; `INTEL_OPENVINO_DIR`, which
/// OpenVINO's own scripts set; the folders of the loader's path; where packages install it. In
/// a folder, its usual subfolders are looked at too. A path that is named is not passed over
/// when it is missing or wrong.
pub fn load_library(path: Option<&Path>) -> Result<OpenVinoLibrary, LibraryError> {
    let candidates = places::candidates(path, |name| std::env::var_os(name));
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut looked_at = Vec::new();
    if let Some(library) = &*loaded
        && !candidates
            .iter()
            .any(|candidate| candidate.origin.is_named())
    {
        return Ok(library.clone());
    }
    for candidate in candidates {
        let origin = candidate.origin;
        let path = match candidate.find() {
            Ok(path) => path,
            Err(place) => {
                looked_at.push(place);
                continue;
            }
        };
        if let Some(library) = &*loaded {
            return library.clone().if_at(path);
        }
        let library = load(&path).map_err(|reason| LibraryError::Unusable {
            path,
            origin,
            reason,
        })?;
        tracing::debug!(path = %library.path().display(), version = library.version(), "OpenVINO is loaded");
        *loaded = Some(library.clone());
        return Ok(library);
    }
    Err(LibraryError::NotFound { places: looked_at })
}

fn load(path: &Path) -> Result<OpenVinoLibrary, String> {
    let probed = probe::probe(path)?;
    openvino_sys::library::load_from(path)?;
    Ok(OpenVinoLibrary(Arc::new(Loaded {
        path: path.to_owned(),
        version: probed.version,
    })))
}

// === impl OpenVinoLibrary ===

impl OpenVinoLibrary {
    /// The file it was loaded from.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Its version, such as `2026.4.1`.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    fn if_at(self, asked: PathBuf) -> Result<Self, LibraryError> {
        if self.path() == asked {
            return Ok(self);
        }
        Err(LibraryError::OtherLoaded {
            loaded: self.path().to_owned(),
            asked,
        })
    }
}

impl fmt::Display for OpenVinoLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenVINO {}", self.version())
    }
}
