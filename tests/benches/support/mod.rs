//! What the benches measure with.

#![allow(dead_code, reason = "each bench uses a part of it")]

use consort_tests::server::Server;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Examples a second, as a run's own summary says it: loading is not counted.
pub(crate) fn summary_rate(stderr: &str) -> f64 {
    let rate = |line: &str| line.strip_prefix("examples/s")?.trim().parse().ok();
    let rate = stderr.lines().find_map(rate);
    rate.unwrap_or_else(|| panic!("no examples/s in\n{stderr}"))
}

/// A number after `name=` in a log.
pub(crate) fn field(log: &str, name: &str) -> Option<f64> {
    let plain = strip_ansi(log);
    let (_, rest) = plain.split_once(&format!("{name}="))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn strip_ansi(log: &str) -> String {
    let mut plain = String::new();
    let mut escaped = false;
    for char in log.chars() {
        match (escaped, char) {
            (false, '\u{1b}') => escaped = true,
            (true, 'm') => escaped = false,
            (false, char) => plain.push(char),
            (true, _) => {}
        }
    }
    plain
}

/// One setting of raw ONNX Runtime: `THREADS:BATCH:RUNS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawPoint(String);

/// The settings of raw ONNX Runtime that the sweep of the onnx room found fastest, the best
/// first. They are candidates only: the greatest of many short, noisy measurements is one
/// that was lucky, so each is to be measured again.
pub(crate) fn best_raw_points(model: &Path, count: usize) -> Vec<RawPoint> {
    let (shown, mut points) = raw(model, &["--seconds", "0.4"]);
    println!("{shown}");
    points.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    points.truncate(count);
    points.into_iter().map(|(point, _)| point).collect()
}

/// Examples a second of raw ONNX Runtime in one setting.
pub(crate) fn raw_rate(model: &Path, point: &RawPoint, seconds: f64) -> f64 {
    let (_, points) = raw(
        model,
        &["--seconds", &seconds.to_string(), "--only", &point.0],
    );
    let rate = points.iter().find(|(measured, _)| measured == point);
    rate.unwrap_or_else(|| panic!("the sweep did not measure {point:?}"))
        .1
}

/// What the sweep says, and each point of raw ONNX Runtime with its examples a second.
fn raw(model: &Path, arguments: &[&str]) -> (String, Vec<(RawPoint, f64)>) {
    let mut command = Command::new(env!("CARGO"));
    command.args(["bench", "--quiet", "--profile", "dev"]);
    command.args(["-p", "consort-onnx", "--bench", "sweep", "--"]);
    let ran = consort_tests::run(command.args(arguments).arg(model));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let point = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["sweep", _, threads, batch, runs, rate] = words.as_slice() else {
            return None;
        };
        let name = RawPoint(format!("{threads}:{batch}:{runs}"));
        Some((name, rate.parse().ok()?))
    };
    let points: Vec<_> = ran.stdout.lines().filter_map(point).collect();
    assert!(
        !points.is_empty(),
        "the sweep printed no rate:\n{}",
        ran.stdout
    );
    (ran.stdout, points)
}

/// One connection that is kept.
pub(crate) struct KeepAlive {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl KeepAlive {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("an open socket");
        Self {
            stream: BufReader::new(stream),
            address,
        }
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .expect("the server reads");
        let mut status = String::new();
        self.stream
            .read_line(&mut status)
            .expect("the server answers");
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream
                .read_line(&mut line)
                .expect("the server answers");
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).expect("a whole body");
        assert!(
            status.contains(" 200 "),
            "{status}{}",
            String::from_utf8_lossy(&answer)
        );
    }

    pub(crate) fn timed_post(&mut self, path: &str, body: &str) -> Duration {
        let begin = now();
        self.post(path, body);
        begin.elapsed()
    }
}

/// The text of `/metrics`.
pub(crate) struct Metrics(String);

impl Metrics {
    pub(crate) fn read(server: &Server) -> Self {
        Self(server.get("/metrics").text())
    }

    /// The mean of a histogram between two readings.
    pub(crate) fn mean_since(&self, before: &Self, name: &str, label: &str) -> f64 {
        let sum =
            self.value(&format!("{name}_sum"), label) - before.value(&format!("{name}_sum"), label);
        let count = self.value(&format!("{name}_count"), label)
            - before.value(&format!("{name}_count"), label);
        sum / count
    }

    fn value(&self, name: &str, label: &str) -> f64 {
        let line = self
            .0
            .lines()
            .find(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
        let number = line
            .and_then(|line| line.rsplit(' ').next())
            .and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("{name} with {label} is not in\n{}", self.0))
    }
}
