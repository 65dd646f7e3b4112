//! How many rows a second go through a job whose endpoint does nothing: parse, call, write.
//!
//! The yardstick is `serde_json` reading the same lines into `Value` trees on one thread.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and stops at the first error"
)]

use consort_inference::{
    BoxFuture, Call, Datatype, Endpoint, Example, Failure, ModelId, Prediction, Signature, Tensor,
    TensorSpec, Tensors,
};
use consort_job::{Config, Outputs, Progress, Sink, Source, Text};
use std::io::Write as _;
use std::sync::Arc;
use tokio::time::Instant;

const ROWS: usize = 200_000;
const FEATURES: usize = 16;

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
            Ok(Prediction {
                key: example.key,
                outputs: self.outputs.clone(),
                model_id: model_id.clone(),
            })
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

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let text = rows();
    let input = dir.path().join("in.jsonl");
    std::fs::write(&input, &text).unwrap();
    println!(
        "{ROWS} rows of {FEATURES} FP32, {} bytes a row",
        text.len() / ROWS
    );

    let began = Instant::now();
    for line in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        std::hint::black_box(serde_json::from_slice::<serde_json::Value>(line).unwrap());
    }
    let yardstick = ROWS as f64 / began.elapsed().as_secs_f64();
    println!("serde_json to Value, one thread: {yardstick:>9.0} rows/s");

    for ordered in [false, true] {
        let scores = Tensor::from_slice(vec![3], &[0.1f32, 0.7, 0.2]).unwrap();
        let endpoint = Instant3 {
            signature: Signature {
                inputs: vec![TensorSpec::new("x", Datatype::Fp32, vec![Some(FEATURES)])],
                outputs: vec![],
            },
            outputs: Tensors::from_named([("scores".into(), scores)]).unwrap(),
        };
        let outputs = Outputs {
            predictions: Sink::File(dir.path().join("out.jsonl")),
            dead_letters: None,
        };
        let config = Config {
            ordered,
            progress: Progress::Never,
            ..Config::default()
        };
        let source = Source::Jsonl(Text::File(input.clone()));
        let never = std::future::pending();
        let summary = consort_job::run(Arc::new(endpoint), source, outputs, config, never)
            .await
            .unwrap();
        assert_eq!(summary.predictions, ROWS as u64);
        let rate = summary.examples_per_second();
        println!(
            "job, ordered = {ordered:<5}:            {rate:>9.0} rows/s, {:.2} of serde_json",
            rate / yardstick
        );
    }
}
