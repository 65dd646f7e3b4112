//! What the sandbox costs around real plugins: the file-type example's pre-processor against
//! the same code native, and its post-processor in Rust beside the one in Python.
//!
//! Lines that begin with `bench: ` are collected by `cargo xtask bench`.

use consort_inference::{Call, Example, Tensor, Tensors};
use consort_plugin::{Config, Instances, Plugin, PluginConfig, Sandbox};
use consort_sdk::{Assets, Plugin as _, Preprocess};
use consort_tests::prepared;
use file_type_features::{FileFeatures, Windows, features};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const MODEL: &str = "examples/file-type/model";
const ASSETS: [(&str, &str); 2] = [
    ("config.json", "config.min.json"),
    ("content_types.json", "content_types_kb.min.json"),
];
/// Calls that are timed, after a tenth of them as warm-up.
const CALLS: usize = 1_000;
/// Examples of one call of the pre-processor.
const EXAMPLES: usize = 64;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
    if wanted("features") {
        pre_processor(&runtime);
    }
    if wanted("labels") {
        languages(&runtime);
    }
}

/// The pre-processor of the file-type example, a file of 100 kB.
fn pre_processor(runtime: &Runtime) {
    let content: Vec<u8> = (0..100_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let (head, tail) = (&content[..4096], &content[content.len() - 4096..]);
    let read = |name: &str| std::fs::read(prepared(MODEL).join(name)).expect("an asset");
    let assets = Assets::from_pairs(ASSETS.map(|(name, file)| (name, read(file))));
    let native = FileFeatures::init("", &assets).expect("the assets are right");
    let size = content.len() as u64;
    let windows = Windows { head, tail, size };
    let function = median(CALLS, || {
        black_box(features(native.config(), black_box(windows)).expect("features"));
    });
    let bytes = |bytes: &[u8]| consort_sdk::Tensor::single_bytes(bytes).expect("a tensor");
    let native_example = || {
        let size = consort_sdk::Tensor::single(size as i64).expect("a tensor");
        let tensors = [("head", bytes(head)), ("tail", bytes(tail)), ("size", size)];
        consort_sdk::Example::from_tensors(tensors)
    };
    // As many at a time as a call of the plugin has: one alone would stay in the processor's
    // nearest cache.
    let natives: Vec<_> = (0..EXAMPLES).map(|_| native_example()).collect();
    let native_role = || {
        let results = black_box(native.preprocess_many(black_box(&natives)));
        assert!(results.iter().all(Result::is_ok));
    };
    println!(
        "bench: features, function native | {:.2} us | goal - | ok",
        us(function)
    );

    let least = copies(head, tail) / EXAMPLES as u32;
    println!(
        "bench: features, copies of whole windows and features | {:.2} us an example | goal - | ok",
        us(least)
    );
    let alone = median(CALLS, &native_role) / EXAMPLES as u32;
    let least = (function + least).as_secs_f64() / alone.as_secs_f64();
    println!("bench: features, copies and function / role native | {least:.1} ratio | goal - | ok");

    let wasm = prepared("examples/file-type/components/file_type_features.wasm");
    let sandbox = sandbox(None);
    let examples: Vec<Example> = (0..EXAMPLES)
        .map(|_| file_example(head, tail, size))
        .collect();
    for (name, instances) in [("fresh", Instances::Fresh), ("reused", Instances::Reuse)] {
        let plugin = runtime.block_on(load(&sandbox, &wasm, instances)).0;
        // What the job would hand over; making it is not the plugin's cost.
        let mut inputs = vec![examples.clone(); CALLS + CALLS / 10];
        // Both take turns, so that a busy moment falls on both.
        let mut natives = Vec::new();
        let call = median_of(CALLS, || {
            let begun = now();
            native_role();
            natives.push(begun.elapsed());
            let examples = inputs.pop().expect("an input for each call");
            let begun = now();
            let call = plugin.run_preprocess(examples, Call::default());
            assert!(runtime.block_on(call).iter().all(Result::is_ok));
            begun.elapsed()
        });
        natives.sort_unstable();
        let native_role = natives[natives.len() / 2] / EXAMPLES as u32;
        println!(
            "bench: features, role native, {EXAMPLES} examples a call | {:.2} us an example | goal - | ok",
            us(native_role)
        );
        let each = call / EXAMPLES as u32;
        let ratio = each.as_secs_f64() / native_role.as_secs_f64();
        println!(
            "bench: features, plugin, {name} instance, {EXAMPLES} examples a call | {:.2} us an example | goal - | ok",
            us(each)
        );
        // The life of a fresh instance, a part of its calls, has a goal of its own.
        let (goal, word) = match instances {
            Instances::Fresh => ("-", "ok"),
            Instances::Reuse if ratio <= 1.5 => ("at most 1.5", "ok"),
            Instances::Reuse => ("at most 1.5", "short"),
        };
        println!(
            "bench: features, plugin ({name}) / native | {ratio:.2} ratio | goal {goal} | {word}"
        );
    }
}

/// What a plugin cannot leave out that reads all of its inputs and makes its outputs itself, for
/// a call of `EXAMPLES`: the inputs go into its memory and the features out of it, once each.
fn copies(head: &[u8], tail: &[u8]) -> Duration {
    let inputs: Vec<Vec<u8>> = (0..EXAMPLES).map(|_| [head, tail].concat()).collect();
    let features = vec![1u8; EXAMPLES * 2048 * size_of::<i32>()];
    let mut memory = vec![0u8; inputs.iter().map(Vec::len).sum()];
    median(CALLS, || {
        let chunks = memory.chunks_exact_mut(head.len() + tail.len());
        for (chunk, input) in chunks.zip(&inputs) {
            chunk.copy_from_slice(black_box(input));
        }
        black_box(&memory);
        black_box(features.to_vec());
    })
}

/// The post-processor in both languages: compile, start, instance and call.
fn languages(runtime: &Runtime) {
    let mut scores = vec![0f32; 214];
    scores[7] = 0.9;
    let scores = Tensor::from_slice(vec![214], &scores).expect("a tensor");
    let example = example([("target_label", scores)]);
    for (language, file) in [
        ("Rust", "file_type_labels.wasm"),
        ("Python", "file_type_labels_python.wasm"),
    ] {
        let wasm = prepared("examples/file-type/components").join(file);
        let cache = tempfile::tempdir().expect("a temporary folder");
        let sandbox = sandbox(Some(&cache.path().join("cache")));
        let cold = runtime.block_on(load(&sandbox, &wasm, Instances::Fresh)).1;
        let (fresh, cached) = runtime.block_on(load(&sandbox, &wasm, Instances::Fresh));
        let (reused, _) = runtime.block_on(load(&sandbox, &wasm, Instances::Reuse));
        let call = |plugin: &Plugin| {
            median(CALLS / 2, || {
                let call = plugin.run_postprocess(vec![example.clone()], Call::default());
                assert!(runtime.block_on(call).iter().all(Result::is_ok));
            })
        };
        let (fresh, reused) = (call(&fresh), call(&reused));
        for (what, value) in [
            ("load, compiling", format!("{:.0} ms", us(cold) / 1e3)),
            ("load, cached", format!("{:.1} ms", us(cached) / 1e3)),
            ("call in a fresh instance", format!("{:.0} us", us(fresh))),
            ("call in a reused instance", format!("{:.0} us", us(reused))),
        ] {
            println!("bench: labels in {language}, {what} | {value} | goal - | ok");
        }
    }
}

fn sandbox(cache_dir: Option<&Path>) -> Arc<Sandbox> {
    let config = Config {
        cache_dir: cache_dir.map(Path::to_path_buf),
        ..Config::default()
    };
    let mut metrics = prometheus_client::registry::Registry::default();
    let sandbox = Sandbox::new(config, &mut metrics).expect("a sandbox");
    assert_eq!(sandbox.cache_problem().map(ToString::to_string), None);
    sandbox
}

async fn load(sandbox: &Arc<Sandbox>, wasm: &Path, instances: Instances) -> (Plugin, Duration) {
    let name = "bench".parse().expect("a name");
    let mut config = PluginConfig::new(name, wasm);
    config.instances = instances;
    let asset = |(name, file): (&str, &str)| (name.to_owned(), prepared(MODEL).join(file));
    config.assets = ASSETS.map(asset).into();
    let begin = now();
    let plugin = sandbox.load(config).await.expect("the plugin loads");
    (plugin, begin.elapsed())
}

fn file_example(head: &[u8], tail: &[u8], size: u64) -> Example {
    let bytes = |bytes: &[u8]| Tensor::from_byte_strings(vec![1], [bytes]).expect("a tensor");
    let size = Tensor::from_slice(vec![1], &[size as i64]).expect("a tensor");
    example([("head", bytes(head)), ("tail", bytes(tail)), ("size", size)])
}

fn example<const N: usize>(tensors: [(&str, Tensor); N]) -> Example {
    let named = tensors.map(|(name, tensor)| (name.into(), tensor));
    Example {
        tenant: Default::default(),
        key: None,
        tensors: Tensors::from_named(named).expect("names differ"),
    }
}

fn median(calls: usize, mut call: impl FnMut()) -> Duration {
    median_of(calls, || {
        let begin = now();
        call();
        begin.elapsed()
    })
}

/// The median of what calls say that they took, after a tenth of them as warm-up.
fn median_of(calls: usize, mut call: impl FnMut() -> Duration) -> Duration {
    for _ in 0..calls / 10 {
        call();
    }
    let mut times: Vec<Duration> = (0..calls).map(|_| call()).collect();
    times.sort_unstable();
    times[calls / 2]
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
