//! A [`ModelHandler`] over PyTorch's TorchScript. Built only with the feature `pytorch`, which
//! needs libtorch 2.4 at build time (`LIBTORCH`, or `LIBTORCH_USE_PYTORCH=1`).

use crate::datatype::tensor_type;
use crate::refusal::contained;
use crate::served::Served;
use crate::signature::Derived;
use crate::{BatchAxis, Config, Device, LoadError, ModelSource, Port, SignatureError};
use consort_inference::{
    Batch, BatchHints, Datatype, ModelHandler, PredictError, Signature, TensorSpec, Tensors,
};
use wasmtime_wasi_nn::backend::BackendInner;
use wasmtime_wasi_nn::backend::pytorch::PytorchBackend;
use wasmtime_wasi_nn::wit::ExecutionTarget;

/// The runtime's name in messages.
const RUNTIME: &str = "PyTorch";

/// A model on PyTorch. The backend runs one batch at a time: runs from several threads wait
/// for one another.
#[derive(Debug)]
pub struct PytorchHandler {
    served: Served,
    model_bytes: u64,
}

// === impl PytorchHandler ===

impl PytorchHandler {
    /// Loads a TorchScript file, whole or in memory.
    ///
    /// TorchScript does not say what a model takes and gives, so that the caller must: the
    /// inputs in the order of `forward`'s parameters, and the one output that the backend
    /// can fetch. Each prediction is held against it.
    ///
    /// The backend cannot set [`Config::threads`], [`Config::concurrent_runs`] and
    /// [`Config::precision`]: they are not looked at.
    pub fn load(
        source: ModelSource<'_>,
        signature: Signature,
        config: &Config,
    ) -> Result<Self, LoadError> {
        check(&signature)?;
        let read = source.read(config.model_bytes_max)?;
        let derived = Derived {
            signature,
            max_batch_size: match config.batch_axis {
                BatchAxis::Leading => None,
                BatchAxis::None => Some(1),
            },
        };
        // The backend panics on the third target there is.
        let target = match config.device {
            Device::Cpu => ExecutionTarget::Cpu,
            Device::Gpu => ExecutionTarget::Gpu,
        };
        let refused = |refusal| LoadError::refused(RUNTIME.to_owned(), refusal);
        let graph = contained(|| PytorchBackend::default().load(&[read.graph()], target));
        let served = Served::new(graph.map_err(refused)?, derived, config).map_err(refused)?;
        Ok(Self {
            served,
            model_bytes: read.graph().len() as u64,
        })
    }
}

/// What the backend cannot do, whatever the model is.
fn check(signature: &Signature) -> Result<(), SignatureError> {
    let unsupported = |spec: &TensorSpec, port: fn(String) -> Port| {
        let element = spec.datatype.to_string();
        let port = port(spec.name.to_string());
        SignatureError::UnsupportedElement { port, element }
    };
    // It knows no BF16.
    let odd = |spec: &&TensorSpec| {
        tensor_type(spec.datatype).is_none() || spec.datatype == Datatype::Bf16
    };
    if let Some(spec) = signature.inputs.iter().find(odd) {
        return Err(unsupported(spec, Port::Input));
    }
    // It takes elements of FP16 for four bytes long when it copies an output.
    let odd = |spec: &&TensorSpec| odd(spec) || spec.datatype == Datatype::Fp16;
    if let Some(spec) = signature.outputs.iter().find(odd) {
        return Err(unsupported(spec, Port::Output));
    }
    match (signature.inputs.as_slice(), signature.outputs.as_slice()) {
        ([], _) => Err(SignatureError::Missing("inputs")),
        (_, []) => Err(SignatureError::Missing("outputs")),
        (_, [_]) => Ok(()),
        // The backend gives the first output for any that is asked for.
        (_, [_, second, ..]) => Err(SignatureError::SecondOutput {
            port: Port::Output(second.name.to_string()),
        }),
    }
}

impl ModelHandler for PytorchHandler {
    fn signature(&self) -> &Signature {
        self.served.signature()
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        self.served.predict(batch)
    }

    fn batch_hints(&self) -> BatchHints {
        self.served.batch_hints()
    }

    /// The bytes of the model's file.
    fn model_byte_size(&self) -> u64 {
        self.model_bytes
    }

    fn platform(&self) -> &str {
        "pytorch_libtorch"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(input: Datatype, outputs: &[(&str, Datatype)]) -> Signature {
        let spec = |name: &str, datatype| TensorSpec::new(name, datatype, vec![None]);
        Signature {
            inputs: vec![spec("x", input)],
            outputs: outputs
                .iter()
                .map(|(name, datatype)| spec(name, *datatype))
                .collect(),
        }
    }

    #[test]
    fn what_the_backend_cannot_do_is_refused_before_it_is_asked() {
        let y = [("y", Datatype::Fp32)];
        assert_eq!(check(&signature(Datatype::Fp16, &y)), Ok(()));
        for wrong in [
            signature(Datatype::Bf16, &y),
            signature(Datatype::Bool, &y),
            signature(Datatype::Fp32, &[("y", Datatype::Fp16)]),
            signature(Datatype::Fp32, &[]),
            signature(
                Datatype::Fp32,
                &[("y", Datatype::Fp32), ("z", Datatype::Fp32)],
            ),
        ] {
            assert!(check(&wrong).is_err(), "{wrong:?}");
        }
    }
}
