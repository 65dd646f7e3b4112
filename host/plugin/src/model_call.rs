//! One call to a model: the guest's tensors become rows, the rows join everybody else's
//! batches behind an [`Endpoint`], and what comes back becomes tensors again. A call holds
//! all that it needs: it runs while the guest is suspended, or beside it.

use crate::limits::Limit;
use crate::logs::excerpt;
use crate::metrics::PluginMetrics;
use crate::models::{Answer, Granted, NAME_BYTES_MAX, NamedTensors, NoAnswer};
use crate::state::State;
use crate::tensors::ByteBudget;
use crate::ways::Ways;
use consort_inference::{
    ArgValue, Call, Endpoint, Example, Failure, FailureKind, InferenceArgs, Key, Prediction,
    Tensor, TensorError, Tensors, Trace,
};
use std::sync::Arc;
use tokio::time::Instant;

/// Arguments of one call to a model.
const ARGS_MAX: usize = 256;
/// Bytes of their names and texts together.
const ARG_BYTES_MAX: usize = 64 << 10;
/// What a call is in a trace.
const SPAN_KIND: &str = "call";

/// A call that has been checked and can run.
pub(crate) struct ModelCall {
    endpoint: Arc<dyn Endpoint>,
    examples: Vec<Example>,
    call: Call,
    form: Form,
    /// What the tensors made for the guest may come to.
    bytes: ByteBudget,
    /// Under which key it is made.
    key: Option<Key>,
    /// Where to say which ways the model went.
    ways: Arc<Ways>,
    counted: Counted,
}

/// How a guest gives its tensors, and gets the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Rows along a first axis.
    Rows,
    /// As they are, for a model without such an axis.
    Whole,
    /// One example without such an axis; outputs may be left out.
    Example,
}

/// Sees to it that the call is counted, even one that is abandoned.
struct Counted {
    metrics: Arc<PluginMetrics>,
    model: Arc<str>,
    outcome: &'static str,
}

// === impl ModelCall ===

impl ModelCall {
    /// A call of rows, or of one input as it is where the model has no batch axis.
    pub(crate) fn of_batch(
        granted: &Granted,
        state: &State,
        inputs: NamedTensors,
        args: InferenceArgs,
    ) -> Result<Self, NoAnswer> {
        let endpoint = &*granted.endpoint;
        let inputs = put_together(endpoint, inputs)?;
        let (form, rows) = match endpoint.has_batch_axis() {
            true => (Form::Rows, rows(&inputs, state.share.limits.tensors_max)?),
            false => (Form::Whole, vec![inputs]),
        };
        Self::new(granted, state, form, None, rows, args)
    }

    /// A call of one example.
    pub(crate) fn of_example(
        granted: &Granted,
        state: &State,
        key: Option<Key>,
        inputs: NamedTensors,
        args: InferenceArgs,
    ) -> Result<Self, NoAnswer> {
        let inputs = put_together(&*granted.endpoint, inputs)?;
        Self::new(granted, state, Form::Example, key, vec![inputs], args)
    }

    fn new(
        granted: &Granted,
        state: &State,
        form: Form,
        key: Option<Key>,
        rows: Vec<Tensors>,
        args: InferenceArgs,
    ) -> Result<Self, NoAnswer> {
        check_args(&args)?;
        let tenant = state.tenant().ok_or(NoAnswer::AtLoad)?;
        if let Some(row) = rows.first() {
            // All rows are of one layout.
            granted.endpoint.signature().check_inputs(row)?;
        }
        let example = |tensors| Example {
            tenant: tenant.clone(),
            key: key.clone(),
            tensors,
        };
        Ok(Self {
            endpoint: granted.endpoint.clone(),
            examples: rows.into_iter().map(example).collect(),
            call: state.call_on(args),
            form,
            bytes: state.tensors.bytes().clone(),
            ways: state.ways().clone(),
            key,
            counted: Counted {
                metrics: state.share.metrics.clone(),
                model: granted.name.clone(),
                outcome: FailureKind::Cancelled.as_str(),
            },
        })
    }

    /// How many examples it is for.
    pub(crate) fn rows(&self) -> usize {
        self.examples.len()
    }

    /// Runs the model. Dropping the future abandons the call.
    pub(crate) async fn run(self) -> Answer {
        let (mut counted, mut call) = (self.counted, self.call);
        let count = self.examples.len();
        let now = || Instant::now().into_std();
        let enter = |trace: &Trace| trace.enter(counted.model.clone(), SPAN_KIND, now());
        let span = call.trace.as_ref().map(enter);
        call.trace.clone_from(&span);
        let results = self.endpoint.infer(self.examples, call).await;
        self.ways.add(self.key.as_ref(), &results);
        let answer = match results.len() == count {
            true => finish(&self.bytes, &*self.endpoint, self.form, results),
            false => Err(NoAnswer::Outputs(format!(
                "the model answered {} times for {count} rows; this is a defect of the host",
                results.len()
            ))),
        };
        counted.outcome = answer.as_ref().err().map_or("ok", NoAnswer::outcome);
        if let Some(span) = span {
            span.leave(now(), format!("examples: {count}, {}", counted.outcome));
        }
        answer
    }

    /// Counts the call as one that was refused before it began.
    pub(crate) fn refuse(mut self, no_answer: NoAnswer) -> NoAnswer {
        self.counted.outcome = no_answer.outcome();
        no_answer
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.model_called(&self.model, self.outcome);
    }
}

/// Puts a guest's tensors together, if they are not more than the model has inputs: nothing
/// else limits how many a guest may name.
fn put_together(endpoint: &dyn Endpoint, named: NamedTensors) -> Result<Tensors, NoAnswer> {
    let expected = endpoint.signature().inputs.len();
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
    Tensors::from_named(named).map_err(|error| wrong(excerpt(&error.to_string(), NAME_BYTES_MAX)))
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

/// Makes what the guest gets, as far as its limits allow: bytes count from now on, whether
/// the guest has asked for them yet or not.
fn finish(
    bytes: &ByteBudget,
    endpoint: &dyn Endpoint,
    form: Form,
    results: Vec<Result<Prediction, Failure>>,
) -> Answer {
    let predictions = all_rows(results)?;
    let made = predictions.iter().try_fold(0usize, |bytes, prediction| {
        bytes.checked_add(prediction.outputs.byte_len())
    });
    bytes.charge(made)?;
    let specs = &endpoint.signature().outputs;
    let mut outputs = Vec::with_capacity(specs.len());
    for spec in specs {
        let column: Option<Vec<&Tensor>> = predictions
            .iter()
            .map(|prediction| prediction.outputs.tensor(&spec.name))
            .collect();
        let output = match (form, column.as_deref()) {
            (Form::Whole | Form::Example, Some(&[only])) => only.clone(),
            (Form::Example, None) => continue,
            (_, Some(column)) => stacked(&spec.name, column)?,
            (_, None) => {
                let message = format!("output \"{}\" is missing", spec.name);
                return Err(NoAnswer::Outputs(message));
            }
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
}
