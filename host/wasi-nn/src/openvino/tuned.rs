//! OpenVINO with threads and precision of our choice, behind the traits of wasi-nn.
//!
//! wasmtime-wasi-nn's own backend compiles every model with OpenVINO's defaults and offers no
//! way to set a property. So where one is asked for, the model is compiled here; what is
//! done with it then is what that backend does.

use crate::{Config, Device};
use openvino::{
    CompiledModel, Core, DeviceType, ElementType, InferRequest, RwPropertyKey, Shape,
    Tensor as OvTensor,
};
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime_wasi_nn::backend::{
    BackendError, BackendExecutionContext, BackendGraph, Id, NamedTensor,
};
use wasmtime_wasi_nn::{ExecutionContext, Graph, Tensor};

/// A compiled model. Requests are made one at a time and then run side by side.
struct Tuned(Arc<Mutex<CompiledModel>>);

/// The memory of one run, and the model that it belongs to.
struct Run {
    request: InferRequest,
    _model: Arc<Mutex<CompiledModel>>,
}

/// Compiles a model with what the configuration asks for.
pub(super) fn compile(
    graph: &[u8],
    weights: Option<&[u8]>,
    config: &Config,
) -> Result<Graph, BackendError> {
    let mut core = Core::new()?;
    let device = || match config.device {
        Device::Cpu => DeviceType::CPU,
        Device::Gpu => DeviceType::GPU,
    };
    for (key, value) in properties(config) {
        core.set_property(&device(), &key, &value)?;
    }
    let weights = weights
        .map(|weights| tensor(ElementType::U8, &[1, weights.len() as i64], weights))
        .transpose()?;
    let model = core.read_model_from_buffer(graph, weights.as_ref())?;
    let compiled = core.compile_model(&model, device())?;
    let graph: Box<dyn BackendGraph> = Box::new(Tuned(Arc::new(Mutex::new(compiled))));
    Ok(graph.into())
}

fn properties(config: &Config) -> Vec<(RwPropertyKey, String)> {
    let mut properties = Vec::new();
    if config.device == Device::Cpu {
        // What OpenVINO calls a stream runs one request at a time; all its threads are shared
        // out among the streams.
        if let Some(runs) = config.concurrent_runs {
            properties.push((RwPropertyKey::NumStreams, runs.max(1).to_string()));
        }
        if let Some(threads) = config.threads {
            let all = threads
                .max(1)
                .saturating_mul(config.concurrent_runs.unwrap_or(1).max(1));
            properties.push((RwPropertyKey::InferenceNumThreads, all.to_string()));
        }
    }
    if let Some(precision) = config.precision {
        properties.push((RwPropertyKey::HintInferencePrecision, precision.to_string()));
    }
    properties
}

/// A tensor of OpenVINO's with these bytes.
fn tensor(ty: ElementType, dimensions: &[i64], data: &[u8]) -> Result<OvTensor, BackendError> {
    let mut tensor = OvTensor::new(ty, &Shape::new(dimensions)?)?;
    let memory = tensor.get_raw_data_mut()?;
    if memory.len() != data.len() {
        return Err(BackendError::NotEnoughMemory(data.len()));
    }
    memory.copy_from_slice(data);
    Ok(tensor)
}

fn wrong_id(id: &Id) -> BackendError {
    BackendError::UnsupportedTensorType(format!("{id:?} where tensors go by number"))
}

// === impl Tuned ===

impl BackendGraph for Tuned {
    fn init_execution_context(&self) -> Result<ExecutionContext, BackendError> {
        let mut model = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let run: Box<dyn BackendExecutionContext> = Box::new(Run {
            request: model.create_infer_request()?,
            _model: self.0.clone(),
        });
        Ok(run.into())
    }
}

// === impl Run ===

impl BackendExecutionContext for Run {
    fn set_input(&mut self, id: Id, input: &Tensor) -> Result<(), BackendError> {
        let index = id.index().ok_or_else(|| wrong_id(&id))?;
        let dimensions: Vec<i64> = input.dimensions.iter().copied().map(i64::from).collect();
        let input = tensor(input.ty.into(), &dimensions, &input.data)?;
        Ok(self
            .request
            .set_input_tensor_by_index(index as usize, &input)?)
    }

    fn compute(
        &mut self,
        inputs: Option<Vec<NamedTensor>>,
    ) -> Result<Option<Vec<NamedTensor>>, BackendError> {
        if let Some(named) = inputs.and_then(|inputs| inputs.into_iter().next()) {
            return Err(wrong_id(&Id::Name(named.name)));
        }
        self.request.infer()?;
        Ok(None)
    }

    fn get_output(&mut self, id: Id) -> Result<Tensor, BackendError> {
        let index = id.index().ok_or_else(|| wrong_id(&id))?;
        let output = self.request.get_output_tensor_by_index(index as usize)?;
        let shape = output.get_shape()?;
        let dimensions = shape.get_dimensions().iter().map(|&length| {
            u32::try_from(length).map_err(|_| {
                BackendError::UnsupportedTensorType(format!("an axis of length {length}"))
            })
        });
        let dimensions = dimensions.collect::<Result<Vec<u32>, _>>()?;
        let ty = output.get_element_type()?.try_into()?;
        let data = match output.get_byte_size()? {
            0 => Vec::new(),
            _ => output.get_raw_data()?.to_vec(),
        };
        Ok(Tensor::new(dimensions, ty, data))
    }
}
