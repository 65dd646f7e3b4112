//! ONNX Runtime's own log, as `tracing` events.

use ort::logging::{LogLevel, LoggerFunction};
use std::sync::Arc;

/// Hands each line to `tracing`, one level lower than ONNX Runtime thinks of it: whatever
/// fails is also returned to the caller and reported there, so that a request that cannot
/// be run does not write an error line twice.
pub(super) fn to_tracing() -> LoggerFunction {
    Arc::new(|level, _category, _id, place, message| {
        const TARGET: &str = "onnxruntime";
        let message = message.trim_end();
        match level {
            LogLevel::Fatal => tracing::error!(target: TARGET, place, "{message}"),
            LogLevel::Error => tracing::warn!(target: TARGET, place, "{message}"),
            LogLevel::Warning => tracing::info!(target: TARGET, place, "{message}"),
            LogLevel::Info => tracing::debug!(target: TARGET, place, "{message}"),
            LogLevel::Verbose => tracing::trace!(target: TARGET, place, "{message}"),
        }
    })
}
