//! Another program under a time limit: its lines as they come, its end, and the last lines of its
//! log. At the limit it is killed, and all it started with it.

use crate::ImportError;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// How many of the last lines of the log are kept, and how long each is.
const TAIL_LINES_MAX: usize = 20;
const TAIL_LINE_BYTES_MAX: usize = 2000;

/// How many lines wait to be read.
const LINES_MAX: usize = 64;

/// How often a silent program is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// How long the pipes of a program that has ended may stay open, in the hands of one that it
/// started.
const AFTER_END: Duration = Duration::from_secs(2);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// The last lines of its log.
    pub(crate) tail: Vec<String>,
}

/// Why a program ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed at the limit.
    TimedOut,
    /// It was killed because its reader would have no more of it.
    Refused(ImportError),
}

enum Heard {
    /// A line of standard output; `None` for one that is too long.
    Line(Option<Vec<u8>>),
    /// A line of the log.
    Log(Vec<u8>),
}

/// Runs a program in a process group of its own, and gives each line of its standard output to
/// `observe`, which may end it with an error.
pub(crate) fn run(
    command: &mut Command,
    limit: Duration,
    line_bytes_max: usize,
    observe: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
) -> std::io::Result<Ended> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let started = now();
    let mut child = command.spawn()?;
    let (send, heard) = mpsc::sync_channel(LINES_MAX);
    if let Some(pipe) = child.stdout.take() {
        let send = send.clone();
        thread::spawn(move || read_lines(pipe, line_bytes_max, &send, Heard::Line));
    }
    if let Some(pipe) = child.stderr.take() {
        let cut = |line: Option<Vec<u8>>| Heard::Log(line.unwrap_or_default());
        thread::spawn(move || read_lines(pipe, line_bytes_max, &send, cut));
    } else {
        drop(send);
    }
    let mut tail = VecDeque::new();
    let mut exited: Option<(ExitStatus, Instant)> = None;
    let outcome = loop {
        match heard.recv_timeout(GLANCE) {
            Ok(Heard::Line(Some(line))) => {
                if let Err(refused) = observe(&line) {
                    break Outcome::Refused(refused);
                }
            }
            Ok(Heard::Line(None)) => {
                let why = format!("a line of more than {line_bytes_max} bytes");
                break Outcome::Refused(ImportError::Garbled(why));
            }
            Ok(Heard::Log(line)) => push(&mut tail, &line),
            Err(RecvTimeoutError::Timeout) => {}
            // Both pipes have ended, and with them all that could be heard.
            Err(RecvTimeoutError::Disconnected) => {
                if let Some((status, _)) = exited {
                    break Outcome::Exited(status);
                }
                thread::park_timeout(GLANCE);
            }
        }
        if exited.is_none() {
            exited = child.try_wait()?.map(|status| (status, now()));
        }
        if let Some((status, at)) = exited
            && at.elapsed() > AFTER_END
        {
            break Outcome::Exited(status);
        }
        if exited.is_none() && started.elapsed() > limit {
            break Outcome::TimedOut;
        }
    };
    // Nothing that it started outlives the import.
    kill(&mut child);
    Ok(Ended {
        outcome,
        tail: tail.into(),
    })
}

/// The last thing a program said, in words.
pub(crate) fn ended(status: ExitStatus) -> String {
    status.to_string()
}

fn push(tail: &mut VecDeque<String>, line: &[u8]) {
    let line = line.get(..TAIL_LINE_BYTES_MAX).unwrap_or(line);
    let text = crate::report::plain(&String::from_utf8_lossy(line));
    if text.trim().is_empty() {
        return;
    }
    if tail.len() == TAIL_LINES_MAX {
        tail.pop_front();
    }
    tail.push_back(text);
}

