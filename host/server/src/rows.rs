//! A request's tensors taken apart into one example per row, and predictions put
//! together again.
//!
//! The leading axis of every input is the batch: N rows are N examples. Rows of binary
//! inputs are slices of the request's body. A request without rows is refused, since an
//! answer would have to guess shapes that only a model knows.

use crate::protocol::{Form, InferRequest, RequestedOutputs, has_json_form, quoted, wire_spec};
use consort_inference::{
    Endpoint, Example, Mismatch, Prediction, Signature, TenantId, Tensor, TensorError, TensorSpec,
    Tensors,
};
use std::sync::Arc;

/// Rows that cannot be made of a request, or an answer that cannot be made of rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RowsError {
    /// The request does not fit the endpoint.
    #[error("{0}")]
    Request(#[from] RequestMismatch),
    /// More rows than one request may have.
    #[error("the request has {rows} rows; at most {rows_max} are allowed, send several requests")]
    TooMany {
        /// How many.
        rows: usize,
        /// The limit.
        rows_max: usize,
    },
    /// Outputs of the rows that make no common tensor.
    #[error(
        "output {} has shape {first:?} for row 0 but {other:?} for row {row}, and rows of unequal \
         shapes cannot be answered together; send these rows as requests of their own",
        quoted(.name)
    )]
    Shapes {
        /// The output.
        name: Arc<str>,
        /// The first row's shape.
        first: Vec<usize>,
        /// Which row differs.
        row: usize,
        /// Its shape.
        other: Vec<usize>,
    },
    /// The endpoint did not keep its word.
    #[error("{0}")]
    Answer(#[from] AnswerMismatch),
}

/// A request that does not fit the endpoint's signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestMismatch {
    #[error("{}: {mismatch}", input_text(.mismatch))]
    Input { mismatch: Mismatch },
    #[error("input {} has no elements: a request needs at least one row", quoted(.name))]
    NoRows { name: Arc<str> },
    #[error(
        "input {} has {rows} rows, but input {} has {first_rows}; the first axis of every input \
         is the batch",
        quoted(.name),
        quoted(.first)
    )]
    RowCount {
        name: Arc<str>,
        rows: usize,
        first: Arc<str>,
        first_rows: usize,
    },
    #[error("output {} does not exist; the outputs are {known}", quoted(.name))]
    UnknownOutput { name: String, known: String },
    #[error(
        "output {} is {}, which has no form in JSON; ask for it in binary (its parameter \
         \"binary_data\": true)",
        quoted(&.spec.name),
        .spec.datatype
    )]
    NoJsonForm { spec: TensorSpec },
    #[error("input {}: {source}", quoted(.name))]
    Tensor { name: Arc<str>, source: TensorError },
}

/// Predictions that are not what the endpoint promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerMismatch {
    #[error("the endpoint gave {actual} results for {expected} examples")]
    Count { expected: usize, actual: usize },
    #[error("the prediction for row {row} has no output \"{name}\"")]
    Missing { name: Arc<str>, row: usize },
    #[error("output \"{name}\": {source}")]
    Tensor { name: Arc<str>, source: TensorError },
}

/// A request that fits its endpoint.
pub(crate) struct Rows {
    pub(crate) examples: Vec<Example>,
    pub(crate) outputs: Vec<(Arc<str>, Form)>,
}

/// Compares a request with the endpoint and takes it apart.
pub(crate) fn split(
    endpoint: &dyn Endpoint,
    request: InferRequest,
    tenant: &TenantId,
    rows_max: usize,
) -> Result<Rows, RowsError> {
    let key = request.key;
    let signature = endpoint.signature();
    let has_batch_axis = endpoint.has_batch_axis();
    let outputs = requested(signature, request.outputs)?;
    let inputs = matched(signature, has_batch_axis, request.inputs)?;
    let tensors = if has_batch_axis {
        let rows = row_count(&inputs)?;
        if rows > rows_max {
            return Err(RowsError::TooMany { rows, rows_max });
        }
        rows_of(inputs, rows)?
    } else {
        vec![inputs.into_iter().fold(Tensors::new(), with)]
    };
    let example = |tensors| Example {
        tenant: tenant.clone(),
        key: key.clone(),
        tensors,
    };
    Ok(Rows {
        examples: tensors.into_iter().map(example).collect(),
        outputs,
    })
}

/// Puts the predictions of all rows together, in the form and order asked for. An output
/// that a row lacks, since something optional failed, is left out.
pub(crate) fn join(
    predictions: &[Prediction],
    outputs: Vec<(Arc<str>, Form)>,
    has_batch_axis: bool,
) -> Result<Vec<(Arc<str>, Tensor, Form)>, RowsError> {
    let mut joined = Vec::with_capacity(outputs.len());
    for (name, form) in outputs {
        let Some(column) = column(predictions, &name)? else {
            continue;
        };
        let tensor = if has_batch_axis {
            stacked(&name, &column)?
        } else {
            let only = column.first().copied().cloned();
            only.ok_or(AnswerMismatch::Count {
                expected: 1,
                actual: 0,
            })?
        };
        joined.push((name, tensor, form));
    }
    Ok(joined)
}

/// One output of all rows; `None` where a row lacks it and says why.
fn column<'a>(
    predictions: &'a [Prediction],
    name: &Arc<str>,
) -> Result<Option<Vec<&'a Tensor>>, AnswerMismatch> {
    let mut column = Vec::with_capacity(predictions.len());
    for (row, prediction) in predictions.iter().enumerate() {
        match prediction.outputs.tensor(name) {
            Some(tensor) => column.push(tensor),
            None if !prediction.partial.is_empty() => return Ok(None),
            None => {
                let name = name.clone();
                return Err(AnswerMismatch::Missing { name, row });
            }
        }
    }
    Ok(Some(column))
}

