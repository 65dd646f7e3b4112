//! From the manifest's values to each room's own settings, and nothing else.

use crate::manifest::ManifestFile;
use consort_inference::{InvalidName, ModelName, PluginName};
use consort_manifest as manifest;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The settings of a model's batcher.
pub(crate) fn batching(model: &manifest::Model) -> consort_batching::Config {
    consort_batching::Config {
        max_batch_size: *model.max_batch_size,
        max_queue_delay: Duration::from_micros(*model.max_queue_delay_us),
        max_queue_size: *model.max_queue_size,
        max_queue_bytes: size(*model.max_queue_bytes),
        max_tenant_queue_size: model.max_tenant_queue_size.as_ref().map(|size| **size),
        replicas: *model.replicas,
        default_timeout: model
            .timeout_ms
            .as_ref()
            .map(|ms| Duration::from_millis(**ms)),
    }
}

/// The settings of a model's session.
pub(crate) fn onnx(model: &manifest::Model) -> Result<consort_onnx::Config, InvalidName> {
    let mut config = consort_onnx::Config::new(ModelName::from_str(&model.name)?);
    config.threads = *model.threads;
    config.inter_threads = *model.inter_threads;
    config.spinning = *model.spinning;
    config.memory_pattern = *model.memory_pattern;
    config.optimization = match *model.optimization {
        manifest::Optimization::None => consort_onnx::Optimization::None,
        manifest::Optimization::Basic => consort_onnx::Optimization::Basic,
        manifest::Optimization::Extended => consort_onnx::Optimization::Extended,
        manifest::Optimization::All => consort_onnx::Optimization::All,
    };
    config.providers = model
        .providers
        .iter()
        .map(|name| provider(**name, model))
        .collect();
    config.fallback = *model.fallback;
    config.batch_axis = match *model.batching {
        manifest::Batching::On => consort_onnx::BatchAxis::Leading,
        manifest::Batching::Off => consort_onnx::BatchAxis::None,
    };
    Ok(config)
}

/// What the registry needs to know of a model.
pub(crate) fn model(
    file: &ManifestFile,
    model: &manifest::Model,
) -> Result<consort_registry::ModelConfig, InvalidName> {
    Ok(consort_registry::ModelConfig {
        name: ModelName::from_str(&model.name)?,
        version: model.version.to_string(),
        path: file.resolve(&model.path),
        sha256: model.sha256.as_ref().map(|digest| digest.to_string()),
        batching: batching(model),
    })
}

/// What the sandbox needs to know of a plugin, but its capabilities.
pub(crate) fn plugin(
    file: &ManifestFile,
    plugin: &manifest::Plugin,
    capabilities: BTreeSet<consort_plugin::Capability>,
) -> Result<consort_plugin::PluginConfig, InvalidName> {
    let asset =
        |asset: &manifest::Named<PathBuf>| (asset.name.to_string(), file.resolve(&asset.value));
    Ok(consort_plugin::PluginConfig {
        name: PluginName::from_str(&plugin.name)?,
        version: plugin.version.to_string(),
        path: file.resolve(&plugin.path),
        sha256: plugin.sha256.as_ref().map(|digest| digest.to_string()),
        config: plugin
            .config
            .as_ref()
            .map(|text| text.to_string())
            .unwrap_or_default(),
        assets: plugin.assets.iter().map(asset).collect(),
        limits: limits(&plugin.limits),
        instances: match *plugin.instances {
            manifest::Instances::Fresh => consort_plugin::Instances::Fresh,
            manifest::Instances::Reuse => consort_plugin::Instances::Reuse,
        },
        capabilities,
    })
}

/// The settings of the sandbox.
pub(crate) fn sandbox(
    manifest: &manifest::Manifest,
    cache_dir: Option<PathBuf>,
) -> consort_plugin::Config {
    let sandbox = &manifest.sandbox;
    consort_plugin::Config {
        cache_dir,
        cache_bytes_max: *manifest.cache.bytes_max,
        instances_max: *sandbox.instances_max,
        idle_instances_max: *sandbox.idle_instances_max,
        idle_time_max: Duration::from_millis(*sandbox.idle_time_ms_max),
        epoch_tick: Duration::from_millis(*sandbox.epoch_tick_ms),
        stack_bytes_max: size(*sandbox.stack_bytes_max),
        ..consort_plugin::Config::default()
    }
}

