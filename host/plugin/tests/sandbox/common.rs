//! What the sandbox's tests share: guests, sandboxes, examples, and a log to read.

use consort_inference::{Call, Datatype, Example, Failure, Outcome, Tensor, Tensors};
use consort_plugin::{Config, Plugin, PluginConfig, Sandbox};
use prometheus_client::registry::Registry;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

/// The number on which guests that are bad on one example only are bad.
pub(crate) const MARK: i64 = 13;

/// The file of a guest of `tests/guests/examples`.
pub(crate) fn guest(name: &str) -> PathBuf {
    let path = guests().join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "{} is not there: `cargo xtask test` builds the guests before it runs the tests \
         (CONSORT_GUESTS names another folder)",
        path.display()
    );
    path
}

fn guests() -> PathBuf {
    match std::env::var_os("CONSORT_GUESTS") {
        Some(folder) => folder.into(),
        None => {
            let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
            PathBuf::from(root).join("target/wasm32-wasip2/guest/examples")
        }
    }
}

/// A sandbox and its metrics.
pub(crate) struct World {
    pub(crate) sandbox: Arc<Sandbox>,
    registry: Registry,
}

pub(crate) fn small() -> Config {
    Config {
        instances_max: 8,
        epoch_tick: Duration::from_millis(1),
        ..Config::default()
    }
}

pub(crate) fn world() -> World {
    world_of(small())
}

pub(crate) fn world_of(config: Config) -> World {
    let mut registry = Registry::default();
    let sandbox = Sandbox::new(config, &mut registry).unwrap();
    World { sandbox, registry }
}

impl World {
    pub(crate) async fn load(&self, config: PluginConfig) -> Plugin {
        match self.sandbox.load(config).await {
            Ok(plugin) => plugin,
            Err(error) => panic!("{error}"),
        }
    }

    /// The guest, loaded with all defaults.
    pub(crate) async fn guest(&self, name: &str) -> Plugin {
        self.load(config(name)).await
    }

    /// Why a plugin is not loaded.
    pub(crate) async fn refusal(&self, config: PluginConfig) -> String {
        match self.sandbox.load(config).await {
            Ok(_) => panic!("it was loaded"),
            Err(error) => error.problem.to_string(),
        }
    }

    /// All metrics as text.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// The value of the one line that begins so.
    pub(crate) fn metric(&self, beginning: &str) -> f64 {
        let text = self.metrics();
        let mut found = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(beginning)?;
            rest.rsplit(' ').next()?.parse().ok()
        });
        let value = found
            .next()
            .unwrap_or_else(|| panic!("no {beginning} in\n{text}"));
        assert!(found.next().is_none(), "several {beginning} in\n{text}");
        value
    }
}

pub(crate) fn config(name: &str) -> PluginConfig {
    PluginConfig::new(name.parse().unwrap(), guest(name))
}

/// A component from text, in a file of its own. Keep the folder as long as the file.
pub(crate) fn component(text: &str) -> (tempfile::TempDir, PluginConfig) {
    bytes(&wat::parse_str(text).unwrap())
}

pub(crate) fn bytes(content: &[u8]) -> (tempfile::TempDir, PluginConfig) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plugin.wasm");
    std::fs::write(&path, content).unwrap();
    let config = PluginConfig::new("plugin".parse().unwrap(), path);
    (folder, config)
}

pub(crate) fn tensors(x: i64) -> Tensors {
    let tensor = Tensor::from_slice(vec![1], &[x]).unwrap();
    Tensors::from_named([("x".into(), tensor)]).unwrap()
}

pub(crate) fn number(tenant: &str, x: i64) -> Example {
    Example {
        tenant: tenant.parse().unwrap(),
        key: None,
        tensors: tensors(x),
    }
}

pub(crate) fn numbers(tenant: &str, xs: impl IntoIterator<Item = i64>) -> Vec<Example> {
    xs.into_iter().map(|x| number(tenant, x)).collect()
}

pub(crate) fn x_of(tensors: &Tensors) -> i64 {
    let tensor = tensors.tensor("x").unwrap();
    assert_eq!(tensor.datatype(), Datatype::Int64);
    tensor.to_vec::<i64>().unwrap()[0]
}

/// The number that an ensemble made.
pub(crate) fn x_made(outcome: &Outcome) -> i64 {
    match outcome {
        Outcome::Predicted(tensors, _) => x_of(tensors),
        other => panic!("{other:?}"),
    }
}

/// Calls the post-processing role with numbers of one tenant.
pub(crate) async fn post(
    plugin: &Plugin,
    tenant: &str,
    xs: impl IntoIterator<Item = i64>,
) -> Vec<Result<i64, Failure>> {
    let results = plugin
        .run_postprocess(numbers(tenant, xs), Call::default())
        .await;
    results
        .into_iter()
        .map(|result| result.map(|tensors| x_of(&tensors)))
        .collect()
}

/// The same for one number.
pub(crate) async fn post_one(plugin: &Plugin, x: i64) -> Result<i64, Failure> {
    let mut results = post(plugin, "default", [x]).await;
    assert_eq!(results.len(), 1);
    results.remove(0)
}

pub(crate) async fn pre(plugin: &Plugin, xs: &[i64]) -> Vec<Result<Outcome, Failure>> {
    let examples = numbers("default", xs.iter().copied());
    plugin.run_preprocess(examples, Call::default()).await
}

/// What is logged on this thread while it lives, as text.
pub(crate) struct Logged {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Logged {
    pub(crate) fn begin() -> Self {
        // Somebody listens to every line all the time: a place in the code that is reached
        // while nobody does, on a thread of another test, could be switched off for all.
        static LISTEN: Once = Once::new();
        LISTEN.call_once(|| {
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_writer(std::io::sink)
                .init();
        });
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(move || Writer(writer.clone()))
            .finish();
        Self {
            text,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The lines of the sandbox.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        let ours = |line: &&str| line.contains("consort::plugin");
        text.lines().filter(ours).map(str::to_owned).collect()
    }

    pub(crate) fn contains(&self, part: &str) -> bool {
        self.lines().iter().any(|line| line.contains(part))
    }
}

struct Writer(Arc<Mutex<Vec<u8>>>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
