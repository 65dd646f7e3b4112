//! From what a run gives to tensors for each example.
//!
//! # What is no tensor
//!
//! Converters of scikit-learn, XGBoost and LightGBM end a classifier in a `ZipMap`, whose
//! output is a sequence of maps from class to probability. Nothing else in Consort knows maps,
//! so such an output `p` is told as two tensors: `p`, the values (`FP32 [classes]`), and
//! `p_keys`, the classes they belong to (`BYTES` or `INT64 [classes]`), the same for every
//! example and in ascending order, which is the order of scikit-learn's `classes_` too.
//!
//! A sequence of tensors is told as one tensor with the sequence's length as its first axis:
//! with [`BatchAxis::Leading`] each example gets an element of its own, and elements may differ
//! in shape; with [`BatchAxis::None`] they are stacked.

use crate::native::OutputValue;
use crate::signature::{Form, OutputPlan};
use crate::{BatchAxis, refusal};
use bytes::Bytes;
use consort_inference::{Datatype, PredictError, Tensor, TensorError, TensorSpec, Tensors};

/// Takes an output apart, and gives each example its part of it.
pub(crate) fn scatter(
    plan: &OutputPlan,
    output: OutputValue,
    axis: BatchAxis,
    predictions: &mut [Tensors],
) -> Result<(), PredictError> {
    let count = predictions.len();
    let spec = &plan.spec;
    let rows = match &plan.form {
        Form::Tensor => {
            let whole = tensor(spec, output)?;
            if axis == BatchAxis::Leading {
                check_rows(spec, whole.shape().first().copied(), count)?;
            }
            cut(spec, whole, axis)?
        }
        Form::Tensors => {
            let elements = elements(&output)?.into_iter();
            let elements: Vec<Tensor> = elements
                .map(|element| tensor(spec, element))
                .collect::<Result<_, _>>()?;
            if axis == BatchAxis::Leading {
                check_rows(spec, Some(elements.len()), count)?;
            }
            joined(spec, elements, axis)?
        }
        Form::Maps { keys } => {
            let maps = elements(&output)?;
            if axis == BatchAxis::Leading {
                check_rows(spec, Some(maps.len()), count)?;
            }
            let (values, labels) = unzip(spec, keys, maps)?;
            insert(keys, vec![labels; count], predictions)?;
            cut(spec, values, axis)?
        }
    };
    insert(spec, rows, predictions)
}

/// Holds rows against what the model promised, and gives each to its prediction.
fn insert(
    spec: &TensorSpec,
    rows: Vec<Tensor>,
    predictions: &mut [Tensors],
) -> Result<(), PredictError> {
    for (prediction, row) in predictions.iter_mut().zip(rows) {
        spec.check(&row).map_err(|mismatch| {
            PredictError::Contract(format!("the model's output: {mismatch}"))
        })?;
        prediction.insert(spec.name.clone(), row);
    }
    Ok(())
}

/// There has to be one row for each example.
fn check_rows(spec: &TensorSpec, rows: Option<usize>, count: usize) -> Result<(), PredictError> {
    if rows == Some(count) {
        return Ok(());
    }
    let rows = match rows {
        Some(rows) => format!("{rows} rows"),
        None => "no axes".to_owned(),
    };
    Err(PredictError::Contract(format!(
        "output \"{}\" has {rows} for a batch of {count} examples; if the model does not \
         give one row for each example, write batching = \"off\"",
        spec.name
    )))
}

/// A value that is a tensor.
fn tensor(spec: &TensorSpec, value: OutputValue) -> Result<Tensor, PredictError> {
    let (element, shape) = value.shape().map_err(failed)?;
    if element.datatype() != Some(spec.datatype) {
        return Err(PredictError::Contract(format!(
            "output \"{}\" is {}, and the model promises {}",
            spec.name,
            element.name(),
            spec.datatype
        )));
    }
    let data = match spec.datatype {
        Datatype::Bytes => {
            let count = shape.iter().product();
            Bytes::from(value.to_byte_strings(count).map_err(failed)?)
        }
        datatype => value.into_bytes(datatype).map_err(failed)?,
    };
    Tensor::new(spec.datatype, shape, data).map_err(|error| broken(spec, &error))
}

fn elements(output: &OutputValue) -> Result<Vec<OutputValue>, PredictError> {
    output.elements().map_err(failed)
}

/// The values of all maps as one tensor, a row for each, and the keys that all have.
fn unzip(
    spec: &TensorSpec,
    keys_spec: &TensorSpec,
    maps: Vec<OutputValue>,
) -> Result<(Tensor, Tensor), PredictError> {
    let rows = maps.len();
    let mut labels: Option<Tensor> = None;
    let mut data = Vec::new();
    for (row, map) in maps.iter().enumerate() {
        let (keys, values) = map.entries().map_err(failed)?;
        let keys = tensor(keys_spec, keys)?;
        let values = tensor(spec, values)?;
        match &labels {
            Some(labels) if *labels != keys => {
                return Err(PredictError::Contract(format!(
                    "output \"{}\": map {row} has other keys than map 0, so that they are no \
                     rows of one tensor",
                    spec.name
                )));
            }
            Some(_) => {}
            None => {
                data.reserve(rows * values.data().len());
                labels = Some(keys);
            }
        }
        data.extend_from_slice(values.data());
    }
    let none = || Tensor::new(keys_spec.datatype, vec![0], Bytes::new());
    let labels = labels
        .map_or_else(none, Ok)
        .map_err(|error| broken(keys_spec, &error))?;
    let shape = vec![rows, labels.element_count()];
    let values =
        Tensor::new(spec.datatype, shape, data.into()).map_err(|error| broken(spec, &error))?;
    Ok((values, labels))
}

fn cut(spec: &TensorSpec, whole: Tensor, axis: BatchAxis) -> Result<Vec<Tensor>, PredictError> {
    match axis {
        BatchAxis::Leading => whole.unstack().map_err(|error| broken(spec, &error)),
        BatchAxis::None => Ok(vec![whole]),
    }
}

/// One element for each example, or all for the only one.
fn joined(
    spec: &TensorSpec,
    elements: Vec<Tensor>,
    axis: BatchAxis,
) -> Result<Vec<Tensor>, PredictError> {
    match axis {
        BatchAxis::Leading => Ok(elements),
        BatchAxis::None => {
            let elements: Vec<&Tensor> = elements.iter().collect();
            let whole = Tensor::stack(&elements).map_err(|error| broken(spec, &error))?;
            Ok(vec![whole])
        }
    }
}

fn failed(error: crate::native::Error) -> PredictError {
    refusal::predict_error(&error)
}

fn broken(spec: &TensorSpec, error: &TensorError) -> PredictError {
    PredictError::Contract(format!("output \"{}\": {error}", spec.name))
}
