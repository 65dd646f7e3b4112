//! Any text of rows is read to its end, each row an example or a failure, or the job says why
//! it cannot begin; never a panic.
//!
//! The first byte of the input is the format: `C` for CSV, anything else JSON lines.

#![no_main]

use consort_inference::{
    BoxFuture, Call, Datatype, Endpoint, Example, Failure, Prediction, Signature, TensorSpec,
};
use consort_job::{Columns, Config, Format, Outputs, Progress, Sink, Source, Text, run};
use libfuzzer_sys::fuzz_target;
use std::future::pending;
use std::io::Cursor;
use std::sync::Arc;

/// What is never asked: the job only reads and checks.
struct Silent(Signature);

// === impl Silent ===

impl Endpoint for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    fn version(&self) -> &str {
        "1"
    }

    fn platform(&self) -> &str {
        "fuzz"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn infer(&self, _: Vec<Example>, _: Call) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        unreachable!("a dry run asks nobody")
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((format, text)) = input.split_first() else {
        return;
    };
    let format = match format {
        b'C' => Format::Csv,
        _ => Format::Jsonl,
    };
    let endpoint = Arc::new(Silent(Signature {
        inputs: vec![
            TensorSpec::new("x", Datatype::Fp32, vec![Some(2)]),
            TensorSpec::new("s", Datatype::Bytes, vec![Some(1)]),
        ],
        outputs: vec![],
    }));
    let config = Config {
        columns: Columns {
            key: Some("id".to_owned()),
            tensors: vec![
                ("x".into(), vec!["a".to_owned(), "b".to_owned()]),
                ("s".into(), vec!["text".to_owned()]),
            ],
        },
        line_bytes_max: 1 << 10,
        dry_run: true,
        progress: Progress::Never,
        ..Config::default()
    };
    let text = Text::Reader("fuzz".to_owned(), Box::new(Cursor::new(text.to_vec())));
    let source = Source::Rows {
        inputs: vec![text],
        format: Some(format),
    };
    let outputs = Outputs {
        predictions: Sink::Stdout,
        dead_letters: None,
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    match runtime.block_on(run(endpoint, source, outputs, config, pending())) {
        Ok(summary) => {
            let lines = input.iter().filter(|byte| b"\r\n".contains(byte)).count();
            assert!(summary.examples() <= lines as u64 + 1);
        }
        Err(error) => drop(error.to_string()),
    }
});
