//! The example `ocr`: pages against what the package rapidocr-onnxruntime read on them
//! (`examples/ocr/reference`), and files that are no pages.

use consort_tests::python::python;
use consort_tests::server::Server;
use consort_tests::{consort, prepared, root, run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How far a corner may be from the reference's, in pixels.
const PIXELS: f64 = 2.0;
/// How far a score may be.
const SCORE: f64 = 0.1;

fn manifest() -> PathBuf {
    prepared("examples/ocr/components/ocr_lines.wasm");
    prepared("examples/ocr/model/dictionary.txt");
    root().join("examples/ocr/consort.toml")
}

fn pages() -> PathBuf {
    root().join("examples/ocr/reference/pages")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let read = |line| serde_json::from_str(line).unwrap();
    text.lines().map(read).collect()
}

/// What the reference read, by the page's name.
fn expected() -> BTreeMap<String, Vec<Value>> {
    lines(&root().join("examples/ocr/reference/expected.jsonl"))
        .into_iter()
        .map(|page| {
            let name = page["page"].as_str().unwrap().to_owned();
            (name, page["lines"].as_array().unwrap().clone())
        })
        .collect()
}

/// All numbers in a value, whatever it is nested in.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

/// A tensor of texts; a tensor of one element is written as that element.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        other => vec![other.as_str().unwrap().to_owned()],
    }
}

fn check(page: &str, expected: &[Value], text: &Value, score: &Value, corners: &Value) {
    let wanted: Vec<_> = expected
        .iter()
        .flat_map(|line| texts(&line["text"]))
        .collect();
    assert_eq!(texts(text), wanted, "{page}");
    let scores = numbers(score);
    let corners = numbers(corners);
    for (at, line) in expected.iter().enumerate() {
        let theirs = line["score"].as_f64().unwrap();
        assert!((scores[at] - theirs).abs() < SCORE, "{page}, line {at}");
        for (ours, theirs) in corners[at * 8..].iter().zip(numbers(&line["box"])) {
            assert!(
                (ours - theirs).abs() <= PIXELS,
                "{page}, line {at}: {ours}, {theirs}"
            );
        }
    }
}

/// Runs the example on files: what was predicted and what failed, by the file's name.
fn ran(files: &Path) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.jsonl");
    let failed = folder.path().join("failed.jsonl");
    let ran = run(consort()
        .arg("run")
        .arg(manifest())
        .args(["--ensemble", "ocr", "--input"])
        .arg(files)
        .arg("--output")
        .arg(&output)
        .arg("--dead-letter")
        .arg(&failed));
    let by_name = |path: &Path| {
        let lines = if path.exists() {
            lines(path)
        } else {
            Vec::new()
        };
        let named = lines.into_iter().map(|line| {
            let key = line["key"].as_str().unwrap();
            let name = Path::new(key).file_name().unwrap().to_str().unwrap();
            (name.to_owned(), line.clone())
        });
        named.collect::<BTreeMap<_, _>>()
    };
    let (predicted, failures) = (by_name(&output), by_name(&failed));
    assert!(
        !predicted.is_empty() || !failures.is_empty(),
        "{}",
        ran.stderr
    );
    (predicted, failures)
}

#[test]
fn pages_are_read_as_the_reference_reads_them() {
    let expected = expected();
    let (predicted, failures) = ran(&pages());
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(predicted.len(), expected.len());
    for (page, expected) in &expected {
        let outputs = &predicted[page]["outputs"];
        check(
            page,
            expected,
            &outputs["text"],
            &outputs["score"],
            &outputs["box"],
        );
    }
}

#[test]
fn a_page_is_read_over_the_wire() {
    let server = Server::start(&manifest());
    let page = fs::read(pages().join("small.png")).unwrap();
    let header = json!({
        "inputs": [{
            "name": "image", "datatype": "BYTES", "shape": [1, 1],
            "parameters": {"binary_data_size": page.len() + 4},
        }],
    })
    .to_string();
    let mut body = header.clone().into_bytes();
    body.extend((page.len() as u32).to_le_bytes());
    body.extend(page);
    let length = header.len().to_string();
    let response = server.request(
        "POST",
        "/v2/models/ocr/infer",
        &[("Inference-Header-Content-Length", &length)],
        &body,
    );
    assert_eq!(response.status, 200, "{}", response.text());
    let answer = response.json();
    let output = |name: &str| {
        let outputs = answer["outputs"].as_array().unwrap();
        outputs
            .iter()
            .find(|output| output["name"] == name)
            .unwrap()["data"]
            .clone()
    };
    let expected = &expected()["small.png"];
    check(
        "small.png",
        expected,
        &output("text"),
        &output("score"),
        &output("box"),
    );
}

