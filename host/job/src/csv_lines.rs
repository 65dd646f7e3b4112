//! Predictions as records of CSV.

use crate::key::RowKey;
use crate::layout::{Layout, Spread};
use crate::value;
use consort_inference::{Datatype, Prediction};

/// The names of the columns as a record.
pub(crate) fn header(layout: &Layout, delimiter: u8) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, name) in layout.names().iter().enumerate() {
        if index > 0 {
            out.push(delimiter);
        }
        field(&mut out, name.as_bytes(), delimiter);
    }
    out.push(b'\n');
    out
}

/// Appends a prediction; on an error nothing.
pub(crate) fn prediction(
    out: &mut Vec<u8>,
    key: &RowKey,
    prediction: &Prediction,
    layout: &Layout,
    delimiter: u8,
) -> Result<(), String> {
    let begin = out.len();
    let written = record(out, key, prediction, layout, delimiter);
    if written.is_err() {
        out.truncate(begin);
    }
    written
}

fn record(
    out: &mut Vec<u8>,
    key: &RowKey,
    prediction: &Prediction,
    layout: &Layout,
    delimiter: u8,
) -> Result<(), String> {
    let model_id = |out: &mut Vec<u8>| {
        out.push(delimiter);
        field(out, prediction.model_id.to_string().as_bytes(), delimiter);
    };
    field(out, key.text.as_bytes(), delimiter);
    let mut json = Vec::new();
    for (index, column) in layout.columns.iter().enumerate() {
        if index == layout.outputs {
            model_id(out);
        }
        let tensor = column.find(prediction)?;
        let is_text = column.datatype == Datatype::Bytes && column.spread != Spread::Any;
        if is_text {
            for bytes in tensor.byte_strings().map_err(|error| error.to_string())? {
                out.push(delimiter);
                match std::str::from_utf8(&bytes) {
                    Ok(_) => field(out, &bytes, delimiter),
                    Err(_) => {
                        json.clear();
                        value::byte_string(&mut json, &bytes);
                        field(out, &json, delimiter);
                    }
                }
            }
            continue;
        }
        match column.spread {
            Spread::Element | Spread::Vector(_) => {
                for index in 0..tensor.element_count() {
                    out.push(delimiter);
                    let begin = out.len();
                    value::element(out, tensor, index);
                    // The words that JSON has no number for are no strings here.
                    if out.get(begin) == Some(&b'"') {
                        out.remove(begin);
                        out.pop();
                    }
                }
            }
            Spread::Any => {
                json.clear();
                value::write(&mut json, tensor)
                    .map_err(|what| format!("\"{}\" cannot be written: {what}", column.name))?;
                out.push(delimiter);
                field(out, &json, delimiter);
            }
        }
    }
    if layout.outputs == layout.columns.len() {
        model_id(out);
    }
    out.push(b'\n');
    Ok(())
}

/// Appends a field, in quotes where it needs them.
fn field(out: &mut Vec<u8>, text: &[u8], delimiter: u8) {
    let plain = |byte: &u8| *byte != delimiter && !matches!(byte, b'"' | b'\n' | b'\r');
    if text.iter().all(plain) {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for byte in text {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
