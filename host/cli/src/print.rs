//! Standard output and standard error, when a pipe may already be closed.

use std::io::Write;

/// Writes to standard output. Whoever closed the pipe wants no more.
pub(crate) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Writes an error to standard error.
pub(crate) fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// Writes to standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
