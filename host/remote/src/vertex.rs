//! JSON as Vertex AI's and TensorFlow Serving's `:predict` take it.
//!
//! A request is `{"instances": [...], "parameters": {...}}`, an answer
//! `{"predictions": [...]}` with one prediction for each instance; whatever else an answer
//! holds (`deployedModelId`, ...) is passed over. An instance or prediction is an object of
//! named tensors, each an array nested like its shape, or the bare array where there is one
//! tensor. Bytes that are no text travel as `{"b64": "..."}`.

use crate::json::{Nest, NonText, read_nest, write_nest, write_value};
use crate::pieces::{Pieces, PiecesBuilder};
use crate::text::excerpt;
use crate::wire::{DecodeError, EncodeError, write_args};
use bytes::Bytes;
use consort_inference::{InferenceArgs, Tensor, TensorSpec, Tensors};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const EXPECTED: &str = "an answer with \"predictions\"";

/// What to do about a value that JSON does not carry.
const ADVICE: &str = "this form of request has no other way to carry it";

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    predictions: Vec<&'a RawValue>,
}

/// Puts rows into the body of a request, one instance each.
pub(crate) fn encode(
    inputs: &[TensorSpec],
    rows: &[Tensors],
    args: &InferenceArgs,
) -> Result<Pieces, EncodeError> {
    let mut json = Vec::with_capacity(512);
    json.extend_from_slice(b"{\"instances\":[");
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        match inputs {
            [only] => write_tensor(only, row, &mut json)?,
            several => {
                json.push(b'{');
                for (index, spec) in several.iter().enumerate() {
                    if index > 0 {
                        json.push(b',');
                    }
                    write_value(&*spec.name, &mut json);
                    json.push(b':');
                    write_tensor(spec, row, &mut json)?;
                }
                json.push(b'}');
            }
        }
    }
    json.push(b']');
    if !args.is_empty() {
        json.extend_from_slice(b",\"parameters\":");
        write_args(args, &mut json)?;
    }
    json.push(b'}');
    Ok(PiecesBuilder::new(json).finish())
}

fn write_tensor(spec: &TensorSpec, row: &Tensors, json: &mut Vec<u8>) -> Result<(), EncodeError> {
    let missing = || EncodeError::Missing(spec.name.clone());
    let tensor = row.tensor(&spec.name).ok_or_else(missing)?;
    let written = write_nest(tensor, tensor.shape(), NonText::Base64, json);
    written.map_err(|source| EncodeError::Json {
        name: spec.name.clone(),
        source,
        advice: ADVICE,
    })
}

/// Reads the predictions of `rows` instances.
pub(crate) fn decode(
    body: &Bytes,
    outputs: &[TensorSpec],
    rows: usize,
) -> Result<Vec<Tensors>, DecodeError> {
    let read: Body<'_> = serde_json::from_slice(body)
        .map_err(|error| DecodeError::of_json(EXPECTED, &error, body))?;
    if read.predictions.len() != rows {
        return Err(DecodeError::Rows {
            expected: rows,
            actual: read.predictions.len(),
        });
    }
    let row = |json: &&RawValue| read_row(json.get(), outputs);
    read.predictions.iter().map(row).collect()
}

fn read_row(json: &str, outputs: &[TensorSpec]) -> Result<Tensors, DecodeError> {
    if let [only] = outputs
        && !is_object_of(json, &only.name)
    {
        let mut row = Tensors::new();
        row.insert(only.name.clone(), read_tensor(only, json)?);
        return Ok(row);
    }
    let named: BTreeMap<String, &RawValue> = serde_json::from_str(json).map_err(|error| {
        DecodeError::of_json("an object of named outputs", &error, json.as_bytes())
    })?;
    let mut row = Tensors::new();
    for spec in outputs {
        let missing = || DecodeError::Missing(spec.name.clone());
        let json = named.get(&*spec.name).ok_or_else(missing)?;
        row.insert(spec.name.clone(), read_tensor(spec, json.get())?);
    }
    match named.keys().find(|name| row.tensor(name).is_none()) {
        None => Ok(row),
        Some(name) => Err(DecodeError::Unexpected {
            name: excerpt(name.as_bytes()),
            known: known(outputs),
        }),
    }
}

