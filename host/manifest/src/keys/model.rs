//! `[model.NAME]`: a model that the host runs natively, or asks another server to run.

use std::path::PathBuf;

use super::batching::{self, BatchPolicy, BatchWeight, Batching, SIZE_MAX};
use super::quiet::{Given, refuse_idle};
use super::remote::{self, RemoteProtocol, TensorKeys};
use super::state;
use super::{BYTES_MAX, COUNT_MAX, TIME_MS_MAX};
use crate::json::Json;
use crate::place::{Located, Place};
use crate::report::Report;
use crate::rule::collection::{Keyed, List, Map, Named, Repeated, Table};
use crate::rule::either::{AutoOr, OrAuto, VersionChoice, Versions};
use crate::rule::number::{Bytes, Flag, Whole};
use crate::rule::real::Real;
use crate::rule::sequence::Rising;
use crate::rule::text::{
    CERTIFICATES, EXAMPLES, NAME, NAMESPACE, PATH, REMOTE, SECRET, SHA256, TENSOR, URL, VARIABLE,
    VERSION,
};
use crate::rule::words::{OneOf, words};
use crate::section::{Checked, Default, Optional, OwnName, OwnPath, OwnPlace, section};

/// The most tensors on each side of a remote model.
const TENSORS_MAX: usize = 256;
/// Sizes of batches, or lengths.
const SIZES: Rising = Rising(List {
    item: Whole::new(1, SIZE_MAX, 8),
    min: 0,
    max: 64,
});

