//! From a request's body to an [`InferRequest`].

use super::binary::{self, Blobs};
use super::bounded::Bounded;
use super::data::read_data;
use super::parameters::Parameters;
use super::{DecodeError, Form, HeaderLength, InferRequest, RequestedOutputs, wire_spec};
use bytes::Bytes;
use consort_inference::{
    Datatype, InferenceArgs, Priority, Signature, Tensor, TensorError, TensorSpec,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// Inputs, and outputs asked for, of one request.
const TENSORS_MAX: usize = 256;
/// Axes of one tensor.
const AXES_MAX: usize = 32;
/// Bytes of a request's id.
const ID_BYTES_MAX: usize = 1024;
/// The protocol's priority that is the same as none; numbers over 127 count as 127.
const MIDDLE_PRIORITY: i8 = 64;

/// What decoding allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// How deep JSON may nest.
    pub json_depth_max: usize,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with \"inputs\"")]
struct RequestJson<'a> {
    id: Option<String>,
    parameters: Option<Parameters>,
    #[serde(borrow)]
    inputs: Option<Bounded<InputJson<'a>, TENSORS_MAX>>,
    outputs: Option<Bounded<OutputJson, TENSORS_MAX>>,
}

#[derive(Deserialize)]
#[serde(expecting = "an input: an object with \"name\", \"datatype\", \"shape\" and \"data\"")]
struct InputJson<'a> {
    name: String,
    datatype: String,
    shape: Bounded<i64, AXES_MAX>,
    parameters: Option<Parameters>,
    /// Left as text until the datatype is known, which may come later in the object.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(expecting = "an output: an object with \"name\"")]
struct OutputJson {
    name: String,
    parameters: Option<Parameters>,
}

/// Decodes a body: JSON, or JSON and binary inputs behind it. Binary inputs are slices
/// of `body`. A raw body needs a signature: see [`decode_raw`].
pub fn decode_infer(
    body: &Bytes,
    header_length: HeaderLength,
    limits: &DecodeLimits,
) -> Result<InferRequest, DecodeError> {
    let (json_bytes, has_length) = match header_length {
        HeaderLength::Absent => (body.len(), false),
        HeaderLength::Json(length) => (length.min(body.len()), true),
        HeaderLength::Raw => (0, true),
    };
    let json = body.get(..json_bytes).unwrap_or_default();
    check_depth(json, limits.json_depth_max)?;
    let request: RequestJson<'_> =
        serde_json::from_slice(json).map_err(|error| DecodeError::of_json(&error))?;
    let parameters = request.parameters.unwrap_or_default();
    parameters.check_request()?;
    let timeout = parameters
        .count("timeout")?
        .filter(|micros| *micros > 0)
        .map(Duration::from_micros);
    let form = form_of(parameters.truth("binary_data_output")?).unwrap_or(Form::Json);
    let keeps_example = parameters.truth("keep_example")?.unwrap_or(false);

    let mut blobs = Blobs::new(body.clone(), json_bytes, has_length);
    let mut inputs: Vec<(String, Tensor)> = Vec::new();
    for input in request.inputs.ok_or(DecodeError::NoInputs)?.0 {
        if inputs.iter().any(|(name, _)| *name == input.name) {
            return Err(DecodeError::DuplicateInput { name: input.name });
        }
        let tensor = decode_input(&input, &mut blobs, limits)?;
        inputs.push((input.name, tensor));
    }
    blobs.finish()?;

    Ok(InferRequest {
        id: checked_id(request.id)?,
        timeout,
        priority: priority_of(parameters.count("priority")?),
        args: parameters.args(),
        key: parameters.key()?,
        stream: parameters.stream()?,
        keep_example: keeps_example.then_some(form),
        inputs,
        outputs: decode_outputs(request.outputs.map(|outputs| outputs.0), form)?,
    })
}

/// Decodes a raw body: nothing but the content of the endpoint's one input.
///
/// `BYTES` is one element, given without its length. Otherwise the one axis of unknown
/// length is found from the size of the body: the batch axis, or where the example itself
/// has such an axis that one, of a single row. All outputs come back in binary.
pub fn decode_raw(
    body: &Bytes,
    signature: &Signature,
    has_batch_axis: bool,
) -> Result<InferRequest, DecodeError> {
    let [spec] = signature.inputs.as_slice() else {
        return Err(DecodeError::Raw(format!(
            "the endpoint has {} inputs, and only the content of one can be sent so",
            signature.inputs.len()
        )));
    };
    let name = &spec.name;
    let tensor = match spec.datatype.size_bytes() {
        None => raw_bytes(body, spec, has_batch_axis)?,
        Some(size) => {
            let shape = raw_shape(body.len(), size, spec, has_batch_axis)?;
            binary::tensor(name, spec.datatype, shape, body.clone())?
        }
    };
    Ok(InferRequest {
        id: None,
        timeout: None,
        priority: Priority::default(),
        args: InferenceArgs::new(),
        key: None,
        stream: None,
        keep_example: None,
        inputs: vec![(name.to_string(), tensor)],
        outputs: RequestedOutputs::All(Form::Binary),
    })
}

