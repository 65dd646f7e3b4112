//! Whole-process figures on this machine, as ratios in one run: the file-type job against
//! raw ONNX Runtime, the second start, and the time that `consort serve` adds to a model.
//!
//! Lines that begin with `bench: ` are collected by `cargo xtask bench`.

mod support;

use consort_tests::server::Server;
use consort_tests::{consort, prepared, root, run};
use std::path::Path;
use std::time::Duration;
use support::{KeepAlive, Metrics, RawPoint, best_raw_points, median, raw_rate, summary_rate};

/// Files of the job: enough for some seconds on two cores.
const FILES: usize = 600;
/// How often job and raw runtime are measured in turn.
const ROUNDS: usize = 5;
/// The settings of the raw runtime that are measured again in each round.
const RAW_POINTS: usize = 3;
/// How long each is measured in a round: about as long as the job takes.
const RAW_SECONDS: f64 = 2.5;
/// Requests of the serving bench, after a tenth of them as warm-up.
const REQUESTS: usize = 4_000;

fn main() {
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
    if wanted("restart") {
        second_start();
    }
    if wanted("serve") {
        serving_an_mlp();
    }
    if wanted("job") {
        file_type_job();
    }
}

/// `consort run` against the best of threads x batch x concurrent runs on prepared tensors:
/// as the example is, and with nothing in its manifest that helps the host to be fast.
fn file_type_job() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let corpus = folder.path().join("corpus");
    make_files(&corpus);
    let manifest = prepared("examples/file-type/consort.toml");
    let untuned = untuned(&manifest, folder.path());
    let model = prepared("examples/file-type/model/model.onnx");
    let points = best_raw_points(&model, RAW_POINTS);
    let mut raw: Vec<Vec<f64>> = vec![Vec::new(); points.len()];
    let (mut tuned_rates, mut untuned_rates) = (Vec::new(), Vec::new());
    // What was found out about the model at its first load is kept for the next ones.
    let _ = job_rate(&untuned, &corpus, folder.path());
    for _ in 0..ROUNDS {
        tuned_rates.push(job_rate(&manifest, &corpus, folder.path()));
        for (point, rates) in points.iter().zip(&mut raw) {
            rates.push(raw_rate(&model, point, RAW_SECONDS));
        }
        untuned_rates.push(job_rate(&untuned, &corpus, folder.path()));
    }
    let (point, raw) = best(&points, &raw);
    let figure = |name: &str, rates: &[f64]| {
        let rate = median(&mut rates.to_vec());
        println!("bench: file-type, {name} | {rate:.1} examples/s | goal - | ok");
    };
    figure(&format!("best raw ONNX Runtime, {point:?}"), raw);
    for (name, rates, goal) in [
        ("consort run", &tuned_rates, 0.9),
        ("consort run, nothing tuned", &untuned_rates, 0.95),
    ] {
        figure(name, rates);
        let mut ratios: Vec<f64> = rates.iter().zip(raw).map(|(a, b)| a / b).collect();
        let ratio = median(&mut ratios);
        report(
            &format!("file-type, {name} / best raw"),
            format!("{ratio:.3} ratio"),
            &format!("at least {goal}"),
            ratio >= goal,
        );
    }
}

/// The setting with the greatest median, and what it did in each round.
fn best<'a>(points: &'a [RawPoint], raw: &'a [Vec<f64>]) -> (&'a RawPoint, &'a [f64]) {
    let middle = |rates: &[f64]| median(&mut rates.to_vec());
    let pairs = points.iter().zip(raw.iter().map(Vec::as_slice));
    pairs
        .max_by(|(_, a), (_, b)| middle(a).total_cmp(&middle(b)))
        .expect("the sweep has points")
}

/// The example's manifest without the keys that say how the model runs best.
fn untuned(manifest: &Path, folder: &Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(manifest).expect("the example's manifest");
    let home = manifest.parent().expect("a folder");
    let tuned = ["replicas", "threads", "max_batch_size"];
    let kept = |line: &&str| !tuned.iter().any(|key| line.starts_with(key));
    let text: Vec<&str> = text.lines().filter(kept).collect();
    let text = text.join("\n");
    assert!(!text.contains("max_batch_size ="), "{text}");
    // Paths are relative to the manifest.
    let text = ["model/", "components/"].iter().fold(text, |text, part| {
        text.replace(
            &format!("\"{part}"),
            &format!("\"{}/{part}", home.display()),
        )
    });
    let path = folder.join("untuned.toml");
    std::fs::write(&path, text).expect("a manifest");
    path
}

/// Text files that all reach the model, no two alike.
fn make_files(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder for the corpus");
    for index in 0..FILES {
        let line =
            format!("def function_{index}(x):\n    return x * {index} + len(\"{index}\")\n\n");
        std::fs::write(
            folder.join(format!("{index}.py")),
            line.repeat(20 + index % 200),
        )
        .expect("a file of the corpus");
    }
}

