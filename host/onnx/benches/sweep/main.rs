//! How fast ONNX Runtime is on this machine, over threads x batch x concurrent runs, and how
//! much of that a handler keeps.
//!
//! ```text
//! cargo bench -p consort-onnx --profile dev --bench sweep -- \
//!     [--seconds S] [--only THREADS:BATCH:RUNS] [MODEL.onnx ...]
//! ```
//!
//! Without a model: the file-type model that set-up installs, and the tests' classifier.
//! Paths are relative to `host/onnx`. `ORT_DYLIB_PATH` names the library. Each point is measured in both ways, one after the
//! other and several times in turns, for S seconds (0.4) and a few runs at least:
//!
//! - raw: ONNX Runtime's `Run` on one session of its own defaults, on tensors that were
//!   prepared before, from as many threads as there are concurrent runs;
//! - handler: [`OnnxHandler::predict`] on batches that were prepared before: it stacks the
//!   rows, runs, and takes the outputs apart.
//!
//! With `--only` one point is measured instead of all: the greatest of many noisy figures is
//! greater than any of them deserves, so that whoever compares against the best measures the
//! best ones again.
//!
//! For programs, a line each: `sweep MODEL THREADS BATCH RUNS EXAMPLES_PER_S` (raw),
//! `handler MODEL THREADS BATCH RUNS EXAMPLES_PER_S`, and at the end `best` and
//! `best-handler` with the same columns.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a bench ends at the first failure"
)]

mod raw;

use consort_inference::{Batch, Datatype, Dim, ModelHandler, Tensor, TensorSpec, Tensors};
use consort_onnx::{Config, Library, ModelSource, OnnxHandler, load_library};
use raw::RawSession;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

const BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Each way is measured so often, in turns, so that both meet the same load of the machine.
const SLICES: u32 = 4;
/// A thread runs at least so often in a slice.
const RUNS_MIN: usize = 2;
/// The length of an axis that the model leaves open.
const OPEN_AXIS: usize = 16;

/// One point of the sweep, and what was measured at it.
struct Point {
    threads: usize,
    batch: usize,
    runs: usize,
    raw_per_s: f64,
    handler_per_s: f64,
}

fn main() {
    let mut seconds = 0.4;
    let mut only = None;
    let mut models = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // What cargo adds.
            "--bench" => {}
            "--seconds" => seconds = arguments.next().unwrap().parse().unwrap(),
            "--only" => only = Some(settings(&arguments.next().unwrap())),
            path => models.push((label(Path::new(path)), PathBuf::from(path))),
        }
    }
    if models.is_empty() {
        let room = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file_type = room.join("../../examples/file-type/model/model.onnx");
        models.push(("file-type".to_owned(), file_type));
        models.push(("mlp".to_owned(), room.join("fixtures/mlp.onnx")));
    }
    let library = load_library(None).unwrap_or_else(|error| {
        println!("{error}");
        std::process::exit(1)
    });
    println!("ONNX Runtime {}, {} cores", library.version(), cores());
    for (name, path) in models {
        let duration = Duration::from_secs_f64(seconds);
        sweep(&library, &name, &path, duration, only);
    }
}

/// Threads, batch and concurrent runs of one point, as `2:32:1`.
type Settings = (usize, usize, usize);

fn settings(text: &str) -> Settings {
    let numbers: Vec<usize> = text.split(':').map(|n| n.parse().unwrap()).collect();
    match numbers.as_slice() {
        &[threads, batch, runs] => (threads, batch, runs),
        _ => panic!("`--only {text}`: THREADS:BATCH:RUNS is expected"),
    }
}