section! {
    /// A model that the host runs natively, or asks another server to run. Ensembles use it,
    /// and it is served under its name.
    pub struct Model {
        /// The model's name.
        pub name: Located<String> = OwnName;
        /// Where the table is.
        pub place: Place = OwnPlace;
        /// The path of the table.
        pub(crate) table: String = OwnPath;
        /// What runs the model.
        pub runtime: Located<ModelRuntime> = Default(OneOf::new(), "\"onnx\"");
        /// The model's file, relative to the manifest, or the folder of its versions. All but
        /// remote models have one.
        pub path: Option<Located<PathBuf>> = Optional(PATH);
        /// The SHA-256 of the file. Another content is an error at load.
        pub sha256: Option<Located<String>> = Optional(SHA256);
        /// The version that every prediction carries.
        pub version: Located<String> = Default(VERSION, "\"1\"");
        /// How many batches run at a time, each on a thread of its own. The weights are
        /// in memory once. `auto` tries at load what is fastest.
        pub replicas: Located<AutoOr<usize>> =
            Default(OrAuto(Whole::new(1, 256, 2)), "\"auto\"");
        /// Threads inside one run; 0 lets the runtime choose. `auto` tries at load what is
        /// fastest.
        pub threads: Located<AutoOr<usize>> =
            Default(OrAuto(Whole::new(0, 1024, 1)), "\"auto\"");
        /// Nodes of one run that may run beside one another.
        pub inter_threads: Located<usize> = Default(Whole::new(1, 1024, 1), "1");
        /// Whether idle threads of the runtime burn their core while they wait. It shortens
        /// a run where there are cores to spare.
        pub spinning: Located<bool> = Default(Flag, "false");
        /// Whether the runtime remembers how to lay out memory for each combination of input
        /// shapes. It remembers all of them for ever.
        pub memory_pattern: Located<bool> = Default(Flag, "false");
        /// How much the runtime rewrites the model's graph at load.
        pub optimization: Located<Optimization> = Default(OneOf::new(), "\"all\"");
        /// Execution providers, the first that can run a node runs it.
        pub providers: Located<Vec<Located<ExecutionProvider>>> =
            Default(List { item: OneOf::new(), min: 1, max: 8 }, "[\"cpu\"]");
        /// Which of several equal devices the providers use.
        pub device_id: Located<u32> = Default(Whole::new(0, 255, 0), "0");
        /// Whether a provider that is not available is passed over instead of an error.
        pub fallback: Located<bool> = Default(Flag, "false");
        /// Whether the model takes several examples in one run.
        pub batching: Located<Batching> = Default(OneOf::new(), "\"on\"");
        /// Who decides how large a batch is, and how long it waits to fill.
        pub batch_policy: Located<BatchPolicy> = Default(OneOf::new(), "\"learned\"");
        /// The most examples in one batch. Without it the host finds the best.
        pub max_batch_size: Option<Located<usize>> = Optional(Whole::new(1, 65_536, 32));
        /// How long a free replica may wait for a batch to fill, in microseconds, counted
        /// from the arrival of its oldest example. With 0 whatever waits runs at once.
        /// Without it the host finds the best.
        pub max_queue_delay_us: Option<Located<u64>> =
            Optional(Whole::new(0, 60_000_000, 500));
        /// The most bytes of input tensors in one batch.
        pub max_batch_bytes: Option<Located<u64>> = Optional(Bytes::new(1, BYTES_MAX));
        /// How much an example weighs, and the most that a batch may weigh:
        /// `{ input = "tokens", axis = 0, max = 8192 }`.
        pub batch_weight: Option<Located<BatchWeight>> = Optional(Table::new());
        /// Sizes of batches that the model runs best, rising.
        pub preferred_batch_sizes: Located<Vec<Located<usize>>> = Default(SIZES, "[]");
        /// Lengths that examples of unequal length are sorted by, rising: examples up to the
        /// same length share a batch, where the model takes examples of unequal length.
        pub shape_buckets: Located<Vec<Located<usize>>> = Default(SIZES, "[]");
        /// The most examples that wait. More are refused at once.
        pub max_queue_size: Located<usize> = Default(Whole::new(1, COUNT_MAX, 4096), "4096");
        /// The most bytes of tensors that wait. More are refused at once.
        pub max_queue_bytes: Located<u64> = Default(Bytes::new(1, BYTES_MAX), "\"256 MiB\"");
        /// The most examples of one tenant that wait. Without it, as many as the queue
        /// takes.
        pub max_tenant_queue_size: Option<Located<usize>> =
            Optional(Whole::new(1, COUNT_MAX, 1024));
        /// How long an example may wait and run, in milliseconds, if its request brings
        /// no deadline. Without it, as long as it takes.
        pub timeout_ms: Option<Located<u64>> = Optional(Whole::new(1, TIME_MS_MAX, 5000));
        /// The namespace of the metrics that Beam names.
        pub metrics_namespace: Located<String> = Default(NAMESPACE, "\"RunInference\"");
        /// A plugin in the role model-handler: it makes batches of examples, runs the model on
        /// them and takes the outputs apart. Without it rows are stacked.
        pub handler: Option<Located<String>> = Optional(NAME);
        /// Whether the model, once it is loaded, stays in memory when `[registry]
        /// model_bytes_max` is reached.
        pub pinned: Located<bool> = Default(Flag, "false");
        /// A file of examples, one JSON object a line, that the model runs before it answers
        /// anybody; every update must be able to. Lines are those of `consort run`:
        /// `{"inputs": {...}}`, or the inputs by name. Without it, one example of zeros.
        pub warm_up: Option<Located<PathBuf>> = Optional(EXAMPLES);
        /// Whether the file, or the folder of versions, is looked at again and again, and
        /// what is new takes over.
        pub watch: Located<bool> = Default(Flag, "false");
        /// How often it is looked at, in milliseconds.
        pub watch_interval_ms: Located<u64> =
            Default(Whole::new(10, TIME_MS_MAX, 10_000), "10000");
        /// Which versions in the folder `path` are served; each has a number for a name, as
        /// in `3.onnx` or `3/model.onnx`. Without it `path` is one model.
        pub versions: Option<Located<Versions>> = Optional(VersionChoice);
        /// What the outputs of an update are held against before it takes over.
        pub update_check: Located<UpdateCheck> = Default(OneOf::new(), "\"outputs\"");
        /// The inputs that hear what an output said last, by the names of both:
        /// `{ state = "stateN" }`. The host keeps them for each stream, which is a key of
        /// one tenant, and clients neither send nor see them. A stream begins with zeros.
        pub state: Option<Located<Vec<Named<String>>>> =
            Optional(Map { keys: TENSOR, item: Keyed(TENSOR) });
        /// How long the state of a stream is kept that nobody asks for, in milliseconds.
        /// After that the stream begins anew.
        pub state_idle_ms: Located<u64> =
            Default(Whole::new(1, TIME_MS_MAX, 300_000), "300000");
        /// The most streams with a state. Beyond them the longest idle begins anew, and where
        /// all are at work an example is refused.
        pub state_keys_max: Located<usize> =
            Default(Whole::new(1, COUNT_MAX, 10_000), "10000");
        /// The most bytes of all states, likewise.
        pub state_bytes_max: Located<u64> = Default(Bytes::new(1, BYTES_MAX), "\"256 MiB\"");
        /// Where the server of a remote model is. Only remote models have this key and those
        /// below.
        pub url: Option<Located<String>> = Optional(URL);
        /// What that server speaks.
        pub protocol: Located<RemoteProtocol> = Default(OneOf::new(), "\"oip\"");
        /// The model's name on that server. Without it, its name here.
        pub remote_name: Option<Located<String>> = Optional(REMOTE);
        /// The model's version on that server. Without it the server chooses.
        pub remote_version: Option<Located<String>> = Optional(REMOTE);
        /// How many tries may follow one that failed for a reason that may pass.
        pub retries_max: Located<u32> = Default(Whole::new(0, 100, 5), "5");
        /// The longest wait before the first of them, in milliseconds; it doubles with each.
        pub retry_backoff_ms: Located<u64> = Default(Whole::new(1, TIME_MS_MAX, 100), "100");
        /// How long one try may take, in milliseconds.
        pub request_timeout_ms: Located<u64> =
            Default(Whole::new(1, TIME_MS_MAX, 30_000), "30000");
        /// How long connecting may take, in milliseconds.
        pub connect_timeout_ms: Located<u64> =
            Default(Whole::new(1, TIME_MS_MAX, 5000), "5000");
        /// The largest body of an answer.
        pub response_bytes_max: Located<u64> = Default(Bytes::new(1, BYTES_MAX), "\"64 MiB\"");
        /// How many requests may be wanted for each that is accepted before some are held
        /// back: adaptive throttling. The larger, the later.
        pub throttle_overload_ratio: Located<f64> =
            Default(Real::new(1.0, 1000.0, "2.0"), "2.0");
        /// After how many failures in a row the server is left alone.
        pub breaker_failures_max: Located<u32> = Default(Whole::new(1, 1_000_000, 5), "5");
        /// How long it is then left alone, in milliseconds.
        pub breaker_open_ms: Located<u64> =
            Default(Whole::new(1, TIME_MS_MAX, 10_000), "10000");
        /// The most requests in a second. Without it, as many as there are.
        pub requests_per_second_max: Option<Located<f64>> =
            Optional(Real::new(0.001, 1_000_000.0, "100"));
        /// A PEM file with the only authorities to trust. Without it, the system's.
        pub ca_file: Option<Located<PathBuf>> = Optional(CERTIFICATES);
        /// The environment variable that holds the bearer token of each request.
        pub token_env: Option<Located<String>> = Optional(VARIABLE);
        /// The file that holds it.
        pub token_file: Option<Located<PathBuf>> = Optional(SECRET);
        /// The input tensors, which a server with `protocol = "vertex"` cannot say itself; and
        /// neither can a TorchScript file, whose inputs stand here in the order of `forward`.
        pub inputs: Option<Located<Vec<TensorKeys>>> =
            Optional(Repeated { max: TENSORS_MAX, of: Table::new() });
        /// The output tensors, likewise.
        pub outputs: Option<Located<Vec<TensorKeys>>> =
            Optional(Repeated { max: TENSORS_MAX, of: Table::new() });
    }
}

