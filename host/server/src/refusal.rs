//! A request that is not answered: the code, what the client is told, and what only the
//! log is told.

use crate::protocol::{DecodeError, EncodeError};
use crate::rows::RowsError;
use crate::status::Code;
use consort_inference::{Failure, FailureKind, Fault};

/// Rows that a message lists one by one; more are only counted.
const ROWS_LISTED_MAX: usize = 8;

/// Bytes of a message. Some of them quote the request, which may be large, compressed to
/// nothing, and sent by a client that never reads the answer.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    code: Code,
    fault: Fault,
    /// What the client is told.
    message: String,
    /// What the operator's log says. Never the content of a request.
    log: Option<String>,
}

/// One row of a request that failed.
#[derive(Debug)]
pub(crate) struct FailedRow {
    pub(crate) index: usize,
    pub(crate) failure: Failure,
}

// === impl Refusal ===

impl Refusal {
    /// A refusal that is the client's to mend.
    pub(crate) fn client(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            fault: Fault::Client,
            message: cut(message.into()),
            log: None,
        }
    }

    /// A refusal for the host's reasons that the client may know.
    pub(crate) fn host(code: Code, message: impl Into<String>) -> Self {
        let message = cut(message.into());
        Self {
            code,
            fault: Fault::Host,
            log: Some(message.clone()),
            message,
        }
    }

    /// A defect of the host: the log gets the detail, the client does not.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self {
            code: Code::Internal,
            fault: Fault::Host,
            message:
                "internal error (fault: host); the server's log says more under this request's \
                      id, see the header consort-request-id"
                    .to_owned(),
            log: Some(detail.into()),
        }
    }

    /// The failure of a whole request because of some of its `rows` rows. The protocol
    /// has no partial answer, so the first failure gives the status.
    pub(crate) fn of_rows(first: FailedRow, others: &[usize], rows: usize) -> Self {
        let mut refusal = Self::from(first.failure);
        if rows > 1 {
            let failed = others.len() + 1;
            let mut listed = vec![first.index.to_string()];
            listed.extend(
                others
                    .iter()
                    .take(ROWS_LISTED_MAX - 1)
                    .map(usize::to_string),
            );
            let more = if failed > listed.len() { ", ..." } else { "" };
            let (listed, message) = (listed.join(", "), &refusal.message);
            refusal.message = if failed == 1 {
                format!("row {listed} of {rows} failed, so the request has no answer: {message}")
            } else {
                format!(
                    "{failed} of {rows} rows failed (rows {listed}{more}), so the request has no \
                     answer; the first of them: {message}"
                )
            };
        }
        refusal
    }

    /// What became of the request.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Whose fault it is.
    pub(crate) fn fault(&self) -> Fault {
        self.fault
    }

    /// What the client is told.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What the log says beyond the code; without any content of the request.
    pub(crate) fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let (kind, fault) = (failure.kind, failure.kind.fault());
        let log = match kind {
            // A plugin's own words may quote the example.
            FailureKind::PluginFailed => Some(format!("{}: {kind}", failure.stage)),
            _ if fault == Fault::Client => Some(format!("{}: {kind}", failure.stage)),
            _ => Some(format!("{}: {kind}: {}", failure.stage, failure.message)),
        };
        let code = Code::of(kind);
        if code == Code::Internal {
            return Self {
                log,
                ..Self::internal("")
            };
        }
        let message = match fault {
            Fault::Client => failure.to_string(),
            Fault::Plugin | Fault::Model | Fault::Host => {
                format!("{failure} (fault: {fault}, kind: {kind})")
            }
        };
        Self {
            code,
            fault,
            message: cut(message),
            log,
        }
    }
}

/// Keeps the beginning of a message, and gives the memory of the rest back.
fn cut(message: String) -> String {
    let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    match message.get(..end) {
        Some(kept) if end < message.len() => {
            format!("{kept}... ({} bytes more)", message.len() - end)
        }
        _ => message,
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::client(error.code(), error.to_string())
    }
}

impl From<EncodeError> for Refusal {
    fn from(error: EncodeError) -> Self {
        match error {
            // The answer cannot be put in the form that the client asked for.
            EncodeError::NotFinite { .. }
            | EncodeError::NotText { .. }
            | EncodeError::NoJsonForm { .. } => {
                Self::client(Code::InvalidArgument, error.to_string())
            }
            EncodeError::Tensor { .. } => Self::internal(error.to_string()),
        }
    }
}

impl From<RowsError> for Refusal {
    fn from(error: RowsError) -> Self {
        match error {
            RowsError::Request(_) | RowsError::Shapes { .. } => {
                Self::client(Code::InvalidArgument, error.to_string())
            }
            RowsError::TooMany { .. } => Self::client(Code::TooLarge, error.to_string()),
            RowsError::Answer(_) => Self::internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{Stage, StageKind};

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(
            Stage::new(StageKind::Preprocess, "features"),
            kind,
            "/var/lib/x is gone",
        )
    }

    #[test]
    fn the_rows_that_failed_are_named() {
        let first = |index| FailedRow {
            index,
            failure: failure(FailureKind::PluginTrapped),
        };
        let message = |refusal: Refusal| refusal.message().to_owned();
        let cause =
            "preprocess \"features\": /var/lib/x is gone (fault: plugin, kind: plugin_trapped)";
        assert_eq!(message(Refusal::of_rows(first(0), &[], 1)), cause);
        assert_eq!(
            message(Refusal::of_rows(first(3), &[], 8)),
            format!("row 3 of 8 failed, so the request has no answer: {cause}")
        );
        assert_eq!(
            message(Refusal::of_rows(first(1), &[2, 3, 4, 5, 6, 7, 8, 9], 20)),
            format!(
                "9 of 20 rows failed (rows 1, 2, 3, 4, 5, 6, 7, 8, ...), so the request has no \
                 answer; the first of them: {cause}"
            )
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        let long = "\u{e4}".repeat(1 << 20);
        for refusal in [
            Refusal::client(Code::InvalidArgument, long.clone()),
            Refusal::host(Code::Unavailable, long.clone()),
            Refusal::from(Failure {
                message: long.clone(),
                ..failure(FailureKind::ModelFailed)
            }),
        ] {
            let message = refusal.message();
            assert!(message.len() < MESSAGE_BYTES_MAX + 100, "{}", message.len());
            assert!(message.ends_with(" bytes more)"));
        }
        let exact = "x".repeat(MESSAGE_BYTES_MAX);
        let refusal = Refusal::client(Code::InvalidArgument, exact.clone());
        assert_eq!(refusal.message(), exact);
    }

    #[test]
    fn a_defect_of_the_host_is_only_told_to_the_log() {
        for kind in [FailureKind::Internal, FailureKind::Unwritable] {
            let refusal = Refusal::from(failure(kind));
            assert!(!refusal.message().contains("/var/lib"), "{refusal}");
            assert!(refusal.message().contains("fault: host"), "{refusal}");
            assert!(refusal.log().unwrap().contains("/var/lib/x is gone"));
        }
    }

    #[test]
    fn the_words_of_clients_and_plugins_are_not_logged() {
        for kind in [FailureKind::InvalidArgument, FailureKind::PluginFailed] {
            let refusal = Refusal::from(failure(kind));
            assert!(refusal.message().contains("is gone"), "{refusal}");
            assert!(!refusal.log().unwrap().contains("is gone"), "{refusal:?}");
        }
    }
}
