//! Where everything lies: the one place that knows the folders of the checkout.

use crate::metadata::{Metadata, relative};
use std::path::{Path, PathBuf};

/// The folders of this checkout.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
}

impl Layout {
    pub(crate) fn new(metadata: &Metadata) -> Self {
        Self {
            root: metadata.workspace_root.clone(),
            target: metadata.target_directory.clone(),
        }
    }

    /// What set-up fetches and builds, outside git.
    pub(crate) fn setup(&self) -> PathBuf {
        self.root.join(".setup")
    }

    /// Verified wheels.
    pub(crate) fn wheels(&self) -> PathBuf {
        self.setup().join("wheels")
    }

    /// The Python of set-up's own environment.
    pub(crate) fn venv(&self) -> PathBuf {
        self.setup().join("venv")
    }

    pub(crate) fn venv_python(&self) -> PathBuf {
        self.venv().join("bin/python")
    }

    /// The digests of what the built things were made from.
    pub(crate) fn stamps(&self) -> PathBuf {
        self.setup().join("stamps")
    }

    pub(crate) fn example(&self) -> PathBuf {
        self.root.join("examples/file-type")
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.example().join("model")
    }

    pub(crate) fn components(&self) -> PathBuf {
        self.example().join("components")
    }

    /// Where cargo leaves components of the profile `guest`.
    pub(crate) fn guests(&self) -> PathBuf {
        self.target.join("wasm32-wasip2/guest")
    }

    /// Where cargo leaves the host's programs.
    pub(crate) fn debug(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// A path as it is shown to people: from the root on.
    pub(crate) fn shown(&self, path: &Path) -> String {
        relative(&self.root, path)
    }
}
