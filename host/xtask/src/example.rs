//! `cargo xtask example NAME`: sets up what one example needs, runs it on real input, shows
//! what came out as a table, and says what to try next.
//!
//! An example is one row of [`EXAMPLES`]; nothing else here knows any of them by name.

use crate::failure::Failure;
use crate::layout::Layout;
use crate::metadata::{Metadata, cargo};
use crate::process::Program;
use crate::setup::{self, Install};
use crate::table::{self, Align};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The most rows of the table.
const ROWS_MAX: usize = 20;

/// The most signs of a stream.
const SIGNS_MAX: usize = 48;

/// The most elements of a tensor that a cell shows.
const ELEMENTS_MAX: usize = 4;

/// An example that can be run with one command. Its folder is `examples/NAME`.
#[derive(Debug)]
struct Example {
    name: &'static str,
    /// What it is, for the list of examples.
    about: &'static str,
    /// What set-up installs for it, beside ONNX Runtime and the plugins.
    installs: &'static [Install],
    /// The ensemble or model that answers.
    ensemble: &'static str,
    /// What goes in: files, folders or JSON lines, from the repository's root on.
    inputs: &'static [&'static str],
    /// More arguments of `consort run`.
    args: &'static [&'static str],
    /// The outputs that the table shows.
    columns: &'static [&'static str],
    /// What a row of the table is.
    table: Rows,
    /// What to try next; `{consort}` stands for the program and `{manifest}` for the manifest.
    next: &'static str,
}

/// What a row of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// A prediction.
    Predictions,
    /// All predictions of one key, which are numbers from 0 to 1.
    Streams,
}

const EXAMPLES: &[Example] = &[AB, EMBEDDINGS, OCR, TABULAR, VOICE_ACTIVITY];

const AB: Example = Example {
    name: "ab",
    about: "three models of the same: A/B, a cascade, a vote",
    installs: &[setup::tabular::install],
    ensemble: "jury",
    inputs: &["examples/tabular/model/iris.jsonl"],
    args: &[],
    columns: &["label", "probabilities"],
    table: Rows::Predictions,
    next: "\
  the same rows in A/B: each prediction says which arm made it
     {consort} run {manifest} --ensemble ab --input examples/tabular/model/iris.jsonl
  a cheap model first, a dear one where it is unsure
     {consort} run {manifest} --ensemble cascade --input examples/tabular/model/iris.jsonl
  what an ensemble is made of, as a picture
     {consort} graph {manifest} cascade
",
};

const EMBEDDINGS: Example = Example {
    name: "embeddings",
    about: "a vector for each sentence, with all-MiniLM-L6-v2",
    installs: &[setup::embeddings::install],
    ensemble: "embeddings",
    inputs: &["examples/embeddings/sentences.jsonl"],
    args: &[],
    columns: &["embedding"],
    table: Rows::Predictions,
    next: "\
  a sentence of your own
     echo '{\"inputs\": {\"text\": \"A sentence of your own.\"}}' | {consort} run {manifest} --ensemble embeddings --input -
  the same over HTTP
     {consort} serve {manifest}
     curl -s http://127.0.0.1:8000/v2/models/embeddings
",
};

const OCR: Example = Example {
    name: "ocr",
    about: "the text on a page, with three models of PP-OCRv4",
    installs: &[setup::ocr::install],
    ensemble: "ocr",
    inputs: &["examples/ocr/reference/pages"],
    args: &[],
    columns: &["text", "score"],
    table: Rows::Predictions,
    next: "\
  your own pages
     {consort} run {manifest} --ensemble ocr --input FOLDER
  where the time goes, as a picture
     {consort} run {manifest} --ensemble ocr --input FOLDER --trace traces
  the same over HTTP
     {consort} serve {manifest}
     curl -s http://127.0.0.1:8000/v2/models/ocr
",
};

const TABULAR: Example = Example {
    name: "tabular",
    about: "wines by four named columns, with a pipeline of scikit-learn",
    installs: &[setup::tabular::install],
    ensemble: "cellar",
    inputs: &["examples/tabular/model/cellar.jsonl"],
    args: &[],
    columns: &["label", "probabilities"],
    table: Rows::Predictions,
    next: "\
  another of its models
     {consort} run {manifest} --ensemble iris --input examples/tabular/model/iris.jsonl
  the same over HTTP
     {consort} serve {manifest}
     curl -s http://127.0.0.1:8000/v2/models/cellar
",
};