fn decode_input(
    input: &InputJson<'_>,
    blobs: &mut Blobs,
    limits: &DecodeLimits,
) -> Result<Tensor, DecodeError> {
    let name = &input.name;
    let datatype: Datatype = input
        .datatype
        .parse()
        .map_err(|source| DecodeError::Datatype {
            name: name.clone(),
            source,
        })?;
    let shape = decode_shape(name, &input.shape.0)?;
    let binary_size = match &input.parameters {
        None => None,
        Some(parameters) => {
            parameters.check_offered()?;
            parameters.count("binary_data_size")?
        }
    };
    match (input.data, binary_size) {
        (None, None) => Err(DecodeError::NoData { name: name.clone() }),
        (Some(_), Some(_)) => Err(DecodeError::TwoData { name: name.clone() }),
        (None, Some(size)) => binary::tensor(name, datatype, shape, blobs.take(name, size)?),
        (Some(json), None) => {
            let count = element_count(&shape).ok_or_else(|| DecodeError::Tensor {
                name: name.clone(),
                source: TensorError::ShapeOverflow {
                    shape: shape.clone(),
                },
            })?;
            let depth_max = limits.json_depth_max;
            let data = read_data(name, json.get(), datatype, &shape, count, depth_max)?;
            binary::tensor(name, datatype, shape, data.into())
        }
    }
}

fn decode_shape(name: &str, shape: &[i64]) -> Result<Vec<usize>, DecodeError> {
    let axis = |(axis, &length): (usize, &i64)| {
        usize::try_from(length).map_err(|_| DecodeError::NegativeAxis {
            name: name.into(),
            axis,
            length,
        })
    };
    shape.iter().enumerate().map(axis).collect()
}

fn decode_outputs(
    outputs: Option<Vec<OutputJson>>,
    default: Form,
) -> Result<RequestedOutputs, DecodeError> {
    let mut listed: Vec<(String, Form)> = Vec::new();
    for output in outputs.unwrap_or_default() {
        if listed.iter().any(|(name, _)| *name == output.name) {
            return Err(DecodeError::DuplicateOutput { name: output.name });
        }
        let form = match &output.parameters {
            None => None,
            Some(parameters) => {
                parameters.check_offered()?;
                form_of(parameters.truth("binary_data")?)
            }
        };
        listed.push((output.name, form.unwrap_or(default)));
    }
    // As in Triton, an empty list means all.
    Ok(if listed.is_empty() {
        RequestedOutputs::All(default)
    } else {
        RequestedOutputs::Listed(listed)
    })
}

fn form_of(binary: Option<bool>) -> Option<Form> {
    binary.map(|binary| if binary { Form::Binary } else { Form::Json })
}

/// The protocol counts downwards: 1 goes first, and 0 is a request that says nothing, which
/// is in the middle, where [`MIDDLE_PRIORITY`] is too.
fn priority_of(given: Option<u64>) -> Priority {
    match given {
        None | Some(0) => Priority::default(),
        Some(given) => {
            let level = i8::try_from(given).unwrap_or(i8::MAX);
            Priority(MIDDLE_PRIORITY - level)
        }
    }
}

fn checked_id(id: Option<String>) -> Result<Option<String>, DecodeError> {
    match id {
        Some(id) if id.len() > ID_BYTES_MAX => Err(DecodeError::IdLength {
            length: id.len(),
            length_max: ID_BYTES_MAX,
        }),
        // An empty id is none: clients that have none send it so.
        id => Ok(id.filter(|id| !id.is_empty())),
    }
}

/// The depth is checked before anything is built from the JSON.
fn check_depth(json: &[u8], depth_max: usize) -> Result<(), DecodeError> {
    // Most requests have fewer brackets than they may have levels, which is seen sooner.
    let opening = json.iter().filter(|byte| matches!(byte, b'[' | b'{'));
    if opening.count() <= depth_max {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return Err(DecodeError::Depth { depth_max });
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// `None` when there are more elements than memory can address.
fn element_count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .try_fold(1usize, |count, &length| count.checked_mul(length))
}

fn raw_bytes(body: &Bytes, spec: &TensorSpec, has_batch_axis: bool) -> Result<Tensor, DecodeError> {
    let shape: Vec<usize> = wire_spec(spec, has_batch_axis)
        .shape
        .iter()
        .map(|dim| dim.unwrap_or(1))
        .collect();
    if element_count(&shape) != Some(1) {
        return Err(DecodeError::Raw(format!(
            "its body is one BYTES element, but input \"{}\" takes {spec}",
            spec.name
        )));
    }
    Tensor::from_byte_strings(shape, [body]).map_err(|source| DecodeError::Tensor {
        name: spec.name.to_string(),
        source,
    })
}

fn raw_shape(
    bytes: usize,
    element_bytes: usize,
    spec: &TensorSpec,
    has_batch_axis: bool,
) -> Result<Vec<usize>, DecodeError> {
    let unknown = spec.shape.iter().filter(|dim| dim.is_none()).count();
    let takes = || wire_spec(spec, has_batch_axis).to_string();
    if unknown > 1 {
        return Err(DecodeError::Raw(format!(
            "input \"{}\" takes {}, and the size of a body tells the length of one axis only",
            spec.name,
            takes()
        )));
    }
    // With an axis of unknown length in the example the request is a single row.
    let batch = has_batch_axis.then_some((unknown == 1).then_some(1));
    let dims: Vec<Option<usize>> = batch.into_iter().chain(spec.shape.clone()).collect();
    let known: Vec<usize> = dims
        .iter()
        .flatten()
        .copied()
        .chain([element_bytes])
        .collect();
    let known = element_count(&known).unwrap_or(usize::MAX);
    let length = bytes.checked_div(known).unwrap_or_default();
    let fills = length.checked_mul(known) == Some(bytes);
    if !fills || (length != 1 && dims.iter().all(Option::is_some)) {
        return Err(DecodeError::Raw(format!(
            "input \"{}\" takes {}, which {bytes} bytes do not fill evenly: one such part has \
             {known} bytes",
            spec.name,
            takes()
        )));
    }
    Ok(dims.iter().map(|dim| dim.unwrap_or(length)).collect())
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
