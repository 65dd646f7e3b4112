//! One line for each thing a long task does: `setup: ONNX Runtime 1.32.0 ... ready`.

use std::io::{self, Write};
use std::time::Instant;

/// Prints the lines of one task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    task: &'static str,
    silent: bool,
}

/// A line that is not finished yet. Dropped unfinished, it ends as failed.
#[derive(Debug)]
pub(crate) struct Step {
    silent: bool,
    finished: bool,
    started: Instant,
}

// === impl Progress ===

impl Progress {
    pub(crate) fn new(task: &'static str) -> Self {
        Self {
            task,
            silent: false,
        }
    }

    /// Prints nothing.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self {
            task: "test",
            silent: true,
        }
    }

    /// Begins a line.
    pub(crate) fn step(&self, what: &str) -> Step {
        let step = Step {
            silent: self.silent,
            finished: false,
            started: now(),
        };
        step.write(&format!("{}: {what} ...", self.task));
        step
    }

    /// A whole line at once.
    pub(crate) fn say(&self, what: &str) {
        if !self.silent {
            println!("{}: {what}", self.task);
        }
    }
}

// === impl Step ===

impl Step {
    /// Says what the step turned out to need.
    pub(crate) fn needs(&mut self, what: &str) {
        self.write(&format!(" {what} ..."));
    }

    /// Shows that the step is alive.
    pub(crate) fn still_running(&mut self) {
        let seconds = since(self.started).as_secs();
        self.write(&format!(" {seconds} s"));
    }

    /// Ends the line: nothing had to be done.
    pub(crate) fn ready(mut self) {
        self.write(" ready\n");
        self.finished = true;
    }

    /// Ends the line: something was done, in this time.
    pub(crate) fn done(mut self) {
        let seconds = since(self.started).as_secs_f64();
        self.write(&format!(" done in {seconds:.1} s\n"));
        self.finished = true;
    }

    fn write(&self, text: &str) {
        if self.silent {
            return;
        }
        let mut out = io::stdout().lock();
        // Nobody left to read the progress is no reason to stop.
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.finished {
            self.write(" failed\n");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no tokio here, and nothing of this crate runs on a paused clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time since `start`.
pub(crate) fn since(start: Instant) -> std::time::Duration {
    now().saturating_duration_since(start)
}
