//! The models granted to a guest, and its calls to them. What a call is made of is in
//! `model_call.rs`, calls that the guest does not wait for at once in `pending.rs`. No model
//! is run here.

use crate::limits::Limit;
use crate::logs::excerpt;
use crate::model_call::ModelCall;
use crate::pending::Pending;
use crate::state::State;
use crate::tensors::Refusal;
use consort_inference::{
    Endpoint, Failure, FailureKind, Fault, InferenceArgs, Mismatch, Signature, StreamStates,
    Tensor, TensorSpec,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;

/// The models that a plugin may call, by the names it calls them.
#[derive(Clone, Default)]
pub(crate) struct Models {
    granted: BTreeMap<Arc<str>, Arc<dyn Endpoint>>,
    states: Vec<Arc<dyn StreamStates>>,
}

/// One of them, as a guest holds it.
#[derive(Clone)]
pub(crate) struct Granted {
    pub(crate) name: Arc<str>,
    pub(crate) endpoint: Arc<dyn Endpoint>,
}

/// Tensors that a guest gives or gets, with the names it says.
pub(crate) type NamedTensors = Vec<(Arc<str>, Tensor)>;

/// What came of a call to a model.
pub(crate) type Answer = Result<NamedTensors, NoAnswer>;

/// Why a call to a model gave the guest nothing.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The tensors are not such as the model takes.
    Inputs {
        /// Whether the caller of the ensemble may be the cause, and not the plugin alone.
        content: bool,
        message: String,
    },
    /// A limit of the host.
    Limit(Limit, String),
    /// There is nobody to call for: the plugin is being loaded.
    AtLoad,
    /// The model failed on a row.
    Model(Failure),
    /// The outputs are such as cannot be handed over.
    Outputs(String),
}

/// How much of an unknown name a message repeats.
pub(crate) const NAME_BYTES_MAX: usize = 200;

// === impl Models ===

