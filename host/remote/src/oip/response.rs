//! The body of an answer into the outputs of each row.

use super::WireForm;
use crate::json::{NonText, read_nest};
use crate::text::excerpt;
use crate::wire::DecodeError;
use bytes::Bytes;
use consort_inference::{Datatype, Tensor, TensorSpec, Tensors};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

const EXPECTED: &str = "an answer of the Open Inference Protocol";

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    outputs: Vec<Output<'a>>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    shape: Vec<usize>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    binary_data_size: Option<usize>,
}

/// Reads the outputs of `rows` rows. `header` is `Inference-Header-Content-Length`, if the
/// answer has it.
pub(crate) fn decode(
    body: &Bytes,
    header: Option<&[u8]>,
    specs: &[TensorSpec],
    rows: usize,
    form: WireForm,
) -> Result<Vec<Tensors>, DecodeError> {
    let json_length = json_length(header, body.len())?;
    let (json, mut blobs) = (body.slice(..json_length), body.slice(json_length..));
    let read: Body<'_> = serde_json::from_slice(&json)
        .map_err(|error| DecodeError::of_json(EXPECTED, &error, &json))?;
    let mut outputs = Tensors::new();
    for output in read.outputs {
        let spec = specs.iter().find(|spec| *spec.name == *output.name);
        let spec = spec.ok_or_else(|| unexpected(&output.name, specs))?;
        if outputs.tensor(&spec.name).is_some() {
            return Err(DecodeError::Duplicate(spec.name.clone()));
        }
        check(spec, &output, rows, form)?;
        let tensor = tensor(spec, output, &mut blobs)?;
        outputs.insert(spec.name.clone(), tensor);
    }
    if !blobs.is_empty() {
        return Err(DecodeError::Extra(blobs.len()));
    }
    // In the order of the promise, whatever the server's.
    let in_order: Result<Vec<_>, DecodeError> = specs
        .iter()
        .map(|spec| match outputs.tensor(&spec.name) {
            Some(tensor) => Ok((spec.name.clone(), tensor.clone())),
            None => Err(DecodeError::Missing(spec.name.clone())),
        })
        .collect();
    split(in_order?, rows, form)
}

fn json_length(header: Option<&[u8]>, body: usize) -> Result<usize, DecodeError> {
    let Some(header) = header else {
        return Ok(body);
    };
    let text = std::str::from_utf8(header).unwrap_or_default().trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let length = text.parse().ok().filter(|_| is_number);
    let length = length.filter(|length: &usize| *length <= body);
    length.ok_or_else(|| DecodeError::HeaderLength {
        value: excerpt(header),
        body,
    })
}

fn unexpected(name: &str, specs: &[TensorSpec]) -> DecodeError {
    let known: Vec<String> = specs
        .iter()
        .map(|spec| format!("{:?}", &*spec.name))
        .collect();
    DecodeError::Unexpected {
        name: excerpt(name.as_bytes()),
        known: known.join(", "),
    }
}

/// Holds datatype, shape and number of rows to the promise before any content is read.
fn check(
    spec: &TensorSpec,
    output: &Output<'_>,
    rows: usize,
    form: WireForm,
) -> Result<(), DecodeError> {
    let datatype: Datatype = output.datatype.parse().map_err(|_| DecodeError::Datatype {
        name: spec.name.clone(),
        datatype: excerpt(output.datatype.as_bytes()),
    })?;
    if !form.batch_axis {
        return Ok(spec.check_parts(datatype, &output.shape)?);
    }
    let mut shape = vec![Some(rows)];
    shape.extend_from_slice(&spec.shape);
    let batched = TensorSpec::new(spec.name.clone(), spec.datatype, shape);
    Ok(batched.check_parts(datatype, &output.shape)?)
}

fn tensor(spec: &TensorSpec, output: Output<'_>, blobs: &mut Bytes) -> Result<Tensor, DecodeError> {
    let wrong = |what: String| DecodeError::Content {
        name: spec.name.clone(),
        what,
    };
    let size = output
        .parameters
        .and_then(|parameters| parameters.binary_data_size);
    let data = match (size, output.data) {
        (Some(_), Some(_)) => {
            return Err(wrong("it has both data and binary_data_size".to_owned()));
        }
        (None, None) => {
            return Err(wrong("it has neither data nor binary_data_size".to_owned()));
        }
        (Some(size), None) if size > blobs.len() => {
            let missing = size - blobs.len();
            let what = format!("binary_data_size is {size}, of which {missing} bytes are missing");
            return Err(wrong(what));
        }
        (Some(size), None) => blobs.split_to(size),
        (None, Some(json)) => {
            let nest = read_nest(json.get(), spec.datatype, NonText::Refused)
                .map_err(|error| wrong(error.to_string()))?;
            let is_flat = nest.shape == [nest.count];
            if !is_flat && nest.count > 0 && nest.shape != output.shape {
                let (nested, shape) = (nest.shape, output.shape);
                let what = format!("data is nested like {nested:?}, its shape is {shape:?}");
                return Err(wrong(what));
            }
            nest.data.into()
        }
    };
    if spec.datatype == Datatype::Bool
        && let Some((index, value)) = data.iter().enumerate().find(|(_, byte)| **byte > 1)
    {
        return Err(wrong(format!(
            "element {index} is {value}; BOOL takes 0 and 1"
        )));
    }
    Tensor::new(spec.datatype, output.shape, data).map_err(|source| DecodeError::Tensor {
        name: spec.name.clone(),
        source,
    })
}

/// Takes outputs apart along the batch axis.
fn split(
    outputs: Vec<(Arc<str>, Tensor)>,
    rows: usize,
    form: WireForm,
) -> Result<Vec<Tensors>, DecodeError> {
    let mut columns = Vec::with_capacity(outputs.len());
    for (name, tensor) in outputs {
        let column = if form.batch_axis {
            let unstacked = tensor.unstack();
            unstacked.map_err(|source| DecodeError::Tensor {
                name: name.clone(),
                source,
            })?
        } else {
            vec![tensor]
        };
        columns.push((name, column.into_iter()));
    }
    let mut split = Vec::with_capacity(rows);
    for _ in 0..rows {
        let mut row = Tensors::new();
        for (name, column) in &mut columns {
            let tensor = column.next();
            row.insert(
                name.clone(),
                tensor.ok_or_else(|| DecodeError::Missing(name.clone()))?,
            );
        }
        split.push(row);
    }
    Ok(split)
}
