//! What an operator may ask of the models behind the endpoints, as the registry offers it.

use consort_inference::{BoxFuture, ModelId};

/// Loads, unloads and takes back models. Only a server whose [`crate::Catalog`] has one takes
/// the calls that change models.
pub trait Repository: Send + Sync {
    /// Brings a model in, or looks for an update of one that is in already. On failure
    /// whatever answered before answers still.
    fn load<'a>(
        &'a self,
        model: &'a str,
        wish: Wish,
    ) -> BoxFuture<'a, Result<Answering, RepositoryError>>;

    /// Takes a model out of memory once the calls under way have ended.
    fn unload<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<(), RepositoryError>>;

    /// Goes back to what answered before the last update.
    fn rollback<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Answering, RepositoryError>>;
}

/// Which version is wanted; with nothing said, whatever the model's own file is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The version: one of the folder of versions, or what a file is to be called.
    pub version: Option<String>,
    /// The SHA-256 that the file must have.
    pub sha256: Option<String>,
}

/// What answers after a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answering {
    /// Name and version.
    pub id: ModelId,
    /// Whether that is another version than before.
    pub changed: bool,
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// There is no model of that name.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be done with this model.
    #[error("{0}")]
    Refused(String),
    /// It was tried and failed; what answered before answers still.
    #[error("{0}")]
    Failed(String),
    /// It may be possible later.
    #[error("{0}")]
    NotNow(String),
}
