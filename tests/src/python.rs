//! The Python environment that set-up made, with the reference packages and clients.

use crate::prepared;
use std::process::Command;

/// `python` of the set-up's environment.
pub fn python() -> Command {
    match std::env::var_os("CONSORT_PYTHON") {
        Some(python) => Command::new(python),
        None => Command::new(prepared(".setup/venv/bin/python")),
    }
}
