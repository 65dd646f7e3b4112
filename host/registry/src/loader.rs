//! The seam between the registry and model runtimes: how a file becomes a handler.

use consort_inference::ModelHandler;
use std::path::Path;
use std::sync::Arc;

/// Any error of a model runtime.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A model file, for whoever makes a handler of it.
#[derive(Debug, Clone, Copy)]
pub enum ModelFile<'a> {
    /// The model has no file, because it runs elsewhere.
    None,
    /// A file, or a folder, to open.
    Path(&'a Path),
    /// The content of a file whose digest was asked for and found right. The file is not to
    /// be opened again: it could be another one by then.
    Checked(&'a [u8]),
}

/// Makes handlers of one model's files. It is kept as long as the model, and called again
/// for each update and for each number of threads that is tried.
///
/// Functions of the same form are loaders.
pub trait ModelLoader: Send + Sync {
    /// Makes a handler. Called on threads where it may block.
    ///
    /// `threads` is how many threads one run of the model may use; `None` leaves it to the
    /// loader's own settings.
    fn load(
        &self,
        file: ModelFile<'_>,
        threads: Option<usize>,
    ) -> Result<Arc<dyn ModelHandler>, BoxError>;
}

// === impl ModelLoader ===

impl<F> ModelLoader for F
where
    F: Fn(ModelFile<'_>, Option<usize>) -> Result<Arc<dyn ModelHandler>, BoxError> + Send + Sync,
{
    fn load(
        &self,
        file: ModelFile<'_>,
        threads: Option<usize>,
    ) -> Result<Arc<dyn ModelHandler>, BoxError> {
        self(file, threads)
    }
}