/// Reads lines until the end of the pipe or until nobody listens. A longer line than allowed is
/// told as such, and read to its end.
fn read_lines(
    pipe: impl Read,
    line_bytes_max: usize,
    send: &SyncSender<Heard>,
    heard: impl Fn(Option<Vec<u8>>) -> Heard,
) {
    let mut pipe = BufReader::new(pipe);
    let (mut line, mut too_long) = (Vec::new(), false);
    loop {
        let (used, whole) = match pipe.fill_buf() {
            Ok([]) | Err(_) => break,
            Ok(buffer) => {
                let end = buffer.iter().position(|&byte| byte == b'\n');
                let part = buffer
                    .get(..end.unwrap_or(buffer.len()))
                    .unwrap_or_default();
                if line.len() + part.len() > line_bytes_max {
                    too_long = true;
                } else {
                    line.extend_from_slice(part);
                }
                (part.len() + usize::from(end.is_some()), end.is_some())
            }
        };
        pipe.consume(used);
        if whole {
            let whole = std::mem::take(&mut line);
            let told = (!std::mem::take(&mut too_long)).then_some(whole);
            if send.send(heard(told)).is_err() {
                return;
            }
        }
    }
    if !line.is_empty() || too_long {
        let _ = send.send(heard((!too_long).then_some(line)));
    }
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "the standard library kills no process groups")]
fn kill(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id())
        && group > 1
    {
        // SAFETY: `kill` touches no memory of ours. The group was made by `run` for this child;
        // as long as anything of it lives, nothing else can get its number.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    // It has ended, or was killed just now.
    let _ = child.wait();
}

#[cfg(not(unix))]
fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no tokio here, and nothing of this crate runs on a paused clock"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str, limit: Duration) -> (Ended, Vec<String>) {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        let ended = run(command.args(["-c", script]), limit, 1000, &mut |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        });
        (ended.unwrap(), lines)
    }

    #[test]
    fn lines_come_in_order_and_the_log_is_kept_apart() {
        let script = "for i in $(seq 1 50); do echo $i; echo log $i >&2; done; printf end; exit 3";
        let (ended, lines) = shell(script, LONG);
        let expected = (1..=50).map(|i| i.to_string()).chain(["end".to_owned()]);
        assert_eq!(lines, expected.collect::<Vec<_>>());
        assert!(matches!(ended.outcome, Outcome::Exited(status) if status.code() == Some(3)));
        assert_eq!(ended.tail.len(), TAIL_LINES_MAX);
        assert_eq!(ended.tail.last().unwrap(), "log 50");
    }

    #[test]
    fn at_the_limit_it_is_killed_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; echo x >&2; wait", pid.display());
        let (ended, _) = shell(&script, Duration::from_millis(500));
        assert!(matches!(ended.outcome, Outcome::TimedOut), "{ended:?}");
        let pid = std::fs::read_to_string(pid).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        // A killed process may wait to be buried by whoever inherits it.
        let dead = || std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z"));
        for _ in 0..200 {
            if !dead() {
                return;
            }
            thread::park_timeout(Duration::from_millis(25));
        }
        panic!("{stat} is still there");
    }

    #[test]
    fn one_that_leaves_a_child_behind_does_not_hold_its_reader() {
        let (ended, lines) = shell("echo done; sleep 600 & exit 0", LONG);
        assert!(matches!(ended.outcome, Outcome::Exited(status) if status.success()));
        assert_eq!(lines, ["done"]);
    }

    #[test]
    fn a_reader_that_has_enough_ends_it() {
        let mut command = Command::new("sh");
        let mut count = 0;
        let ended = run(command.args(["-c", "yes"]), LONG, 1000, &mut |_| {
            count += 1;
            match count {
                3 => Err(ImportError::Garbled("enough".to_owned())),
                _ => Ok(()),
            }
        })
        .unwrap();
        assert!(matches!(ended.outcome, Outcome::Refused(_)), "{ended:?}");
        assert_eq!(count, 3);
    }

    #[test]
    fn a_line_without_end_ends_it() {
        let (ended, _) = shell("yes | tr -d '\\n' | head -c 100000; echo; sleep 600", LONG);
        assert!(
            matches!(&ended.outcome, Outcome::Refused(error) if error.to_string().contains("1000 bytes")),
            "{ended:?}"
        );
    }
}