const VOICE_ACTIVITY: Example = Example {
    name: "voice-activity",
    about: "when somebody speaks, in three streams at once, with Silero VAD",
    installs: &[setup::voice_activity::install],
    ensemble: "vad",
    inputs: &["examples/voice-activity/model/recordings/chunks.jsonl"],
    args: &[],
    columns: &["probability"],
    table: Rows::Streams,
    next: "\
  every chunk with its probability
     {consort} run {manifest} --ordered --input examples/voice-activity/model/recordings/chunks.jsonl
  the same over HTTP, where \"sequence_id\" names the stream
     {consort} serve {manifest}
     curl -s http://127.0.0.1:8000/v2/models/vad
",
};

/// Runs the example of a name.
pub(crate) fn run(layout: &Layout, metadata: &Metadata, name: &str) -> Result<(), Failure> {
    let example = EXAMPLES
        .iter()
        .find(|example| example.name == name)
        .ok_or_else(|| Failure::NoSuchExample {
            name: name.to_owned(),
            known: list(),
        })?;
    let prepared = setup::for_example(layout, metadata, example.installs)?;
    println!("example: the program `consort`:");
    cargo()
        .dir(&layout.root)
        .args(["build", "-p", "consort-cli", "--bin", "consort"])
        .run()?;

    let dir = layout.setup().join("examples").join(name);
    fs::create_dir_all(&dir).map_err(Failure::file("cannot make the folder", &dir))?;
    let output = dir.join("predictions.jsonl");
    let consort = layout.debug().join("consort");
    let manifest = format!("examples/{name}/consort.toml");
    let program = Program::new(&consort)
        .args(["run", &manifest, "--ensemble", example.ensemble])
        .arg("--ordered")
        .args(example.args)
        .arg("--input")
        .args(example.inputs)
        .arg("--output")
        .arg(layout.shown(&output))
        .arg("--dead-letter")
        .arg(layout.shown(&dir.join("failures.jsonl")))
        .dir(&layout.root);
    println!("example: {name}: {}\n", example.about);
    prepared.environment(layout, program).run()?;

    let lines = read(&output)?;
    let table = match example.table {
        Rows::Predictions => rows(layout, &lines, example.columns),
        Rows::Streams => streams(&lines, example.columns),
    };
    println!("\n{table}");
    let shown = layout.shown(&output);
    println!("{} predictions; every line is in {shown}\n", lines.len());
    let words = example
        .next
        .replace("{consort}", &layout.shown(&consort))
        .replace("{manifest}", &manifest);
    print!("What to try next:\n\n  {words}");
    println!("  what it is made of\n     examples/{name}/README.md");
    Ok(())
}

/// The examples there are, a line each.
pub(crate) fn list() -> String {
    let lines = EXAMPLES
        .iter()
        .map(|example| format!("  {:<16}{}\n", example.name, example.about));
    lines.collect()
}

/// Every prediction of a file of JSON lines.
fn read(path: &PathBuf) -> Result<Vec<Value>, Failure> {
    let text = fs::read_to_string(path).map_err(Failure::file("cannot read", path))?;
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        lines.push(
            serde_json::from_str(line).map_err(|error| Failure::Prediction {
                path: path.clone(),
                line: at + 1,
                problem: error.to_string(),
            })?,
        );
    }
    Ok(lines)
}

/// A row for each of the first predictions: its key and the wanted outputs.
fn rows(layout: &Layout, lines: &[Value], columns: &[&str]) -> String {
    let mut head = vec![("key", Align::Left)];
    head.extend(columns.iter().map(|column| (*column, Align::Left)));
    let row = |line: &Value| {
        let key = line.get("key").and_then(Value::as_str).unwrap_or_default();
        let mut row = vec![layout.shown(Path::new(key))];
        let outputs = line.get("outputs");
        let output = |column: &&str| outputs.and_then(|outputs| outputs.get(column));
        row.extend(
            columns
                .iter()
                .map(|column| output(column).map(cell).unwrap_or_default()),
        );
        row
    };
    let rows: Vec<_> = lines.iter().take(ROWS_MAX).map(row).collect();
    let mut text = table::render(&head, &rows);
    if let Some(more) = lines.len().checked_sub(ROWS_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("  and {more} more\n"));
    }
    text
}

