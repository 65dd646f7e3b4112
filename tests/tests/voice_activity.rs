//! The example `voice-activity`: what Consort says of streams, chunk by chunk, against the
//! published graph under the published rules.

use consort_tests::place::{Place, infer};
use consort_tests::python::python;
use consort_tests::server::Server;
use consort_tests::{Ran, consort, pass, prepared, root, run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The most that a probability may differ by.
const DIFFERENCE_MAX: f64 = 1e-5;

/// The chunks of each stream.
type Streams = BTreeMap<String, Vec<Value>>;

fn manifest() -> PathBuf {
    prepared("examples/voice-activity/model/model.onnx");
    root().join("examples/voice-activity/consort.toml")
}

/// The lines of the example's recordings: the chunks of all streams in turn.
fn recorded() -> Vec<Value> {
    lines(&prepared(
        "examples/voice-activity/model/recordings/chunks.jsonl",
    ))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What each stream hears.
fn streams(lines: &[Value]) -> Streams {
    let mut streams = Streams::new();
    for line in lines {
        let key = line["key"].as_str().unwrap().to_owned();
        let chunk = line["inputs"]["audio"].clone();
        streams.entry(key).or_default().push(chunk);
    }
    streams
}

/// What the published graph says of each stream.
fn reference(streams: &Streams) -> BTreeMap<String, Vec<f64>> {
    let graph = prepared("examples/voice-activity/model/silero_vad_16k_op15.onnx");
    let mut child = Command::new(prepared(".setup/voice-activity/bin/python"))
        .args(["-B", "-s", "-E"])
        .arg(root().join("examples/voice-activity/reference/expected.py"))
        .arg(graph)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!(streams).to_string();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn same(ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len());
    for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let difference = (ours - theirs).abs();
        assert!(difference < DIFFERENCE_MAX, "chunk {at}: {ours} {theirs}");
    }
}

/// What `consort run` says of lines, in their order, and what it shows.
fn job(input: &[Value]) -> (Vec<Value>, Ran) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let text: String = input.iter().map(|line| format!("{line}\n")).collect();
    fs::write(file("in.jsonl"), text).unwrap();
    let mut command = consort();
    command.arg("run").arg(manifest()).arg("--ordered");
    command.arg("--input").arg(file("in.jsonl"));
    command.arg("--output").arg(file("out.jsonl"));
    let ran = run(&mut command);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    (lines(&file("out.jsonl")), ran)
}

#[test]
fn streams_in_turn_are_what_the_published_graph_says_of_each_alone() {
    // Nine streams: the recordings, and each of them begun later and played backwards.
    let mut input = Vec::new();
    for (at, line) in recorded().iter().enumerate() {
        let key = line["key"].as_str().unwrap();
        let chunk = line["inputs"]["audio"].as_array().unwrap();
        let backwards: Vec<&Value> = chunk.iter().rev().collect();
        let stream = |name: String, audio: Value| json!({"key": name, "inputs": {"audio": audio}});
        input.push(stream(key.to_owned(), json!(chunk)));
        input.push(stream(format!("{key} backwards"), json!(backwards)));
        if at > 50 {
            input.push(stream(format!("{key} late"), json!(chunk)));
        }
    }
    let streams = streams(&input);
    assert_eq!(streams.len(), 9);
    let expected = reference(&streams);
    let (predicted, ran) = job(&input);
    assert_eq!(predicted.len(), input.len());
    let mut ours: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for line in &predicted {
        let probability = line["outputs"]["probability"].as_f64().unwrap();
        let stream = ours.entry(line["key"].as_str().unwrap()).or_default();
        stream.push(probability);
    }
    for (stream, theirs) in &expected {
        same(&ours[stream.as_str()], theirs);
    }
    // Streams shared their runs.
    let sizes = ran.stderr.lines().find(|line| line.contains("mean size"));
    let largest =
        sizes.and_then(|line| line.rsplit_once("largest ")?.1.trim().parse::<usize>().ok());
    assert!(largest.is_some_and(|largest| largest > 3), "{}", ran.stderr);
    // And the model tells a voice from a machine.
    let loud = |stream: &str| ours[stream].iter().filter(|one| **one > 0.5).count();
    assert!(loud("kitchen") > 20 && loud("hall") > 20, "{ours:?}");
    assert_eq!(loud("garage"), 0, "{ours:?}");
}