impl Models {
    pub(crate) fn new(granted: BTreeMap<String, Arc<dyn Endpoint>>) -> Self {
        let states = granted.values().flat_map(|endpoint| endpoint.states());
        Self {
            states: states.cloned().collect(),
            granted: (granted.into_iter())
                .map(|(name, endpoint)| (name.into(), endpoint))
                .collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.granted.is_empty()
    }

    pub(crate) fn model(&self, name: &str) -> Option<Granted> {
        let (name, endpoint) = self.granted.get_key_value(name)?;
        Some(Granted {
            name: name.clone(),
            endpoint: endpoint.clone(),
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<dyn Endpoint>)> {
        self.granted.iter()
    }

    /// The request headers that any of them reads.
    pub(crate) fn headers(&self) -> Arc<[Arc<str>]> {
        let read = self
            .granted
            .values()
            .flat_map(|endpoint| endpoint.headers());
        let read: BTreeSet<Arc<str>> = read.cloned().collect();
        read.into_iter().collect()
    }

    /// The states of streams that they keep.
    pub(crate) fn states(&self) -> &[Arc<dyn StreamStates>] {
        &self.states
    }

    /// Says how a plugin would get a model that it has not.
    pub(crate) fn denied(&self, name: &str, plugin: &str) -> String {
        let name = excerpt(name, NAME_BYTES_MAX);
        let known: Vec<String> = self
            .granted
            .keys()
            .map(|name| format!("\"{name}\""))
            .collect();
        let known = match known.as_slice() {
            [] => "none is".to_owned(),
            known => format!("granted: {}", known.join(", ")),
        };
        format!(
            "the model \"{name}\" is not granted to this plugin ({known}): write \
             `models = [\"{name}\"]` under [plugin.{plugin}] in the manifest"
        )
    }

    /// What `init` could learn of the models, for the key of its picture.
    pub(crate) fn fingerprint(&self) -> String {
        let describe = |(name, endpoint): (&Arc<str>, &Arc<dyn Endpoint>)| {
            format!(
                "{name:?} {:?} {} {:?}\n",
                endpoint.version(),
                endpoint.has_batch_axis(),
                endpoint.signature()
            )
        };
        self.granted.iter().map(describe).collect()
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.granted.keys()).finish()
    }
}

// === impl Granted ===

impl Granted {
    /// What one call from a guest takes and gives.
    pub(crate) fn signature(&self) -> Signature {
        call_signature(&*self.endpoint)
    }

    /// Runs the model on a guest's tensors while the guest is suspended. Only a limit that
    /// ends the guest is an outer error.
    pub(crate) async fn infer(
        &self,
        store: &mut StoreContextMut<'_, State>,
        inputs: NamedTensors,
        args: InferenceArgs,
    ) -> wasmtime::Result<Answer> {
        let state = store.data_mut();
        state.count_model_call()?;
        let begun = Instant::now();
        let answer = match ModelCall::of_batch(self, state, inputs, args) {
            Ok(call) => call.run().await,
            Err(no_answer) => self.refused(state, no_answer),
        };
        store.data_mut().model_answered(begun.elapsed(), &answer)?;
        Ok(answer)
    }

    /// Begins a call to the model, of a batch or of one example, and does not wait for it.
    pub(crate) fn submit(
        &self,
        state: &mut State,
        begun: Result<ModelCall, NoAnswer>,
    ) -> Result<Resource<Pending>, NoAnswer> {
        match begun {
            Ok(call) => state.pending.begin(call, self.name.clone()),
            Err(no_answer) => self.refused(state, no_answer),
        }
    }

    /// A call that did not begin.
    fn refused<T>(&self, state: &State, no_answer: NoAnswer) -> Result<T, NoAnswer> {
        let metrics = &state.share.metrics;
        metrics.model_called(&self.name, no_answer.outcome());
        Err(no_answer)
    }
}

/// What one call from a guest takes and gives: with the batch axis, where there is one.
pub(crate) fn call_signature(endpoint: &dyn Endpoint) -> Signature {
    let mut signature = endpoint.signature().clone();
    if endpoint.has_batch_axis() {
        let add_axis = |spec: &mut TensorSpec| spec.shape.insert(0, None);
        signature.inputs.iter_mut().for_each(add_axis);
        signature.outputs.iter_mut().for_each(add_axis);
    }
    signature
}

/// Puts tensors that the guest is given among its own: all of them, or none.
pub(crate) fn add_all(
    state: &mut State,
    tensors: impl IntoIterator<Item = Tensor>,
) -> Result<Vec<u32>, Refusal> {
    let mut handles = Vec::new();
    for tensor in tensors {
        if let Err(refusal) = state.tensors.check_new(tensor.shape().len()) {
            for handle in handles {
                state.tensors.discard(handle);
            }
            return Err(refusal);
        }
        handles.push(state.tensors.add(tensor));
    }
    Ok(handles)
}

// === impl NoAnswer ===

impl NoAnswer {
    /// The outcome in the metrics.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Inputs { .. } => FailureKind::InvalidArgument.as_str(),
            Self::Limit(..) => FailureKind::PluginLimit.as_str(),
            Self::AtLoad => FailureKind::Unavailable.as_str(),
            Self::Model(failure) => failure.kind.as_str(),
            Self::Outputs(_) => FailureKind::ModelContract.as_str(),
        }
    }

    /// Whether whoever sent the example may have caused it.
    pub(crate) fn is_callers_fault(&self) -> bool {
        match self {
            Self::Inputs { content, .. } => *content,
            Self::Model(failure) => failure.kind.fault() == Fault::Client,
            _ => false,
        }
    }

    /// What was wrong, for the guest's author.
    pub(crate) fn message(&self, model: &str) -> String {
        match self {
            Self::Limit(_, message) => message.clone(),
            Self::Inputs { message, .. } => format!("the inputs of model \"{model}\": {message}"),
            Self::AtLoad => format!(
                "model \"{model}\" cannot be called while the plugin is loaded: call it from a role"
            ),
            Self::Model(failure) => failure.to_string(),
            Self::Outputs(message) => format!("the outputs of model \"{model}\": {message}"),
        }
    }
}

impl From<Mismatch> for NoAnswer {
    fn from(mismatch: Mismatch) -> Self {
        Self::Inputs {
            // Names and datatypes are the plugin's, lengths may be those of the example.
            content: matches!(mismatch, Mismatch::Shape { .. }),
            message: mismatch.to_string(),
        }
    }
}

impl From<Refusal> for NoAnswer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Limit(limit, message) => Self::Limit(limit, message),
            Refusal::Invalid(message) | Refusal::OutOfRange(message) => Self::Outputs(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_what_to_write() {
        let message = Models::default().denied("big\u{1b}[1m", "glue");
        assert_eq!(
            message,
            "the model \"big\\u{1b}[1m\" is not granted to this plugin (none is): write \
             `models = [\"big\\u{1b}[1m\"]` under [plugin.glue] in the manifest"
        );
    }
}