fn stacked(name: &Arc<str>, column: &[&Tensor]) -> Result<Tensor, RowsError> {
    if let Some((first, others)) = column.split_first() {
        for (index, other) in others.iter().enumerate() {
            if other.shape() != first.shape() {
                return Err(RowsError::Shapes {
                    name: name.clone(),
                    first: first.shape().to_vec(),
                    row: index + 1,
                    other: other.shape().to_vec(),
                });
            }
        }
    }
    Tensor::stack(column).map_err(|source| {
        RowsError::Answer(AnswerMismatch::Tensor {
            name: name.clone(),
            source,
        })
    })
}

/// The outputs that the client wants, each known and possible.
fn requested(
    signature: &Signature,
    requested: RequestedOutputs,
) -> Result<Vec<(Arc<str>, Form)>, RequestMismatch> {
    let chosen: Vec<(&TensorSpec, Form)> = match requested {
        RequestedOutputs::All(form) => signature.outputs.iter().map(|spec| (spec, form)).collect(),
        RequestedOutputs::Listed(listed) => listed
            .into_iter()
            .map(|(name, form)| {
                let spec = signature.outputs.iter().find(|spec| *spec.name == *name);
                let unknown = || RequestMismatch::UnknownOutput {
                    name,
                    known: names(&signature.outputs),
                };
                Ok((spec.ok_or_else(unknown)?, form))
            })
            .collect::<Result<_, RequestMismatch>>()?,
    };
    let without_form =
        |(spec, form): &&(&TensorSpec, Form)| *form == Form::Json && !has_json_form(spec.datatype);
    if let Some((spec, _)) = chosen.iter().find(without_form) {
        return Err(RequestMismatch::NoJsonForm {
            spec: (*spec).clone(),
        });
    }
    let named = |(spec, form): (&TensorSpec, Form)| (spec.name.clone(), form);
    Ok(chosen.into_iter().map(named).collect())
}

/// The inputs under the signature's names and in its order; none missing, none extra.
fn matched(
    signature: &Signature,
    has_batch_axis: bool,
    mut inputs: Vec<(String, Tensor)>,
) -> Result<Vec<(Arc<str>, Tensor)>, RequestMismatch> {
    let mut matched = Vec::with_capacity(signature.inputs.len());
    let unexpected = inputs
        .iter()
        .find(|(name, _)| !signature.inputs.iter().any(|spec| *spec.name == **name));
    if let Some((name, _)) = unexpected {
        let mismatch = Mismatch::Unexpected {
            name: name.as_str().into(),
            known: names(&signature.inputs),
        };
        return Err(RequestMismatch::Input { mismatch });
    }
    for spec in &signature.inputs {
        let wire = wire_spec(spec, has_batch_axis);
        let position = inputs.iter().position(|(name, _)| **name == *spec.name);
        let Some(position) = position else {
            let mismatch = Mismatch::Missing {
                name: spec.name.clone(),
                expected: wire,
            };
            return Err(RequestMismatch::Input { mismatch });
        };
        let (_, tensor) = inputs.swap_remove(position);
        wire.check(&tensor)
            .map_err(|mismatch| RequestMismatch::Input { mismatch })?;
        matched.push((spec.name.clone(), tensor));
    }
    Ok(matched)
}

/// The rows of every input, which must be as many in each.
fn row_count(inputs: &[(Arc<str>, Tensor)]) -> Result<usize, RequestMismatch> {
    let rows = |tensor: &Tensor| tensor.shape().first().copied().unwrap_or_default();
    let Some((first, first_rows)) = inputs.first().map(|(name, tensor)| (name, rows(tensor)))
    else {
        // An endpoint without inputs: a request is one example.
        return Ok(1);
    };
    for (name, tensor) in inputs {
        if rows(tensor) != first_rows {
            return Err(RequestMismatch::RowCount {
                name: name.clone(),
                rows: rows(tensor),
                first: first.clone(),
                first_rows,
            });
        }
    }
    if first_rows == 0 {
        return Err(RequestMismatch::NoRows {
            name: first.clone(),
        });
    }
    Ok(first_rows)
}

fn rows_of(inputs: Vec<(Arc<str>, Tensor)>, rows: usize) -> Result<Vec<Tensors>, RequestMismatch> {
    let mut examples = vec![Tensors::new(); rows];
    for (name, tensor) in inputs {
        let column = tensor.unstack().map_err(|source| RequestMismatch::Tensor {
            name: name.clone(),
            source,
        })?;
        for (example, row) in examples.iter_mut().zip(column) {
            example.insert(name.clone(), row);
        }
    }
    Ok(examples)
}

fn with(mut tensors: Tensors, (name, tensor): (Arc<str>, Tensor)) -> Tensors {
    tensors.insert(name, tensor);
    tensors
}

fn names(specs: &[TensorSpec]) -> String {
    let quoted: Vec<String> = specs
        .iter()
        .map(|spec| format!("\"{}\"", spec.name))
        .collect();
    quoted.join(", ")
}

fn input_text(mismatch: &Mismatch) -> &'static str {
    match mismatch {
        Mismatch::Missing { .. } | Mismatch::Unexpected { .. } => "the inputs do not fit",
        _ => "an input does not fit",
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
