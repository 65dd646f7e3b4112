//! The manifest's file.

use crate::exit::Exit;
use crate::print;
use consort_manifest::{Manifest, Problems, Reading};
use std::path::{Path, PathBuf};

/// A manifest and the folder that its paths are relative to.
pub(crate) struct ManifestFile {
    /// What is right of it.
    pub(crate) manifest: Manifest,
    /// What is wrong with its text.
    pub(crate) problems: Problems,
    folder: PathBuf,
}

// === impl ManifestFile ===

impl ManifestFile {
    /// Reads and checks the text. Fails, having shown why, if nothing of it can be used.
    pub(crate) fn read(path: &Path) -> Result<Self, Exit> {
        let shown = path.display().to_string();
        let unusable = |message: String| {
            print::error(&message);
            Exit::Unusable
        };
        let bytes = std::fs::read(path)
            .map_err(|error| unusable(format!("the manifest {shown} cannot be read: {error}")))?;
        let text = String::from_utf8(bytes)
            .map_err(|error| unusable(format!("the manifest {shown} is no UTF-8 text: {error}")))?;
        let Reading { manifest, problems } = consort_manifest::read(&shown, &text);
        let Some(manifest) = manifest else {
            return Err(show(&problems));
        };
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self {
            manifest,
            problems,
            folder,
        })
    }

    /// Fails, having shown why, if the text is wrong anywhere.
    pub(crate) fn text_is_right(&self) -> Result<(), Exit> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(show(&self.problems))
    }

    /// A path of the manifest, from where the process stands.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

/// Shows everything that is wrong.
pub(crate) fn show(problems: &Problems) -> Exit {
    print::note(&problems.to_string());
    Exit::Unusable
}
