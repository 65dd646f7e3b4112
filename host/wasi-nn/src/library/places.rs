//! Where the library may be. Looks at names only; opens nothing.

use super::PATH_VARIABLE;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a place was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The variable `OPENVINO_INSTALL_DIR` names it.
    Variable,
    /// The caller (the manifest, an option) names it.
    Given,
    /// It lies beside the executable, or in `../lib` of it.
    Executable,
    /// The variable `INTEL_OPENVINO_DIR`, which OpenVINO's own scripts set, names it.
    Scripts,
    /// It is in the path of the system's loader.
    LoaderPath,
    /// Packages of the system install it there.
    System,
}

/// A place that was looked at in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Why it was looked at.
    pub origin: Origin,
    /// The folder or file.
    pub path: PathBuf,
}

/// A folder or file to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) origin: Origin,
    pub(super) path: PathBuf,
}

/// The library's name. On Linux a version may follow; the Python package has no other.
pub(super) const NAME: &str = if cfg!(windows) {
    "openvino_c.dll"
} else if cfg!(target_vendor = "apple") {
    "libopenvino_c.dylib"
} else {
    "libopenvino_c.so"
};

/// Where the library lies below a folder that somebody names: in it; as in the Python
/// package; as in an environment's `site-packages`; as in the archive.
const BELOW: [&str; 8] = [
    "",
    "lib",
    "libs",
    "openvino/libs",
    "runtime/lib/intel64",
    "runtime/lib/arm64",
    "runtime/lib/aarch64",
    "runtime/bin/intel64/Release",
];

/// Where packages of Linux distributions install it.
const SYSTEM: &[&str] = if cfg!(target_os = "linux") {
    &[
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/opt/intel/openvino",
    ]
} else {
    &[]
};

/// The variable with the path of the system's loader.
const LOADER_PATH: &str = if cfg!(windows) {
    "PATH"
} else if cfg!(target_vendor = "apple") {
    "DYLD_LIBRARY_PATH"
} else {
    "LD_LIBRARY_PATH"
};

/// Everything to look at, in order. A path that is named is the only candidate.
pub(super) fn candidates(
    given: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<Candidate> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let at = |origin, path: &Path| Candidate {
        origin,
        path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    };
    if let Some(path) = set(PATH_VARIABLE) {
        return vec![at(Origin::Variable, Path::new(&path))];
    }
    if let Some(path) = given {
        return vec![at(Origin::Given, path)];
    }
    let executable = env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent);
    let mut candidates: Vec<Candidate> = beside
        .into_iter()
        .chain(beside.and_then(Path::parent))
        .map(|folder| at(Origin::Executable, folder))
        .collect();
    if let Some(path) = set("INTEL_OPENVINO_DIR") {
        candidates.push(at(Origin::Scripts, Path::new(&path)));
    }
    if let Some(paths) = set(LOADER_PATH) {
        let folders = env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty());
        candidates.extend(folders.map(|path| at(Origin::LoaderPath, &path)));
    }
    candidates.extend(
        SYSTEM
            .iter()
            .map(|path| at(Origin::System, Path::new(path))),
    );
    candidates
}

/// The places as lines of a message.
pub(super) fn list(places: &[Place]) -> String {
    let unset = places
        .iter()
        .all(|place| !place.origin.is_named())
        .then(|| format!("  {PATH_VARIABLE}: not set\n"));
    let lines = places
        .iter()
        .map(|Place { origin, path }| format!("  {origin}: {}: not there\n", path.display()));
    unset.into_iter().chain(lines).collect()
}

/// The library in a folder: the plain name, or the highest version behind it.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(NAME);
    if plain.is_file() {
        return Some(plain);
    }
    let names = std::fs::read_dir(folder).ok()?;
    let names = names
        .flatten()
        .filter_map(|found| found.file_name().into_string().ok());
    let latest = names
        .filter_map(|name| Some((version_of(&name)?, name)))
        .max()?;
    Some(folder.join(latest.1)).filter(|path| path.is_file())
}

