//! Running other programs, with errors that say which command failed, its last lines and what
//! to do about it. Never decides what is run.

use crate::progress::Step;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How many of a failed program's last lines its error repeats, of each of its two streams:
/// the streams come in no certain order, and a busy one must not push out the other.
const TAIL_LINES_MAX: usize = 20;

/// How often a silent program shows that it still runs.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// A program about to be run.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    advice: Option<String>,
}

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("`{line}` could not be started: there is no `{program}` on the PATH{}", Advice(.advice))]
    Missing {
        program: String,
        line: String,
        advice: Option<String>,
    },
    #[error("`{line}` could not be started: {source}{}", Advice(.advice))]
    Start {
        line: String,
        source: io::Error,
        advice: Option<String>,
    },
    #[error("`{line}` failed ({status}){}{}", LastLines(.tail), Advice(.advice))]
    Failed {
        line: String,
        status: ExitStatus,
        tail: Vec<String>,
        advice: Option<String>,
    },
    #[error("`{line}` was lost while it ran: {source}")]
    Lost { line: String, source: io::Error },
}

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Stdout,
    Stderr,
}

struct Advice<'a>(&'a Option<String>);

struct LastLines<'a>(&'a [String]);

/// The last lines of a stream.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
}

// === impl Program ===

impl Program {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            command: Command::new(program),
            advice: None,
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What the reader of an error should do.
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Runs with this program's own streams: what it writes is seen as it comes.
    pub(crate) fn run(mut self) -> Result<(), ProcessError> {
        self.command.stdin(Stdio::null());
        let status = match self.command.status() {
            Ok(status) => status,
            Err(source) => return Err(self.not_started(source)),
        };
        self.check(status, Vec::new())
    }

    /// Runs silently and returns what it wrote to standard output.
    pub(crate) fn output(mut self) -> Result<String, ProcessError> {
        self.command.stdin(Stdio::null());
        let output = match self.command.output() {
            Ok(output) => output,
            Err(source) => return Err(self.not_started(source)),
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut tail = Tail::default();
        let stderr = String::from_utf8_lossy(&output.stderr);
        stderr.lines().for_each(|line| tail.push(line));
        self.check(output.status, tail.lines.into())?;
        Ok(text)
    }

    /// Runs silently while `step` shows that time passes; a failure repeats the last lines.
    pub(crate) fn quietly(mut self, step: &mut Step) -> Result<(), ProcessError> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut stdout, mut stderr) = (Tail::default(), Tail::default());
        let status = self.watch(
            |origin, line| match origin {
                Origin::Stdout => stdout.push(line),
                Origin::Stderr => stderr.push(line),
            },
            || step.still_running(),
        )?;
        let last = stdout.lines.into_iter().chain(stderr.lines);
        self.check(status, last.collect())
    }

    /// Runs and shows what it writes to standard output line by line as it comes, each line
    /// also to `observe`. Standard error goes straight through (cargo's progress bar needs
    /// the terminal) unless `watch_stderr`.
    pub(crate) fn observed(
        mut self,
        watch_stderr: bool,
        mut observe: impl FnMut(&str),
    ) -> Result<(), ProcessError> {
        self.command.stdout(Stdio::piped());
        if watch_stderr {
            self.command.stderr(Stdio::piped());
        }
        let status = self.watch(
            |origin, line| {
                // A reader that has gone (`| head`) is no reason to stop the tests.
                let _ = match origin {
                    Origin::Stdout => writeln!(io::stdout().lock(), "{line}"),
                    Origin::Stderr => writeln!(io::stderr().lock(), "{line}"),
                };
                observe(line);
            },
            || {},
        )?;
        self.check(status, Vec::new())
    }

    /// The command as a person would type it.
    fn line(&self) -> String {
        let mut line = shown(self.command.get_program());
        for arg in self.command.get_args() {
            line.push(' ');
            line.push_str(&shown(arg));
        }
        line
    }

    fn watch(
        &mut self,
        mut on_line: impl FnMut(Origin, &str),
        mut on_silence: impl FnMut(),
    ) -> Result<ExitStatus, ProcessError> {
        self.command.stdin(Stdio::null());
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(source) => return Err(self.not_started(source)),
        };
        let (send, lines) = mpsc::channel();
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let readers = [
            stdout.map(|pipe| read_lines(pipe, Origin::Stdout, send.clone())),
            stderr.map(|pipe| read_lines(pipe, Origin::Stderr, send.clone())),
        ];
        drop(send);
        loop {
            match lines.recv_timeout(HEARTBEAT) {
                Ok((origin, line)) => on_line(origin, &line),
                Err(RecvTimeoutError::Timeout) => on_silence(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for reader in readers.into_iter().flatten() {
            // A reader only ends by reaching the end of its pipe.
            let _ = reader.join();
        }
        child.wait().map_err(|source| ProcessError::Lost {
            line: self.line(),
            source,
        })
    }

    fn not_started(&self, source: io::Error) -> ProcessError {
        let line = self.line();
        // A folder that is missing gives the same error as a program that is missing.
        let dir_exists = self.command.get_current_dir().is_none_or(Path::is_dir);
        if source.kind() == io::ErrorKind::NotFound && dir_exists {
            ProcessError::Missing {
                program: self.command.get_program().to_string_lossy().into_owned(),
                line,
                advice: self.advice.clone(),
            }
        } else {
            ProcessError::Start {
                line,
                source,
                advice: self.advice.clone(),
            }
        }
    }

    fn check(&self, status: ExitStatus, tail: Vec<String>) -> Result<(), ProcessError> {
        if status.success() {
            return Ok(());
        }
        Err(ProcessError::Failed {
            line: self.line(),
            status,
            tail,
            advice: self.advice.clone(),
        })
    }
}

/// Where a program lies, if it is on the PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

fn read_lines(
    pipe: impl Read + Send + 'static,
    origin: Origin,
    send: mpsc::Sender<(Origin, String)>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        // An error while reading is treated as the end: the exit status says the rest.
        while matches!(pipe.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']).to_owned();
            if send.send((origin, text)).is_err() {
                return;
            }
            line.clear();
        }
    })
}

