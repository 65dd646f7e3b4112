//! From what a run gives to one tensor for each example.

use crate::native::OutputValue;
use crate::{BatchAxis, refusal};
use bytes::Bytes;
use consort_inference::{Datatype, PredictError, Tensor, TensorSpec};

/// Takes an output apart, one tensor for each of `count` examples, and holds it against what
/// the model promised.
pub(crate) fn rows(
    spec: &TensorSpec,
    output: OutputValue,
    axis: BatchAxis,
    count: usize,
) -> Result<Vec<Tensor>, PredictError> {
    let failed = |error| refusal::predict_error(&error);
    let (element, shape) = output.shape().map_err(failed)?;
    if element.datatype() != Some(spec.datatype) {
        return Err(PredictError::Contract(format!(
            "output \"{}\" is {}, and the model promises {}",
            spec.name,
            element.name(),
            spec.datatype
        )));
    }
    if axis == BatchAxis::Leading && shape.first() != Some(&count) {
        let rows = match shape.first() {
            Some(rows) => format!("{rows} rows"),
            None => "no axes".to_owned(),
        };
        return Err(PredictError::Contract(format!(
            "output \"{}\" has {rows} for a batch of {count} examples; if the model does not \
             give one row for each example, write batching = \"off\"",
            spec.name
        )));
    }
    let data = match spec.datatype {
        Datatype::Bytes => {
            let count = shape.iter().product();
            Bytes::from(output.to_byte_strings(count).map_err(failed)?)
        }
        datatype => output.into_bytes(datatype).map_err(failed)?,
    };
    let broken = |error: &dyn std::fmt::Display| {
        PredictError::Contract(format!("output \"{}\": {error}", spec.name))
    };
    let whole = Tensor::new(spec.datatype, shape, data).map_err(|error| broken(&error))?;
    let rows = match axis {
        BatchAxis::Leading => whole.unstack().map_err(|error| broken(&error))?,
        BatchAxis::None => vec![whole],
    };
    // All rows are of one shape.
    if let Some(first) = rows.first() {
        spec.check(first).map_err(|mismatch| {
            PredictError::Contract(format!("the model's output: {mismatch}"))
        })?;
    }
    Ok(rows)
}
