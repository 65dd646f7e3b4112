//! A stream of updates beside the examples of `consort run`, and many models under a budget.

use consort_tests::{Ran, consort, onnx, run, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// A folder with a job: a manifest, models, rows.
struct Place(tempfile::TempDir);

// === impl Place ===

impl Place {
    /// With the model `add` in `add.onnx`, which adds 1, and `rows` rows.
    fn new(rows: usize) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.model("add.onnx", 1.0);
        let model = "[model.add]\npath = \"add.onnx\"\nreplicas = 1\nthreads = 1\n";
        place.write("consort.toml", format!("consort = 1\n{model}"));
        let row = |row: usize| format!("{}\n", json!({"key": row, "x": row}));
        place.write("rows.jsonl", (0..rows).map(row).collect::<String>());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn model(&self, name: &str, number: f32) {
        self.write(name, onnx::plus(number));
    }

    fn updates(&self, lines: &[Value]) {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        self.write("updates.jsonl", lines.join("\n"));
    }

    /// Runs the job, with its stream of updates.
    fn run(&self, more: &[&str]) -> Ran {
        let mut command = consort();
        command.current_dir(self.0.path());
        command.args(["run", "consort.toml", "--input", "rows.jsonl"]);
        command.args(["--output", "out.jsonl", "--updates", "updates.jsonl"]);
        run(command.args(["--metrics", "metrics.json"]).args(more))
    }

    /// For each version how many predictions say that it made them; what it adds is held
    /// against what it is expected to.
    fn made_by(&self, adds: impl Fn(&str) -> f64) -> BTreeMap<String, usize> {
        let mut made_by = BTreeMap::new();
        for line in fs::read_to_string(self.path("out.jsonl")).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let version = line["model_id"].as_str().unwrap();
            let y = line["outputs"]["y"].as_f64().unwrap();
            assert_eq!(y, line["key"].as_f64().unwrap() + adds(version), "{line}");
            *made_by.entry(version.to_owned()).or_default() += 1;
        }
        made_by
    }

    fn metrics(&self) -> Value {
        read(&self.path("metrics.json"))
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
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
    let place = Place::new(4000);
    place.model("two.onnx", 2.0);
    place.model("three.onnx", 3.0);
    place.updates(&[
        json!({"model": "add", "path": "two.onnx", "version": "two", "after": 1000}),
        json!({"model": "add", "path": "nowhere.onnx", "version": "x", "after": 2000}),
        json!({"model": "add", "path": "three.onnx", "sha256": "0".repeat(64), "after": 2000}),
        json!({"model": "sub", "path": "three.onnx"}),
        json!({"model": "add", "paht": "three.onnx"}),
        json!({"model": "add", "path": "three.onnx", "model_id": "three", "after": 3000}),
        json!({"model": "add", "path": "two.onnx", "version": "late", "after": 1_000_000}),
    ]);
    let ran = place.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let made_by = place.made_by(adds);
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
    let counters = &place.metrics()["counters"];
    assert_eq!(counters["model_updates"], 2, "{counters}");
    assert_eq!(counters["model_updates_failed"], 4, "{counters}");
}

#[test]
fn lines_that_are_there_come_before_the_first_example() {
    let place = Place::new(300);
    place.model("two.onnx", 2.0);
    place.updates(&[json!({"model": "add", "path": "two.onnx", "version": "two"})]);
    let ran = place.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        place.made_by(adds),
        BTreeMap::from([("add:two".to_owned(), 300)])
    );
}

