//! Execution providers that are not there. (That they work where they are needs a machine
//! that has them.)

use crate::support::{config, load, load_error, mlp_row, predict};
use consort_onnx::{Config, ExecutionProvider};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, Once};
use tracing::field::{Field, Visit};

/// Collects warnings, as `message field=value ...`.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
    fn enter(&self, _: &tracing::Id) {}
    fn exit(&self, _: &tracing::Id) {}
}

/// A provider that no build of ONNX Runtime for this machine has.
fn absent() -> ExecutionProvider {
    let name = if cfg!(windows) {
        "coreml"
    } else {
        "directml:1"
    };
    name.parse().unwrap()
}

#[test]
fn an_absent_provider_is_an_error_that_says_what_there_is() {
    let provider = absent();
    let error = load_error(&Config {
        providers: vec![provider],
        ..config("mlp")
    });
    assert!(
        error.starts_with(&format!(
            "execution provider {provider} is not in this build of ONNX Runtime"
        )),
        "{error}"
    );
    assert!(error.contains("CPUExecutionProvider"), "{error}");
    assert!(error.contains("set fallback = true"), "{error}");
}

#[test]
fn with_fallback_it_is_a_warning_and_the_model_runs() {
    // Somebody listens all the time: a place in the code that is reached while nobody does,
    // on a thread of another test, could be switched off for all.
    static LISTEN: Once = Once::new();
    LISTEN.call_once(|| tracing::subscriber::set_global_default(Warnings::default()).unwrap());
    let warnings = Warnings::default();
    let handler = tracing::subscriber::with_default(warnings.clone(), || {
        load(&Config {
            providers: vec![absent(), ExecutionProvider::Cpu],
            fallback: true,
            ..config("mlp")
        })
    });
    let usual = load(&config("mlp"));
    assert_eq!(
        predict(&handler, vec![mlp_row(1)]),
        predict(&usual, vec![mlp_row(1)])
    );
    let warnings = warnings.0.lock().unwrap();
    let expected = format!("provider={}", absent());
    assert!(
        warnings
            .iter()
            .any(|line| line.contains(&expected) && line.contains("not in this build")),
        "{warnings:?}"
    );
}

#[test]
fn the_cpu_can_be_asked_for() {
    let handler = load(&Config {
        providers: vec![ExecutionProvider::Cpu],
        ..config("mlp")
    });
    predict(&handler, vec![mlp_row(0)]);
}
