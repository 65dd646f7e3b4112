//! Whether a file is an ONNX Runtime that can be used, found out without `ort`.

use super::{MINOR_VERSION_MIN, Origin};
use ort::sys::{ORT_API_VERSION, OrtApiBase};
use std::ffi::CStr;
use std::path::Path;

/// A library that can be used. It stays open until `ort` has opened it too, so that it is
/// initialised only once.
pub(super) struct Probed {
    pub(super) version: String,
    _open: libloading::Library,
}

/// Why a candidate is not the library.
pub(super) enum Finding {
    /// Nothing is there.
    Absent(String),
    /// Something is there, but it cannot be used.
    Broken(String),
}

/// Opens a candidate and asks it for its version and API.
pub(super) fn probe(origin: Origin, path: &Path) -> Result<Probed, Finding> {
    if origin != Origin::System {
        // Opening something that is no file (a pipe) could wait for ever.
        let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Finding::Absent("not there".to_owned()),
            _ => Finding::Broken(error.to_string()),
        })?;
        if !metadata.is_file() {
            return Err(Finding::Broken("it is not a file".to_owned()));
        }
    }
    let open = open(path).map_err(|error| match origin {
        // The loader does not say whether it found nothing or something broken.
        Origin::System => Finding::Absent(error.to_string()),
        _ => Finding::Broken(format!("it cannot be loaded as a library: {error}")),
    })?;
    let version = version(&open).map_err(Finding::Broken)?;
    Ok(Probed {
        version,
        _open: open,
    })
}

#[expect(unsafe_code, reason = "loading a library runs its initialisers")]
fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: loading runs the library's own initialisers, which may do anything. The file
    // is one that whoever runs the process named, or installed beside the executable or in
    // the system; it is trusted as far as the executable itself.
    unsafe { libloading::Library::new(path) }
}

/// The library's version, if it has the API that is needed.
#[expect(unsafe_code, reason = "the entry point of a C library is called")]
fn version(library: &libloading::Library) -> Result<String, String> {
    type Entry = unsafe extern "C" fn() -> *const OrtApiBase;
    // SAFETY: a library that exports a function of this name is ONNX Runtime or stands in
    // for it; since its first release the function takes nothing and returns a pointer to a
    // table of two functions that lives as long as the library, or null.
    let base = unsafe {
        let entry = library
            .get::<Entry>(c"OrtGetApiBase")
            .map_err(|_| "it is a library, but not ONNX Runtime (no OrtGetApiBase)".to_owned())?;
        entry().as_ref()
    };
    let base = base.ok_or("it offers no API at all")?;
    // SAFETY: the function returns a C string that lives as long as the library, and the
    // library is open.
    let version = unsafe {
        let version = (base.GetVersionString)();
        (!version.is_null()).then(|| CStr::from_ptr(version))
    };
    let version = version
        .and_then(|version| version.to_str().ok())
        .ok_or("it does not tell its version")?;
    if minor_version(version).is_none_or(|minor| minor < MINOR_VERSION_MIN) {
        return Err(format!(
            "its version is {version}, and 1.{MINOR_VERSION_MIN} or newer is needed"
        ));
    }
    // SAFETY: the function returns a table that lives as long as the library, or null for a
    // version of the API that it does not have.
    let api = unsafe { (base.GetApi)(ORT_API_VERSION) };
    if api.is_null() {
        return Err(format!(
            "its version is {version}, but it does not offer version {ORT_API_VERSION} of the API"
        ));
    }
    Ok(version.to_owned())
}

/// The `x` of `1.x.y`; `None` when it is no such version.
fn minor_version(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(minor_version("1.32.0"), Some(32));
        assert_eq!(minor_version("1.24"), Some(24));
        assert_eq!(minor_version("1.25.0-rc.1"), Some(25));
        assert_eq!(minor_version("0.5.0"), None);
        assert_eq!(minor_version("1.x"), None);
        assert_eq!(minor_version(""), None);
    }
}
