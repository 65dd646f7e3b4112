//! What the exit status means.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything went well.
    Success,
    /// The run finished, but some examples failed.
    SomeFailed,
    /// The command line, the manifest or what it names is wrong.
    Unusable,
    /// The work was broken off by the machine: a full disk, a port in use.
    BrokenOff,
    /// A person or the system asked to stop.
    Interrupted,
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::SomeFailed => 1,
            Exit::Unusable => 2,
            Exit::BrokenOff => 3,
            // 128 + SIGINT, as shells have it.
            Exit::Interrupted => 130,
        })
    }
}