fn known(outputs: &[TensorSpec]) -> String {
    let names: Vec<String> = outputs
        .iter()
        .map(|spec| format!("{:?}", &*spec.name))
        .collect();
    names.join(", ")
}

/// Whether a prediction of a model with one output gives it by its name.
fn is_object_of(json: &str, name: &str) -> bool {
    let named = || serde_json::from_str::<BTreeMap<String, &RawValue>>(json).ok();
    json.starts_with('{') && named().is_some_and(|named| named.contains_key(name))
}

fn read_tensor(spec: &TensorSpec, json: &str) -> Result<Tensor, DecodeError> {
    let nest =
        read_nest(json, spec.datatype, NonText::Base64).map_err(|error| DecodeError::Content {
            name: spec.name.clone(),
            what: error.to_string(),
        })?;
    let shape = shape_of(&nest, spec);
    spec.check_parts(spec.datatype, &shape)?;
    Tensor::new(spec.datatype, shape, nest.data.into()).map_err(|source| DecodeError::Tensor {
        name: spec.name.clone(),
        source,
    })
}

/// The shape of a nest; axes inside an empty array, which JSON cannot show, are as promised.
fn shape_of(nest: &Nest, spec: &TensorSpec) -> Vec<usize> {
    let mut shape = nest.shape.clone();
    if nest.count == 0 {
        let hidden = spec.shape.iter().skip(shape.len());
        shape.extend(hidden.map(|length| length.unwrap_or(0)));
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{any_rows, is_json_safe};
    use consort_inference::{ArgValue, Datatype};
    use proptest::prelude::*;
    use serde_json::Value;

    fn spec(name: &str, datatype: Datatype, shape: &[usize]) -> TensorSpec {
        TensorSpec::new(name, datatype, shape.iter().copied().map(Some).collect())
    }

    fn decoded(body: &str, outputs: &[TensorSpec], rows: usize) -> Result<Vec<Tensors>, String> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        decode(&body, outputs, rows).map_err(|error| error.to_string())
    }

    #[test]
    fn instances_are_bare_or_objects() {
        let x = Tensor::from_slice(vec![2], &[1i64, 2]).unwrap();
        let s = Tensor::from_byte_strings(vec![], ["a"]).unwrap();
        let row = Tensors::from_named([("x".into(), x), ("s".into(), s)]).unwrap();
        let inputs = [
            spec("x", Datatype::Int64, &[2]),
            spec("s", Datatype::Bytes, &[]),
        ];
        let args = [("k".into(), ArgValue::Int(3))].into_iter().collect();
        let text = |inputs: &[TensorSpec], args: &InferenceArgs| {
            let body = encode(inputs, &[row.clone(), row.clone()], args).unwrap();
            String::from_utf8(body.to_vec()).unwrap()
        };
        assert_eq!(
            text(&inputs, &args),
            r#"{"instances":[{"x":[1,2],"s":"a"},{"x":[1,2],"s":"a"}],"parameters":{"k":3}}"#
        );
        let none = InferenceArgs::new();
        assert_eq!(text(&inputs[..1], &none), r#"{"instances":[[1,2],[1,2]]}"#);
        assert_eq!(text(&inputs[1..], &none), r#"{"instances":["a","a"]}"#);
    }

    #[test]
    fn predictions_are_bare_or_objects() {
        let y = [spec("y", Datatype::Fp32, &[2])];
        for body in [
            r#"{"predictions":[[1,2]],"deployedModelId":"7"}"#,
            r#"{"predictions":[{"y":[1,2]}]}"#,
        ] {
            let rows = decoded(body, &y, 1).unwrap();
            let tensor = rows[0].tensor("y").unwrap();
            assert_eq!(tensor.to_vec::<f32>().unwrap(), [1.0, 2.0]);
        }
        let both = [
            spec("y", Datatype::Fp32, &[]),
            spec("z", Datatype::Bytes, &[]),
        ];
        let rows = decoded(r#"{"predictions":[{"z":{"b64":"/w=="},"y":1}]}"#, &both, 1).unwrap();
        assert_eq!(
            rows[0].tensor("z").unwrap().byte_strings().unwrap(),
            [&b"\xff"[..]]
        );
        let bytes = [spec("y", Datatype::Bytes, &[])];
        let rows = decoded(r#"{"predictions":[{"b64":"/w=="}]}"#, &bytes, 1).unwrap();
        assert_eq!(
            rows[0].tensor("y").unwrap().byte_strings().unwrap(),
            [&b"\xff"[..]]
        );
    }

    #[test]
    fn predictions_are_held_to_the_signature() {
        let y = [spec("y", Datatype::Fp32, &[2])];
        let error = |body: &str| decoded(body, &y, 1).unwrap_err();
        assert_eq!(
            error(r#"{"predictions":[[1,2],[3,4]]}"#),
            "there are 2 predictions for 1 examples"
        );
        assert_eq!(
            error(r#"{"predictions":[[1,2,3]]}"#),
            "tensor \"y\" has shape [3], [2] is expected"
        );
        assert_eq!(
            error(r#"{"predictions":[["a","b"]]}"#),
            "output \"y\": element 0 is \"\"a\"\"; FP32 takes numbers within its range"
        );
        assert_eq!(
            error(r#"{"predictions":[{"y":[1,2],"z":1}]}"#),
            "there is an output \"z\", the model has \"y\""
        );
        assert!(error(r#"{"error":"x"}"#).contains("missing field `predictions`"));
        let both = [y[0].clone(), spec("z", Datatype::Fp32, &[])];
        let error = decoded(r#"{"predictions":[{"y":[1,2]}]}"#, &both, 1).unwrap_err();
        assert_eq!(error, "the output \"z\" is missing");
    }

    proptest! {
        #[test]
        fn what_is_sent_comes_back_from_an_echo((specs, rows) in any_rows()) {
            let encoded = encode(&specs, &rows, &InferenceArgs::new());
            let tensors = rows.iter().flat_map(Tensors::iter);
            let all_safe = { tensors }.all(|(_, tensor)| is_json_safe(tensor));
            prop_assert_eq!(encoded.is_ok(), all_safe);
            let Ok(encoded) = encoded else { return Ok(()) };
            let request: Value = serde_json::from_slice(&encoded.to_vec()).unwrap();
            prop_assert_eq!(request["instances"].as_array().unwrap().len(), rows.len());
            let text = String::from_utf8(encoded.to_vec()).unwrap();
            let answer = text.replacen("instances", "predictions", 1);
            let outputs = decode(&answer.into(), &specs, rows.len()).unwrap();
            for (output, row) in outputs.iter().zip(&rows) {
                for (name, tensor) in row.iter() {
                    let output = output.tensor(name).unwrap();
                    prop_assert_eq!(output.data(), tensor.data());
                    // Lengths inside an empty array are lost where no promise has them.
                    if tensor.element_count() > 0 {
                        prop_assert_eq!(output.shape(), tensor.shape());
                    }
                }
            }
        }

        #[test]
        fn no_bytes_panic_the_decoder(
            body in prop::collection::vec(any::<u8>(), 0..200),
            text in "\\{\"predictions\":\\[[\\[\\]{}\",:a-z0-9\\\\ ]{0,60}\\]\\}",
        ) {
            for datatype in Datatype::ALL {
                let y = [spec("y", datatype, &[1])];
                let _ = decode(&body.clone().into(), &y, 1);
                let _ = decode(&text.clone().into(), &y, 1);
            }
        }
    }
}
