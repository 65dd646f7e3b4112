//! A folder with a manifest, and what the binary makes of it.

use crate::server::Server;
use crate::{Ran, consort, run};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A folder with a manifest; it is gone when this is dropped.
pub struct Place(tempfile::TempDir);

// === impl Place ===

impl Place {
    /// Writes `consort = 1` and the text below it: the text begins on line 2.
    pub fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a test");
        let place = Self(folder);
        place.write("consort.toml", format!("consort = 1\n{text}").as_bytes());
        place
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.path().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("a folder for a test's file");
        }
        fs::write(path, content).expect("a test's file");
    }

    /// Lets a file appear in one step, in the place of what stood there.
    pub fn replace(&self, name: &str, content: &[u8]) {
        self.write("next", content);
        fs::rename(self.path().join("next"), self.path().join(name)).expect("a test's file");
    }

    /// A command that stands in the folder, so that messages show short paths.
    pub fn command(&self, name: &str) -> Command {
        let mut command = consort();
        command
            .current_dir(self.path())
            .args([name, "consort.toml"]);
        command
    }

    /// `consort check` succeeds; its whole output.
    pub fn checked(&self) -> Ran {
        let ran = run(&mut self.command("check"));
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        ran
    }

    /// `consort check` fails, and says all these words.
    pub fn refused(&self, words: &[&str]) {
        let ran = run(&mut self.command("check"));
        assert_eq!(ran.status, 2, "{}{}", ran.stdout, ran.stderr);
        for word in words {
            assert!(
                ran.stderr.contains(word),
                "{word:?} is not in:\n{}",
                ran.stderr
            );
        }
    }

    /// `consort run` of an ensemble or model on JSON lines, in their order: the
    /// predictions and the dead letters.
    pub fn predicted(&self, ensemble: &str, input: &[Value]) -> (Vec<Value>, Vec<Value>) {
        let (predicted, dead, _) = self.ran(ensemble, input, &[]);
        (predicted, dead)
    }

    /// The same with more options, and what was shown.
    pub fn ran(
        &self,
        ensemble: &str,
        input: &[Value],
        options: &[&str],
    ) -> (Vec<Value>, Vec<Value>, Ran) {
        let lines: String = input.iter().map(|line| format!("{line}\n")).collect();
        self.write("in.jsonl", lines.as_bytes());
        let mut command = self.command("run");
        command.args(["--ensemble", ensemble, "--ordered", "--input", "in.jsonl"]);
        command.args(["--output", "out.jsonl", "--dead-letter", "dead.jsonl"]);
        let ran = run(command.args(options));
        let (predicted, dead) = (self.lines("out.jsonl"), self.lines("dead.jsonl"));
        assert_eq!(ran.status, i32::from(!dead.is_empty()), "{}", ran.stderr);
        (predicted, dead, ran)
    }

    /// A file of JSON lines; empty when it is not there.
    pub fn lines(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path().join(file)).unwrap_or_default();
        let parse = |line| serde_json::from_str(line).expect("a line of JSON");
        text.lines().map(parse).collect()
    }

    /// `consort serve`, ready.
    pub fn serve(&self) -> Server {
        Server::start(&self.path().join("consort.toml"))
    }
}

/// A request of the Open Inference Protocol for FP32 numbers, an example each.
pub fn numbers(name: &str, numbers: &[f32]) -> Value {
    let shape = [numbers.len(), 1];
    json!({"inputs": [{"name": name, "datatype": "FP32", "shape": shape, "data": numbers}]})
}

/// Sends an inference request: the status, and the body as JSON.
pub fn infer(server: &Server, model: &str, body: &Value) -> (u16, Value) {
    let path = format!("/v2/models/{model}/infer");
    let response = server.request("POST", &path, &[], body.to_string().as_bytes());
    (response.status, response.json())
}

/// The value of a metric, by the whole of what stands before it; 0 when it is not there.
pub fn metric(server: &Server, series: &str) -> f64 {
    let text = server.get("/metrics").text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|number| number.parse().ok())
        .unwrap_or_default()
}
