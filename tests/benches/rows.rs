//! A hundred thousand small rows: `consort run` with the sandboxed roles of a plugin around a
//! small model, in turn with a single-threaded vectorised Python loop that does the same.
//!
//! Lines that begin with `bench: ` are collected by `cargo xtask bench`.

mod support;

use consort_tests::python::python;
use consort_tests::{Ran, consort, guest, root, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use support::{median, summary_rate};

const ROWS: usize = 100_000;
/// How often the job and the loop are measured in turn.
const ROUNDS: usize = 5;
/// What the job is to do for each row of the loop.
const GOAL: f64 = 3.0;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("in.jsonl");
    std::fs::write(&input, rows()).expect("the input");
    let output = |name: &str| folder.path().join(name);
    let jobs = [
        ("reused instances", "reuse", Vec::new()),
        ("fresh instances", "fresh", Vec::new()),
    ]
    .map(|(name, instances, rates)| (name, manifest(folder.path(), instances), rates));
    let mut jobs: Vec<(&str, PathBuf, Vec<f64>)> = jobs.into();
    let mut loops = Vec::new();
    for round in 0..=ROUNDS {
        let python = python_rate(&input, &output("loop.jsonl"));
        for (_, manifest, rates) in &mut jobs {
            let ours = job_rate(manifest, &input, &output("ours.jsonl"));
            match round {
                // The first round warms the caches, and shows that both do the same.
                0 => same(&output("loop.jsonl"), &output("ours.jsonl")),
                _ => rates.push(ours),
            }
        }
        if round > 0 {
            loops.push(python);
        }
    }
    let figure = |name: &str, rates: &[f64]| {
        let rate = median(&mut rates.to_vec());
        println!("bench: small rows, {name} | {rate:.0} rows/s | goal - | ok");
    };
    figure("Python loop, numpy, one thread", &loops);
    for (name, _, rates) in &jobs {
        figure(&format!("consort run, {name}"), rates);
        let ratios = rates.iter().zip(&loops).map(|(ours, python)| ours / python);
        let ratio = median(&mut ratios.collect::<Vec<_>>());
        let met = if ratio >= GOAL { "ok" } else { "short" };
        println!(
            "bench: small rows, consort run, {name} / Python loop | {ratio:.2} ratio | goal at least {GOAL} | {met}"
        );
    }
}

fn rows() -> String {
    let mut text = String::new();
    for row in 0..ROWS {
        let number = |i: usize| ((7 * row + 3 * i) % 1_000) as f64 / 125.0 - 3.5;
        let numbers: Vec<String> = (0..16).map(|i| number(i).to_string()).collect();
        let numbers = numbers.join(", ");
        let _ = writeln!(
            text,
            "{{\"key\": \"k{row}\", \"inputs\": {{\"measurements\": [{numbers}]}}}}"
        );
    }
    text
}

fn manifest(folder: &Path, instances: &str) -> PathBuf {
    let text = format!(
        "consort = 1\n\
         [model.mlp]\npath = {:?}\n\
         [plugin.mlp]\npath = {:?}\nconfig = \"setosa versicolor virginica\"\ninstances = \"{instances}\"\n\
         [[ensemble.iris.step]]\nplugin = \"mlp\"\nname = \"standardise\"\nrole = \"preprocess\"\n\
         [[ensemble.iris.step]]\nmodel = \"mlp\"\n\
         [[ensemble.iris.step]]\nplugin = \"mlp\"\nname = \"best\"\nrole = \"postprocess\"\n\
         [job]\ninflight_max = 4096\n",
        root().join("host/onnx/fixtures/mlp.onnx"),
        guest("mlp"),
    );
    let path = folder.join(format!("{instances}.toml"));
    std::fs::write(&path, text).expect("a manifest");
    path
}

fn job_rate(manifest: &Path, input: &Path, output: &Path) -> f64 {
    let mut command = consort();
    command.arg("run").arg(manifest);
    command.arg("--input").arg(input);
    summary_rate(&well(run(command.arg("--output").arg(output))).stderr)
}

fn python_rate(input: &Path, output: &Path) -> f64 {
    let script = root().join("tests/clients/mlp_loop.py");
    let ran = well(run(python().arg(script).arg(input).arg(output)));
    let rate = ran.stdout.trim().strip_prefix("rows/s ");
    let rate = rate.and_then(|rate| rate.parse().ok());
    rate.unwrap_or_else(|| panic!("no rate in\n{}", ran.stdout))
}

fn well(ran: Ran) -> Ran {
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    ran
}

/// Both made the same of every row, in whatever order.
fn same(python: &Path, ours: &Path) {
    let (python, ours) = (answers(python), answers(ours));
    assert_eq!((python.len(), ours.len()), (ROWS, ROWS));
    for (key, (label, probability)) in &ours {
        let (expected, near) = &python[key];
        assert_eq!(label, expected, "{key}");
        assert!((probability - near).abs() < 1e-4, "{key}");
    }
}

fn answers(path: &Path) -> BTreeMap<String, (String, f64)> {
    let text = std::fs::read_to_string(path).expect("the output");
    let answer = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let outputs = &line["outputs"];
        let label = outputs["label"].as_str()?.to_owned();
        Some((
            line["key"].as_str()?.to_owned(),
            (label, outputs["probability"].as_f64()?),
        ))
    };
    let answers = text.lines().map(answer);
    answers.collect::<Option<_>>().expect("complete lines")
}
