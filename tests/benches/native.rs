//! The shipped plugins in the sandbox against the same code native: the same examples through
//! the role's own trait, with the SDK's tensors in plain memory.
//!
//! Lines that begin with `bench: ` are collected by `cargo xtask bench`.

mod support;

use consort_inference::{Call, Example, Tensor, Tensors};
use consort_plugin::{Config, Instances, Plugin, PluginConfig, Sandbox};
use consort_sdk::{Assets, Outcome, Postprocess, Preprocess};
use consort_tests::{prepared, root, shipped};
use serde_json::{Value, json};
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use support::now;
use tokio::runtime::Runtime;

/// How long the native side of a case is measured.
const TIME: Duration = Duration::from_millis(1500);
/// The most that a plugin may cost, in times of the same code native.
const GOAL: f64 = 1.5;

/// A plugin, and what it is to work on.
struct Case {
    name: &'static str,
    plugin: &'static str,
    config: Value,
    assets: Vec<(&'static str, Vec<u8>)>,
    /// One example; a call has `count` of them.
    tensors: Vec<(&'static str, Values)>,
    count: usize,
    native: fn(&str, &Assets) -> Native,
}

/// A tensor, before it is one of either side.
enum Values {
    F32(Vec<usize>, Vec<f32>),
    I64(Vec<usize>, Vec<i64>),
    U8(Vec<usize>, Vec<u8>),
    Texts(Vec<Vec<u8>>),
}

/// What the native code does with a call.
type Native = Box<dyn Fn(&[consort_sdk::Example]) -> bool>;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    let mut metrics = prometheus_client::registry::Registry::default();
    let sandbox = Sandbox::new(Config::default(), &mut metrics).expect("a sandbox");
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    for case in cases() {
        if only.as_deref().is_none_or(|only| case.name.contains(only)) {
            measure(&case, &sandbox, &runtime);
        }
    }
}

fn measure(case: &Case, sandbox: &Arc<Sandbox>, runtime: &Runtime) {
    let config = match &case.config {
        Value::Null => String::new(),
        config => config.to_string(),
    };
    let assets = Assets::from_pairs(case.assets.iter().cloned());
    let native = (case.native)(&config, &assets);
    let examples: Vec<_> = (0..case.count).map(|_| case.native_example()).collect();
    let native = || {
        let begin = now();
        assert!(native(&examples), "{}", case.name);
        begin.elapsed()
    };

    let folder = tempfile::tempdir().expect("a folder");
    let mut plugin = PluginConfig::new("bench".parse().expect("a name"), shipped(case.plugin));
    plugin.config = config;
    plugin.instances = Instances::Reuse;
    for (name, content) in &case.assets {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("an asset");
        plugin.assets.insert((*name).to_owned(), path);
    }
    let plugin = runtime.block_on(sandbox.load(plugin)).expect("it loads");
    let examples: Vec<_> = (0..case.count).map(|_| case.example()).collect();
    let in_sandbox = || {
        // What a step would hand over; making it is not the plugin's cost.
        let examples = examples.clone();
        let begin = now();
        let is_right = runtime.block_on(call(&plugin, examples));
        let time = begin.elapsed();
        assert!(is_right, "{}", case.name);
        time
    };
    let (native, sandboxed) = in_turn(native, in_sandbox);

    let each = |time: Duration| time.as_secs_f64() * 1e6 / case.count as f64;
    let (native, sandboxed, copies) = (each(native), each(sandboxed), each(copies(&examples)));
    let ratio = sandboxed / native;
    let (name, count) = (case.name, case.count);
    println!("bench: {name}, copies of the inputs alone | {copies:.2} us an example | goal - | ok");
    println!("bench: {name}, role native | {native:.2} us an example | goal - | ok");
    println!(
        "bench: {name}, plugin (reused), {count} examples a call | {sandboxed:.2} us an example | goal - | ok"
    );
    println!(
        "bench: {name}, plugin (reused) / native | {ratio:.2} ratio | goal at most {GOAL} | {}",
        if ratio <= GOAL { "ok" } else { "short" }
    );
}

/// What no sandbox can leave out: the inputs go into the guest's memory, once.
fn copies(examples: &[Example]) -> Duration {
    let tensors = examples.iter().flat_map(|example| example.tensors.iter());
    let inputs: Vec<_> = tensors.map(|(_, tensor)| tensor.data().clone()).collect();
    let mut memory = vec![0u8; inputs.iter().map(|input| input.len()).sum()];
    rounds(|| {
        let begin = now();
        let mut rest = &mut memory[..];
        for input in &inputs {
            let (place, after) = rest.split_at_mut(input.len());
            place.copy_from_slice(black_box(input));
            rest = after;
        }
        black_box(&memory);
        begin.elapsed()
    })
}

/// One call of the role that the plugin has; whether all went well.
async fn call(plugin: &Plugin, examples: Vec<Example>) -> bool {
    if plugin.preprocess().is_some() {
        let results = plugin.run_preprocess(examples, Call::default()).await;
        return results.iter().all(Result::is_ok);
    }
    let results = plugin.run_postprocess(examples, Call::default()).await;
    results.iter().all(Result::is_ok)
}

/// The medians of two sides that take turns, so that a busy moment falls on both.
fn in_turn(
    mut one: impl FnMut() -> Duration,
    mut other: impl FnMut() -> Duration,
) -> (Duration, Duration) {
    let mut others = Vec::new();
    let one = rounds(|| {
        others.push(other());
        one()
    });
    // Those of the warm-up too: half of them would have to be bad to matter.
    others.sort_unstable();
    (one, others[others.len() / 2])
}

/// The median of many rounds, after a tenth of them as warm-up.
fn rounds(mut round: impl FnMut() -> Duration) -> Duration {
    let first = (0..3).map(|_| round()).min().unwrap_or_default();
    let count = TIME.as_nanos() / first.as_nanos().max(1);
    let count = usize::try_from(count).unwrap_or(usize::MAX).clamp(5, 2_000);
    (0..count / 10).for_each(|_| {
        round();
    });
    let mut times: Vec<Duration> = (0..count).map(|_| round()).collect();
    times.sort_unstable();
    times[count / 2]
}

fn preprocess<P: Preprocess>(config: &str, assets: &Assets) -> Native {
    let plugin = P::init(config, assets).expect("the configuration is right");
    Box::new(move |examples| {
        let results = black_box(plugin.preprocess_many(black_box(examples)));
        let forwarded = |one| matches!(one, &Ok(Outcome::Forward(_)));
        results.iter().all(forwarded)
    })
}

fn postprocess<P: Postprocess>(config: &str, assets: &Assets) -> Native {
    let plugin = P::init(config, assets).expect("the configuration is right");
    Box::new(move |examples| {
        let results = black_box(plugin.postprocess_many(black_box(examples)));
        results.iter().all(Result::is_ok)
    })
}

// === impl Case ===

impl Case {
    fn native_example(&self) -> consort_sdk::Example {
        let tensors = self.tensors.iter();
        consort_sdk::Example::from_tensors(tensors.map(|(name, values)| (*name, values.native())))
    }

