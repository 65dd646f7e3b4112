//! Why a crossing into a guest ended without results, found out from wasmtime's error.

use crate::limits::{Limit, LimitHit};
use crate::link::FilesRefused;
use crate::logs::{escape, excerpt, floor_char};
use crate::state::{DeadlinePassed, State, Waiting};
use consort_inference::FailureKind;
use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// Frames of a guest's stack that a message shows.
const FRAMES_MAX: usize = 6;
/// Bytes of one function's symbol that are looked at.
const SYMBOL_BYTES_MAX: usize = 4096;
/// Bytes of one function's name that a message shows.
const FRAME_BYTES_MAX: usize = 120;

/// Why one crossing yielded nothing. The instance it happened in is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The guest was stopped at a limit.
    Limit { limit: Limit, message: String },
    /// The guest trapped by itself.
    Trapped(String),
    /// The guest returned what the contract forbids.
    Contract(String),
    /// The caller's deadline passed.
    Deadline(String),
    /// There is no room for an instance of this shape just now.
    Exhausted(String),
    /// A defect of the host.
    Internal(String),
}

// === impl CallError ===

impl CallError {
    /// Reads an error that ended a crossing into the store of `state`.
    pub(crate) fn of(error: &wasmtime::Error, state: &State) -> Self {
        let limits = &state.share.limits;
        let limit = |limit| Self::limit(limit, state);
        if let Some(LimitHit(reached)) = error.downcast_ref() {
            return limit(*reached);
        }
        if error.is::<DeadlinePassed>() {
            return Self::Deadline(DeadlinePassed.to_string());
        }
        if let Some(ResourceTableError::Full) = error.downcast_ref() {
            return limit(Limit::Resources);
        }
        if hostcall_bytes_exhausted(error) {
            return limit(Limit::HostcallBytes);
        }
        if handles_exhausted(error) {
            return limit(Limit::Tensors);
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Self::Exhausted(format!(
                "no room for another instance: {error}; lower instances_max, which is more than \
                 components of several memories can have"
            ));
        }
        if let Some(refused) = state.refused() {
            return limit(refused);
        }
        if let Some(I32Exit(status)) = error.downcast_ref() {
            return Self::Trapped(format!("the plugin called exit({status})"));
        }
        let mut message = reason(error);
        let tail = state.log.err_tail();
        if !tail.is_empty() {
            message.push_str("; on standard error: ");
            message.push_str(&tail);
        }
        message.push_str(&stack(error));
        Self::Trapped(cut(message, limits.message_bytes_max))
    }

    /// The call took longer than someone waits.
    pub(crate) fn timed_out(state: &State) -> Self {
        match state.waiting() {
            Waiting::Limited(limit) => Self::limit(limit, state),
            Waiting::Deadline => Self::Deadline(DeadlinePassed.to_string()),
        }
    }

    pub(crate) fn limit(limit: Limit, state: &State) -> Self {
        Self::Limit {
            limit,
            message: state.share.limits.message(limit),
        }
    }

    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Limit { .. } => FailureKind::PluginLimit,
            Self::Trapped(_) => FailureKind::PluginTrapped,
            Self::Contract(_) => FailureKind::PluginContract,
            Self::Deadline(_) => FailureKind::DeadlineExceeded,
            Self::Exhausted(_) => FailureKind::Unavailable,
            Self::Internal(_) => FailureKind::Internal,
        }
    }

    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Limit { message, .. }
            | Self::Trapped(message)
            | Self::Contract(message)
            | Self::Deadline(message)
            | Self::Exhausted(message)
            | Self::Internal(message) => message,
        }
    }

    pub(crate) fn limit_reached(&self) -> Option<Limit> {
        match self {
            Self::Limit { limit, .. } => Some(*limit),
            _ => None,
        }
    }
}

/// The reason of a trap, without wasmtime's list of frames.
fn reason(error: &wasmtime::Error) -> String {
    if let Some(refused) = error.downcast_ref::<FilesRefused>() {
        return refused.to_string();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            "call stack exhausted: recursion deeper than stack_bytes_max allows".to_owned()
        }
        Some(Trap::UnreachableCodeReached) => {
            "trapped: `unreachable` was executed (a panic or an abort)".to_owned()
        }
        Some(trap) => format!("trapped: {trap}"),
        None => format!("trapped: {}", escape(&error.root_cause().to_string())),
    }
}

fn stack(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let names: Vec<String> = backtrace
        .frames()
        .iter()
        .map(|frame| match frame.func_name() {
            // The guest chooses how long its names are.
            Some(name) => readable(floor_char(name, SYMBOL_BYTES_MAX)),
            None => format!("function {}", frame.func_index()),
        })
        .filter(|name| !is_machinery(name))
        .take(FRAMES_MAX)
        .map(|name| excerpt(&name, FRAME_BYTES_MAX))
        .collect();
    if names.is_empty() {
        return String::new();
    }
    format!("; in {}", names.join(" < "))
}

/// A symbol as its author wrote it, without the hash that tells versions apart.
fn readable(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// What every panic passes through and no author wants to read.
fn is_machinery(name: &str) -> bool {
    ["std::", "core::", "alloc::", "__rustc"]
        .iter()
        .any(|start| name.starts_with(start))
        || matches!(name, "abort" | "__rust_start_panic" | "rust_panic")
}

fn cut(message: String, bytes_max: usize) -> String {
    if message.len() <= bytes_max {
        return message;
    }
    excerpt(&message, bytes_max)
}

/// wasmtime's error for this is private to it, so its text is all there is to know it
/// by. The test of the guest `oversized_output` fails when the text changes.
fn hostcall_bytes_exhausted(error: &wasmtime::Error) -> bool {
    error
        .root_cause()
        .to_string()
        .ends_with("fuel allocated for hostcalls has been exhausted")
}

/// As above, for handles that the guest made without the host taking part.
fn handles_exhausted(error: &wasmtime::Error) -> bool {
    error
        .root_cause()
        .to_string()
        .ends_with("store handle limit exceeded")
}