/// The settings of the server.
pub(crate) fn server(server: &manifest::Server) -> consort_server::Config {
    let time = |ms: u64| Duration::from_millis(ms);
    consort_server::Config {
        listen: *server.listen,
        body_bytes_max: size(*server.body_bytes_max),
        held_bytes_max: size(*server.held_bytes_max),
        inflight_max: *server.inflight_max,
        rows_max: *server.rows_max,
        json_depth_max: *server.json_depth_max,
        connections_max: *server.connections_max,
        streams_max: *server.streams_max,
        header_read_timeout: time(*server.header_read_timeout_ms),
        idle_timeout: time(*server.idle_timeout_ms),
        request_timeout: time(*server.request_timeout_ms),
        response_timeout: time(*server.response_timeout_ms),
        drain_timeout: time(*server.drain_timeout_ms),
    }
}

/// The settings of a job, but what the command line says.
pub(crate) fn job(file: &ManifestFile, ensemble: &str) -> consort_job::Config {
    let job = &file.manifest.job;
    let ensemble = file.manifest.ensemble(ensemble);
    let example_timeout_ms = ensemble.and_then(|ensemble| ensemble.timeout_ms.as_ref());
    let call_timeout_ms = example_timeout_ms.or(job.call_timeout_ms.as_ref());
    consort_job::Config {
        files: ensemble.map(files).unwrap_or_default(),
        inflight_max: *job.inflight_max,
        call_examples_max: job.call_examples_max.as_ref().map(|count| **count),
        inflight_bytes_max: size(*job.inflight_bytes_max),
        line_bytes_max: size(*job.line_bytes_max),
        read_threads_max: *job.read_threads_max,
        call_timeout: call_timeout_ms.map(|ms| Duration::from_millis(**ms)),
        cancel_grace: Duration::from_millis(*job.cancel_grace_ms),
        queue_full_patience: Duration::from_millis(*job.queue_full_patience_ms),
        ..consort_job::Config::default()
    }
}

/// How a file becomes an example of an ensemble.
pub(crate) fn files(ensemble: &manifest::Ensemble) -> consort_job::FileTensors {
    consort_job::FileTensors::new(ensemble.files.iter().map(file_tensor))
}

fn provider(
    name: manifest::ExecutionProvider,
    model: &manifest::Model,
) -> consort_onnx::ExecutionProvider {
    use consort_onnx::ExecutionProvider as Provider;
    let device_id = *model.device_id;
    match name {
        manifest::ExecutionProvider::Cpu => Provider::Cpu,
        manifest::ExecutionProvider::Cuda => Provider::Cuda { device_id },
        manifest::ExecutionProvider::TensorRt => Provider::TensorRt { device_id },
        // A number stands for one of Intel's GPUs; without one OpenVINO uses the CPU.
        manifest::ExecutionProvider::OpenVino => Provider::OpenVino {
            device_id: model.device_id.given.then_some(device_id),
        },
        manifest::ExecutionProvider::CoreMl => Provider::CoreMl,
        manifest::ExecutionProvider::DirectMl => Provider::DirectMl { device_id },
    }
}

fn limits(limits: &manifest::Limits) -> consort_plugin::Limits {
    let time = |ms: u64| Duration::from_millis(ms);
    consort_plugin::Limits {
        memory_bytes_max: size(*limits.memory_bytes_max),
        table_elements_max: size(*limits.table_elements_max),
        core_instances_max: size(*limits.core_instances_max),
        memories_max: size(*limits.memories_max),
        tables_max: size(*limits.tables_max),
        call_time_max: time(*limits.call_time_ms_max),
        wall_time_max: time(*limits.wall_time_ms_max),
        init_time_max: time(*limits.init_time_ms_max),
        tensors_max: size(*limits.tensors_max),
        tensor_axes_max: size(*limits.tensor_axes_max),
        output_bytes_max: size(*limits.output_bytes_max),
        hostcall_bytes_max: size(*limits.hostcall_bytes_max),
        random_bytes_max: size(*limits.random_bytes_max),
        resources_max: size(*limits.resources_max),
        log_bytes_max: size(*limits.log_bytes_max),
        message_bytes_max: size(*limits.message_bytes_max),
        wasm_bytes_max: *limits.wasm_bytes_max,
        function_bytes_max: size(*limits.function_bytes_max),
        asset_bytes_max: *limits.asset_bytes_max,
    }
}

fn file_tensor(tensor: &manifest::FileTensor) -> (std::sync::Arc<str>, consort_job::Read) {
    let read = match tensor.read {
        manifest::FileRead::Head { bytes } => consort_job::Read::Head { bytes: size(bytes) },
        manifest::FileRead::Tail { bytes } => consort_job::Read::Tail { bytes: size(bytes) },
        manifest::FileRead::All { bytes_max } => consort_job::Read::All {
            bytes_max: size(bytes_max),
        },
        manifest::FileRead::Size => consort_job::Read::Size,
        manifest::FileRead::Path => consort_job::Read::Path,
    };
    (tensor.tensor.as_str().into(), read)
}

/// The manifest's numbers are bounded far below what a 64-bit machine can address.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
