//! The keys of a model that another server runs, and what they mean together.

use super::model::{Model, ModelRuntime};
use super::quiet::{Given, refuse_idle};
use crate::json::Json;
use crate::place::{Located, Place};
use crate::report::Report;
use crate::rule::sequence::Axes;
use crate::rule::text::TENSOR;
use crate::rule::words::{OneOf, words};
use crate::section::{OwnPlace, Required, independent, section};

words! {
    /// What the server of a remote model speaks.
    pub enum RemoteProtocol {
        /// The Open Inference Protocol, version 2, over HTTP; `url` is what stands before
        /// `/v2`.
        Oip = "oip",
        /// JSON as Vertex AI's and TensorFlow Serving's `:predict` take it; `url` is the
        /// endpoint.
        Vertex = "vertex",
    }
}

words! {
    /// The datatype of a tensor, as the Open Inference Protocol names it.
    pub enum Datatype {
        /// True or false.
        Bool = "BOOL",
        /// 8 bits, from 0.
        Uint8 = "UINT8",
        /// 16 bits, from 0.
        Uint16 = "UINT16",
        /// 32 bits, from 0.
        Uint32 = "UINT32",
        /// 64 bits, from 0.
        Uint64 = "UINT64",
        /// 8 bits.
        Int8 = "INT8",
        /// 16 bits.
        Int16 = "INT16",
        /// 32 bits.
        Int32 = "INT32",
        /// 64 bits.
        Int64 = "INT64",
        /// 16 bits, IEEE 754.
        Fp16 = "FP16",
        /// 32 bits, IEEE 754.
        Fp32 = "FP32",
        /// 64 bits, IEEE 754.
        Fp64 = "FP64",
        /// 16 bits, as many for the exponent as FP32.
        Bf16 = "BF16",
        /// Texts or other strings of bytes.
        Bytes = "BYTES",
    }
}

section! {
    /// A tensor of one example.
    pub struct TensorKeys {
        /// Where the table is.
        pub place: Place = OwnPlace;
        /// Its name.
        pub name: Located<String> = Required(TENSOR);
        /// Its datatype.
        pub datatype: Located<Datatype> = Required(OneOf::new());
        /// The lengths of its axes without the batch axis, -1 where any length will do.
        pub shape: Located<Vec<i64>> = Required(Axes);
    }
}

independent!(TensorKeys);

/// Checks the keys of a model that are about where it runs.
pub(crate) fn check(model: &Model, report: &mut Report) {
    if report.doubts(&model.runtime) {
        // Not said, but such a model is not whole.
        require_path(model, report);
        return;
    }
    if *model.runtime == ModelRuntime::Remote {
        check_remote(model, report);
    } else {
        check_local(model, report);
    }
    if *model.runtime != ModelRuntime::Onnx {
        let keys = [
            ("inter_threads", model.inter_threads.given()),
            ("spinning", model.spinning.given()),
            ("memory_pattern", model.memory_pattern.given()),
            ("optimization", model.optimization.given()),
            ("providers", model.providers.given()),
            ("device_id", model.device_id.given()),
            ("fallback", model.fallback.given()),
        ];
        refuse_beside_runtime(&keys, model, report);
    }
}

fn require_path(model: &Model, report: &mut Report) {
    if model.path.is_none() {
        let message = format!("{} needs the key `path`", model.table_path());
        let help = "add path = \"model/model.onnx\"";
        report.missing(report.place(model.place), message, help);
    }
}

fn check_local(model: &Model, report: &mut Report) {
    require_path(model, report);
    let keys = [
        ("url", model.url.given()),
        ("protocol", model.protocol.given()),
        ("remote_name", model.remote_name.given()),
        ("remote_version", model.remote_version.given()),
        ("retries_max", model.retries_max.given()),
        ("retry_backoff_ms", model.retry_backoff_ms.given()),
        ("request_timeout_ms", model.request_timeout_ms.given()),
        ("connect_timeout_ms", model.connect_timeout_ms.given()),
        ("response_bytes_max", model.response_bytes_max.given()),
        (
            "throttle_overload_ratio",
            model.throttle_overload_ratio.given(),
        ),
        ("breaker_failures_max", model.breaker_failures_max.given()),
        ("breaker_open_ms", model.breaker_open_ms.given()),
        (
            "requests_per_second_max",
            model.requests_per_second_max.given(),
        ),
        ("ca_file", model.ca_file.given()),
        ("token_env", model.token_env.given()),
        ("token_file", model.token_file.given()),
    ];
    refuse_beside_runtime(&keys, model, report);
    if *model.runtime == ModelRuntime::PyTorch {
        require_tensors(model, model.runtime.place, "runtime = \"pytorch\"", report);
        for tensors in [&model.inputs, &model.outputs].into_iter().flatten() {
            check_names(tensors, report);
        }
    } else {
        let keys = [
            ("inputs", model.inputs.given()),
            ("outputs", model.outputs.given()),
        ];
        refuse_beside_runtime(&keys, model, report);
    }
}