words! {
    /// What runs a model.
    pub enum ModelRuntime {
        /// ONNX Runtime.
        Onnx = "onnx",
        /// OpenVINO.
        OpenVino = "openvino",
        /// PyTorch, for TorchScript models.
        PyTorch = "pytorch",
        /// Another server.
        Remote = "remote",
    }
}

words! {
    /// How much the runtime rewrites a model's graph at load.
    pub enum Optimization {
        /// Run the graph as it is.
        None = "none",
        /// Remove what is redundant.
        Basic = "basic",
        /// Also fuse nodes.
        Extended = "extended",
        /// Also change the layout of data.
        All = "all",
    }
}

words! {
    /// What executes the nodes of a model's graph.
    pub enum ExecutionProvider {
        /// The processor; always available.
        Cpu = "cpu",
        /// NVIDIA GPUs.
        Cuda = "cuda",
        /// NVIDIA GPUs by TensorRT.
        TensorRt = "tensorrt",
        /// Intel processors and accelerators.
        OpenVino = "openvino",
        /// Apple devices.
        CoreMl = "coreml",
        /// GPUs on Windows.
        DirectMl = "directml",
    }
}

words! {
    /// What the outputs of a new model are held against before it takes over.
    pub enum UpdateCheck {
        /// Names, datatypes, shapes, and one row for each example.
        Outputs = "outputs",
        /// That, and no number is NaN or infinite.
        Finite = "finite",
    }
}

// === impl Model ===

impl Model {
    /// How messages call its table.
    pub(crate) fn table_path(&self) -> String {
        format!("`{}`", self.table)
    }
}

impl Checked for Model {
    type Keys = Self;

    fn check(model: Self, report: &mut Report) -> Option<Self> {
        remote::check(&model, report);
        batching::check(&model, report);
        state::check(&model, report);
        if let Some(versions) = model.versions.given() {
            let keys = [
                ("version", model.version.given()),
                ("sha256", model.sha256.given()),
            ];
            let line = report.line(versions);
            let help = format!("remove it, or versions on line {line}");
            refuse_idle(&keys, "for a folder of versions", &help, report);
        } else if *model.watch
            && let Some(digest) = &model.sha256
        {
            let message = "`watch` has no effect beside `sha256`, which allows one file only";
            let line = report.line(digest.place);
            let help = format!("remove it, or sha256 on line {line}");
            report.wrong(model.watch.place, message, help);
        }
        if !*model.watch && !report.doubts(&model.watch) {
            let keys = [("watch_interval_ms", model.watch_interval_ms.given())];
            refuse_idle(&keys, "unless watch = true", "add watch = true", report);
        }
        Some(model)
    }

    fn schema_together() -> Vec<(&'static str, Json)> {
        remote::schema_together()
    }
}
