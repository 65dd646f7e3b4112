//! The example `embeddings`: tokens and vectors from the binary, against what the published
//! rules and weights give in Python, on texts that are made here.

use consort_tests::python::python;
use consort_tests::server::Server;
use consort_tests::{Ran, consort, prepared, root, run};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The least cosine between our vector and the reference.
const COSINE_MIN: f64 = 0.9999;
/// The most tokens, by the package's own configuration.
const TOKENS_MAX: usize = 256;

fn manifest() -> PathBuf {
    prepared("examples/embeddings/model/model.onnx");
    prepared("examples/embeddings/components/consort_plugin_tokenizer.wasm");
    root().join("examples/embeddings/consort.toml")
}

/// What the reference says of each text.
fn reference(texts: &[String], args: &[&str]) -> Vec<Value> {
    let mut child = Command::new(prepared(".setup/embeddings/bin/python"))
        .args(["-B", "-s", "-E"])
        .arg(root().join("examples/embeddings/reference/reference.py"))
        .arg(root().join("examples/embeddings/model"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!(texts).to_string();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn consort_run(ensemble: &str, folder: &Path, input: &Path) -> Ran {
    let mut command = consort();
    command
        .arg("run")
        .arg(manifest())
        .args(["--ensemble", ensemble, "--ordered", "--input"])
        .arg(input)
        .arg("--output")
        .arg(folder.join("out.jsonl"))
        .arg("--dead-letter")
        .arg(folder.join("dead.jsonl"));
    run(&mut command)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What `consort run` makes of texts: predictions and dead letters.
fn ours(ensemble: &str, texts: &[String]) -> (Vec<Value>, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.jsonl");
    let rows = texts.iter().enumerate();
    let rows = rows.map(|(at, text)| {
        json!({"key": at.to_string(), "inputs": {"text": text}}).to_string() + "\n"
    });
    fs::write(&input, rows.collect::<String>()).unwrap();
    let ran = consort_run(ensemble, folder.path(), &input);
    let dead = lines(&folder.path().join("dead.jsonl"));
    assert!(ran.status == 0 || !dead.is_empty(), "{}", ran.stderr);
    (lines(&folder.path().join("out.jsonl")), dead)
}

/// Texts put together from pieces that tokenizers trip over, the same at every run.
fn awkward_texts() -> Vec<String> {
    const PIECES: [&str; 30] = [
        "word",
        "Hello",
        "ÉCOLE",
        "naïve",
        "e\u{301}\u{327}",
        "\u{1F600}",
        "\u{1F469}\u{200D}\u{1F4BB}",
        "你好",
        "日本語テスト",
        "한국어",
        "مرحبا",
        "नमस्ते",
        "\u{0}",
        "\u{7}",
        "\u{200B}",
        "\u{FEFF}",
        "\u{FFFD}",
        "[CLS]",
        "[MASK]",
        "[SEP] [PAD]",
        "[unused1]",
        "##ing",
        "don't",
        "...",
        "\t",
        "\r\n",
        "\u{3000}",
        "\u{A0}",
        "İstanbul",
        "ﬁnance",
    ];
    let mut texts: Vec<String> = PIECES.iter().map(|piece| (*piece).to_owned()).collect();
    texts.extend([
        String::new(),
        " ".to_owned(),
        "x".repeat(100),
        "x".repeat(101),
        format!("before {} after", "long".repeat(1000)),
        " \n\t ".repeat(200),
        "你".repeat(400),
        "a ".repeat(5000),
        "[MASK]".repeat(300),
        "!?".repeat(3000),
        format!("{}the end", " ".repeat(9000)),
    ]);
    // A simple generator is enough: the texts only have to be many and the same.
    let mut state = 1u64;
    let mut next = |bound: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % bound) as usize
    };
    for _ in 0..400 {
        let mut text = String::new();
        for _ in 0..next(60) {
            text.push_str(PIECES[next(PIECES.len() as u64)]);
            if next(2) == 0 {
                text.push(' ');
            }
        }
        // Some beyond what is tokenised first.
        texts.push(if next(10) == 0 { text.repeat(40) } else { text });
    }
    texts
}

#[test]
fn any_text_has_the_tokens_of_the_reference() {
    let texts = awkward_texts();
    let (ours, dead) = ours("tokens", &texts);
    assert_eq!(dead, Vec::<Value>::new());
    let theirs = reference(&texts, &["--tokens"]);
    assert_eq!(ours.len(), theirs.len());
    for ((ours, theirs), text) in ours.iter().zip(&theirs).zip(&texts) {
        let ids = &ours["outputs"]["input_ids"];
        assert_eq!(*ids, theirs["ids"], "{text:?}");
        let count = ids.as_array().unwrap().len();
        assert!(count <= TOKENS_MAX);
        assert_eq!(ours["outputs"]["attention_mask"], json!(vec![1; count]));
        assert_eq!(ours["outputs"]["token_type_ids"], json!(vec![0; count]));
    }
    // The longest ones were cut, and not all were.
    let cut = theirs
        .iter()
        .filter(|one| one["ids"].as_array().unwrap().len() == TOKENS_MAX);
    let cut = cut.count();
    assert!(cut > 5 && cut < texts.len() / 2, "{cut}");
}

fn cosine(ours: &Value, theirs: &Value) -> f64 {
    let numbers = |value: &Value| -> Vec<f64> {
        let elements = value.as_array().unwrap();
        elements.iter().map(|one| one.as_f64().unwrap()).collect()
    };
    let (ours, theirs) = (numbers(ours), numbers(theirs));
    assert_eq!(ours.len(), theirs.len());
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    dot(&ours, &theirs) / (dot(&ours, &ours) * dot(&theirs, &theirs)).sqrt()
}

fn sentences() -> Vec<String> {
    let long = "a long sentence that goes on and on, ".repeat(60);
    [
        "The quick brown fox.",
        "",
        "naïve 你好 [MASK] \u{1F600}",
        &long,
        "one",
        "Two words",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[test]
fn the_vectors_are_those_of_an_independent_computation() {
    let texts = sentences();
    let (ours, dead) = ours("embeddings", &texts);
    assert_eq!(dead, Vec::<Value>::new());
    let theirs = reference(&texts, &[]);
    assert_eq!(ours.len(), theirs.len());
    for ((ours, theirs), text) in ours.iter().zip(&theirs).zip(&texts) {
        let cosine = cosine(&ours["outputs"]["embedding"], &theirs["embedding"]);
        assert!(cosine > COSINE_MIN, "{cosine} for {text:?}");
    }
    // Not a model that says the same of everything.
    assert!(cosine(&theirs[0]["embedding"], &theirs[4]["embedding"]) < 0.9);
}

#[test]
fn a_text_of_ten_megabytes_costs_no_more_than_its_first_tokens() {
    let words = "word ".repeat(2 << 20);
    let (ours, dead) = ours(
        "tokens",
        &[words, "x".repeat(10 << 20), "neighbour".to_owned()],
    );
    let ids = ours[0]["outputs"]["input_ids"].as_array().unwrap();
    assert_eq!(ids.len(), TOKENS_MAX);
    assert_eq!(ours[1]["key"], "2");
    assert_eq!(dead.len(), 1);
    let message = dead[0]["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("the text has 10485760 bytes") && message.contains("`text_bytes_max`"),
        "{message}"
    );
    assert_eq!(dead[0]["error"]["kind"], "invalid_argument");
}

#[test]
fn a_file_that_is_no_text_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("bad.txt"), b"caf\xe9 au lait").unwrap();
    fs::write(files.join("good.txt"), "a good text").unwrap();
    consort_run("documents", folder.path(), &files);
    let good = lines(&folder.path().join("out.jsonl"));
    let dead = lines(&folder.path().join("dead.jsonl"));
    assert_eq!((good.len(), dead.len()), (1, 1), "{good:?} {dead:?}");
    let message = dead[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("is not UTF-8 text"), "{message}");
    assert_eq!(dead[0]["error"]["kind"], "invalid_argument");
}

#[test]
fn the_unmodified_triton_client_passes() {
    let server = Server::start(&manifest());
    let ran = run(python()
        .arg(root().join("tests/clients/tritonclient_http.py"))
        .arg(server.address.to_string())
        .args(["--ensemble", "embeddings"]));
    assert_eq!(ran.status, 0, "{}\n{}", ran.stdout, ran.stderr);
}
