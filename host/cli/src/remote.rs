//! The settings of a model on another host.

use crate::manifest::ManifestFile;
use consort_inference::{InvalidName, ModelId, Signature, TensorSpec};
use consort_manifest::{self as manifest, RemoteProtocol, TensorKeys};
use consort_remote::{Api, BatchAxis, OpenInference, Secret, TensorForm};
use std::time::Duration;

/// What the room for remote models needs to know of one.
pub(crate) fn config(
    file: &ManifestFile,
    model: &manifest::Model,
) -> Result<consort_remote::Config, InvalidName> {
    let api = match *model.protocol {
        RemoteProtocol::Oip => Api::OpenInference(OpenInference {
            model: model
                .remote_name
                .as_ref()
                .map_or_else(|| model.name.to_string(), |name| name.to_string()),
            version: model
                .remote_version
                .as_ref()
                .map(|version| version.to_string()),
            form: TensorForm::Auto,
            batch_axis: match *model.batching {
                manifest::Batching::On => BatchAxis::Auto,
                manifest::Batching::Off => BatchAxis::Absent,
            },
        }),
        RemoteProtocol::Vertex => Api::Vertex {
            signature: signature(model),
        },
    };
    let id = ModelId::new(model.name.as_str(), model.version.as_str());
    let url = model.url.as_ref().map_or("", |url| url.as_str());
    let mut config = consort_remote::Config::new(id, url, api);
    let time = |ms: u64| Duration::from_millis(ms);
    config.bearer_token = match (&model.token_env, &model.token_file) {
        (Some(name), _) => Some(Secret::Env(name.to_string())),
        (None, Some(path)) => Some(Secret::File(file.resolve(path))),
        (None, None) => None,
    };
    config.tls.ca_file = model.ca_file.as_ref().map(|path| file.resolve(path));
    config.connect_timeout = time(*model.connect_timeout_ms);
    config.request_timeout = time(*model.request_timeout_ms);
    config.response_bytes_max = usize::try_from(*model.response_bytes_max).unwrap_or(usize::MAX);
    config.requests_per_second_max = model.requests_per_second_max.as_ref().map(|rate| **rate);
    config.retry.retries_max = *model.retries_max;
    config.retry.delay_initial = time(*model.retry_backoff_ms);
    if let Some(throttle) = &mut config.throttle {
        throttle.overload_ratio = *model.throttle_overload_ratio;
    }
    if let Some(breaker) = &mut config.breaker {
        breaker.failures_max = *model.breaker_failures_max;
        breaker.pause_initial = time(*model.breaker_open_ms);
        breaker.pause_max = breaker.pause_max.max(breaker.pause_initial);
    }
    Ok(config)
}

/// What the manifest says of a model that cannot say it itself.
pub(crate) fn signature(model: &manifest::Model) -> Signature {
    Signature {
        inputs: specs(model.inputs.as_ref().map(|inputs| &inputs.value)),
        outputs: specs(model.outputs.as_ref().map(|outputs| &outputs.value)),
    }
}

fn specs(tensors: Option<&Vec<TensorKeys>>) -> Vec<TensorSpec> {
    let spec = |tensor: &TensorKeys| TensorSpec {
        name: tensor.name.as_str().into(),
        datatype: datatype(*tensor.datatype),
        // The manifest lets -1 alone stand for any length.
        shape: tensor
            .shape
            .iter()
            .map(|length| usize::try_from(*length).ok())
            .collect(),
    };
    tensors.into_iter().flatten().map(spec).collect()
}

fn datatype(datatype: manifest::Datatype) -> consort_inference::Datatype {
    use consort_inference::Datatype as Known;
    match datatype {
        manifest::Datatype::Bool => Known::Bool,
        manifest::Datatype::Uint8 => Known::Uint8,
        manifest::Datatype::Uint16 => Known::Uint16,
        manifest::Datatype::Uint32 => Known::Uint32,
        manifest::Datatype::Uint64 => Known::Uint64,
        manifest::Datatype::Int8 => Known::Int8,
        manifest::Datatype::Int16 => Known::Int16,
        manifest::Datatype::Int32 => Known::Int32,
        manifest::Datatype::Int64 => Known::Int64,
        manifest::Datatype::Fp16 => Known::Fp16,
        manifest::Datatype::Bf16 => Known::Bf16,
        manifest::Datatype::Fp32 => Known::Fp32,
        manifest::Datatype::Fp64 => Known::Fp64,
        manifest::Datatype::Bytes => Known::Bytes,
    }
}
