//! From the manifest's values to each room's own settings, and nothing else.

use crate::manifest::ManifestFile;
use crate::plugins::Endpoints;
use consort_inference::{ArgValue, InferenceArgs, InvalidName, ModelName, PluginName};
use consort_manifest as manifest;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The settings of a model's batcher.
pub(crate) fn batching(
    model: &manifest::Model,
    tenants: &[manifest::Tenant],
) -> consort_batching::Config {
    let defaults = consort_batching::Config::default();
    let sizes = |sizes: &[manifest::Located<usize>]| sizes.iter().map(|size| **size).collect();
    consort_batching::Config {
        max_batch_size: match *model.batching {
            manifest::Batching::On => model.max_batch_size.as_ref().map(|size| **size),
            manifest::Batching::Off => Some(1),
        },
        max_queue_delay: model
            .max_queue_delay_us
            .as_ref()
            .map(|us| Duration::from_micros(**us)),
        policy: match *model.batch_policy {
            manifest::BatchPolicy::Learned => consort_batching::PolicyKind::Learned,
            manifest::BatchPolicy::Fixed => consort_batching::PolicyKind::Fixed,
        },
        max_batch_bytes: model
            .max_batch_bytes
            .as_ref()
            .map_or(defaults.max_batch_bytes, |bytes| size(**bytes)),
        batch_weight: match &model.batch_weight {
            Some(weight) => consort_batching::BatchWeight::Length {
                input: weight.input.as_str().into(),
                axis: *weight.axis,
            },
            None => consort_batching::BatchWeight::Bytes,
        },
        max_batch_weight: model.batch_weight.as_ref().map(|weight| *weight.max),
        preferred_batch_sizes: sizes(&model.preferred_batch_sizes),
        shape_buckets: sizes(&model.shape_buckets),
        tenant_weights: tenants
            .iter()
            .filter_map(|tenant| Some((tenant.name.parse().ok()?, *tenant.weight)))
            .collect(),
        max_queue_size: *model.max_queue_size,
        max_queue_bytes: size(*model.max_queue_bytes),
        max_tenant_queue_size: model.max_tenant_queue_size.as_ref().map(|size| **size),
        replicas: model.replicas.fixed().unwrap_or(1),
        default_timeout: model
            .timeout_ms
            .as_ref()
            .map(|ms| Duration::from_millis(**ms)),
    }
}

/// The settings of a model's session.
pub(crate) fn onnx(model: &manifest::Model) -> Result<consort_onnx::Config, InvalidName> {
    let mut config = consort_onnx::Config::new(ModelName::from_str(&model.name)?);
    config.threads = model.threads.fixed().unwrap_or(1);
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
    let source = match (&model.path, &model.versions) {
        (Some(path), None) => consort_registry::Source::File(file.resolve(path)),
        (Some(path), Some(versions)) => consort_registry::Source::Versions {
            folder: file.resolve(path),
            serve: match &**versions {
                manifest::Versions::Latest => consort_registry::Versions::Latest,
                manifest::Versions::All => consort_registry::Versions::All,
                manifest::Versions::Only(list) => {
                    consort_registry::Versions::Only(list.iter().map(|version| **version).collect())
                }
            },
        },
        (None, _) => consort_registry::Source::Remote,
    };
    let watch_interval = Duration::from_millis(*model.watch_interval_ms);
    Ok(consort_registry::ModelConfig {
        watch_interval: model.watch.then_some(watch_interval),
        pinned: *model.pinned,
        warm_up: warm_up(file, model),
        update_check: update_check(model),
        sha256: model.sha256.as_ref().map(|digest| digest.to_string()),
        batching: batching(model, &file.manifest.tenants),
        ..consort_registry::ModelConfig::new(
            ModelName::from_str(&model.name)?,
            model.version.as_str(),
            source,
        )
    })
}

/// What a model runs on before it answers anybody: the lines of a file, read again for each
/// version, or zeros.
pub(crate) fn warm_up(file: &ManifestFile, model: &manifest::Model) -> consort_registry::WarmUp {
    let Some(path) = &model.warm_up else {
        return consort_registry::WarmUp::default();
    };
    let path = file.resolve(path);
    let state = model.state.iter().flat_map(|state| state.iter());
    let state: BTreeSet<String> = state.map(|pair| pair.name.to_string()).collect();
    consort_registry::WarmUp::Rows(consort_registry::WarmUpRows::new(move |signature| {
        let mut asked = signature.clone();
        asked.inputs.retain(|spec| !state.contains(&*spec.name));
        let mut examples = consort_job::read_examples(&path, &asked)?;
        for spec in &signature.inputs {
            // What clients do not send is not in the lines either: a stream that begins.
            if let Some(zeros) = spec.zeros().filter(|_| state.contains(&*spec.name)) {
                for example in &mut examples {
                    example.insert(spec.name.clone(), zeros.clone());
                }
            }
        }
        Ok(examples)
    }))
}

/// What a model's outputs on these examples are held against.
pub(crate) fn update_check(model: &manifest::Model) -> consort_registry::OutputCheck {
    match *model.update_check {
        manifest::UpdateCheck::Outputs => consort_registry::OutputCheck::Signature,
        manifest::UpdateCheck::Finite => consort_registry::OutputCheck::Finite,
    }
}

