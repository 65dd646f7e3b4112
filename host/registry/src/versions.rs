//! A folder of versions: which there are, which are to answer, and where each model is.
//! Everything here blocks.

use crate::{LoadError, Versions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The entries of a folder that are versions, by number: those whose name, without its
/// extension, is a number. Others are none of the registry's business.
pub(crate) fn list(folder: &Path) -> Result<BTreeMap<u64, PathBuf>, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(version) = number(&path) else {
            continue;
        };
        if let Some(first) = found.insert(version, path.clone()) {
            return Err(LoadError::AmbiguousVersion {
                version,
                first: first.clone().min(path.clone()),
                second: first.max(path),
            });
        }
    }
    Ok(found)
}

/// The versions that are to answer, in rising order; never none.
pub(crate) fn choose(
    folder: &Path,
    found: &BTreeMap<u64, PathBuf>,
    serve: &Versions,
) -> Result<BTreeMap<u64, PathBuf>, LoadError> {
    let missing = |wanted: String| LoadError::NoVersion {
        folder: folder.to_owned(),
        wanted,
        found: names(found),
    };
    let chosen: BTreeMap<u64, PathBuf> = match serve {
        Versions::All => found.clone(),
        Versions::Latest => found
            .last_key_value()
            .map(|(version, path)| (*version, path.clone()))
            .into_iter()
            .collect(),
        Versions::Only(wanted) => wanted
            .iter()
            .map(|version| match found.get(version) {
                Some(path) => Ok((*version, path.clone())),
                None => Err(missing(version.to_string())),
            })
            .collect::<Result<_, _>>()?,
    };
    if chosen.is_empty() {
        return Err(missing(
            "at all (a file or folder named by a number)".to_owned(),
        ));
    }
    Ok(chosen)
}

/// The version of that name.
pub(crate) fn find(
    folder: &Path,
    found: &BTreeMap<u64, PathBuf>,
    version: &str,
) -> Result<PathBuf, LoadError> {
    let path = version
        .parse()
        .ok()
        .and_then(|number: u64| found.get(&number));
    path.cloned().ok_or_else(|| LoadError::NoVersion {
        folder: folder.to_owned(),
        wanted: version.to_owned(),
        found: names(found),
    })
}

/// The model of a version: the entry itself if it is a file; else the folder's
/// `model.onnx` or `model.xml`, its only file, or its only file called `model`; and the
/// folder itself where it has no files of its own.
pub(crate) fn model_path(entry: &Path) -> Result<PathBuf, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: entry.to_owned(),
        source,
    };
    if !std::fs::metadata(entry).map_err(unreadable)?.is_dir() {
        return Ok(entry.to_owned());
    }
    let known = ["model.onnx", "model.xml"].map(|name| entry.join(name));
    if let Some(path) = known.into_iter().find(|path| path.is_file()) {
        return Ok(path);
    }
    let mut files = Vec::new();
    for file in std::fs::read_dir(entry).map_err(unreadable)? {
        let path = file.map_err(unreadable)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_file() && !hidden {
            files.push(path);
        }
    }
    if files.len() > 1 {
        files.retain(|path| path.file_stem().is_some_and(|stem| stem == "model"));
        if files.len() != 1 {
            let folder = entry.to_owned();
            return Err(LoadError::AmbiguousModel { folder });
        }
    }
    Ok(files.pop().unwrap_or_else(|| entry.to_owned()))
}

/// The number that an entry is called by.
fn number(path: &Path) -> Option<u64> {
    let stem = if path.is_dir() {
        path.file_name()
    } else {
        path.file_stem()
    };
    let stem = stem?.to_str()?;
    let digits = !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| stem.parse().ok()).flatten()
}

fn names(found: &BTreeMap<u64, PathBuf>) -> String {
    if found.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = found.keys().map(u64::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files in it, made with all folders above them.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        folder
    }

    fn chosen(files: &[&str], serve: &Versions) -> Result<Vec<String>, String> {
        let folder = folder(files);
        let shorten = |error: LoadError| {
            let text = error.to_string();
            text.replace(&format!("{}", folder.path().display()), "F")
        };
        let found = list(folder.path()).map_err(shorten)?;
        let chosen = choose(folder.path(), &found, serve).map_err(shorten)?;
        chosen
            .into_iter()
            .map(|(version, path)| {
                let path = model_path(&path).map_err(shorten)?;
                let path = path.strip_prefix(folder.path()).unwrap();
                Ok(format!("{version} {}", path.display()))
            })
            .collect()
    }

    #[test]
    fn files_and_folders_are_versions() {
        let files = [
            "9.onnx",
            "10/model.onnx",
            "10/notes.txt",
            "README",
            "x3.onnx",
        ];
        assert_eq!(
            chosen(&files, &Versions::All).unwrap(),
            ["9 9.onnx", "10 10/model.onnx"]
        );
        assert_eq!(
            chosen(&files, &Versions::Latest).unwrap(),
            ["10 10/model.onnx"]
        );
        assert_eq!(
            chosen(&files, &Versions::Only(vec![9])).unwrap(),
            ["9 9.onnx"]
        );
    }

    #[test]
    fn the_model_in_a_folder_is_found() {
        let latest = |files: &[&str]| chosen(files, &Versions::Latest);
        assert_eq!(latest(&["1/net.pt", "1/.hidden"]).unwrap(), ["1 1/net.pt"]);
        assert_eq!(
            latest(&["1/model.pt", "1/words.txt"]).unwrap(),
            ["1 1/model.pt"]
        );
        assert_eq!(latest(&["1/variables/data"]).unwrap(), ["1 1"]);
        assert_eq!(
            latest(&["1/model.xml", "1/model.bin"]).unwrap(),
            ["1 1/model.xml"]
        );
        assert!(latest(&["1/a.pt", "1/b.pt"]).unwrap_err().contains("F/1"));
    }

    #[test]
    fn what_is_missing_or_double_is_said() {
        assert_eq!(
            chosen(&["1.onnx", "3.onnx"], &Versions::Only(vec![2])).unwrap_err(),
            "the folder F has no version 2; it has 1, 3"
        );
        assert_eq!(
            chosen(&["README"], &Versions::Latest).unwrap_err(),
            "the folder F has no version at all (a file or folder named by a number); it has none"
        );
        assert_eq!(
            chosen(&["3.onnx", "03.onnx"], &Versions::Latest).unwrap_err(),
            "both F/03.onnx and F/3.onnx are version 3; remove one of them"
        );
    }
}
