//! From the rows of a batch to what a run takes.

use crate::native::{CpuMemory, Value};
use crate::{BatchAxis, refusal};
use consort_inference::{Batch, Datatype, PredictError, Tensor, TensorSpec};
use std::str;

/// Elements are handed over as the protocol has them, which is little-endian.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "tensors are handed to ONNX Runtime as they come, which needs a little-endian machine"
);

/// The strings of `BYTES` data, each without its length.
struct Strings<'a>(&'a [u8]);

/// Makes one input of the rows, which have been checked against the signature.
pub(crate) fn value(
    spec: &TensorSpec,
    batch: &Batch,
    axis: BatchAxis,
    memory: &CpuMemory,
) -> Result<Value, PredictError> {
    let rows = column(spec, batch)?;
    let Some(first) = rows.first() else {
        return Err(missing(spec));
    };
    let mut shape = Vec::with_capacity(first.shape().len() + 1);
    if axis == BatchAxis::Leading {
        shape.push(rows.len());
    }
    shape.extend_from_slice(first.shape());
    let made = match spec.datatype {
        Datatype::Bytes => {
            check_utf8(spec, &rows)?;
            let strings = rows.iter().flat_map(|row| Strings(row.data()));
            Value::strings(&shape, strings)
        }
        datatype => {
            if datatype == Datatype::Bool {
                check_bool(spec, &rows)?;
            }
            numbers(datatype, &shape, &rows, memory)
        }
    };
    made.map_err(|error| refusal::predict_error(&error))
}

/// A single row stays where it is if it can; several are copied one behind the other.
fn numbers(
    datatype: Datatype,
    shape: &[usize],
    rows: &[&Tensor],
    memory: &CpuMemory,
) -> Result<Value, crate::native::Error> {
    if let [only] = rows
        && let Some(value) = Value::borrowed(memory, datatype, shape, only.data())?
    {
        return Ok(value);
    }
    Value::copied(datatype, shape, rows.iter().map(|row| &row.data()[..]))
}

fn column<'a>(spec: &TensorSpec, batch: &'a Batch) -> Result<Vec<&'a Tensor>, PredictError> {
    let rows = batch.rows().iter();
    rows.map(|row| row.tensor(&spec.name).ok_or_else(|| missing(spec)))
        .collect()
}

fn missing(spec: &TensorSpec) -> PredictError {
    PredictError::InvalidInput(format!("tensor \"{}\" is missing", spec.name))
}

/// ONNX's strings are UTF-8.
fn check_utf8(spec: &TensorSpec, rows: &[&Tensor]) -> Result<(), PredictError> {
    for (row, tensor) in rows.iter().enumerate() {
        for (index, string) in Strings(tensor.data()).enumerate() {
            if let Err(error) = str::from_utf8(string) {
                let valid = error.valid_up_to();
                return Err(PredictError::InvalidInput(format!(
                    "element {index} of tensor \"{}\"{} is not UTF-8 at byte {valid}, and the \
                     model takes strings",
                    spec.name,
                    of_example(row, rows)
                )));
            }
        }
    }
    Ok(())
}

/// A C++ `bool` that is neither 0 nor 1 is undefined behaviour.
fn check_bool(spec: &TensorSpec, rows: &[&Tensor]) -> Result<(), PredictError> {
    for (row, tensor) in rows.iter().enumerate() {
        if let Some(index) = tensor.data().iter().position(|&byte| byte > 1) {
            return Err(PredictError::InvalidInput(format!(
                "element {index} of tensor \"{}\"{} is neither 0 nor 1, and the tensor is BOOL",
                spec.name,
                of_example(row, rows)
            )));
        }
    }
    Ok(())
}

fn of_example(row: usize, rows: &[&Tensor]) -> String {
    match rows {
        [_] => String::new(),
        _ => format!(" of example {row} of the batch"),
    }
}

// === impl Strings ===

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    /// A tensor's data is well-formed, so that it ends at the end of a string.
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (string, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(string)
    }
}
