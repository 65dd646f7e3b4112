//! From an [`InferAnswer`] to a response's body.

use super::encode_data::{write_data, write_value};
use super::{Form, InferAnswer};
use bytes::Bytes;
use consort_inference::{Datatype, TensorError};
use std::sync::Arc;

/// Below this a body is put together in one piece, which costs less than several writes.
const JOINED_BYTES_MAX: usize = 16 << 10;

/// A response's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The length of the JSON when binary outputs follow it
    /// (`Inference-Header-Content-Length`).
    pub header_length: Option<usize>,
    /// The body, piece by piece. Large binary outputs are pieces of their own, not
    /// copied.
    pub pieces: Vec<Bytes>,
}

/// An answer that cannot be put in the form that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// NaN or infinity, for which JSON has no words.
    #[error(
        "output \"{name}\": element {index} is NaN or infinite, which JSON cannot say; ask for \
         this output in binary (its parameter \"binary_data\": true)"
    )]
    NotFinite {
        /// The output.
        name: Arc<str>,
        /// Which element.
        index: usize,
    },
    /// Bytes that are no text.
    #[error(
        "output \"{name}\": element {index} is not UTF-8, which JSON texts are; ask for this \
         output in binary (its parameter \"binary_data\": true)"
    )]
    NotText {
        /// The output.
        name: Arc<str>,
        /// Which element.
        index: usize,
    },
    /// A datatype without a form in JSON.
    #[error(
        "output \"{name}\": {datatype} has no form in JSON; ask for this output in binary (its \
         parameter \"binary_data\": true)"
    )]
    NoJsonForm {
        /// The output.
        name: Arc<str>,
        /// Its datatype.
        datatype: Datatype,
    },
    /// A tensor that is not what it says.
    #[error("output \"{name}\": {source}")]
    Tensor {
        /// The output.
        name: Arc<str>,
        /// What is wrong.
        source: TensorError,
    },
}

/// Encodes an answer.
pub fn encode_infer(answer: &InferAnswer) -> Result<Encoded, EncodeError> {
    let mut json = Vec::with_capacity(512);
    json.extend_from_slice(b"{\"model_name\":");
    write_value(&*answer.model_name, &mut json);
    json.extend_from_slice(b",\"model_version\":");
    write_value(&*answer.model_version, &mut json);
    if let Some(id) = &answer.id {
        json.extend_from_slice(b",\"id\":");
        write_value(id, &mut json);
    }
    let parameters = [
        ("model_id", &answer.made_by),
        ("arms", &answer.arms),
        ("partial", &answer.partial),
    ];
    let mut before: &[u8] = b",\"parameters\":{";
    for (name, value) in parameters
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    {
        json.extend_from_slice(std::mem::replace(&mut before, b","));
        write_value(name, &mut json);
        json.push(b':');
        write_value(value, &mut json);
    }
    if before == b"," {
        json.push(b'}');
    }
    json.extend_from_slice(b",\"outputs\":[");
    let mut blobs: Vec<Bytes> = Vec::new();
    let mut has_binary = false;
    for (index, (name, tensor, form)) in answer.outputs.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(b"{\"name\":");
        write_value(&**name, &mut json);
        json.extend_from_slice(b",\"datatype\":");
        write_value(tensor.datatype().as_str(), &mut json);
        json.extend_from_slice(b",\"shape\":");
        write_value(tensor.shape(), &mut json);
        match form {
            Form::Json => {
                json.extend_from_slice(b",\"data\":");
                write_data(name, tensor, &mut json)?;
            }
            Form::Binary => {
                has_binary = true;
                json.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
                write_value(&tensor.data().len(), &mut json);
                json.push(b'}');
                blobs.push(tensor.data().clone());
            }
        }
        json.push(b'}');
    }
    json.extend_from_slice(b"]}");
    let header_length = has_binary.then_some(json.len());
    Ok(Encoded {
        header_length,
        pieces: pieces(json, blobs),
    })
}

fn pieces(mut json: Vec<u8>, mut blobs: Vec<Bytes>) -> Vec<Bytes> {
    blobs.retain(|blob| !blob.is_empty());
    let total = json.len() + blobs.iter().map(Bytes::len).sum::<usize>();
    if total <= JOINED_BYTES_MAX {
        blobs.iter().for_each(|blob| json.extend_from_slice(blob));
        blobs.clear();
    }
    blobs.insert(0, json.into());
    blobs
}

// === impl Encoded ===

impl Encoded {
    /// The size of the body.
    pub fn byte_len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