/// The settings of PyTorch.
#[cfg(feature = "pytorch")]
pub(crate) fn pytorch(model: &manifest::Model) -> Result<consort_wasi_nn::Config, InvalidName> {
    let mut config = consort_wasi_nn::Config::new(ModelName::from_str(&model.name)?);
    config.batch_axis = match *model.batching {
        manifest::Batching::On => consort_wasi_nn::BatchAxis::Leading,
        manifest::Batching::Off => consort_wasi_nn::BatchAxis::None,
    };
    Ok(config)
}

/// What the sandbox needs to know of a plugin, but its capabilities.
pub(crate) fn plugin(
    file: &ManifestFile,
    plugin: &manifest::Plugin,
    capabilities: BTreeSet<consort_plugin::Capability>,
    models: Endpoints,
    nesting: usize,
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
        models,
        nesting,
        limits: limits(&plugin.limits),
        instances: match *plugin.instances {
            manifest::Instances::Fresh => consort_plugin::Instances::Fresh,
            manifest::Instances::Reuse => consort_plugin::Instances::Reuse,
        },
        capabilities,
    })
}

/// The settings of OpenVINO.
pub(crate) fn openvino(model: &manifest::Model) -> Result<consort_wasi_nn::Config, InvalidName> {
    let mut config = consort_wasi_nn::Config::new(ModelName::from_str(&model.name)?);
    config.threads = model.threads.fixed();
    config.concurrent_runs = model.replicas.fixed();
    // Left to itself OpenVINO computes in 16 bits where the processor is fast at it.
    config.precision = Some(consort_wasi_nn::Precision::F32);
    config.batch_axis = match *model.batching {
        manifest::Batching::On => consort_wasi_nn::BatchAxis::Leading,
        manifest::Batching::Off => consort_wasi_nn::BatchAxis::None,
    };
    Ok(config)
}

/// What is to be found out about a model by trying; nothing where all is given.
pub(crate) fn tune(
    manifest: &manifest::Manifest,
    model: &manifest::Model,
) -> Option<consort_registry::Tune> {
    let setting = |given: Option<usize>| match given {
        Some(number) => consort_registry::Setting::Fixed(number),
        None => consort_registry::Setting::Auto,
    };
    let (threads, replicas) = (model.threads.fixed(), model.replicas.fixed());
    if threads.is_some() && replicas.is_some() {
        return None;
    }
    Some(consort_registry::Tune {
        threads: setting(threads),
        replicas: setting(replicas),
        time_max: Duration::from_millis(*manifest.registry.tune_time_ms_max),
        ..consort_registry::Tune::default()
    })
}

/// The settings of the registry.
pub(crate) fn registry(manifest: &manifest::Manifest) -> consort_registry::Config {
    consort_registry::Config {
        model_bytes_max: manifest
            .registry
            .model_bytes_max
            .as_ref()
            .map(|bytes| **bytes),
        ..consort_registry::Config::default()
    }
}

/// What a step says to its model.
pub(crate) fn args(args: &[manifest::Named<manifest::Argument>]) -> InferenceArgs {
    let value = |argument: &manifest::Argument| match argument {
        manifest::Argument::Bool(value) => ArgValue::Bool(*value),
        manifest::Argument::Int(value) => ArgValue::Int(*value),
        manifest::Argument::Float(value) => ArgValue::Float(*value),
        manifest::Argument::Text(value) => ArgValue::Text(value.as_str().into()),
    };
    let pair = |named: &manifest::Named<manifest::Argument>| {
        (named.name.as_str().into(), value(&named.value))
    };
    args.iter().map(pair).collect()
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
        gzip_members_max: *server.gzip_members_max,
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
        ordered: *job.ordered,
        retries_max: *job.retries_max,
        fail_fast: *job.fail_fast,
        include_example: *job.include_example,
        part_examples_max: *job.part_examples_max,
        write_grace: Duration::from_millis(*job.write_grace_ms),
        columns: ensemble.map(columns).unwrap_or_default(),
        cancel_grace: Duration::from_millis(*job.cancel_grace_ms),
        queue_full_patience: Duration::from_millis(*job.queue_full_patience_ms),
        ..consort_job::Config::default()
    }
}

/// How the columns of rows become an example of an ensemble.
pub(crate) fn columns(ensemble: &manifest::Ensemble) -> consort_job::Columns {
    let tensor = |tensor: &manifest::Named<Vec<manifest::Located<String>>>| {
        let names = tensor.value.iter().map(|name| name.to_string()).collect();
        (tensor.name.as_str().into(), names)
    };
    consort_job::Columns {
        key: ensemble.key_column.as_ref().map(|name| name.to_string()),
        tensors: ensemble.columns.iter().map(tensor).collect(),
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
        host_calls_max: *limits.host_calls_max,
        model_calls_max: size(*limits.model_calls_max),
        model_calls_pending_max: size(*limits.model_calls_pending_max),
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
pub(crate) fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