#[test]
fn a_resumed_job_goes_on_with_the_version_it_had() {
    let place = Place::new(4000);
    place.model("two.onnx", 2.0);
    place.model("three.onnx", 3.0);
    place.updates(&[
        json!({"model": "add", "path": "two.onnx", "version": "two", "after": 1000}),
        json!({"model": "add", "path": "three.onnx", "version": "three", "after": 3000}),
    ]);
    // A row that is no example breaks the first run off.
    let rows = fs::read_to_string(place.path("rows.jsonl")).unwrap();
    let mut lines: Vec<&str> = rows.lines().collect();
    lines[2000] = "{";
    place.write("rows.jsonl", lines.join("\n"));
    let ran = place.run(&["--resume", "--fail-fast"]);
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    let ran = place.run(&["--resume"]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let made_by = place.made_by(adds);
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
    place: Place,
    job: Child,
    rows: ChildStdin,
    sent: usize,
}

// === impl Piped ===

impl Piped {
    fn start() -> Self {
        let place = Place::new(0);
        let pipe = Command::new("mkfifo")
            .arg(place.path("updates.pipe"))
            .status();
        assert!(pipe.unwrap().success());
        let mut command = consort();
        command.current_dir(place.0.path());
        command.args([
            "run",
            "consort.toml",
            "--input",
            "-",
            "--output",
            "out.jsonl",
        ]);
        command.args(["--updates", "updates.pipe"]);
        let piped = command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut job = piped.spawn().unwrap();
        let (rows, sent) = (job.stdin.take().unwrap(), 0);
        Self {
            place,
            job,
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
            out = fs::read_to_string(self.place.path("out.jsonl")).unwrap_or_default();
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
    fn end(self) -> (Place, String) {
        drop(self.rows);
        let ran = self.job.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(0), "{said}");
        (self.place, said)
    }
}

#[test]
fn updates_come_through_a_pipe_while_the_job_runs() {
    let mut job = Piped::start();
    job.place.model("two.onnx", 2.0);
    job.place.model("three.onnx", 3.0);
    // Nobody has opened the pipe, and the job does not wait for that.
    assert_eq!(job.ask(), "add:1");
    let pipe = job.place.path("updates.pipe");
    let mut updates = fs::OpenOptions::new().write(true).open(pipe).unwrap();
    assert_eq!(job.ask(), "add:1");
    for version in ["two", "three"] {
        let update = json!({"model": "add", "path": format!("{version}.onnx"), "version": version});
        writeln!(updates, "{update}").unwrap();
        job.ask_until(&format!("add:{version}"));
    }
    let sent = job.sent;
    // The pipe is still open: what ends the job is the end of its examples.
    let (place, said) = job.end();
    assert_eq!(place.made_by(adds).values().sum::<usize>(), sent);
    for words in ["line 1: add:two answers", "line 2: add:three answers"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    drop(updates);
}

#[test]
fn a_pipe_that_nobody_opens_holds_no_job_up() {
    let mut job = Piped::start();
    assert_eq!(job.ask(), "add:1");
    let (place, _) = job.end();
    assert_eq!(place.made_by(adds).values().sum::<usize>(), 1);
}

#[test]
fn a_stream_must_be_there() {
    let place = Place::new(1);
    let ran = place.run(&[]);
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("the updates updates.jsonl cannot be read"),
        "{}",
        ran.stderr
    );
    assert!(!place.path("out.jsonl").exists());
}

#[test]
fn many_models_under_a_budget() {
    const MODELS: usize = 60;
    const FILE_BYTES: usize = 20_000;
    let place = Place::new(0);
    let mut manifest = "consort = 1\n[registry]\nmodel_bytes_max = \"120 KiB\"\n".to_owned();
    let mut keys = Vec::new();
    for number in 0..MODELS {
        let file = format!("m{number}.onnx");
        let bytes = onnx::padded(number as f32, FILE_BYTES);
        place.write(&file, bytes);
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
    place.write("consort.toml", manifest);
    let row = |row: usize| json!({"key": format!("k{}", row * 7 % MODELS), "x": row});
    let rows: Vec<String> = (0..3 * MODELS)
        .map(|index| row(index).to_string())
        .collect();
    place.write("rows.jsonl", rows.join("\n"));
    place.updates(&[]);
    let ran = place.run(&["--ensemble", "all", "--ordered"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let out = fs::read_to_string(place.path("out.jsonl")).unwrap();
    assert_eq!(out.lines().count(), 3 * MODELS);
    for (row, line) in out.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = row * 7 % MODELS;
        assert_eq!(line["model_id"], format!("m{number}:1"), "{line}");
        assert_eq!(line["outputs"]["y"], (row + number) as f64, "{line}");
    }
    let families = &place.metrics()["families"];
    let value = |name: &str| families[name][0]["value"].as_u64().unwrap();
    assert_eq!(value("consort_models_on_demand_max_bytes"), 120 << 10);
    assert!(value("consort_models_on_demand_bytes") <= 120 << 10);
    assert!(value("consort_models_loaded") <= 6, "{families}");
    assert!(
        value("consort_model_evictions") >= MODELS as u64 - 6,
        "{families}"
    );

    // Each of them is served under its own name, too.
    let rows: Vec<String> = (0..5)
        .map(|row| json!({"key": row, "x": row}).to_string())
        .collect();
    place.write("rows.jsonl", rows.join("\n"));
    let ran = place.run(&["--ensemble", "m59", "--ordered"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        place.made_by(|_| 59.0),
        BTreeMap::from([("m59:1".to_owned(), 5)])
    );
}
