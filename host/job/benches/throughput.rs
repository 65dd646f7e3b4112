//! How many examples a second go through a job whose endpoint does nothing: what is left is
//! the job's own cost of reading, calling and writing.
//!
//! The yardsticks: `serde_json` reading the same lines into `Value` trees, and a loop that
//! reads the same files whole, each on one thread.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and stops at the first error"
)]

use consort_inference::{
    BoxFuture, Call, Datatype, Endpoint, Example, Failure, ModelId, Prediction, Signature, Tensor,
    TensorSpec, Tensors,
};
use consort_job::{Config, FileTensors, Outputs, Progress, Read, Sink, Source, Text};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use tokio::time::Instant;

const ROWS: usize = 200_000;
const FEATURES: usize = 16;
const FILES: usize = 20_000;

/// Gives every example the same three scores.
struct Instant3 {
    signature: Signature,
    outputs: Tensors,
}

impl Endpoint for Instant3 {
    fn name(&self) -> &str {
        "instant"
    }

    fn version(&self) -> &str {
        "1"
    }

    fn platform(&self) -> &str {
        "fake"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn infer(
        &self,
        examples: Vec<Example>,
        _: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        let model_id = ModelId::new("instant", "1");
        let answer = |example: Example| {
            Ok(Prediction::new(
                example.key,
                self.outputs.clone(),
                model_id.clone(),
            ))
        };
        let answers = examples.into_iter().map(answer).collect();
        Box::pin(std::future::ready(answers))
    }
}

fn rows() -> Vec<u8> {
    let mut text = Vec::new();
    let mut seed = 1u32;
    for row in 0..ROWS {
        let features: Vec<f32> = (0..FEATURES)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                seed as f32 / u32::MAX as f32 * 2.0 - 1.0
            })
            .collect();
        writeln!(
            text,
            "{{\"key\": \"row-{row}\", \"inputs\": {{\"x\": {features:?}}}}}"
        )
        .unwrap();
    }
    text
}

fn instant(inputs: Vec<TensorSpec>) -> Arc<Instant3> {
    let scores = Tensor::from_slice(vec![3], &[0.1f32, 0.7, 0.2]).unwrap();
    Arc::new(Instant3 {
        signature: Signature {
            inputs,
            outputs: vec![],
        },
        outputs: Tensors::from_named([("scores".into(), scores)]).unwrap(),
    })
}

/// Processor time of this process so far, where the system tells it.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may have blanks; the times are the 12th and 13th after it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS_PER_SECOND
}

/// Runs a job, both ways, and compares it with the yardstick (examples a second).
async fn compare(
    dir: &Path,
    endpoint: Arc<Instant3>,
    source: impl Fn() -> Source,
    files: FileTensors,
    yardstick: f64,
) {
    for (ordered, inflight_max) in [(false, 512), (true, 512), (false, 4096)] {
        let outputs = Outputs {
            predictions: Sink::File(dir.join("out.jsonl")),
            dead_letters: None,
        };
        let config = Config {
            ordered,
            inflight_max,
            files: files.clone(),
            progress: Progress::Never,
            ..Config::default()
        };
        let never = std::future::pending();
        let run = consort_job::run(endpoint.clone(), source(), outputs, config, never);
        let before = cpu_seconds();
        let summary = run.await.unwrap();
        let cpu_us = (cpu_seconds() - before) * 1e6 / summary.examples() as f64;
        assert_eq!(summary.failures.total(), 0);
        let rate = summary.examples_per_second();
        let ratio = rate / yardstick;
        println!(
            "  job, ordered = {ordered:<5}, {inflight_max:>4} in flight  {rate:>9.0} /s, {ratio:.2} of the yardstick, {cpu_us:.2} us of CPU each"
        );
    }
}

async fn lines(dir: &Path) {
    let text = rows();
    let input = dir.join("in.jsonl");
    std::fs::write(&input, &text).unwrap();
    println!(
        "{ROWS} lines of {FEATURES} FP32, {} bytes each",
        text.len() / ROWS
    );
    let began = Instant::now();
    for line in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        black_box(serde_json::from_slice::<serde_json::Value>(line).unwrap());
    }
    let yardstick = ROWS as f64 / began.elapsed().as_secs_f64();
    println!("  serde_json to Value   {yardstick:>9.0} /s");
    let spec = TensorSpec::new("x", Datatype::Fp32, vec![Some(FEATURES)]);
    let source = || Source::Jsonl(Text::File(input.clone()));
    let none = FileTensors::default;
    let endpoint = instant(vec![spec]);
    compare(dir, endpoint.clone(), source, none(), yardstick).await;
    println!("the same rows as CSV of {FEATURES} columns");
    let path = dir.join("in.csv");
    let mut csv: String = (0..FEATURES).map(|index| format!("x.{index},")).collect();
    csv.push_str("key\n");
    for line in std::str::from_utf8(&text).unwrap().lines() {
        let (key, rest) = line["{\"key\": \"".len()..].split_once('"').unwrap();
        let values = rest.split_once('[').unwrap().1.split_once(']').unwrap().0;
        csv.push_str(&format!("{},{key}\n", values.replace(", ", ",")));
    }
    std::fs::write(&path, csv).unwrap();
    let source = || Source::Rows {
        inputs: vec![Text::File(path.clone())],
        format: None,
    };
    compare(dir, endpoint, source, none(), yardstick).await;
}

async fn files(dir: &Path) {
    let folder = dir.join("files");
    for index in 0..FILES {
        let folder = folder.join(format!("{:02}", index / 500));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{index}")), vec![b'x'; 6000]).unwrap();
    }
    println!("{FILES} files of 6,000 bytes, head and tail of 4,096");
    let began = Instant::now();
    for index in 0..FILES {
        let path = folder.join(format!("{:02}/{index}", index / 500));
        black_box(std::fs::read(path).unwrap());
    }
    let yardstick = FILES as f64 / began.elapsed().as_secs_f64();
    println!("  std::fs::read         {yardstick:>9.0} /s");
    let bytes = |name| TensorSpec::new(name, Datatype::Bytes, vec![Some(1)]);
    let size = TensorSpec::new("size", Datatype::Int64, vec![Some(1)]);
    let tensors = FileTensors::new([
        ("head", Read::Head { bytes: 4096 }),
        ("tail", Read::Tail { bytes: 4096 }),
        ("size", Read::Size),
    ]);
    let endpoint = instant(vec![bytes("head"), bytes("tail"), size]);
    let source = || Source::Files(vec![folder.clone()]);
    compare(dir, endpoint, source, tensors, yardstick).await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    lines(dir.path()).await;
    // `lines` as an argument leaves the files out, for a profile of the rest.
    if !std::env::args().any(|argument| argument == "lines") {
        files(dir.path()).await;
    }
}
