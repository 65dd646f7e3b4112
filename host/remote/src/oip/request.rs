//! A batch into the body of an inference request.

use super::WireForm;
use crate::json::{NonText, write_nest, write_value};
use crate::pieces::{Pieces, PiecesBuilder};
use crate::wire::{EncodeError, write_args};
use consort_inference::{InferenceArgs, Signature, Tensor, TensorSpec, Tensors};

/// What to do about a value that JSON does not carry.
const ADVICE: &str = "send tensors in binary (tensor_form = \"binary\")";

/// A body, and how many bytes of JSON it begins with if binary tensors follow.
pub(crate) struct Encoded {
    pub(crate) body: Pieces,
    pub(crate) header_length: Option<usize>,
}

/// Puts rows together. Without a batch axis there is one row.
pub(crate) fn encode(
    signature: &Signature,
    rows: &[Tensors],
    args: &InferenceArgs,
    form: WireForm,
) -> Result<Encoded, EncodeError> {
    let mut json = Vec::with_capacity(512);
    json.push(b'{');
    if !args.is_empty() {
        json.extend_from_slice(b"\"parameters\":");
        write_args(args, &mut json)?;
        json.push(b',');
    }
    json.extend_from_slice(b"\"inputs\":[");
    for (index, spec) in signature.inputs.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write_input(spec, rows, form, &mut json)?;
    }
    json.extend_from_slice(b"],\"outputs\":[");
    for (index, spec) in signature.outputs.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(b"{\"name\":");
        write_value(&*spec.name, &mut json);
        if form.binary {
            json.extend_from_slice(b",\"parameters\":{\"binary_data\":true}");
        }
        json.push(b'}');
    }
    json.extend_from_slice(b"]}");
    let header_length = form.binary.then_some(json.len());
    let mut body = PiecesBuilder::new(json);
    if form.binary {
        for spec in &signature.inputs {
            for tensor in column(spec, rows)? {
                body.push(tensor.data());
            }
        }
    }
    Ok(Encoded {
        body: body.finish(),
        header_length,
    })
}

fn write_input(
    spec: &TensorSpec,
    rows: &[Tensors],
    form: WireForm,
    json: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let tensors = column(spec, rows)?;
    let mut shape = tensors
        .first()
        .map(|tensor| tensor.shape().to_vec())
        .unwrap_or_default();
    if form.batch_axis {
        shape.insert(0, tensors.len());
    }
    json.extend_from_slice(b"{\"name\":");
    write_value(&*spec.name, json);
    json.extend_from_slice(b",\"datatype\":");
    write_value(spec.datatype.as_str(), json);
    json.extend_from_slice(b",\"shape\":");
    write_value(&shape, json);
    if form.binary {
        let size: usize = tensors.iter().map(|tensor| tensor.data().len()).sum();
        json.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
        write_value(&size, json);
        json.extend_from_slice(b"}}");
        return Ok(());
    }
    json.extend_from_slice(b",\"data\":");
    let stacked = Tensor::stack(&tensors).map_err(|source| EncodeError::Stack {
        name: spec.name.clone(),
        source,
    })?;
    let flat = [stacked.element_count()];
    write_nest(&stacked, &flat, NonText::Refused, json).map_err(|source| EncodeError::Json {
        name: spec.name.clone(),
        source,
        advice: ADVICE,
    })?;
    json.push(b'}');
    Ok(())
}

/// One input of all rows.
fn column<'a>(spec: &TensorSpec, rows: &'a [Tensors]) -> Result<Vec<&'a Tensor>, EncodeError> {
    let tensor = |row: &'a Tensors| {
        let missing = || EncodeError::Missing(spec.name.clone());
        row.tensor(&spec.name).ok_or_else(missing)
    };
    rows.iter().map(tensor).collect()
}