fn label(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .replace(' ', "_")
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// 1, 2, 4, ... up to the number of cores, and that number.
fn counts() -> Vec<usize> {
    let doubled = std::iter::successors(Some(1), |&count: &usize| Some(2 * count));
    let mut counts: Vec<usize> = doubled.take_while(|&count| count < cores()).collect();
    counts.push(cores());
    counts
}

fn sweep(library: &Library, name: &str, path: &Path, duration: Duration, only: Option<Settings>) {
    if !path.is_file() {
        println!(
            "{name}: {} is not there; run set-up, or name a model",
            path.display()
        );
        std::process::exit(1);
    }
    let mut points = Vec::new();
    println!("\n{name}: {}\n", path.display());
    println!("threads  batch  runs     raw/s  handler/s  handler/raw");
    let (all_threads, batches, all_runs) = match only {
        Some((threads, batch, runs)) => (vec![threads], vec![batch], vec![runs]),
        None => (counts(), BATCHES.to_vec(), counts()),
    };
    for threads in all_threads {
        let config = Config {
            threads,
            ..Config::new("sweep".parse().unwrap())
        };
        let handler = OnnxHandler::load(library, ModelSource::File(path), &config).unwrap();
        let session = RawSession::load(path, threads);
        let batch_max = handler.batch_hints().max_batch_size.unwrap_or(usize::MAX);
        for &batch in batches.iter().filter(|&&batch| batch <= batch_max) {
            for &runs in &all_runs {
                let point = measure(&handler, &session, (threads, batch, runs), duration);
                println!(
                    "{threads:7}  {batch:5}  {runs:4}  {:8.0}  {:9.0}  {:11.3}",
                    point.raw_per_s,
                    point.handler_per_s,
                    point.handler_per_s / point.raw_per_s
                );
                points.push(point);
            }
        }
    }
    report(name, &points);
}

fn report(name: &str, points: &[Point]) {
    println!();
    let line = |kind: &str, point: &Point, per_s: f64| {
        let Point {
            threads,
            batch,
            runs,
            ..
        } = point;
        println!("{kind} {name} {threads} {batch} {runs} {per_s:.1}");
    };
    for point in points {
        line("sweep", point, point.raw_per_s);
    }
    for point in points {
        line("handler", point, point.handler_per_s);
    }
    let raw = points
        .iter()
        .max_by(|a, b| a.raw_per_s.total_cmp(&b.raw_per_s))
        .unwrap();
    let handler = points
        .iter()
        .max_by(|a, b| a.handler_per_s.total_cmp(&b.handler_per_s))
        .unwrap();
    line("best", raw, raw.raw_per_s);
    line("best-handler", handler, handler.handler_per_s);
}

fn measure(
    handler: &OnnxHandler,
    session: &RawSession,
    (threads, batch, runs): (usize, usize, usize),
    duration: Duration,
) -> Point {
    let rows = || {
        (0..batch)
            .map(|row| example(&handler.signature().inputs, row))
            .collect()
    };
    let prepared = Batch::new(rows()).unwrap();
    let (mut raw_per_s, mut handler_per_s) = (0.0, 0.0);
    let slices = f64::from(SLICES);
    for _ in 0..SLICES {
        let handler_slice = per_second(batch, runs, duration / SLICES, || {
            || assert_eq!(handler.predict(&prepared).unwrap().len(), batch)
        });
        let raw_slice = per_second(batch, runs, duration / SLICES, || {
            let inputs = session.prepare(&prepared, &handler.signature().inputs);
            move || session.run(&inputs)
        });
        handler_per_s += handler_slice / slices;
        raw_per_s += raw_slice / slices;
    }
    Point {
        threads,
        batch,
        runs,
        raw_per_s,
        handler_per_s,
    }
}

/// Examples in a second, from so many threads, each with work of its own: the sum of what
/// each did in its own time, so that a run that was begun also counts.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn per_second<F: Fn() + Send>(
    batch: usize,
    runs: usize,
    duration: Duration,
    work: impl Fn() -> F + Sync,
) -> f64 {
    let barrier = Barrier::new(runs);
    let one_thread = || {
        let work = work();
        work();
        barrier.wait();
        let (started, mut count) = (Instant::now(), 0);
        while count < RUNS_MIN || started.elapsed() < duration {
            work();
            count += 1;
        }
        (count * batch) as f64 / started.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..runs).map(|_| scope.spawn(one_thread)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    })
}

/// An example of small numbers, which differ from row to row.
fn example(specs: &[TensorSpec], row: usize) -> Tensors {
    let tensor = |spec: &TensorSpec| {
        let length = |axis: &Dim| axis.unwrap_or(OPEN_AXIS);
        let shape: Vec<usize> = spec.shape.iter().map(length).collect();
        let count = shape.iter().product();
        let numbers = (0..count).map(|i: usize| (i * 31 + row * 17) % 251);
        match spec.datatype {
            Datatype::Fp32 => {
                let numbers: Vec<f32> = numbers.map(|number| number as f32 / 251.0).collect();
                Tensor::from_slice(shape, &numbers)
            }
            Datatype::Int32 => {
                let numbers: Vec<i32> = numbers.map(|number| number as i32).collect();
                Tensor::from_slice(shape, &numbers)
            }
            Datatype::Int64 => {
                let numbers: Vec<i64> = numbers.map(|number| number as i64).collect();
                Tensor::from_slice(shape, &numbers)
            }
            datatype => panic!("the sweep makes no {datatype}"),
        }
    };
    let named = specs
        .iter()
        .map(|spec| (spec.name.clone(), tensor(spec).unwrap()));
    Tensors::from_named(named).unwrap()
}
