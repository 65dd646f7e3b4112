//! What both forms of request and answer have in common: arguments, and how they go wrong.

use crate::json::{WriteError, write_value};
use consort_inference::{ArgValue, Datatype, InferenceArgs, Mismatch, TensorError};
use std::sync::Arc;

/// A batch that cannot be put into a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodeError {
    /// A row lacks an input; a defect of the caller, who checks rows.
    #[error("a row of the batch has no tensor \"{0}\"")]
    Missing(Arc<str>),
    /// Rows that do not stack; a defect of the caller, who groups rows.
    #[error("input \"{name}\": {source}")]
    Stack {
        /// The input.
        name: Arc<str>,
        /// What is wrong.
        source: TensorError,
    },
    /// A value without a form in JSON.
    #[error("input \"{name}\": {source}; {advice}")]
    Json {
        /// The input.
        name: Arc<str>,
        /// What is wrong.
        source: WriteError,
        /// What to do.
        advice: &'static str,
    },
    /// An argument without a form in JSON.
    #[error("argument \"{0}\" is not a finite number, and JSON has no form for it")]
    Argument(Arc<str>),
}

/// A body that is not the answer asked for. Names in it are the server's, and so are quoted
/// with care.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Not JSON, or not the object expected.
    #[error("the body is not {expected}: {detail}; it begins with {begins}")]
    Json {
        /// What was expected.
        expected: &'static str,
        /// What the reader says.
        detail: String,
        /// The start of the body, quoted.
        begins: String,
    },
    /// The header of the binary extension is no length within the body.
    #[error(
        "the header Inference-Header-Content-Length is {value}, which is no length within a body \
         of {body} bytes"
    )]
    HeaderLength {
        /// What it says, quoted.
        value: String,
        /// The size of the body.
        body: usize,
    },
    /// An output that nobody asked for.
    #[error("there is an output {name}, the model has {known}")]
    Unexpected {
        /// Its name, quoted.
        name: String,
        /// Those that were promised.
        known: String,
    },
    /// An output given twice.
    #[error("the output \"{0}\" is given twice")]
    Duplicate(Arc<str>),
    /// An output that is not there.
    #[error("the output \"{0}\" is missing")]
    Missing(Arc<str>),
    /// A datatype that does not exist.
    #[error("output \"{name}\" has the datatype {datatype}, which is none")]
    Datatype {
        /// The output.
        name: Arc<str>,
        /// What it says, quoted.
        datatype: String,
    },
    /// Another datatype or shape than promised; a wrong number of rows, too.
    #[error("{0}")]
    Mismatch(#[from] Mismatch),
    /// Content and shape that do not make a tensor.
    #[error("output \"{name}\": {source}")]
    Tensor {
        /// The output.
        name: Arc<str>,
        /// What is wrong.
        source: TensorError,
    },
    /// Content that cannot be read.
    #[error("output \"{name}\": {what}")]
    Content {
        /// The output.
        name: Arc<str>,
        /// What is wrong with it.
        what: String,
    },
    /// Bytes that belong to no output.
    #[error("{0} bytes are left over behind the binary outputs")]
    Extra(usize),
    /// Another number of predictions than of examples.
    #[error("there are {actual} predictions for {expected} examples")]
    Rows {
        /// How many were asked for.
        expected: usize,
        /// How many came.
        actual: usize,
    },
}

// === impl EncodeError ===

impl EncodeError {
    /// Whether another example or another argument would do, so that it is the client's fault.
    pub(crate) fn is_input(&self) -> bool {
        matches!(self, Self::Json { .. } | Self::Argument(_))
    }
}

// === impl DecodeError ===

impl DecodeError {
    pub(crate) fn of_json(expected: &'static str, error: &serde_json::Error, body: &[u8]) -> Self {
        // The reader's words may repeat the server's.
        let detail: String = error.to_string().chars().take(200).collect();
        Self::Json {
            expected,
            detail: detail.escape_debug().to_string(),
            begins: crate::text::excerpt(body),
        }
    }
}

/// Appends arguments as a JSON object.
pub(crate) fn write_args(args: &InferenceArgs, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(b'{');
    for (index, (name, value)) in args.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_value(&**name, out);
        out.push(b':');
        match value {
            ArgValue::Bool(value) => write_value(value, out),
            ArgValue::Int(value) => write_value(value, out),
            ArgValue::Float(value) if value.is_finite() => write_value(value, out),
            ArgValue::Float(_) => return Err(EncodeError::Argument(name.clone())),
            ArgValue::Text(value) => write_value(&**value, out),
        }
    }
    out.push(b'}');
    Ok(())
}

/// Whether a datatype has a form in JSON.
pub(crate) fn has_json_form(datatype: Datatype) -> bool {
    !matches!(datatype, Datatype::Fp16 | Datatype::Bf16)
}
