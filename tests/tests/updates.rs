//! A stream of updates beside the examples of `consort run`, and many models under a budget.

use consort_tests::place::Place;
use consort_tests::{Ran, onnx, run, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A job: a manifest, models, rows.
struct Job(Place);

// === impl Job ===

impl Job {
    /// With the model `add` in `add.onnx`, which adds 1, and `rows` rows.
    fn new(rows: usize) -> Self {
        let model = "[model.add]\npath = \"add.onnx\"\nreplicas = 1\nthreads = 1\n";
        let job = Self(Place::new(model));
        job.model("add.onnx", 1.0);
        job.rows((0..rows).map(|row| json!({"key": row, "x": row})));
        job
    }

    fn model(&self, name: &str, number: f32) {
        self.0.write(name, &onnx::plus(number));
    }

    fn rows(&self, rows: impl Iterator<Item = Value>) {
        self.lines("rows.jsonl", rows);
    }

    fn updates(&self, updates: &[Value]) {
        self.lines("updates.jsonl", updates.iter().cloned());
    }

    fn lines(&self, file: &str, lines: impl Iterator<Item = Value>) {
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        self.0.write(file, text.as_bytes());
    }

    /// Runs the job, with its stream of updates.
    fn run(&self, more: &[&str]) -> Ran {
        let mut command = self.0.command("run");
        command.args(["--input", "rows.jsonl", "--output", "out.jsonl"]);
        command.args(["--updates", "updates.jsonl"]);
        run(command.args(["--metrics", "metrics.json"]).args(more))
    }

    /// For each version how many predictions say that it made them; what it adds is held
    /// against what it is expected to.
    fn made_by(&self, adds: impl Fn(&str) -> f64) -> BTreeMap<String, usize> {
        let mut made_by = BTreeMap::new();
        for line in self.0.lines("out.jsonl") {
            let version = line["model_id"].as_str().unwrap();
            let y = line["outputs"]["y"].as_f64().unwrap();
            assert_eq!(y, line["key"].as_f64().unwrap() + adds(version), "{line}");
            *made_by.entry(version.to_owned()).or_default() += 1;
        }
        made_by
    }

    fn metrics(&self) -> Value {
        let text = fs::read(self.0.path().join("metrics.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

/// The versions that the tests use, by the number that each adds.
fn adds(version: &str) -> f64 {
    match version {
        "add:1" => 1.0,
        "add:two" => 2.0,
        "add:three" => 3.0,
        other => panic!("{other} made a prediction"),
    }
}

#[test]
fn models_change_between_two_examples() {
    let job = Job::new(4000);
    job.model("two.onnx", 2.0);
    job.model("three.onnx", 3.0);
    job.updates(&[
        json!({"model": "add", "path": "two.onnx", "version": "two", "after": 1000}),
        json!({"model": "add", "path": "nowhere.onnx", "version": "x", "after": 2000}),
        json!({"model": "add", "path": "three.onnx", "sha256": "0".repeat(64), "after": 2000}),
        json!({"model": "sub", "path": "three.onnx"}),
        json!({"model": "add", "paht": "three.onnx"}),
        json!({"model": "add", "path": "three.onnx", "model_id": "three", "after": 3000}),
        json!({"model": "add", "path": "two.onnx", "version": "late", "after": 1_000_000}),
    ]);
    let ran = job.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let made_by = job.made_by(adds);
    // Examples are let in by chunks, so that a few more may come before.
    let counts: Vec<usize> = made_by.values().copied().collect();
    let [first, third, second] = counts[..] else {
        panic!("{made_by:?}");
    };
    assert!((1000..1300).contains(&first), "{made_by:?}");
    assert!((1700..2300).contains(&second), "{made_by:?}");
    assert!((700..=1000).contains(&third), "{made_by:?}");
    for words in [
        "line 1: add:two answers from now on, after 1",
        "line 2: the model file nowhere.onnx cannot be read",
        "line 3: the model file three.onnx has sha256",
        "line 4: there is no model \"sub\"",
        "line 5: no update: unknown field `paht`",
        "line 6: add:three answers from now on, after 3",
        "the update of line 7 was not made: the job has fewer than 1000000 examples",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    let counters = &job.metrics()["counters"];
    assert_eq!(counters["model_updates"], 2, "{counters}");
    assert_eq!(counters["model_updates_failed"], 4, "{counters}");
}

#[test]
fn lines_that_are_there_come_before_the_first_example() {
    let job = Job::new(300);
    job.model("two.onnx", 2.0);
    job.updates(&[json!({"model": "add", "path": "two.onnx", "version": "two"})]);
    let ran = job.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        job.made_by(adds),
        BTreeMap::from([("add:two".to_owned(), 300)])
    );
}

#[test]
fn a_resumed_job_goes_on_with_the_version_it_had() {
    let job = Job::new(4000);
    job.model("two.onnx", 2.0);
    job.model("three.onnx", 3.0);
    job.updates(&[
        json!({"model": "add", "path": "two.onnx", "version": "two", "after": 1000}),
        json!({"model": "add", "path": "three.onnx", "version": "three", "after": 3000}),
    ]);
    // A row that is no example breaks the first run off.
    let rows = fs::read_to_string(job.0.path().join("rows.jsonl")).unwrap();
    let mut lines: Vec<&str> = rows.lines().collect();
    lines[2000] = "{";
    job.0.write("rows.jsonl", lines.join("\n").as_bytes());
    let ran = job.run(&["--resume", "--fail-fast"]);
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    let ran = job.run(&["--resume"]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let made_by = job.made_by(adds);
    assert_eq!(made_by.values().sum::<usize>(), 3999, "{made_by:?}");
    let counts: Vec<usize> = made_by.values().copied().collect();
    let [first, third, second] = counts[..] else {
        panic!("{made_by:?}");
    };
    assert!((1000..1300).contains(&first), "{made_by:?}");
    assert!((1700..2300).contains(&second), "{made_by:?}");
    assert!((700..=1000).contains(&third), "{made_by:?}");
}

/// A job whose examples and updates come through pipes, as long as they stay open.
struct Piped {
    job: Job,
    process: Child,
    rows: ChildStdin,
    sent: usize,
}

// === impl Piped ===

impl Piped {
    fn start() -> Self {
        let job = Job::new(0);
        let pipe = Command::new("mkfifo")
            .arg(job.0.path().join("updates.pipe"))
            .status();
        assert!(pipe.unwrap().success());
        let mut command = job.0.command("run");
        command.args(["--input", "-", "--output", "out.jsonl"]);
        command.args(["--updates", "updates.pipe"]);
        let piped = command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut process = piped.spawn().unwrap();
        let (rows, sent) = (process.stdin.take().unwrap(), 0);
        Self {
            job,
            process,
            rows,
            sent,
        }
    }

    /// Sends an example and waits for its prediction: which version made it.
    fn ask(&mut self) -> String {
        writeln!(self.rows, "{}", json!({"key": self.sent, "x": self.sent})).unwrap();
        self.sent += 1;
        let mut out = String::new();
        until(|| {
            out = fs::read_to_string(self.job.0.path().join("out.jsonl")).unwrap_or_default();
            out.ends_with('\n') && out.lines().count() == self.sent
        });
        let last: Value = serde_json::from_str(out.lines().next_back().unwrap()).unwrap();
        last["model_id"].as_str().unwrap().to_owned()
    }

    /// Asks until a version answers.
    fn ask_until(&mut self, version: &str) {
        until(|| self.ask() == version);
    }

    /// Ends the examples, and the job with them: what it said.
    fn end(self) -> (Job, String) {
        drop(self.rows);
        let ran = self.process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(0), "{said}");
        (self.job, said)
    }
}

#[test]
fn updates_come_through_a_pipe_while_the_job_runs() {
    let mut piped = Piped::start();
    piped.job.model("two.onnx", 2.0);
    piped.job.model("three.onnx", 3.0);
    // Nobody has opened the pipe, and the job does not wait for that.
    assert_eq!(piped.ask(), "add:1");
    let pipe = piped.job.0.path().join("updates.pipe");
    let mut updates = fs::OpenOptions::new().write(true).open(pipe).unwrap();
    assert_eq!(piped.ask(), "add:1");
    for version in ["two", "three"] {
        let update = json!({"model": "add", "path": format!("{version}.onnx"), "version": version});
        writeln!(updates, "{update}").unwrap();
        piped.ask_until(&format!("add:{version}"));
    }
    let sent = piped.sent;
    // The pipe is still open: what ends the job is the end of its examples.
    let (job, said) = piped.end();
    assert_eq!(job.made_by(adds).values().sum::<usize>(), sent);
    for words in ["line 1: add:two answers", "line 2: add:three answers"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    drop(updates);
}

#[test]
fn a_pipe_that_nobody_opens_holds_no_job_up() {
    let mut piped = Piped::start();
    assert_eq!(piped.ask(), "add:1");
    let (job, _) = piped.end();
    assert_eq!(job.made_by(adds).values().sum::<usize>(), 1);
}

#[test]
fn a_stream_must_be_there() {
    let job = Job::new(1);
    let ran = job.run(&[]);
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("the updates updates.jsonl cannot be read"),
        "{}",
        ran.stderr
    );
    assert!(!job.0.path().join("out.jsonl").exists());
}

#[test]
fn many_models_under_a_budget() {
    const MODELS: usize = 60;
    const FILE_BYTES: usize = 20_000;
    let mut manifest = "[registry]\nmodel_bytes_max = \"120 KiB\"\n".to_owned();
    let mut keys = Vec::new();
    for number in 0..MODELS {
        let file = format!("m{number}.onnx");
        let pinned = if number == 3 { "pinned = true\n" } else { "" };
        manifest.push_str(&format!(
            "[model.m{number}]\npath = \"{file}\"\nreplicas = 1\nthreads = 1\n{pinned}"
        ));
        keys.push(format!("k{number} = \"m{number}\""));
    }
    manifest.push_str(&format!(
        "[model-map.all]\nkeys = {{ {} }}\n",
        keys.join(", ")
    ));
    let job = Job(Place::new(&manifest));
    for number in 0..MODELS {
        let bytes = onnx::padded(number as f32, FILE_BYTES);
        job.0.write(&format!("m{number}.onnx"), &bytes);
    }
    let row = |row: usize| json!({"key": format!("k{}", row * 7 % MODELS), "x": row});
    job.rows((0..3 * MODELS).map(row));
    job.updates(&[]);
    let ran = job.run(&["--ensemble", "all", "--ordered"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let out = job.0.lines("out.jsonl");
    assert_eq!(out.len(), 3 * MODELS);
    for (row, line) in out.iter().enumerate() {
        let number = row * 7 % MODELS;
        assert_eq!(line["model_id"], format!("m{number}:1"), "{line}");
        assert_eq!(line["outputs"]["y"], (row + number) as f64, "{line}");
    }
    let families = &job.metrics()["families"];
    let value = |name: &str| families[name][0]["value"].as_u64().unwrap();
    assert_eq!(value("consort_models_on_demand_max_bytes"), 120 << 10);
    assert!(value("consort_models_on_demand_bytes") <= 120 << 10);
    assert!(value("consort_models_loaded") <= 6, "{families}");
    assert!(
        value("consort_model_evictions") >= MODELS as u64 - 6,
        "{families}"
    );

    // Each of them is served under its own name, too.
    job.rows((0..5).map(|row| json!({"key": row, "x": row})));
    let ran = job.run(&["--ensemble", "m59", "--ordered"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        job.made_by(|_| 59.0),
        BTreeMap::from([("m59:1".to_owned(), 5)])
    );
}
