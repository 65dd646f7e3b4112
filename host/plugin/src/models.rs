//! Calls from inside a guest to the models granted to it: the guest's tensors become rows,
//! the rows join everybody else's batches behind an [`Endpoint`], and its answers become
//! tensors of the guest. No model is run here.

use crate::limits::Limit;
use crate::logs::excerpt;
use crate::state::State;
use crate::tensors::Refusal;
use consort_inference::{
    ArgValue, Call, Endpoint, Example, Failure, FailureKind, Fault, InferenceArgs, Mismatch,
    Prediction, Signature, Tensor, TensorError, TensorSpec, Tensors,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::StoreContextMut;

/// The models that a plugin may call, by the names it calls them.
#[derive(Clone, Default)]
pub(crate) struct Models(BTreeMap<Arc<str>, Arc<dyn Endpoint>>);

/// One of them, as a guest holds it.
#[derive(Clone)]
pub(crate) struct Granted {
    pub(crate) name: Arc<str>,
    pub(crate) endpoint: Arc<dyn Endpoint>,
}

/// Tensors that a guest gives or gets, with the names it says.
pub(crate) type NamedTensors = Vec<(Arc<str>, Tensor)>;

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
const NAME_BYTES_MAX: usize = 200;
/// Arguments of one call to a model.
const ARGS_MAX: usize = 256;
/// Bytes of their names and texts together.
const ARG_BYTES_MAX: usize = 64 << 10;

// === impl Models ===

impl Models {
    pub(crate) fn new(granted: BTreeMap<String, Arc<dyn Endpoint>>) -> Self {
        let named = granted
            .into_iter()
            .map(|(name, endpoint)| (name.into(), endpoint));
        Self(named.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn model(&self, name: &str) -> Option<Granted> {
        let (name, endpoint) = self.0.get_key_value(name)?;
        Some(Granted {
            name: name.clone(),
            endpoint: endpoint.clone(),
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<dyn Endpoint>)> {
        self.0.iter()
    }

    /// Says how a plugin would get a model that it has not.
    pub(crate) fn denied(&self, name: &str, plugin: &str) -> String {
        let name = excerpt(name, NAME_BYTES_MAX);
        let known: Vec<String> = self.0.keys().map(|name| format!("\"{name}\"")).collect();
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
        self.0.iter().map(describe).collect()
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

// === impl Granted ===

impl Granted {
    /// What one call from a guest takes and gives.
    pub(crate) fn signature(&self) -> Signature {
        call_signature(&*self.endpoint)
    }

    /// Puts a guest's tensors together, if they are not more than the model has inputs:
    /// nothing else limits how many a guest may name.
    pub(crate) fn inputs(&self, named: NamedTensors) -> Result<Tensors, NoAnswer> {
        let expected = self.endpoint.signature().inputs.len();
        let wrong = |message| NoAnswer::Inputs {
            content: false,
            message,
        };
        if named.len() > expected {
            let given = named.len();
            return Err(wrong(format!(
                "{given} tensors are given, the model has {expected} inputs"
            )));
        }
        Tensors::from_named(named)
            .map_err(|error| wrong(excerpt(&error.to_string(), NAME_BYTES_MAX)))
    }

    /// Runs the model on a guest's tensors while the guest is suspended. Only a limit that
    /// ends the guest is an outer error.
    pub(crate) async fn infer(
        &self,
        store: &mut StoreContextMut<'_, State>,
        inputs: NamedTensors,
        args: InferenceArgs,
    ) -> wasmtime::Result<Result<NamedTensors, NoAnswer>> {
        store.data_mut().count_model_call()?;
        let begun = Instant::now();
        let answer = self.answer(store, inputs, args).await;
        let state = store.data_mut();
        let failure = match &answer {
            Err(NoAnswer::Model(failure)) => Some(failure.kind),
            _ => None,
        };
        let outcome = answer.as_ref().err().map_or("ok", NoAnswer::outcome);
        state.share.metrics.model_called(&self.name, outcome);
        state.model_answered(begun.elapsed(), failure)?;
        Ok(answer)
    }

    async fn answer(
        &self,
        store: &mut StoreContextMut<'_, State>,
        inputs: NamedTensors,
        args: InferenceArgs,
    ) -> Result<NamedTensors, NoAnswer> {
        let inputs = self.inputs(inputs)?;
        check_args(&args)?;
        let state = store.data();
        let tenant = state.tenant().ok_or(NoAnswer::AtLoad)?.clone();
        let endpoint = &*self.endpoint;
        let rows = match endpoint.has_batch_axis() {
            true => rows(&inputs, state.share.limits.tensors_max)?,
            false => vec![inputs],
        };
        if let Some(row) = rows.first() {
            // All rows are of one layout.
            endpoint.signature().check_inputs(row)?;
        }
        let count = rows.len();
        let call = Call {
            deadline: Some(state.ends_at().into_std()),
            args,
            ..Call::default()
        };
        let example = |tensors| Example {
            tenant: tenant.clone(),
            key: None,
            tensors,
        };
        let examples = rows.into_iter().map(example).collect();
        let results = endpoint.infer(examples, call).await;
        if results.len() != count {
            let answered = results.len();
            return Err(NoAnswer::Outputs(format!(
                "the model answered {answered} times for {count} rows; this is a defect of the host"
            )));
        }
        let predictions = all_rows(results)?;
        outputs(store.data_mut(), endpoint, predictions)
    }
}

/// Arguments are compared whenever a batch is formed, by whoever forms it.
fn check_args(args: &InferenceArgs) -> Result<(), NoAnswer> {
    let bytes = args.iter().map(|(name, value)| {
        name.len()
            + match value {
                ArgValue::Text(text) => text.len(),
                _ => 0,
            }
    });
    if args.len() <= ARGS_MAX && bytes.sum::<usize>() <= ARG_BYTES_MAX {
        return Ok(());
    }
    Err(NoAnswer::Inputs {
        content: false,
        message: format!(
            "{} arguments are more than {ARGS_MAX}, or their names and texts more than \
             {ARG_BYTES_MAX} bytes",
            args.len()
        ),
    })
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

/// Takes a batch apart along its first axis. Each row of each input is a tensor on the
/// host, so that they are limited like those that a guest holds.
fn rows(inputs: &Tensors, rows_max: usize) -> Result<Vec<Tensors>, NoAnswer> {
    let wrong = |message| NoAnswer::Inputs {
        content: false,
        message,
    };
    let mut count = None;
    for (name, tensor) in inputs.iter() {
        let Some(&length) = tensor.shape().first() else {
            return Err(wrong(format!(
                "tensor \"{name}\" is a scalar; a first axis over the rows is expected"
            )));
        };
        match count {
            Some(others) if others != length => {
                return Err(wrong(format!(
                    "tensor \"{name}\" has {length} rows along its first axis, others {others}"
                )));
            }
            _ => count = Some(length),
        }
    }
    let count = match count {
        None => return Err(wrong("no tensors are given".to_owned())),
        Some(0) => return Err(wrong("the tensors have no rows".to_owned())),
        Some(count) if count > rows_max => {
            let message = format!("{}: {count} rows are more than {rows_max}", Limit::Tensors);
            return Err(NoAnswer::Limit(Limit::Tensors, message));
        }
        Some(count) => count,
    };
    let mut rows = vec![Tensors::new(); count];
    for (name, tensor) in inputs.iter() {
        let parts = tensor.unstack().map_err(|error| wrong(error.to_string()))?;
        for (row, part) in rows.iter_mut().zip(parts) {
            row.insert(name.clone(), part);
        }
    }
    Ok(rows)
}

/// All predictions, or the first failure and which row it was.
fn all_rows(results: Vec<Result<Prediction, Failure>>) -> Result<Vec<Prediction>, NoAnswer> {
    let count = results.len();
    let mut predictions = Vec::with_capacity(count);
    for (index, result) in results.into_iter().enumerate() {
        predictions.push(result.map_err(|mut failure| {
            if count > 1 {
                failure.message = format!("row {index}: {}", failure.message);
            }
            NoAnswer::Model(failure)
        })?);
    }
    Ok(predictions)
}

/// Makes one tensor of each output's rows, as far as the guest's limits allow.
fn outputs(
    state: &mut State,
    endpoint: &dyn Endpoint,
    predictions: Vec<Prediction>,
) -> Result<NamedTensors, NoAnswer> {
    let bytes = predictions.iter().try_fold(0usize, |bytes, prediction| {
        bytes.checked_add(prediction.outputs.byte_len())
    });
    state.tensors.charge(bytes)?;
    let specs = &endpoint.signature().outputs;
    let mut outputs = Vec::with_capacity(specs.len());
    for spec in specs {
        let column: Option<Vec<&Tensor>> = predictions
            .iter()
            .map(|prediction| prediction.outputs.tensor(&spec.name))
            .collect();
        let column = column
            .ok_or_else(|| NoAnswer::Outputs(format!("output \"{}\" is missing", spec.name)))?;
        let output = match (endpoint.has_batch_axis(), column.as_slice()) {
            (false, &[only]) => only.clone(),
            (_, column) => stacked(&spec.name, column)?,
        };
        outputs.push((spec.name.clone(), output));
    }
    Ok(outputs)
}

fn stacked(name: &str, column: &[&Tensor]) -> Result<Tensor, NoAnswer> {
    Tensor::stack(column).map_err(|error| {
        let advice = match error {
            TensorError::Incompatible(_) => {
                "; where the lengths of an output depend on the row, call the model row by row"
            }
            _ => "",
        };
        NoAnswer::Outputs(format!("output \"{name}\": {error}{advice}"))
    })
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
                state.tensors.take(handle);
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
    fn outcome(&self) -> &'static str {
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

    fn numbers(shape: &[usize]) -> Tensor {
        let values: Vec<i64> = (0..shape.iter().product::<usize>() as i64).collect();
        Tensor::from_slice(shape.to_vec(), &values).unwrap()
    }

    fn named(tensors: &[(&str, Tensor)]) -> Tensors {
        let named = tensors
            .iter()
            .map(|(name, tensor)| ((*name).into(), tensor.clone()));
        Tensors::from_named(named).unwrap()
    }

    fn refused(inputs: &Tensors) -> String {
        rows(inputs, 100).unwrap_err().message("m")
    }

    #[test]
    fn a_batch_is_taken_apart_without_a_copy() {
        let x = numbers(&[3, 2]);
        let rows = rows(&named(&[("x", x.clone()), ("n", numbers(&[3]))]), 3).unwrap();
        assert_eq!(rows.len(), 3);
        let second = rows[1].tensor("x").unwrap();
        assert_eq!(second.to_vec::<i64>().unwrap(), [2, 3]);
        assert_eq!(second.data().as_ptr(), x.data().slice(16..).as_ptr());
        assert_eq!(rows[2].tensor("n").unwrap().shape(), [0usize; 0]);
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        assert!(refused(&named(&[])).contains("no tensors"));
        assert!(refused(&named(&[("x", numbers(&[]))])).contains("is a scalar"));
        assert!(refused(&named(&[("x", numbers(&[0, 4]))])).contains("have no rows"));
        let uneven = named(&[("x", numbers(&[2])), ("y", numbers(&[3]))]);
        assert!(refused(&uneven).contains("\"y\" has 3 rows along its first axis, others 2"));
        // As many rows as no memory holds, in no bytes at all.
        let hollow = Tensor::from_slice::<i64>(vec![1 << 40, 0], &[]).unwrap();
        assert!(refused(&named(&[("x", hollow)])).contains("tensors_max"));
    }

    #[test]
    fn floods_of_arguments_are_refused() {
        let arg = |name: String, text: &str| (name.into(), ArgValue::Text(text.into()));
        let many = (0..=ARGS_MAX).map(|i| arg(i.to_string(), ""));
        assert!(check_args(&many.collect()).is_err());
        let long = "a".repeat(ARG_BYTES_MAX);
        assert!(check_args(&[arg("x".into(), &long)].into_iter().collect()).is_err());
        assert!(check_args(&[arg("x".into(), "a")].into_iter().collect()).is_ok());
    }

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
