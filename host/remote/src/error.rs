//! Why a remote model cannot be used at all.

use std::path::PathBuf;

/// A remote model that could not be set up. Every message begins with the model's name.
#[derive(Debug, thiserror::Error)]
#[error("model \"{model}\": {reason}")]
pub struct ConnectError {
    /// The model's name here.
    pub model: String,
    /// What was wrong.
    #[source]
    pub reason: ConnectReason,
}

/// What was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectReason {
    /// The URL is none that can be called.
    #[error("url \"{url}\": {what}")]
    Url {
        /// The URL; without what stands before an `@`.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A setting outside of what it takes.
    #[error("{key}: {what}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What it takes.
        what: String,
    },
    /// A secret that is not there or cannot be sent.
    #[error("{0}")]
    Secret(String),
    /// Secrets would go over the network in the clear.
    #[error(
        "secrets do not go to {url} without TLS: use https, or say that the network between is \
         to be trusted (cleartext_secrets = true)"
    )]
    Cleartext {
        /// Where they would go.
        url: String,
    },
    /// A file for TLS that cannot be used.
    #[error("{}: {what}", .path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No authorities to check a server by.
    #[error(
        "this machine has no certificates of authorities to check {url} by: install them, or \
         name a file (ca_file)"
    )]
    NoAuthorities {
        /// The server.
        url: String,
    },
    /// Certificate and key that cannot be used together, or at all.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server did not answer, now or at all; the same may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// The server does not have the model, or does not let this host see it.
    #[error("{0}")]
    Refused(String),
    /// What the server says of the model cannot be worked with.
    #[error("{url}: {what}")]
    Metadata {
        /// What was asked.
        url: String,
        /// What is wrong with the answer.
        what: String,
    },
}

// === impl ConnectReason ===

impl ConnectReason {
    /// Whether trying again later, with nothing changed here, may well succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
