//! What a remote model is told: plain values; whoever assembles the host fills them in.

use consort_inference::{ModelId, Signature};
use std::path::PathBuf;
use std::time::Duration;

/// Everything about one remote model. [`Config::new`] has the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What the model is called here: the labels of metrics, the subject of messages.
    pub id: ModelId,
    /// Where the server is: `http://` or `https://`, without user, query or fragment. For the
    /// Open Inference Protocol what stands before `/v2`; for Vertex AI's form the endpoint,
    /// with or without `:predict` at its end.
    pub url: String,
    /// What the server speaks.
    pub api: Api,
    /// Where the bearer token of each request is found; none if `None`.
    pub bearer_token: Option<Secret>,
    /// Further header fields of each request, by name.
    pub headers: Vec<(String, Secret)>,
    /// How long a secret that was read from a file is used before the file is read again; it
    /// is also read again after an answer of 401.
    pub secret_refresh: Duration,
    /// Whether secrets may go over `http://` to another host than this one.
    pub cleartext_secrets: bool,
    /// How servers behind `https://` are trusted, and how they are to trust this one.
    pub tls: TlsConfig,
    /// How long connecting may take, names, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long one try may take, from the first byte of the request (waiting for a connection
    /// and making one included) to the last byte of the answer.
    pub request_timeout: Duration,
    /// How long a call may take with all its tries and waits, whatever deadline its batch has.
    pub call_timeout: Duration,
    /// How many requests may be under way at a time, and so how many connections exist.
    pub connections_max: usize,
    /// How many connections are kept while nothing uses them.
    pub idle_connections_max: usize,
    /// How long a connection is kept while nothing uses it.
    pub idle_timeout: Duration,
    /// The largest body of a request, in bytes. A batch beyond is taken apart by the batcher.
    pub request_bytes_max: usize,
    /// The largest body of an answer, in bytes.
    pub response_bytes_max: usize,
    /// The most requests in any second, at least `1/3600`; no limit if `None`.
    pub requests_per_second_max: Option<f64>,
    /// When a try is followed by another.
    pub retry: RetryConfig,
    /// How a server that refuses is asked less; not at all if `None`.
    pub throttle: Option<ThrottleConfig>,
    /// When a server that is gone is left alone; never if `None`.
    pub breaker: Option<BreakerConfig>,
}

/// What the server speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Api {
    /// The Open Inference Protocol, version 2, over HTTP.
    OpenInference(OpenInference),
    /// JSON as Vertex AI's and TensorFlow Serving's `:predict` take it.
    Vertex {
        /// The tensors of one example: such servers have no metadata to ask.
        signature: Signature,
    },
}

/// Which model of an Open Inference Protocol server, and how to talk about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenInference {
    /// The model's name on the server.
    pub model: String,
    /// Its version there; the server chooses if `None`.
    pub version: Option<String>,
    /// How tensors travel.
    pub form: TensorForm,
    /// Whether tensors have a leading batch axis.
    pub batch_axis: BatchAxis,
}

/// How tensors travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TensorForm {
    /// Binary if the server lists the extension `binary_tensor_data`, JSON if not.
    #[default]
    Auto,
    /// By the binary tensor extension: every datatype and value, and much faster.
    Binary,
    /// As JSON: no FP16, no BF16, no NaN or infinity, `BYTES` only as UTF-8 texts.
    Json,
}

/// Whether the server's tensors have a leading batch axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchAxis {
    /// As the server's model configuration says (`max_batch_size` above 0); where it has none,
    /// when every tensor's first axis is of any length.
    #[default]
    Auto,
    /// They have: rows are stacked, one request a batch.
    Leading,
    /// They have not: one request a row.
    Absent,
}

/// Where a secret is found. Its value never stands in a manifest, a log or a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In the environment variable of that name, read once.
    Env(String),
    /// In the file of that path, white space at its end removed; read again from time to time.
    File(PathBuf),
}

/// TLS. Versions 1.2 and 1.3; certificates are always checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsConfig {
    /// A PEM file with the only authorities to trust; the platform's if `None`.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate chain that this host shows, and one with its key.
    pub client_certificate: Option<ClientCertificate>,
}

/// What this host shows to a server that asks who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// A PEM file with the certificate, its own first, and what leads to its authority.
    pub certificate_file: PathBuf,
    /// A PEM file with its private key.
    pub key_file: PathBuf,
}

/// When a try is followed by another: after a connection that could not be made, and after
/// 408, 429, 502, 503 and 504.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// How many tries may follow the first.
    pub retries_max: u32,
    /// The longest wait before the second try; it doubles with each further one.
    pub delay_initial: Duration,
    /// What the longest wait does not grow beyond. `Retry-After` may ask for more.
    pub delay_max: Duration,
}

/// Adaptive throttling, by Beam's formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThrottleConfig {
    /// K: how many requests may be wanted for each one answered before any is held back. At
    /// least 1; the larger, the later.
    pub overload_ratio: f64,
    /// How long requests and answers count.
    pub window: Duration,
    /// About how long a request that was held back waits before it is weighed again.
    pub delay: Duration,
}

/// The circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// So many failures in a row open it: unreachable, broken off, timed out, 502, 503, 504.
    pub failures_max: u32,
    /// How long it stays open before one probe is let through.
    pub pause_initial: Duration,
    /// What the pause, doubled by each probe that fails, does not grow beyond.
    pub pause_max: Duration,
}

// === impl Config ===

impl Config {
    /// The defaults, for a model behind a URL.
    pub fn new(id: ModelId, url: impl Into<String>, api: Api) -> Self {
        Self {
            id,
            url: url.into(),
            api,
            bearer_token: None,
            headers: Vec::new(),
            secret_refresh: Duration::from_secs(60),
            cleartext_secrets: false,
            tls: TlsConfig::default(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(120),
            connections_max: 64,
            idle_connections_max: 16,
            idle_timeout: Duration::from_secs(30),
            request_bytes_max: 64 << 20,
            response_bytes_max: 64 << 20,
            requests_per_second_max: None,
            retry: RetryConfig::default(),
            throttle: Some(ThrottleConfig::default()),
            breaker: Some(BreakerConfig::default()),
        }
    }
}

// === impl OpenInference ===

impl OpenInference {
    /// The defaults, for a model by its name on the server.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            version: None,
            form: TensorForm::default(),
            batch_axis: BatchAxis::default(),
        }
    }
}

// === impl RetryConfig ===

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            retries_max: 5,
            delay_initial: Duration::from_millis(100),
            delay_max: Duration::from_secs(10),
        }
    }
}

// === impl ThrottleConfig ===

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            overload_ratio: 2.0,
            window: Duration::from_secs(120),
            delay: Duration::from_secs(1),
        }
    }
}

// === impl BreakerConfig ===

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures_max: 10,
            pause_initial: Duration::from_secs(5),
            pause_max: Duration::from_secs(60),
        }
    }
}
