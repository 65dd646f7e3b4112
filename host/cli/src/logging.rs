//! Log lines to standard error.

use crate::args::{Command, Global, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging; a filter that cannot be read is an error of the command line.
pub(crate) fn start(global: &Global, command: &Command) -> Result<(), String> {
    let default = match command {
        Command::Serve(_) => "info",
        _ => "warn",
    };
    let text = global.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(text).map_err(|error| {
        format!("--log \"{text}\" is not a filter: {error}; write a level such as \"info\"")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match global.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
