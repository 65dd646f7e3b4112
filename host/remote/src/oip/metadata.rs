//! What a server says of itself and of a model.

use crate::text::excerpt;
use consort_inference::{Signature, TensorSpec};
use serde::Deserialize;
use std::borrow::Cow;

/// The most tensors of a model, and the most axes of a tensor.
const TENSORS_MAX: usize = 1_024;
const AXES_MAX: usize = 31;

/// The extension by which tensors travel as raw bytes.
const BINARY: &str = "binary_tensor_data";

/// A model's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) platform: String,
    pub(crate) versions: Vec<String>,
    /// As they are on the wire, with the batch axis if there is one.
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
}

#[derive(Deserialize)]
struct ModelBody<'a> {
    #[serde(borrow, default)]
    platform: Cow<'a, str>,
    #[serde(default)]
    versions: Option<Vec<String>>,
    #[serde(borrow)]
    inputs: Vec<TensorBody<'a>>,
    #[serde(borrow)]
    outputs: Vec<TensorBody<'a>>,
}

#[derive(Deserialize)]
struct TensorBody<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    shape: Vec<i64>,
}

#[derive(Deserialize)]
struct ServerBody {
    #[serde(default)]
    extensions: Vec<String>,
}

#[derive(Deserialize)]
struct ConfigBody {
    max_batch_size: Option<usize>,
}

/// Whether the answer of `/v2` lists the binary tensor extension.
pub(crate) fn has_binary_extension(body: &[u8]) -> bool {
    let server = serde_json::from_slice::<ServerBody>(body);
    server.is_ok_and(|server| {
        server
            .extensions
            .iter()
            .any(|extension| extension == BINARY)
    })
}

/// What the model configuration extension says: 0 where requests have no batch axis.
pub(crate) fn max_batch_size(body: &[u8]) -> Option<usize> {
    serde_json::from_slice::<ConfigBody>(body)
        .ok()?
        .max_batch_size
}

// === impl Metadata ===

impl Metadata {
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let model: ModelBody<'_> = serde_json::from_slice(body).map_err(|error| {
            let begins = excerpt(body);
            let error = error.to_string();
            let error = error.escape_debug();
            format!("this is not a model's metadata: {error}; it begins with {begins}")
        })?;
        Ok(Self {
            platform: model.platform.into_owned(),
            versions: model.versions.unwrap_or_default(),
            inputs: specs(&model.inputs, "input")?,
            outputs: specs(&model.outputs, "output")?,
        })
    }

    /// Whether every tensor's first axis is of any length, as a batch's is.
    pub(crate) fn seems_batched(&self) -> bool {
        let mut all = self.inputs.iter().chain(&self.outputs);
        all.all(|spec| spec.shape.first() == Some(&None))
    }

    /// The tensors of one example; without the first axis where that is the batch's.
    pub(crate) fn signature(&self, batch_axis: bool) -> Result<Signature, String> {
        if !batch_axis {
            return Ok(Signature {
                inputs: self.inputs.clone(),
                outputs: self.outputs.clone(),
            });
        }
        let rows = |specs: &[TensorSpec]| specs.iter().map(row_spec).collect::<Result<Vec<_>, _>>();
        Ok(Signature {
            inputs: rows(&self.inputs)?,
            outputs: rows(&self.outputs)?,
        })
    }
}

fn row_spec(spec: &TensorSpec) -> Result<TensorSpec, String> {
    match spec.shape.split_first() {
        Some((None, row)) => Ok(TensorSpec::new(
            spec.name.clone(),
            spec.datatype,
            row.to_vec(),
        )),
        _ => Err(format!(
            "tensor \"{}\" is {spec}: its first axis is not of any length (-1), so rows cannot \
             be stacked along it; send each row by itself (batch_axis = false)",
            spec.name
        )),
    }
}

