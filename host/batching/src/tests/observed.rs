//! What an operator sees: the metrics' text and the log's lines.

use super::stage::{Fake, MS, Stage, example_of, examples, settle};
use crate::Config;
use consort_inference::{Call, Trace};
use std::fmt::Write;
use std::sync::{Arc, Mutex, Once};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// Keeps the lines that are logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("consort_batching")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut Fields(&mut line));
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Lines {
    /// Keeps what this thread logs while the guard lives.
    fn keep(&self) -> DefaultGuard {
        // Somebody listens to every line all the time: a place in the code that is reached
        // while nobody does, on a thread of another test, could be switched off for all.
        static LISTEN: Once = Once::new();
        LISTEN.call_once(|| tracing::subscriber::set_global_default(Self::default()).unwrap());
        tracing::subscriber::set_default(self.clone())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn config() -> Config {
    Config {
        max_batch_size: Some(4),
        max_queue_size: 8,
        ..Config::default()
    }
}

/// Something of everything: refusals, a poison, an expired and an abandoned example.
async fn a_day_at_work() -> Stage {
    let stage = Stage::new(Fake::new().takes(MS * 10).fails_on(&[2]), config());
    let first = stage.send(examples(0..4)).await;
    let light = stage.send(vec![example_of("light", 10, 1)]).await;
    let expiring = stage.send_by(examples([11]), Some(MS * 5)).await;
    let abandoned = stage.send(examples([12, 13])).await;
    abandoned.abort();
    settle().await;
    let refused = stage.infer(examples(20..29)).await;
    assert_eq!(refused.len(), 9);
    for sent in [first, light, expiring] {
        sent.await.unwrap();
    }
    stage
}

/// The metrics' text without the buckets, with the many series of a family in order.
fn condensed(text: &str) -> String {
    let mut families: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().filter(|line| !line.contains("_bucket{")) {
        match families.last_mut() {
            Some(family) if !line.starts_with("# HELP") && line != "# EOF" => family.push(line),
            _ => families.push(vec![line]),
        }
    }
    for family in &mut families {
        family.sort_by_key(|line| (!line.starts_with('#'), *line));
    }
    families.concat().join("\n") + "\n"
}

#[tokio::test(start_paused = true)]
async fn the_metrics_text_is_as_kept() {
    let stage = a_day_at_work().await;
    let text = condensed(&stage.metrics_text());
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/metrics.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    let kept = std::fs::read_to_string(golden).unwrap();
    assert_eq!(
        text, kept,
        "run the test with UPDATE_GOLDEN=1 if this is meant"
    );
}

#[tokio::test(start_paused = true)]
async fn loading_a_model_is_recorded_in_beams_names() {
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = crate::Metrics::register(&mut registry);
    let model = consort_inference::ModelId::new("m", "2");
    metrics.record_model_load(&model, MS * 250, 3_000_000);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "model_byte_size{model=\"m\",version=\"2\"} 3000000\n",
        "load_model_latency_milli_secs_sum{model=\"m\",version=\"2\"} 250.0\n",
        "load_model_latency_milli_secs_count{model=\"m\",version=\"2\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_drops_and_failures_are_logged() {
    let lines = Lines::default();
    let _guard = lines.keep();
    a_day_at_work().await;
    assert_eq!(
        lines.take(),
        [
            "INFO message=dropped before they ran model=echo:7 tenant=default \
             reason=\"abandoned\" examples=2 suppressed=0",
            "INFO message=refused: the request has 9 examples, more than the whole queue takes: \
             max_queue_size = 8; send smaller requests, or raise max_queue_size in [model.echo] \
             model=echo:7 tenant=default kind=too_large examples=9 suppressed=0",
            "INFO message=dropped before they ran model=echo:7 tenant=default \
             reason=\"expired\" examples=1 suppressed=0",
            "WARN message=a batch failed: example 2 is poison model=echo:7 kind=model_failed \
             examples=4 suppressed=0",
            "WARN message=a batch failed: example 2 is poison model=echo:7 kind=model_failed \
             examples=2 suppressed=0",
            "WARN message=a batch failed: example 2 is poison model=echo:7 kind=model_failed \
             examples=1 suppressed=0",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_refusals_is_a_trickle_of_lines() {
    let lines = Lines::default();
    let _guard = lines.keep();
    let stage = Stage::new(Fake::new().takes(MS * 1_000), config());
    let running = stage.send(examples(0..4)).await;
    let waiting = stage.send(examples(4..12)).await;
    for _ in 0..500 {
        assert!(stage.infer(examples([20])).await[0].is_err());
    }
    let written = lines.take();
    assert_eq!(written.len(), 10);
    assert!(written[0].starts_with("WARN message=refused: the queue is full"));
    tokio::time::sleep(MS * 999).await;
    assert_eq!(lines.take(), Vec::<String>::new());
    drop((running, waiting));
}

#[tokio::test(start_paused = true)]
async fn running_out_of_memory_is_logged_at_each_step_down() {
    let lines = Lines::default();
    let _guard = lines.keep();
    let fails = |ids: &[i64], rows| match ids.len() {
        1 => Ok(rows),
        _ => Err(consort_inference::PredictError::OutOfMemory(
            "no".to_owned(),
        )),
    };
    let stage = Stage::new(Fake::new().predicts(fails), config());
    assert!(stage.infer(examples(0..4)).await.iter().all(Result::is_ok));
    let lowered: Vec<_> = lines
        .take()
        .into_iter()
        .filter(|l| l.contains("from="))
        .collect();
    let line = |from: usize, to: usize| {
        format!(
            "WARN message=out of memory: batches are smaller, and a larger one is tried again later; \
             write max_batch_size = {to} in [model.echo] if this happens at each start \
             model=echo:7 from={from} to={to}"
        )
    };
    assert_eq!(lowered, [line(4, 2), line(2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_traced_call_is_told_its_wait_and_its_runs() {
    let config = Config {
        max_batch_size: Some(2),
        ..Config::default()
    };
    let stage = Stage::new(Fake::new().takes(MS * 10), config);
    let first = stage.send(examples([1])).await;
    let trace = Trace::default();
    let call = Call {
        trace: Some(trace.clone()),
        ..Call::default()
    };
    let other = stage.call(examples([2, 3, 4]), call).await;
    let _ = (first.await, other.await);
    let spans = trace.spans();
    let began = spans[0].begin;
    let told: Vec<_> = spans
        .iter()
        .map(|span| {
            let ms = |at: std::time::Instant| (at - began).as_millis();
            (span.kind, ms(span.begin), span.end.map(ms), &*span.detail)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("queue", 0, Some(10), "2 examples"),
            ("batch", 10, Some(20), "2 of 2 examples, replica 0"),
            ("queue", 0, Some(20), "1 examples"),
            ("batch", 20, Some(30), "1 of 1 examples, replica 0"),
        ]
    );
}