/// The probabilities of a request's chunks, all of one stream.
fn asked(server: &Server, chunks: &[Value], parameters: Value) -> Vec<f64> {
    let (status, body) = infer(server, "vad", &request(chunks, parameters));
    assert_eq!(status, 200, "{body}");
    let data = body["outputs"][0]["data"].as_array().unwrap();
    data.iter().map(|one| one.as_f64().unwrap()).collect()
}

fn request(chunks: &[Value], parameters: Value) -> Value {
    let samples = chunks
        .first()
        .map_or(0, |chunk| chunk.as_array().unwrap().len());
    json!({
        "parameters": parameters,
        "inputs": [{
            "name": "audio",
            "datatype": "FP32",
            "shape": [chunks.len(), samples],
            "data": chunks,
        }],
    })
}

#[test]
fn two_streams_over_http_and_what_is_refused_changes_neither() {
    let server = Server::start(&manifest());
    let metadata = server.get("/v2/models/vad").json();
    let audio = json!([{"name": "audio", "datatype": "FP32", "shape": [-1, 512]}]);
    assert_eq!(metadata["inputs"], audio);
    assert_eq!(
        metadata["outputs"].as_array().unwrap().len(),
        1,
        "{metadata}"
    );

    let mut heard = streams(&recorded());
    heard.remove("garage");
    let expected = reference(&heard);
    let mut ours: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
    // Some chunks at a time, the streams in turn; one is named by a number.
    for at in (0..heard["hall"].len()).step_by(4) {
        for (name, chunks) in &heard {
            let some = chunks.iter().skip(at).take(4).cloned().collect::<Vec<_>>();
            let stream = match name.as_str() {
                "hall" => json!({"sequence_id": 41, "sequence_start": at == 0}),
                _ => json!({"key": name}),
            };
            ours.entry(name)
                .or_default()
                .extend(asked(&server, &some, stream));
            // In between somebody sends what is no chunk, and what is of no stream.
            let short: Vec<Value> = some[0].as_array().unwrap()[1..].to_vec();
            let (status, body) = infer(
                &server,
                "vad",
                &request(&[json!(short)], json!({"key": name})),
            );
            let message = body["error"].as_str().unwrap();
            assert_eq!(status, 400, "{message}");
            assert!(
                message.contains("511") && message.contains("512"),
                "{message}"
            );
            let (status, body) = infer(&server, "vad", &request(&some, json!({})));
            let message = body["error"].as_str().unwrap();
            assert_eq!(status, 400, "{message}");
            assert!(message.contains("sequence_id"), "{message}");
        }
    }
    for (name, theirs) in &expected {
        same(&ours[name], theirs);
    }
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("state_keys{step=\"vad\"} 2"), "{metrics}");
}

#[test]
fn an_idle_stream_begins_anew() {
    let model = prepared("examples/voice-activity/model/model.onnx");
    let place = |idle: &str| {
        Place::new(&format!(
            "[model.vad]\npath = {model:?}\n\
             state = {{ state = \"stateN\", context = \"contextN\" }}\n{idle}"
        ))
    };
    let chunks = &streams(&recorded())["kitchen"][17..22];
    let twice = |place: &Place| {
        let server = place.serve();
        let key = || json!({"key": "kitchen"});
        let first = asked(&server, chunks, key());
        pass(Duration::from_millis(300));
        (first, asked(&server, chunks, key()))
    };
    let (fresh, again) = twice(&place("state_idle_ms = 200\n"));
    same(&again, &fresh);
    let (_, going_on) = twice(&place(""));
    assert!(
        (going_on[0] - fresh[0]).abs() > 0.1,
        "{going_on:?} {fresh:?}"
    );
}

#[test]
fn the_unmodified_triton_client_streams() {
    let server = Server::start(&manifest());
    let ran = run(python()
        .arg(root().join("tests/clients/tritonclient_streams.py"))
        .arg(server.address.to_string())
        .arg(prepared(
            "examples/voice-activity/model/recordings/chunks.jsonl",
        )));
    assert_eq!(ran.status, 0, "{}\n{}", ran.stdout, ran.stderr);
    let said: BTreeMap<String, Vec<f64>> = serde_json::from_str(&ran.stdout).unwrap();
    for (stream, theirs) in reference(&streams(&recorded())) {
        same(&said[&stream], &theirs);
    }
}