#[test]
fn pages_are_read_through_tritonclient() {
    let server = Server::start(&manifest());
    let names = ["small.png", "grey.png", "blank.png"];
    let mut client = python();
    client.arg(root().join("tests/clients/ocr.py"));
    client.arg(server.address.to_string());
    let ran = run(client.args(names.map(|name| pages().join(name))));
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let answers = ran.stdout.lines();
    let answers: Vec<Value> = answers
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), names.len());
    for answer in &answers {
        let page = answer["page"].as_str().unwrap();
        check(
            page,
            &expected()[page],
            &answer["text"],
            &answer["score"],
            &answer["box"],
        );
    }
}

#[test]
fn a_page_comes_as_a_picture_of_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.jsonl");
    let mut command = consort();
    command.arg("run").arg(manifest());
    command.args(["--ensemble", "annotated", "--input"]);
    command.arg(pages().join("small.png"));
    let ran = run(command.arg("--output").arg(&output));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let outputs = &lines(&output)[0]["outputs"];
    let picture = outputs["annotated"].as_str().unwrap();
    let wanted = &expected()["small.png"];
    assert_eq!(picture.matches("<polygon").count(), wanted.len());
    assert!(picture.contains("<image") && picture.contains("data:image/png;base64,"));
    for line in texts(&outputs["text"]) {
        assert!(picture.contains(&format!(">{line}</text>")), "{line}");
    }
}

/// A chunk of a PNG file.
fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let checked = [kind, content].concat();
    let mut checksum = !0u32;
    for byte in &checked {
        checksum ^= u32::from(*byte);
        for _ in 0..8 {
            checksum = (checksum >> 1) ^ (0xedb8_8320 & (checksum & 1).wrapping_neg());
        }
    }
    let length = (content.len() as u32).to_be_bytes();
    [&length, &checked[..], &(!checksum).to_be_bytes()].concat()
}

/// What a PNG file of greys begins with.
fn header(width: u32, height: u32) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let content = [&size[..], &[8, 0, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &content)].concat()
}

/// A PNG file of one white pixel: its row, stored without compression.
fn pixel() -> Vec<u8> {
    let row = [0x78, 1, 1, 2, 0, 0xfd, 0xff, 0, 0xff, 1, 1, 1, 0];
    [header(1, 1), chunk(b"IDAT", &row), chunk(b"IEND", &[])].concat()
}

#[test]
fn what_is_no_page_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let whole = fs::read(pages().join("small.png")).unwrap();
    write("cut.png", &whole[..whole.len() / 2]);
    write("huge.png", &header(50_000, 50_000));
    write("letter.txt", b"Dear reader");
    write("nothing.png", b"");
    write("whole.png", &whole);
    write("pixel.png", &pixel());
    let (predicted, failures) = ran(folder.path());
    for (name, expected) in [
        ("cut.png", "the PNG image is broken"),
        (
            "huge.png",
            "the PNG image has 50000 x 50000 pixels, and `pixels_max`",
        ),
        ("letter.txt", "this is no image"),
        ("nothing.png", "there are no bytes"),
    ] {
        let failure = failures[name].to_string();
        assert!(failure.contains(expected), "{name}: {failure}");
        assert!(failure.contains("invalid_argument"), "{name}: {failure}");
    }
    assert_eq!(failures.len(), 4, "{failures:?}");
    assert_eq!(predicted["pixel.png"]["outputs"]["text"], json!([]));
    let outputs = &predicted["whole.png"]["outputs"];
    let expected = &expected()["small.png"];
    check(
        "whole.png",
        expected,
        &outputs["text"],
        &outputs["score"],
        &outputs["box"],
    );
}