fn specs(tensors: &[TensorBody<'_>], what: &str) -> Result<Vec<TensorSpec>, String> {
    if tensors.is_empty() {
        return Err(format!("the model has no {what}"));
    }
    if tensors.len() > TENSORS_MAX {
        let count = tensors.len();
        return Err(format!(
            "the model has {count} {what}s, {TENSORS_MAX} are too many"
        ));
    }
    let mut specs: Vec<TensorSpec> = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let name = excerpt(tensor.name.as_bytes());
        if specs.iter().any(|spec| *spec.name == *tensor.name) {
            return Err(format!("the {what} {name} is given twice"));
        }
        let datatype = tensor.datatype.parse().map_err(|_| {
            let datatype = excerpt(tensor.datatype.as_bytes());
            format!("the {what} {name} has the datatype {datatype}, which is none")
        })?;
        if tensor.shape.len() > AXES_MAX {
            let axes = tensor.shape.len();
            return Err(format!(
                "the {what} {name} has {axes} axes, at most {AXES_MAX} will do"
            ));
        }
        let dim = |length: &i64| match *length {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| format!("the {what} {name} has an axis of length {length}")),
        };
        let shape: Result<Vec<_>, String> = tensor.shape.iter().map(dim).collect();
        specs.push(TensorSpec::new(&*tensor.name, datatype, shape?));
    }
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::Datatype;

    fn read(inputs: &str) -> Result<Metadata, String> {
        let output = r#"{"name":"y","datatype":"FP32","shape":[-1]}"#;
        let body = format!(
            r#"{{"name":"m","versions":["1"],"platform":"p","inputs":[{inputs}],"outputs":[{output}]}}"#
        );
        Metadata::read(body.as_bytes())
    }

    #[test]
    fn the_batch_axis_is_taken_off() {
        let metadata = read(r#"{"name":"x","datatype":"BYTES","shape":[-1,3,-1]}"#).unwrap();
        assert!(metadata.seems_batched());
        let signature = metadata.signature(true).unwrap();
        let expected = TensorSpec::new("x", Datatype::Bytes, vec![Some(3), None]);
        assert_eq!(signature.inputs, [expected]);
        assert_eq!(signature.outputs[0].shape, []);
        assert_eq!(metadata.signature(false).unwrap().inputs, metadata.inputs);
    }

    #[test]
    fn a_first_axis_of_a_fixed_length_is_none_of_a_batch() {
        for shape in ["[8,3]", "[]"] {
            let tensor = format!(r#"{{"name":"x","datatype":"FP32","shape":{shape}}}"#);
            let metadata = read(&tensor).unwrap();
            assert!(!metadata.seems_batched());
            let error = metadata.signature(true).unwrap_err();
            assert!(
                error.contains("\"x\"") && error.contains("batch_axis"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_metadata_is_refused() {
        let error = Metadata::read(b"<html>\x1b").unwrap_err();
        assert!(
            error.ends_with("it begins with \"<html>\\u{1b}\""),
            "{error}"
        );
        let x = r#"{"name":"x","datatype":"FP32","shape":[1]}"#;
        assert!(read("").unwrap_err().contains("no input"));
        assert!(read(&format!("{x},{x}")).unwrap_err().contains("twice"));
        let other = |from: &str, to: &str| read(&x.replace(from, to)).unwrap_err();
        assert!(other("FP32", "float").contains("\"float\""));
        assert!(other("[1]", "[-2]").contains("length -2"));
        let deep = format!("[{}1]", "1,".repeat(40));
        assert!(other("[1]", &deep).contains("41 axes"));
    }

    #[test]
    fn extensions_and_configuration_are_read() {
        assert!(has_binary_extension(
            br#"{"extensions":["a","binary_tensor_data"]}"#
        ));
        assert!(!has_binary_extension(br#"{"name":"x"}"#));
        assert!(!has_binary_extension(b"x"));
        assert_eq!(max_batch_size(br#"{"max_batch_size":8,"x":1}"#), Some(8));
        assert_eq!(max_batch_size(b"{}"), None);
    }
}