/// Some models do not say themselves what their tensors are.
fn require_tensors(model: &Model, place: Place, because: &str, report: &mut Report) {
    for (key, tensors) in [("inputs", &model.inputs), ("outputs", &model.outputs)] {
        if tensors.is_none() {
            let message = format!("{because} needs the key `{key}`");
            let help =
                format!("add {key} = [{{ name = \"x\", datatype = \"FP32\", shape = [16] }}]");
            report.missing(place, message, help);
        }
    }
}

fn check_remote(model: &Model, report: &mut Report) {
    let place = report.place(model.place);
    if model.url.is_none() {
        let message = format!("{} is remote and needs the key `url`", model.table_path());
        report.missing(place, message, "add url = \"http://127.0.0.1:8000\"");
    }
    let keys = [
        ("path", model.path.given()),
        ("sha256", model.sha256.given()),
        ("threads", model.threads.given()),
        ("versions", model.versions.given()),
        ("watch", model.watch.given()),
        ("pinned", model.pinned.given()),
    ];
    refuse_beside_runtime(&keys, model, report);
    match *model.protocol {
        _ if report.doubts(&model.protocol) => {}
        RemoteProtocol::Oip => {
            let keys = [
                ("inputs", model.inputs.given()),
                ("outputs", model.outputs.given()),
            ];
            let help = "remove it: the server says what its model's tensors are";
            refuse_idle(&keys, "with protocol = \"oip\"", help, report);
        }
        RemoteProtocol::Vertex => {
            require_tensors(model, model.protocol.place, "protocol = \"vertex\"", report);
            let keys = [
                ("remote_name", model.remote_name.given()),
                ("remote_version", model.remote_version.given()),
            ];
            let help = "remove it: the url names the model";
            refuse_idle(&keys, "with protocol = \"vertex\"", help, report);
        }
    }
    for tensors in [&model.inputs, &model.outputs].into_iter().flatten() {
        check_names(tensors, report);
    }
    if let (Some(variable), Some(_)) = (&model.token_env, &model.token_file) {
        let message = "a token is in a file or in the environment, not in both";
        report.wrong(variable.place, message, "remove token_env or token_file");
    }
}

fn check_names(tensors: &[TensorKeys], report: &mut Report) {
    let mut seen: Vec<&Located<String>> = Vec::new();
    for tensor in tensors {
        if let Some(first) = seen.iter().find(|first| first.value == tensor.name.value) {
            let message = format!("two tensors are called `{}`", tensor.name.value);
            let line = report.line(first.place);
            let help = format!("choose another name than on line {line}");
            report.wrong(tensor.name.place, message, help);
        }
        seen.push(&tensor.name);
    }
}

fn refuse_beside_runtime(keys: &[(&str, Option<Place>)], model: &Model, report: &mut Report) {
    let why = format!("with runtime = \"{}\"", *model.runtime);
    refuse_idle(keys, &why, "remove it", report);
}

/// What the schema says of these keys together.
pub(crate) fn schema_together() -> Vec<(&'static str, Json)> {
    let needs = |key| Json::object([("required", Json::texts([key]))]);
    let runtime = Json::object([("const", Json::text("remote"))]);
    let remote = Json::object([
        ("properties", Json::object([("runtime", runtime)])),
        ("required", Json::texts(["runtime"])),
    ]);
    let local = Json::object([("not", remote.clone())]);
    let none = |key| Json::object([("not", needs(key))]);
    let both = |one: Json, other: Json| Json::object([("allOf", Json::List(vec![one, other]))]);
    let rule = |when, then| Json::object([("if", when), ("then", then)]);
    vec![(
        "allOf",
        Json::List(vec![
            rule(remote, both(needs("url"), none("path"))),
            rule(local, both(needs("path"), none("url"))),
        ]),
    )]
}
