//! Where the library may be. Decides only on names; opens nothing.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a place was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The variable `ORT_DYLIB_PATH` names it.
    Variable,
    /// The caller (the manifest, an option) names it.
    Given,
    /// It lies beside the executable, or in `../lib` of it.
    Executable,
    /// The system's loader was asked for the name.
    System,
}

/// A place that was looked at in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Why it was looked at.
    pub origin: Origin,
    /// The file, or the bare name for the system's loader.
    pub path: PathBuf,
    /// What was found there.
    pub finding: String,
}

/// A place to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) origin: Origin,
    pub(super) path: PathBuf,
}

/// The names of the library, the plain one first; distributions install it without the
/// plain name when only the run-time package is there.
const NAMES: &[&str] = if cfg!(windows) {
    &["onnxruntime.dll"]
} else if cfg!(target_vendor = "apple") {
    &["libonnxruntime.dylib", "libonnxruntime.1.dylib"]
} else {
    &["libonnxruntime.so", "libonnxruntime.so.1"]
};

/// Everything to look at, in order. A path that is named is the only candidate.
pub(super) fn candidates(
    variable: Option<&OsStr>,
    given: Option<&Path>,
    executable: Option<&Path>,
) -> Vec<Candidate> {
    let named = |origin, path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        vec![Candidate { origin, path }]
    };
    match (variable.filter(|path| !path.is_empty()), given) {
        (Some(path), _) => return named(Origin::Variable, Path::new(path)),
        (None, Some(path)) => return named(Origin::Given, path),
        (None, None) => {}
    }
    let beside = executable.and_then(Path::parent);
    let lib = beside
        .and_then(Path::parent)
        .map(|parent| parent.join("lib"));
    let folders = [beside.map(Path::to_owned), lib];
    let in_folders = folders.into_iter().flatten().flat_map(|folder| {
        NAMES.iter().map(move |name| Candidate {
            origin: Origin::Executable,
            path: folder.join(name),
        })
    });
    let in_system = NAMES.iter().map(|name| Candidate {
        origin: Origin::System,
        path: PathBuf::from(name),
    });
    in_folders.chain(in_system).collect()
}

/// The places as lines of a message.
pub(super) fn list(places: &[Place]) -> String {
    let variable_unset = places
        .iter()
        .all(|place| !place.origin.is_named())
        .then(|| format!("  {}: not set\n", super::PATH_VARIABLE));
    let lines = places.iter().map(|place| {
        let Place {
            origin,
            path,
            finding,
        } = place;
        format!("  {origin}: {}: {finding}\n", path.display())
    });
    variable_unset.into_iter().chain(lines).collect()
}

/// A name for examples in messages.
pub(super) fn example_name() -> &'static str {
    NAMES.first().copied().unwrap_or_default()
}

// === impl Origin ===

impl Origin {
    /// Whether somebody named the path, so that nothing else may be taken instead.
    pub(super) const fn is_named(self) -> bool {
        matches!(self, Self::Variable | Self::Given)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variable => super::PATH_VARIABLE,
            Self::Given => "the path given",
            Self::Executable => "near the executable",
            Self::System => "the system's loader",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(variable: Option<&str>, given: Option<&str>) -> Vec<String> {
        let executable = Path::new("/opt/consort/bin/consort");
        candidates(
            variable.map(OsStr::new),
            given.map(Path::new),
            Some(executable),
        )
        .iter()
        .map(|candidate| format!("{}: {}", candidate.origin, candidate.path.display()))
        .collect()
    }

    #[test]
    fn a_named_path_is_the_only_candidate_and_the_variable_wins() {
        assert_eq!(
            shown(Some("/a/x.so"), Some("/b/y.so")),
            ["ORT_DYLIB_PATH: /a/x.so"]
        );
        assert_eq!(shown(None, Some("/b/y.so")), ["the path given: /b/y.so"]);
        assert_eq!(
            shown(Some(""), Some("/b/y.so")),
            ["the path given: /b/y.so"]
        );
    }

    #[test]
    fn a_relative_path_is_made_absolute() {
        let found = candidates(None, Some(Path::new("x.so")), None);
        assert!(found[0].path.is_absolute(), "{found:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn unnamed_it_is_looked_for_near_the_executable_and_then_in_the_system() {
        assert_eq!(
            shown(None, None),
            [
                "near the executable: /opt/consort/bin/libonnxruntime.so",
                "near the executable: /opt/consort/bin/libonnxruntime.so.1",
                "near the executable: /opt/consort/lib/libonnxruntime.so",
                "near the executable: /opt/consort/lib/libonnxruntime.so.1",
                "the system's loader: libonnxruntime.so",
                "the system's loader: libonnxruntime.so.1",
            ]
        );
    }
}