/// A row for each key: how many predictions it has, and their numbers as bars, each of one or
/// of the highest of several.
fn streams(lines: &[Value], columns: &[&str]) -> String {
    let mut streams: Vec<(&str, Vec<f64>)> = Vec::new();
    for line in lines {
        let key = line.get("key").and_then(Value::as_str).unwrap_or_default();
        let outputs = line.get("outputs");
        let output = |column: &&str| outputs?.get(column);
        let number = |value: &Value| value.as_f64().or_else(|| value.get(0)?.as_f64());
        let numbers = columns.iter().filter_map(output).filter_map(number);
        match streams.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => known.extend(numbers),
            None => streams.push((key, numbers.collect())),
        }
    }
    let head = [
        ("stream", Align::Left),
        ("chunks", Align::Right),
        ("highest", Align::Right),
        (columns.first().copied().unwrap_or_default(), Align::Left),
    ];
    let highest = |numbers: &[f64]| numbers.iter().copied().fold(0.0, f64::max);
    let row = |(key, numbers): &(&str, Vec<f64>)| {
        let each = numbers.len().div_ceil(SIGNS_MAX).max(1);
        vec![
            (*key).to_owned(),
            numbers.len().to_string(),
            format!("{:.4}", highest(numbers)),
            numbers.chunks(each).map(highest).map(bar).collect(),
        ]
    };
    table::render(&head, &streams.iter().map(row).collect::<Vec<_>>())
}

/// A number from 0 to 1 as a bar of that height.
fn bar(number: f64) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    // What is beyond an end is at the end.
    let height = (number * BARS.len() as f64) as usize;
    BARS.get(height).copied().unwrap_or('█')
}

/// A value in few letters: the first elements of a long list, and how many there are.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.4}"),
            _ => number.to_string(),
        },
        Value::Array(elements) => {
            let first: Vec<_> = elements.iter().take(ELEMENTS_MAX).map(cell).collect();
            let first = first.join(", ");
            match elements.len() {
                0..=ELEMENTS_MAX => first,
                count => format!("{first}, … ({count})"),
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn layout() -> Layout {
        Layout {
            root: PathBuf::from("/r"),
            target: PathBuf::from("/r/target"),
        }
    }

    #[test]
    fn a_row_has_the_key_and_the_wanted_outputs() {
        let lines = [
            json!({"key": "/r/a", "outputs": {"label": "x", "p": [0.25, 0.5], "not": 1}}),
            json!({"key": "b", "outputs": {"label": 7, "p": [1, 2, 3, 4, 5]}}),
        ];
        assert_eq!(
            rows(&layout(), &lines, &["label", "p"]),
            "  key  label  p\n  \
               ---  -----  -----------------\n  \
               a    x      0.2500, 0.5000\n  \
               b    7      1, 2, 3, 4, … (5)\n"
        );
    }

    #[test]
    fn a_stream_is_one_row() {
        let line = |key: &str, number: f64| json!({"key": key, "outputs": {"p": [number]}});
        let lines = [
            line("b", 0.0),
            line("a", 0.5),
            line("b", 1.0),
            line("b", 0.3),
        ];
        assert_eq!(
            streams(&lines, &["p"]),
            "  stream  chunks  highest  p\n  \
               ------  ------  -------  ---\n  \
               b            3   1.0000  ▁█▃\n  \
               a            1   0.5000  ▅\n"
        );
    }

    #[test]
    fn a_long_result_is_cut_and_says_so() {
        let lines: Vec<_> = (0..ROWS_MAX + 2)
            .map(|at| json!({"key": at.to_string(), "outputs": {}}))
            .collect();
        let text = rows(&layout(), &lines, &[]);
        assert!(text.ends_with("  and 2 more\n"), "{text}");
        assert_eq!(text.lines().count(), 2 + ROWS_MAX + 1);
    }

    #[test]
    fn every_example_is_there_and_says_what_to_try() {
        let root = Metadata::read().unwrap().workspace_root;
        for example in EXAMPLES {
            let folder = root.join("examples").join(example.name);
            let manifest = fs::read_to_string(folder.join("consort.toml")).unwrap();
            assert!(folder.join("README.md").is_file(), "{}", example.name);
            assert!(manifest.contains(example.ensemble), "{}", example.name);
            assert!(!example.columns.is_empty(), "{}", example.name);
            for word in ["{consort}", "{manifest}"] {
                assert!(example.next.contains(word), "{}: {word}", example.name);
            }
        }
    }

    #[test]
    fn another_name_is_answered_with_those_there_are() {
        let metadata = Metadata::read().unwrap();
        let error = run(&Layout::new(&metadata), &metadata, "none").unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("there is no example `none`; there are:\n"),
            "{text}"
        );
        assert!(text.contains("  tabular "), "{text}");
    }
}