    fn example(&self) -> Example {
        let tensors = self.tensors.iter();
        let named = tensors.map(|(name, values)| ((*name).into(), values.tensor()));
        Example {
            tenant: Default::default(),
            key: None,
            tensors: Tensors::from_named(named).expect("names differ"),
        }
    }
}

// === impl Values ===

impl Values {
    fn native(&self) -> consort_sdk::Tensor {
        use consort_sdk::Tensor;
        let tensor = match self {
            Self::F32(shape, numbers) => Tensor::from_slice(shape, numbers),
            Self::I64(shape, numbers) => Tensor::from_slice(shape, numbers),
            Self::U8(shape, numbers) => Tensor::from_slice(shape, numbers),
            Self::Texts(texts) => Tensor::from_byte_strings(&[texts.len()], texts),
        };
        tensor.expect("a tensor")
    }

    fn tensor(&self) -> Tensor {
        let tensor = match self {
            Self::F32(shape, numbers) => Tensor::from_slice(shape.clone(), numbers),
            Self::I64(shape, numbers) => Tensor::from_slice(shape.clone(), numbers),
            Self::U8(shape, numbers) => Tensor::from_slice(shape.clone(), numbers),
            Self::Texts(texts) => Tensor::from_byte_strings(vec![texts.len()], texts),
        };
        tensor.expect("a tensor")
    }
}

fn cases() -> Vec<Case> {
    let mut cases = pictures();
    cases.extend(model_outputs());
    cases.extend(texts());
    cases.extend(rows());
    cases
}

/// Files that are decoded, shrunk and laid out.
fn pictures() -> Vec<Case> {
    let case = |name, path: &str| Case {
        name,
        plugin: "image",
        config: json!({"resize": {"to": "size", "width": 224, "height": 224}}),
        assets: vec![],
        tensors: vec![(
            "image",
            Values::Texts(vec![fs::read(root().join(path)).expect("an image")]),
        )],
        count: 4,
        native: preprocess::<consort_plugin_image::Images>,
    };
    vec![
        case(
            "image, PNG of 800 x 400",
            "examples/ocr/reference/pages/upside-0.png",
        ),
        case(
            "image, JPEG of 800 x 600",
            "plugins/image/tests/fixtures/photo.jpg",
        ),
        case(
            "image, WebP without loss",
            "examples/ocr/reference/pages/lossless.webp",
        ),
    ]
}

/// What models of vision and texts write.
fn model_outputs() -> Vec<Case> {
    let (side, mut map, mut frame) = (736, vec![0f32; 736 * 736], vec![255u8; 736 * 736 * 3]);
    // Lines of words, as a detector sees a page.
    for (top, left) in (0..16).flat_map(|line| (0..5).map(move |word| (line * 44, word * 140))) {
        for (y, x) in
            (top + 12..top + 36).flat_map(|y| (left + 20..left + 130).map(move |x| (y, x)))
        {
            map[y * side + x] = 0.9;
            frame[(y * side + x) * 3] = (x * 7 % 255) as u8;
        }
    }
    let geometry = vec![1.0, 1.0, 0.0, side as f32, side as f32];
    let found: Vec<f32> = (0..1000)
        .flat_map(|at| {
            let (left, top) = ((at * 37 % 600) as f32, (at * 91 % 600) as f32);
            [left, top, left + 40.0, top + 30.0]
        })
        .collect();
    let dictionary: String = (0..6623).map(|at| format!("c{at}\n")).collect();
    let mask: Vec<i64> = (0..128).map(|at| i64::from(at < 100)).collect();
    vec![
        Case {
            name: "boxes, 80 regions of a map of 736 x 736",
            plugin: "boxes",
            config: json!({"mode": "regions"}),
            assets: vec![],
            tensors: vec![
                ("map", Values::F32(vec![1, side, side], map)),
                ("frame", Values::U8(vec![side, side, 3], frame)),
                ("geometry", Values::F32(vec![5], geometry)),
            ],
            count: 1,
            native: postprocess::<consort_plugin_boxes::Boxes>,
        },
        Case {
            name: "boxes, 1000 boxes suppressed",
            plugin: "boxes",
            config: json!({"mode": "suppress"}),
            assets: vec![],
            tensors: vec![
                ("boxes", Values::F32(vec![1000, 4], found)),
                ("scores", Values::F32(vec![1000], numbers(1000, 0.5))),
            ],
            count: 8,
            native: postprocess::<consort_plugin_boxes::Boxes>,
        },
        Case {
            name: "ctc-decode, 40 places of 6625 symbols",
            plugin: "ctc-decode",
            config: json!({"space": true}),
            assets: vec![("dictionary", dictionary.into_bytes())],
            tensors: vec![(
                "scores",
                Values::F32(vec![40, 6625], numbers(40 * 6625, 0.5)),
            )],
            count: 4,
            native: postprocess::<consort_plugin_ctc_decode::CtcDecode>,
        },
        Case {
            name: "mean-pool, 128 x 384",
            plugin: "mean-pool",
            config: Value::Null,
            assets: vec![],
            tensors: vec![
                (
                    "last_hidden_state",
                    Values::F32(vec![128, 384], numbers(128 * 384, 1.0)),
                ),
                ("attention_mask", Values::I64(vec![128], mask)),
            ],
            count: 16,
            native: postprocess::<consort_plugin_mean_pool::MeanPool>,
        },
        Case {
            name: "scores, 5 of 1000",
            plugin: "scores",
            config: json!({"activation": "softmax", "top_k": 5}),
            assets: vec![(
                "labels.txt",
                (0..1000)
                    .map(|at| format!("label {at}\n"))
                    .collect::<String>()
                    .into_bytes(),
            )],
            tensors: vec![("scores", Values::F32(vec![1000], numbers(1000, 8.0)))],
            count: 64,
            native: postprocess::<consort_plugin_scores::Scores>,
        },
    ]
}

/// A paragraph.
fn texts() -> Vec<Case> {
    const PLAIN: &str = "The host does what has to be fast and trusted: it gathers examples of \
        all callers in batches, runs the models, and speaks to the wire.\tEverything that a user \
        writes is a component in a sandbox: what comes before a model, what comes after it, and \
        the glue between the two.  A component that fails harms nobody but its own caller. ";
    const ACCENTS: &str = "Überall, wo Größe zählt, übt Käthe früh: Äpfel, Öl und süße Brötchen. \
        L\u{2019}e\u{301}te\u{301} dernier, Zoë préférait être à l\u{2019}ombre.  \u{ff21}\u{ff22}\u{ff23} \u{2460} \u{fb01}n. ";
    let tokenizer = fs::read(prepared("examples/embeddings/model/tokenizer.json"));
    let normalise = |name, text: &str| Case {
        name,
        plugin: "text-normalise",
        config: json!({
            "form": "nfkc", "lowercase": true, "strip_accents": true, "strip_control": true,
            "collapse_whitespace": true, "trim": true,
        }),
        assets: vec![],
        tensors: vec![("text", Values::Texts(vec![text.repeat(2).into_bytes()]))],
        count: 64,
        native: preprocess::<consort_plugin_text_normalise::TextNormalise>,
    };
    vec![
        Case {
            name: "tokenizer, a paragraph",
            plugin: "tokenizer",
            config: Value::Null,
            assets: vec![("tokenizer.json", tokenizer.expect("rules"))],
            tensors: vec![("text", Values::Texts(vec![PLAIN.repeat(2).into_bytes()]))],
            count: 16,
            native: preprocess::<consort_plugin_tokenizer::Tokenize>,
        },
        normalise("text-normalise, a paragraph of ASCII", PLAIN),
        normalise("text-normalise, a paragraph with accents", ACCENTS),
    ]
}

/// Rows of a table.
fn rows() -> Vec<Case> {
    let of = |name: &str, count: usize| {
        let categories: Vec<String> = (0..count).map(|at| format!("{name} {at}")).collect();
        json!({"name": name, "categories": categories})
    };
    let measured: Vec<f64> = (1..=64).map(f64::from).collect();
    vec![
        Case {
            name: "standardise, 64 columns",
            plugin: "standardise",
            config: json!({"mean": measured, "deviation": measured, "missing": 0}),
            assets: vec![],
            tensors: vec![("x", Values::F32(vec![64], numbers(64, 100.0)))],
            count: 64,
            native: preprocess::<consort_plugin_standardise::Standardise>,
        },
        Case {
            name: "standardise, 64 rows of 64 columns",
            plugin: "standardise",
            config: json!({"mean": measured, "deviation": measured, "axes": 2}),
            assets: vec![],
            tensors: vec![("x", Values::F32(vec![64, 64], numbers(64 * 64, 100.0)))],
            count: 16,
            native: preprocess::<consort_plugin_standardise::Standardise>,
        },
        Case {
            name: "one-hot, 3 inputs, 258 columns",
            plugin: "one-hot",
            config: json!({"inputs": [of("a", 8), of("b", 50), of("c", 200)]}),
            assets: vec![],
            tensors: vec![
                ("a", Values::Texts(vec![b"a 3".to_vec()])),
                ("b", Values::Texts(vec![b"b 49".to_vec()])),
                ("c", Values::Texts(vec![b"c 101".to_vec()])),
            ],
            count: 64,
            native: preprocess::<consort_plugin_one_hot::OneHot>,
        },
    ]
}

/// Numbers from 0 to a bound, the same at every run.
fn numbers(count: usize, bound: f32) -> Vec<f32> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0 * bound
    };
    (0..count).map(next).collect()
}