/// Examples a second.
fn job_rate(manifest: &Path, corpus: &Path, folder: &Path) -> f64 {
    let mut command = consort();
    command
        .arg("run")
        .arg(manifest)
        .arg("--input")
        .arg(corpus)
        .arg("--output")
        .arg(folder.join("out.jsonl"));
    let ran = run(&mut command);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    summary_rate(&ran.stderr)
}

/// From the start of the process to ready, caches warm, less the model's own load.
fn second_start() {
    let manifest = prepared("examples/file-type/consort.toml");
    let mut times_ms = Vec::new();
    let mut loads_ms = Vec::new();
    for _ in 0..6 {
        let (server, elapsed) = Server::start_timed(&manifest);
        let log = server.terminate().stderr;
        let load_ms =
            support::field(&log, "load_ms").unwrap_or_else(|| panic!("no load_ms in\n{log}"));
        loads_ms.push(load_ms);
        times_ms.push(elapsed.as_secs_f64() * 1e3 - load_ms);
    }
    // The first may compile.
    times_ms.remove(0);
    println!(
        "bench: second start, the model's own load | {:.0} ms | goal - | ok",
        median(&mut loads_ms)
    );
    let ms = median(&mut times_ms);
    report(
        "second start to ready, besides the model's load",
        format!("{ms:.0} ms"),
        "under 300 ms",
        ms < 300.0,
    );
}

/// One connection, one row a request: what is added over the raw model call, by stage.
fn serving_an_mlp() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = root().join("host/onnx/fixtures/mlp.onnx");
    let manifest = format!(
        "consort = 1\n\
         [model.mlp]\npath = {model:?}\n\
         [plugin.mlp]\npath = {:?}\nconfig = \"setosa versicolor virginica\"\n\
         [[ensemble.iris.step]]\nplugin = \"mlp\"\nname = \"standardise\"\nrole = \"preprocess\"\n\
         [[ensemble.iris.step]]\nmodel = \"mlp\"\n\
         [[ensemble.iris.step]]\nplugin = \"mlp\"\nname = \"best\"\nrole = \"postprocess\"\n",
        consort_tests::guest("mlp"),
    );
    let path = folder.path().join("consort.toml");
    std::fs::write(&path, manifest).expect("a manifest");
    let server = Server::start(&path);
    let row: Vec<f32> = (0..16).map(|i| i as f32 / 4.0).collect();
    let body = format!(
        "{{\"inputs\":[{{\"name\":\"measurements\",\"datatype\":\"FP32\",\"shape\":[1,16],\"data\":{row:?}}}]}}"
    );
    let mut connection = KeepAlive::connect(server.address);
    (0..REQUESTS / 10).for_each(|_| connection.post("/v2/models/iris/infer", &body));
    let before = Metrics::read(&server);
    let mut times_us: Vec<f64> = (0..REQUESTS)
        .map(|_| {
            connection
                .timed_post("/v2/models/iris/infer", &body)
                .as_secs_f64()
                * 1e6
        })
        .collect();
    let after = Metrics::read(&server);

    let mean_us =
        |name: &str, label: &str, unit: f64| after.mean_since(&before, name, label) * unit;
    let model_us = mean_us("inference_batch_latency_micro_secs", "model=\"mlp\"", 1.0);
    // A model that is served by itself is a step of an ensemble of its own.
    let step_us = |name: &str| {
        let labels = format!("ensemble=\"iris\",step=\"{name}\"");
        mean_us("consort_step_duration_seconds", &labels, 1e6)
    };
    let (pre_us, post_us) = (step_us("standardise"), step_us("best"));
    let step_us = step_us("mlp");
    let whole_us = mean_us(
        "consort_inference_duration_seconds",
        "ensemble=\"iris\"",
        1e6,
    );
    let client_us = times_us.iter().sum::<f64>() / times_us.len() as f64;
    for (name, value) in [
        ("raw model call (mean)", model_us),
        ("preprocess plugin (mean)", pre_us),
        ("queue, batch and hand-over (mean)", step_us - model_us),
        ("postprocess plugin (mean)", post_us),
        (
            "the ensemble itself (mean)",
            whole_us - pre_us - step_us - post_us,
        ),
        (
            "HTTP, JSON, loopback and client (mean)",
            client_us - whole_us,
        ),
        ("added over the raw model call (mean)", client_us - model_us),
    ] {
        println!("bench: serve MLP, {name} | {value:.0} us | goal - | ok");
    }
    println!(
        "bench: serve MLP, request as the client sees it (median) | {:.0} us | goal - | ok",
        median(&mut times_us)
    );
    let _ = server.terminate();
}

fn report(name: &str, value: String, goal: &str, met: bool) {
    println!(
        "bench: {name} | {value} | goal {goal} | {}",
        if met { "ok" } else { "short" }
    );
}

/// Only to keep the figure's unit in one place.
trait Timed: Sized {
    fn start_timed(manifest: &Path) -> (Self, Duration);
}

impl Timed for Server {
    fn start_timed(manifest: &Path) -> (Self, Duration) {
        let begin = support::now();
        let server = Self::start(manifest);
        (server, begin.elapsed())
    }
}
