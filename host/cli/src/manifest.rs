//! The manifest's file.

use crate::exit::Exit;
use crate::print;
use consort_manifest::Manifest;
use std::path::{Path, PathBuf};

/// A checked manifest and the folder that its paths are relative to.
pub(crate) struct ManifestFile {
    pub(crate) manifest: Manifest,
    folder: PathBuf,
}

// === impl ManifestFile ===

impl ManifestFile {
    /// Reads and checks the text. What is wrong has been shown when this fails.
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
        let manifest = consort_manifest::parse(&shown, &text).map_err(|problems| {
            print::note(&problems.to_string());
            Exit::Unusable
        })?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self { manifest, folder })
    }

    /// A path of the manifest, from where the process stands.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}