/// The version in `libopenvino_c.so.2641`, or in `libopenvino_c.2641.dylib`.
fn version_of(name: &str) -> Option<Vec<u64>> {
    let (start, end) = NAME.rsplit_once('.')?;
    let version = name
        .strip_prefix(NAME)
        .or_else(|| name.strip_prefix(start)?.strip_suffix(&format!(".{end}")))?;
    let numbers = version.strip_prefix('.')?.split('.');
    numbers.map(|number| number.parse().ok()).collect()
}

// === impl Candidate ===

impl Candidate {
    /// The library's file, with no links in its path.
    pub(super) fn find(self) -> Result<PathBuf, Place> {
        let found = if self.path.is_file() {
            Some(self.path.clone())
        } else {
            BELOW
                .iter()
                .find_map(|below| in_folder(&self.path.join(below)))
        };
        let Self { origin, path } = self;
        match found {
            // OpenVINO looks for its parts beside the real file.
            Some(file) => Ok(file.canonicalize().unwrap_or(file)),
            None => Err(Place { origin, path }),
        }
    }
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
            Self::Variable => PATH_VARIABLE,
            Self::Given => "the path given",
            Self::Executable => "near the executable",
            Self::Scripts => "INTEL_OPENVINO_DIR",
            Self::LoaderPath => LOADER_PATH,
            Self::System => "where packages install it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn shown(given: Option<&str>, variables: &[(&str, &str)]) -> Vec<String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        candidates(given.map(Path::new), variable)
            .iter()
            .filter(|candidate| !matches!(candidate.origin, Origin::Executable | Origin::System))
            .map(|candidate| format!("{}: {}", candidate.origin, candidate.path.display()))
            .collect()
    }

    #[test]
    fn a_named_path_is_the_only_candidate_and_the_variable_wins() {
        let set = [(PATH_VARIABLE, "/a"), ("INTEL_OPENVINO_DIR", "/c")];
        assert_eq!(shown(Some("/b"), &set), ["OPENVINO_INSTALL_DIR: /a"]);
        assert_eq!(shown(Some("/b"), &[]), ["the path given: /b"]);
        assert_eq!(
            shown(Some("/b"), &[(PATH_VARIABLE, "")]),
            ["the path given: /b"]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn unnamed_it_is_looked_for_where_scripts_and_the_loader_say() {
        let set = [("INTEL_OPENVINO_DIR", "/c"), ("LD_LIBRARY_PATH", "/d::/e")];
        let expected = [
            "INTEL_OPENVINO_DIR: /c",
            "LD_LIBRARY_PATH: /d",
            "LD_LIBRARY_PATH: /e",
        ];
        assert_eq!(shown(None, &set), expected);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_highest_version_of_a_folder_is_taken_unless_there_is_a_plain_name() {
        let folder = tempfile::tempdir().unwrap();
        let libs = folder.path().join("openvino/libs");
        fs::create_dir_all(&libs).unwrap();
        let find = |path: &Path| {
            let candidate = Candidate {
                origin: Origin::Given,
                path: path.to_owned(),
            };
            let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            candidate.find().map(name).ok()
        };
        assert_eq!(find(folder.path()), None);
        for name in [
            "libopenvino_c.so.999",
            "libopenvino_c.so.2641",
            "libopenvino_c.so.old",
            "libopenvino_core.so.9999",
        ] {
            fs::write(libs.join(name), "").unwrap();
        }
        let latest = Some("libopenvino_c.so.2641".to_owned());
        assert_eq!(find(folder.path()), latest);
        assert_eq!(find(&folder.path().join("openvino")), latest);
        assert_eq!(find(&libs.join("libopenvino_c.so.2641")), latest);
        fs::write(libs.join("libopenvino_c.so"), "").unwrap();
        assert_eq!(find(&libs), Some("libopenvino_c.so".to_owned()));
    }
}