fn shown(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

// === impl Advice ===

impl std::fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(advice) => write!(f, "\n  what to do: {advice}"),
            None => Ok(()),
        }
    }
}

// === impl Tail ===

impl Tail {
    fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.lines.len() == TAIL_LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }
}

// === impl LastLines ===

impl std::fmt::Display for LastLines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "\n  its last lines:")?;
        for line in self.0 {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Progress;

    fn shell(script: &str) -> Program {
        Program::new("sh").args(["-c", script])
    }

    #[test]
    fn a_missing_program_is_named_with_what_to_do() {
        let error = Program::new("consort-no-such-program")
            .arg("--help")
            .advice("install it")
            .output()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`consort-no-such-program --help` could not be started: there is no \
             `consort-no-such-program` on the PATH\n  what to do: install it"
        );
    }

    #[test]
    fn a_missing_folder_is_not_taken_for_a_missing_program() {
        let error = shell("true").dir(Path::new("/no/such/folder")).run();
        assert!(
            matches!(error, Err(ProcessError::Start { .. })),
            "{error:?}"
        );
    }

    #[test]
    fn a_failure_repeats_the_command_and_its_last_lines() {
        let script = "seq 1 40; echo wrong >&2; exit 3";
        let mut step = Progress::silent().step("a test");
        let error = shell(script).quietly(&mut step).unwrap_err();
        let ProcessError::Failed {
            line, status, tail, ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(line, "sh -c 'seq 1 40; echo wrong >&2; exit 3'");
        assert_eq!(status.code(), Some(3));
        let numbers = (41 - TAIL_LINES_MAX..=40).map(|number| number.to_string());
        let expected: Vec<String> = numbers.chain(["wrong".to_owned()]).collect();
        assert_eq!(*tail, expected);
        assert!(
            error.to_string().contains("its last lines:\n    "),
            "{error}"
        );
    }

    #[test]
    fn observed_lines_arrive_from_both_streams_and_whole() {
        let mut seen = Vec::new();
        shell("echo one; echo two >&2; printf three")
            .observed(true, |line| seen.push(line.to_owned()))
            .unwrap();
        seen.sort();
        assert_eq!(seen, ["one", "three", "two"]);
    }

    #[test]
    fn output_is_standard_output_alone() {
        let text = shell("echo noise >&2; echo text").output().unwrap();
        assert_eq!(text, "text\n");
    }
}
