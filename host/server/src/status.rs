//! The one table of outcomes: what each is on HTTP, on gRPC and in metrics.
//!
//! # Where Consort deliberately differs from Triton
//!
//! | case | Triton | Consort |
//! |---|---|---|
//! | malformed JSON, missing inputs, wrong count or shape | 500 | 400 |
//! | body over the limit | 400 | 413 |
//! | unknown `Content-Encoding` | 501 | 415, with `Accept-Encoding` |
//! | unknown model or version | 400 or 404 | 404 |
//! | model or server not ready | 400 | 503, with `Retry-After` |
//! | a method that a path does not have | 400 | 405, with `Allow` |
//! | bytes after the last binary input | ignored | 400 |
//! | nested `data` whose nesting differs from `shape` | accepted | 400 |
//! | an output asked for twice | accepted by older versions | 400 |
//! | NaN and infinity in a JSON response | bare words that are not JSON | 400, saying to ask for binary |
//! | sequences, shared memory, classification on an endpoint without them | ignored or 400 | 501 |
//! | a request over the deadline (gRPC) | `UNAVAILABLE` | `DEADLINE_EXCEEDED` |
//! | a request without rows | model dependent | 400 |
//! | loading and unloading models | allowed, in the mode `explicit` | 403 unless the operator allows it |
//! | the answer to a load | empty | the model's name and version |

use axum::http::StatusCode;
use consort_inference::FailureKind;

/// What became of a request that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request is wrong and will stay wrong.
    InvalidArgument,
    /// No such path, model or version.
    NotFound,
    /// The operator has not allowed such calls.
    Forbidden,
    /// The path does not have this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The request is larger than a limit allows.
    TooLarge,
    /// The body is in an encoding that is not supported.
    UnsupportedEncoding,
    /// The request asks for a part of the protocol that is not offered.
    Unsupported,
    /// A plugin failed.
    PluginFault,
    /// A model failed.
    ModelFault,
    /// A queue or limit of the host is full.
    Overloaded,
    /// Not ready, or shutting down.
    Unavailable,
    /// The deadline passed.
    DeadlineExceeded,
    /// The work was abandoned.
    Cancelled,
    /// A defect of the host.
    Internal,
}

/// gRPC's status codes, of which the table needs these.
mod grpc {
    pub(super) const CANCELLED: u8 = 1;
    pub(super) const INVALID_ARGUMENT: u8 = 3;
    pub(super) const DEADLINE_EXCEEDED: u8 = 4;
    pub(super) const NOT_FOUND: u8 = 5;
    pub(super) const PERMISSION_DENIED: u8 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u8 = 8;
    pub(super) const UNIMPLEMENTED: u8 = 12;
    pub(super) const INTERNAL: u8 = 13;
    pub(super) const UNAVAILABLE: u8 = 14;
}

// === impl Code ===

impl Code {
    /// The table: HTTP status, gRPC status, and the word for logs.
    const fn row(self) -> (StatusCode, u8, &'static str) {
        match self {
            Self::InvalidArgument => (
                StatusCode::BAD_REQUEST,
                grpc::INVALID_ARGUMENT,
                "invalid_argument",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, grpc::NOT_FOUND, "not_found"),
            Self::Forbidden => (StatusCode::FORBIDDEN, grpc::PERMISSION_DENIED, "forbidden"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                grpc::UNIMPLEMENTED,
                "method_not_allowed",
            ),
            Self::BodyTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                grpc::DEADLINE_EXCEEDED,
                "body_timeout",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                grpc::RESOURCE_EXHAUSTED,
                "too_large",
            ),
            Self::UnsupportedEncoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                grpc::UNIMPLEMENTED,
                "unsupported_encoding",
            ),
            Self::Unsupported => (
                StatusCode::NOT_IMPLEMENTED,
                grpc::UNIMPLEMENTED,
                "unsupported",
            ),
            Self::PluginFault => (
                StatusCode::INTERNAL_SERVER_ERROR,
                grpc::INTERNAL,
                "plugin_fault",
            ),
            Self::ModelFault => (
                StatusCode::INTERNAL_SERVER_ERROR,
                grpc::INTERNAL,
                "model_fault",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                grpc::UNAVAILABLE,
                "overloaded",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                grpc::UNAVAILABLE,
                "unavailable",
            ),
            Self::DeadlineExceeded => (
                StatusCode::SERVICE_UNAVAILABLE,
                grpc::DEADLINE_EXCEEDED,
                "deadline_exceeded",
            ),
            Self::Cancelled => (
                StatusCode::SERVICE_UNAVAILABLE,
                grpc::CANCELLED,
                "cancelled",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                grpc::INTERNAL,
                "internal",
            ),
        }
    }

    /// The HTTP status.
    pub const fn http(self) -> StatusCode {
        self.row().0
    }

    /// The gRPC status code.
    pub const fn grpc(self) -> u8 {
        self.row().1
    }

    /// The word for logs.
    pub const fn as_str(self) -> &'static str {
        self.row().2
    }

    /// Whether the same request may succeed a moment later.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Overloaded | Self::Unavailable)
    }

    /// What a failure on an example's way is to the request that carried it.
    pub const fn of(kind: FailureKind) -> Self {
        match kind {
            FailureKind::InvalidArgument | FailureKind::Unreadable | FailureKind::Skipped => {
                Self::InvalidArgument
            }
            FailureKind::NotFound => Self::NotFound,
            FailureKind::TooLarge => Self::TooLarge,
            FailureKind::PluginFailed
            | FailureKind::PluginTrapped
            | FailureKind::PluginLimit
            | FailureKind::PluginContract => Self::PluginFault,
            FailureKind::ModelFailed | FailureKind::ModelContract | FailureKind::OutOfMemory => {
                Self::ModelFault
            }
            FailureKind::QueueFull => Self::Overloaded,
            FailureKind::DeadlineExceeded => Self::DeadlineExceeded,
            FailureKind::Cancelled => Self::Cancelled,
            FailureKind::Unavailable => Self::Unavailable,
            FailureKind::Unwritable | FailureKind::Internal => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_status_that_clients_expect() {
        let cases = [
            (FailureKind::InvalidArgument, 400, 3),
            (FailureKind::Unreadable, 400, 3),
            (FailureKind::Skipped, 400, 3),
            (FailureKind::NotFound, 404, 5),
            (FailureKind::TooLarge, 413, 8),
            (FailureKind::PluginFailed, 500, 13),
            (FailureKind::PluginTrapped, 500, 13),
            (FailureKind::PluginLimit, 500, 13),
            (FailureKind::PluginContract, 500, 13),
            (FailureKind::ModelFailed, 500, 13),
            (FailureKind::ModelContract, 500, 13),
            (FailureKind::OutOfMemory, 500, 13),
            (FailureKind::QueueFull, 503, 14),
            (FailureKind::DeadlineExceeded, 503, 4),
            (FailureKind::Cancelled, 503, 1),
            (FailureKind::Unavailable, 503, 14),
            (FailureKind::Unwritable, 500, 13),
            (FailureKind::Internal, 500, 13),
        ];
        for (kind, http, grpc) in cases {
            let code = Code::of(kind);
            assert_eq!((code.http().as_u16(), code.grpc()), (http, grpc), "{kind}");
        }
        assert!(Code::of(FailureKind::QueueFull).is_retryable());
        assert!(!Code::of(FailureKind::PluginTrapped).is_retryable());
    }
}
